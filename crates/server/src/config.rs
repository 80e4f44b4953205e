//! `daybreak.toml`: what an operator may set. Everything has a default; an empty file is a good one.
//!
//! ```toml
//! listen = "127.0.0.1:8787"
//! data_dir = "/var/lib/daybreak"
//! shutdown_grace_s = 10
//!
//! [engine]
//! sessions_running_max = 100
//!
//! [sandbox]
//! backend = "bubblewrap"
//! memory_mib_max = 2048
//!
//! [models."house-model"]
//! provider = "anthropic"
//! upstream = "claude-opus-5-5"
//!
//! [providers.anthropic]
//! api_key_env = "HOUSE_ANTHROPIC_KEY"
//! ```
//!
//! The file is read strictly: a key that is not known, or a value out of range, is a problem that names its line,
//! and the server does not start. Invariant: no problem repeats a line of the file, which may hold a key.

mod engine;
mod problem;
mod sandbox;

pub use engine::EngineConfig;
pub use problem::ConfigProblem;
pub use sandbox::{SandboxBackend, SandboxConfig};

use daybreak_outbound::{ModelConfig, ModelsConfig, ProvidersConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The environment variable that names a further directory of rehearsal scenarios.
pub const SCENARIOS_VAR: &str = "DAYBREAK_SCENARIOS";

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8787);
const DATA_DIR_DEFAULT: &str = "daybreak-data";
const SHUTDOWN_GRACE_S_DEFAULT: u64 = 10;
const SHUTDOWN_GRACE_S_MAX: u64 = 3_600;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server is reached.
    pub server: ServerConfig,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// `[engine]`
    pub engine: EngineConfig,
    /// `[sandbox]`
    pub sandbox: SandboxConfig,
    /// `[models.*]` and `[providers.*]`
    pub models: ModelsConfig,
}

/// How the server is reached, and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long requests under way may take once the server is told to stop, in seconds.
    pub shutdown_grace_s: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: LISTEN_DEFAULT, shutdown_grace_s: SHUTDOWN_GRACE_S_DEFAULT }
    }
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    shutdown_grace_s: Option<u64>,
    engine: EngineConfig,
    sandbox: SandboxConfig,
    models: BTreeMap<String, ModelConfig>,
    providers: ProvidersConfig,
}

impl Config {
    /// Reads the file, if one is named, and what the environment adds to it (`env` answers for one variable name).
    /// Relative paths of the file start at the file's own folder.
    ///
    /// # Errors
    /// A file that cannot be read, or says what it may not say.
    pub fn load(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigProblem> {
        let mut config = match path {
            None => Self::from_file(ConfigFile::default(), Path::new(""))?,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| ConfigProblem::unreadable(path, &error))?;
                Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|problem| problem.in_file(path))?
            }
        };
        if let Some(dir) = env(SCENARIOS_VAR).filter(|dir| !dir.trim().is_empty()) {
            // First, so that it hides scenarios of the same name: a variable is closer at hand than a file.
            config.models.providers.rehearsal.scenario_dirs.insert(0, PathBuf::from(dir));
        }
        Ok(config)
    }

    /// Reads the text of a file whose relative paths start at `folder`.
    fn parse(text: &str, folder: &Path) -> Result<Self, ConfigProblem> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| ConfigProblem::of_toml(text, &error))?;
        Self::from_file(file, folder).map_err(|problem| problem.at_key_of(text))
    }

    fn from_file(file: ConfigFile, folder: &Path) -> Result<Self, ConfigProblem> {
        file.engine.check()?;
        file.sandbox.check()?;
        let shutdown_grace_s = file.shutdown_grace_s.unwrap_or(SHUTDOWN_GRACE_S_DEFAULT);
        problem::check_range("shutdown_grace_s", shutdown_grace_s, 0, SHUTDOWN_GRACE_S_MAX)?;
        let mut providers = file.providers;
        for dir in &mut providers.rehearsal.scenario_dirs {
            *dir = folder.join(&dir);
        }
        Ok(Self {
            server: ServerConfig { listen: file.listen.unwrap_or(LISTEN_DEFAULT), shutdown_grace_s },
            data_dir: folder.join(file.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT))),
            engine: file.engine,
            sandbox: file.sandbox,
            models: ModelsConfig { models: file.models, providers },
        })
    }
}

#[cfg(test)]
mod tests;
