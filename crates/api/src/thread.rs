//! Threads of a session. Until delegation is available there is one: the primary.

use crate::agent::AgentSnapshot;
use crate::id::Id;
use crate::session::{Stats, Status, Usage};
use crate::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A thread on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thread {
    /// Its id.
    pub id: Id,
    /// Always `session_thread`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The session it belongs to.
    pub session_id: Id,
    /// What it is doing.
    pub status: Status,
    /// The agent it runs, without `multiagent`.
    pub agent: Value,
    /// The thread that started it; `null` for the primary.
    pub parent_thread_id: Option<Id>,
    /// Always `null` until workflows are available.
    pub workflow_run_id: Option<Id>,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// Times; `null` until it first worked.
    pub stats: Option<Stats>,
    /// Tokens; `null` until it first went idle.
    pub usage: Option<Usage>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The agent of a thread on the wire: a snapshot without `multiagent`.
pub fn thread_agent(snapshot: &AgentSnapshot) -> Value {
    let mut value = serde_json::to_value(snapshot).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.shift_remove("multiagent");
    }
    value
}
