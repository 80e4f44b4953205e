//! Flags go before the environment, the environment before the file, the file before what is built in.

use crate::Env;
use crate::args::{Backend, PlaceArgs, ServeArgs};
use crate::failure::{Failure, Result};
use crate::logging::given;
use clap::ValueEnum as _;
use daybreak_engine::Limits;
use daybreak_sandbox::Limits as SandboxLimits;
use daybreak_server::{Config, EngineConfig, SandboxBackend, SandboxConfig};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LISTEN_VAR: &str = "DAYBREAK_LISTEN";
const DATA_DIR_VAR: &str = "DAYBREAK_DATA_DIR";
const CONFIG_VAR: &str = "DAYBREAK_CONFIG";
const SANDBOX_VAR: &str = "DAYBREAK_SANDBOX";

/// Read when no other file is named, if it is there.
const CONFIG_FILE: &str = "daybreak.toml";

/// What `daybreak serve` goes by.
pub(crate) fn for_serve(args: &ServeArgs, env: Env<'_>) -> Result<Config> {
    let mut config = load(&args.place, env)?;
    let listen = match args.listen {
        Some(listen) => Some(listen),
        None => given(env, LISTEN_VAR).map(|text| listen_of_variable(&text)).transpose()?,
    };
    config.server.listen = listen.unwrap_or(config.server.listen);
    let data_dir = args.data_dir.clone().or_else(|| given(env, DATA_DIR_VAR).map(PathBuf::from));
    config.data_dir = absolute(&data_dir.unwrap_or(config.data_dir))?;
    Ok(config)
}

/// The file, the environment, and the flags that every command with a server has.
pub(crate) fn load(place: &PlaceArgs, env: Env<'_>) -> Result<Config> {
    let mut config = from_file(place.config.as_deref(), env)?;
    let backend = match place.sandbox {
        Some(backend) => Some(backend),
        None => given(env, SANDBOX_VAR).map(|text| parse_backend(&text)).transpose()?,
    };
    match backend {
        Some(Backend::Bubblewrap) => config.sandbox.backend = SandboxBackend::Bubblewrap,
        Some(Backend::UnsafeHost) => config.sandbox.backend = SandboxBackend::UnsafeHost,
        None => {}
    }
    Ok(config)
}

/// The file named by the flag or the environment, or the one in the working directory, if any.
pub(crate) fn from_file(flag: Option<&Path>, env: Env<'_>) -> Result<Config> {
    let named = flag.map(Path::to_owned).or_else(|| given(env, CONFIG_VAR).map(PathBuf::from));
    let path = named.or_else(|| Some(PathBuf::from(CONFIG_FILE)).filter(|path| path.exists()));
    Config::load(path.as_deref(), env).map_err(|problem| Failure::new(problem.to_string()))
}

/// A path that means the same from everywhere.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Failure::caused(path.display(), &error))
}

/// The address that a flag or a variable names.
pub(crate) fn parse_listen(text: &str) -> std::result::Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is not an address and port, such as 127.0.0.1:8787"))
}

fn listen_of_variable(text: &str) -> Result<SocketAddr> {
    parse_listen(text).map_err(|why| Failure::new(format!("{LISTEN_VAR}: {why}")))
}

fn parse_backend(text: &str) -> Result<Backend> {
    let names: Vec<String> = Backend::value_variants().iter().filter_map(name_of).collect();
    let problem = |_| Failure::new(format!("{SANDBOX_VAR}: `{text}` is not one of {}", names.join(", ")));
    Backend::from_str(text.trim(), false).map_err(problem)
}

fn name_of(backend: &Backend) -> Option<String> {
    Some(backend.to_possible_value()?.get_name().to_owned())
}

/// The engine's bounds, as configured.
pub(crate) fn engine_limits(config: &EngineConfig) -> Limits {
    let mut limits = Limits::default();
    limits.turn.tool_rounds_max = config.tool_rounds_max;
    limits.turn.model_attempts_max = config.model_attempts_max;
    limits.turn.backoff_ms_min = config.backoff_ms_min;
    limits.turn.backoff_ms_max = config.backoff_ms_max;
    limits.sessions_running_max = count(config.sessions_running_max);
    limits.warm_sandboxes_max = count(config.warm_sandboxes_max);
    limits.warm_sandbox_idle_ms = config.warm_sandbox_idle_s.saturating_mul(1_000);
    limits
}

/// One sandbox's bounds, as configured.
pub(crate) fn sandbox_limits(config: &SandboxConfig) -> SandboxLimits {
    let bytes = |mib: u64| mib.saturating_mul(1024 * 1024);
    SandboxLimits {
        memory_bytes_max: bytes(config.memory_mib_max),
        pids_max: config.pids_max,
        disk_bytes_max: bytes(config.disk_mib_max),
        inodes_max: config.inodes_max,
        host_free_bytes_min: bytes(config.host_free_mib_min),
        file_bytes_max: bytes(config.file_mib_max),
        open_files_max: config.open_files_max,
        tmp_bytes_max: bytes(config.tmp_mib_max),
        shm_bytes_max: bytes(config.shm_mib_max),
        call_time_max: Duration::from_secs(config.call_s_max),
        bash_time_default: Duration::from_secs(config.bash_s_default),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LogFormat;

    fn args(listen: Option<&str>, config: &Path) -> ServeArgs {
        let place = PlaceArgs { config: Some(config.to_owned()), sandbox: None, log_format: LogFormat::Text };
        ServeArgs { listen: listen.map(|text| text.parse().unwrap()), data_dir: None, place }
    }

    #[test]
    fn flags_go_before_variables_and_variables_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1\"\ndata_dir = \"of-file\"\n[sandbox]\nbackend = \"unsafe-host\"\n",
        )
        .unwrap();
        let nothing = |_: &str| None;
        let variables = |name: &str| match name {
            LISTEN_VAR => Some("127.0.0.1:2".to_owned()),
            DATA_DIR_VAR => Some("/of-variable".to_owned()),
            SANDBOX_VAR => Some("bubblewrap".to_owned()),
            _ => None,
        };
        let config = for_serve(&args(None, &file), &nothing).unwrap();
        assert_eq!(config.server.listen.port(), 1);
        assert_eq!(config.data_dir, dir.path().join("of-file"));
        assert_eq!(config.sandbox.backend, SandboxBackend::UnsafeHost);
        let config = for_serve(&args(None, &file), &variables).unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert_eq!(config.data_dir, Path::new("/of-variable"));
        assert_eq!(config.sandbox.backend, SandboxBackend::Bubblewrap);
        let config = for_serve(&args(Some("127.0.0.1:3"), &file), &variables).unwrap();
        assert_eq!(config.server.listen.port(), 3);
    }

    #[test]
    fn a_bad_variable_is_named_with_what_is_allowed() {
        let file = PathBuf::from("/nonexistent.toml");
        let problem = for_serve(&args(None, &file), &|_| None).unwrap_err().to_string();
        assert!(problem.contains("/nonexistent.toml") && problem.contains("cannot be read"), "{problem}");
        let problem = parse_backend("docker").unwrap_err().to_string();
        assert_eq!(problem, "DAYBREAK_SANDBOX: `docker` is not one of bubblewrap, unsafe-host");
        let problem = listen_of_variable("here").unwrap_err().to_string();
        assert_eq!(problem, "DAYBREAK_LISTEN: `here` is not an address and port, such as 127.0.0.1:8787");
    }

    #[test]
    fn what_is_configured_reaches_the_engine_and_the_sandbox() {
        let engine = EngineConfig { warm_sandbox_idle_s: 7, sessions_running_max: 3, ..EngineConfig::default() };
        let limits = engine_limits(&engine);
        assert_eq!((limits.warm_sandbox_idle_ms, limits.sessions_running_max), (7_000, 3));
        assert_eq!(sandbox_limits(&SandboxConfig::default()), SandboxLimits::default());
    }
}
