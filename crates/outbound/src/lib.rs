//! Everything that leaves the process. Today: calls of models.
//!
//! The cast: a [`Provider`] performs one model call; [`Models`] knows which model id goes to which provider;
//! [`anthropic::Anthropic`] speaks the Messages API; [`rehearsal::Rehearsal`] plays a [`Scenario`] and calls
//! nothing at all.
//!
//! Invariant: no key appears in a log, an error or the debug text of any type here. Keys live in [`Secret`]
//! and are read out in exactly one place, where the request's headers are made.

mod model;
mod secret;
mod tls;

pub use model::config::{
    AnthropicConfig, ConfigError, ModelConfig, ModelsConfig, Price, ProvidersConfig, RehearsalConfig,
};
pub use model::registry::{ModelEntry, Models, Route, UnknownModel};
pub use model::rehearsal::{Performance, REHEARSAL_NOTICE, Scenario, ScenarioError};
pub use model::{Provider, anthropic, rehearsal};
pub use secret::Secret;
pub use tls::install_tls;
