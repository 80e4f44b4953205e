//! `GET /v1/models`: the models that this server can use.

use crate::time::Timestamp;
use serde::Serialize;

/// A model, as listed.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// The id that an agent names.
    pub id: String,
    /// Always `model`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For people.
    pub display_name: String,
    /// Release, or the epoch when unknown.
    pub created_at: Timestamp,
    /// Always `active`: this server does not retire models.
    pub lifecycle: &'static str,
    /// Always `null`.
    pub deprecated_at: Option<Timestamp>,
    /// Always `null`.
    pub retires_at: Option<Timestamp>,
    /// The vendor's line, when known.
    pub line: Option<String>,
    /// Context window, in tokens.
    pub max_input_tokens: Option<u32>,
    /// Longest reply, in tokens.
    pub max_tokens: Option<u32>,
    /// Always `null`.
    pub allowed_fallback_models: Option<Vec<String>>,
    /// Always `null`: what a model can do is the provider's business.
    pub capabilities: Option<()>,
}
