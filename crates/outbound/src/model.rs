//! Model providers: who they are and how one is chosen.

use async_trait::async_trait;
use daybreak_domain::model::{ModelError, ModelErrorKind, ModelReply, ModelRequest};

pub mod anthropic;
mod catalogue;
pub(crate) mod config;
pub(crate) mod registry;
pub mod rehearsal;
mod sse;

/// One vendor of models.
///
/// Implementations keep no state of conversations: everything that matters is in the request, so that a call
/// can be repeated by another process after a crash.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Performs one call and waits for the whole reply. Dropping the future cancels the call.
    ///
    /// # Errors
    /// Every failure, a broken connection or an unreadable answer included, is a [`ModelError`] that says
    /// whether asking again may help. Its message holds no secret.
    async fn call(&self, request: &ModelRequest) -> Result<ModelReply, ModelError>;
}

/// What a refused call's HTTP status means, whoever sent it: the kind of failure, and whether asking again may
/// help.
pub(crate) fn meaning_of_status(status: u16) -> (ModelErrorKind, bool) {
    match status {
        402 => (ModelErrorKind::Billing, false),
        429 => (ModelErrorKind::RateLimited, true),
        503 | 529 => (ModelErrorKind::Overloaded, true),
        408 | 500..=599 => (ModelErrorKind::RequestFailed, true),
        _ => (ModelErrorKind::RequestFailed, false),
    }
}
