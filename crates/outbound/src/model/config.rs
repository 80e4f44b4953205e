//! What an operator may write about models in `daybreak.toml`.
//!
//! ```toml
//! [models."house-model"]
//! provider = "anthropic"
//! upstream = "claude-opus-5-5"
//! context_window = 1_000_000
//! max_output_tokens = 64_000
//! price = { input = 4.0, output = 20.0, cache_write = 5.0, cache_read = 0.4 }
//!
//! [providers.anthropic]
//! base_url = "https://api.anthropic.com"
//! api_key_env = "HOUSE_ANTHROPIC_KEY"
//!
//! [providers.rehearsal]
//! scenario_dirs = ["/etc/daybreak/scenarios"]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Secret;

/// The two tables of the configuration file that concern models. Both may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// `[models."name"]`: model ids that clients may use, before any that are known without configuration.
    pub models: BTreeMap<String, ModelConfig>,
    /// `[providers.*]`: how providers are reached.
    pub providers: ProvidersConfig,
}

/// One model id of the operator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// `anthropic` or `rehearsal`.
    pub provider: String,
    /// The provider's own name of the model. The model id itself when absent.
    pub upstream: Option<String>,
    /// Name shown to people. The model id itself when absent.
    pub display_name: Option<String>,
    /// How much the model reads at once, in tokens.
    pub context_window: Option<u64>,
    /// How much the model may write in one reply, in tokens.
    pub max_output_tokens: Option<u32>,
    /// List price.
    pub price: Option<Price>,
}

/// A list price, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens read and not cached.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
    /// Tokens written to the provider's cache. As `input` when absent.
    pub cache_write: Option<f64>,
    /// Tokens read from the provider's cache. As `input` when absent.
    pub cache_read: Option<f64>,
}

/// How providers are reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProvidersConfig {
    /// `[providers.anthropic]`.
    pub anthropic: AnthropicConfig,
    /// `[providers.rehearsal]`.
    pub rehearsal: RehearsalConfig,
}

/// How Anthropic is reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnthropicConfig {
    /// Address of the API, without `/v1`. `ANTHROPIC_BASE_URL` when absent, else the public address. Clients of
    /// this server use the same variable to find *it*: where both run in one environment, give the address here.
    pub base_url: Option<String>,
    /// The key itself. At most one of this and `api_key_env`.
    pub api_key: Option<Secret>,
    /// Name of the environment variable that holds the key. `ANTHROPIC_API_KEY` when neither is given.
    pub api_key_env: Option<String>,
}

/// Where scenarios are found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RehearsalConfig {
    /// Directories of `<scenario>.yaml` files. They are read once, at start; a scenario of an earlier
    /// directory hides one of the same name in a later directory and among those built in.
    pub scenario_dirs: Vec<PathBuf>,
}

/// A configuration that cannot be used. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);
