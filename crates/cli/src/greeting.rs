//! What the operator is told when a server has started.
//!
//! Invariant: a key is shown once, when it was made, in the text that a person reads. It never stands in a JSON log.

use crate::args::LogFormat;
use crate::key::{FirstKey, KEY_VAR};
use crate::models::is_rehearsal;
use daybreak_outbound::Models;
use daybreak_server::SandboxBackend;
use std::net::SocketAddr;
use std::path::Path;

/// Model names shown before the rest is only counted.
const MODELS_SHOWN_MAX: usize = 3;
/// Below this, a key that the whole network may guess at is worth a warning.
const KEY_BYTES_MIN: usize = 20;

/// What there is to say.
pub(crate) struct Greeting<'s> {
    pub(crate) address: SocketAddr,
    pub(crate) data_dir: &'s Path,
    pub(crate) key: &'s FirstKey,
    pub(crate) models: &'s Models,
    pub(crate) backend: SandboxBackend,
}

impl Greeting<'_> {
    /// Says it on standard error, in the form of the log.
    pub(crate) fn say(&self, format: LogFormat) {
        match format {
            LogFormat::Text => eprintln!("{}", self.text()),
            LogFormat::Json => {
                tracing::info!(
                    address = %self.address,
                    data_dir = %self.data_dir.display(),
                    api_key = self.key_line(false),
                    models = self.models_line().split_whitespace().collect::<Vec<_>>().join(" "),
                    sandbox = self.sandbox_line(),
                    tool_network = self.network_line(),
                    version = env!("CARGO_PKG_VERSION"),
                    "Daybreak serves"
                );
                self.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "Daybreak {} serves http://{}\n  data      {}\n  API key   {}\n  models    {}\n  sandbox   {}\n  network   {}\n",
            env!("CARGO_PKG_VERSION"),
            self.address,
            self.data_dir.display(),
            self.key_line(true),
            self.models_line(),
            self.sandbox_line(),
            self.network_line(),
        );
        for warning in self.warnings() {
            text.push_str("\nWARNING: ");
            text.push_str(&warning);
            text.push('\n');
        }
        text
    }

    fn key_line(&self, to_person: bool) -> String {
        match self.key {
            FirstKey::Given(_) => format!("the one in {KEY_VAR}"),
            FirstKey::Made { key, file } if to_person => {
                format!("{key}\n            shown only this once; it is kept in {}", file.display())
            }
            FirstKey::Made { file, .. } => format!("a new one, in {}", file.display()),
            FirstKey::Kept { file, .. } => format!("the one in {}", file.display()),
            FirstKey::Unknown => format!("those given at earlier starts; set {KEY_VAR} to add one"),
        }
    }

    fn models_line(&self) -> String {
        let (rehearsals, models): (Vec<_>, Vec<_>) =
            self.models.list().into_iter().map(|entry| entry.id).partition(|id| is_rehearsal(self.models, id));
        if models.is_empty() {
            return format!(
                "NO MODEL KEY FOUND, so only rehearsals, which play a scenario file and call no model:\n            {}\n            \
                 for real models set ANTHROPIC_API_KEY",
                rehearsals.join(", ")
            );
        }
        let shown = models[..models.len().min(MODELS_SHOWN_MAX)].join(", ");
        let more = match models.len().saturating_sub(MODELS_SHOWN_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{shown}{more}; {} rehearsals; `daybreak models` lists them", rehearsals.len())
    }

    fn sandbox_line(&self) -> &'static str {
        match self.backend {
            SandboxBackend::Bubblewrap => "bubblewrap; its self-test is under way",
            SandboxBackend::UnsafeHost => "NONE (unsafe-host)",
        }
    }

    fn network_line(&self) -> &'static str {
        match self.backend {
            SandboxBackend::Bubblewrap => {
                "tools have no network in this version, whatever an environment's networking says"
            }
            SandboxBackend::UnsafeHost => "tools have this host's network, whatever an environment's networking says",
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.backend == SandboxBackend::UnsafeHost {
            warnings.push(
                "tools run on this host without a sandbox (unsafe-host). Whatever a model asks for, they can do \
                 everything that this user can: read its files, use its network, change its settings."
                    .to_owned(),
            );
        }
        if !self.address.ip().is_loopback() {
            warnings.push(format!(
                "{} can be reached from other machines, and what is said there is not encrypted. Put a proxy with TLS \
                 in front of it, or listen on 127.0.0.1.",
                self.address
            ));
            if let FirstKey::Given(key) = self.key
                && key.len() < KEY_BYTES_MIN
            {
                warnings.push(format!("the key in {KEY_VAR} is short enough to be guessed from there."));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybreak_outbound::ModelsConfig;
    use std::path::PathBuf;

    fn greet(address: &str, key: &FirstKey, backend: SandboxBackend, env: &[&str]) -> String {
        daybreak_outbound::install_tls();
        let has = |name: &str| env.contains(&name).then(|| "x".to_owned());
        let models = Models::from_config(ModelsConfig::default(), &has).unwrap();
        let address = address.parse().unwrap();
        Greeting { address, data_dir: Path::new("/data"), key, models: &models, backend }.text()
    }

    #[test]
    fn a_new_key_is_shown_and_no_other() {
        let file = || PathBuf::from("/data/api-key");
        let made = FirstKey::Made { key: "sk-secret".to_owned(), file: file() };
        let kept = FirstKey::Kept { key: "sk-secret".to_owned(), file: file() };
        let given = FirstKey::Given("sk-secret".to_owned());
        let say = |key| greet("127.0.0.1:1", key, SandboxBackend::Bubblewrap, &[]);
        assert!(say(&made).contains("sk-secret") && say(&made).contains("/data/api-key"));
        for key in [&kept, &given, &FirstKey::Unknown] {
            assert!(!say(key).contains("sk-secret"));
        }
    }

    #[test]
    fn it_says_what_can_be_used_and_what_cannot() {
        let key = FirstKey::Given("local-1".to_owned());
        let without = greet("127.0.0.1:1", &key, SandboxBackend::Bubblewrap, &[]);
        assert!(without.contains("NO MODEL KEY FOUND") && without.contains("rehearsal/echo"), "{without}");
        assert!(without.contains("no network") && !without.contains("WARNING"), "{without}");
        let with = greet("127.0.0.1:1", &key, SandboxBackend::Bubblewrap, &["ANTHROPIC_API_KEY"]);
        assert!(with.contains("claude-") && with.contains("2 rehearsals"), "{with}");
    }

    #[test]
    fn it_warns_of_what_is_dangerous() {
        let key = FirstKey::Given("local-1".to_owned());
        let text = greet("0.0.0.0:1", &key, SandboxBackend::UnsafeHost, &[]);
        assert_eq!(text.matches("WARNING: ").count(), 3, "{text}");
        assert!(text.contains("without a sandbox") && !text.contains("no network"), "{text}");
        let text = greet("[::1]:1", &key, SandboxBackend::Bubblewrap, &[]);
        assert!(!text.contains("WARNING"), "{text}");
    }
}
