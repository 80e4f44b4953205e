//! One file per noun. A handler's arguments prove its preconditions: who calls, and that the request reads well.

pub(crate) mod agents;
pub(crate) mod environments;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod models;
pub(crate) mod resources;
pub(crate) mod sessions;
pub(crate) mod threads;
mod upload;

use daybreak_api::id::Id;
use serde::Serialize;

/// What is left of an object that was deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted {
    pub(crate) id: Id,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}
