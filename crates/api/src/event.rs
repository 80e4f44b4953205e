//! Session events: what a client sends, and what stands in the log.
//!
//! An [`Event`] is stored as the bytes that are served. `processed_at` comes last in those bytes, so that the
//! moment at which a queued event was taken can be joined to it without reading the rest (see
//! [`Event::to_stored`] and [`join_processed_at`]).

use crate::content::ContentBlock;
use crate::id::Id;
use crate::session::Usage;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod send;
pub use send::{ClientEvent, SendEvents, parse_initial, parse_send};

/// An event on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: Id,
    /// What it says.
    #[serde(flatten)]
    pub body: EventBody,
    /// When it was processed; `null` while it waits in the queue.
    pub processed_at: Option<Timestamp>,
}

/// A key that is there, whether or not its value is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

const QUEUED_TAIL: &str = "\"processed_at\":null}";

impl Event {
    /// The bytes that are stored and served.
    pub fn to_stored(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// Joins the moment at which a queued event was taken to its stored bytes.
pub fn join_processed_at(stored: &str, at: Timestamp) -> String {
    match stored.strip_suffix(QUEUED_TAIL) {
        Some(head) => format!("{head}\"processed_at\":\"{at}\"}}"),
        None => stored.to_owned(),
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventBody {
    /// A client's message.
    #[serde(rename = "user.message")]
    UserMessage {
        /// What it says.
        content: Vec<ContentBlock>,
    },
    /// A client wants the work to stop.
    #[serde(rename = "user.interrupt")]
    UserInterrupt {
        /// The thread to stop; all of them when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_thread_id: Option<Id>,
    },
    /// Text of the model.
    #[serde(rename = "agent.message")]
    AgentMessage {
        /// The text.
        content: Vec<ContentBlock>,
    },
    /// The model thought. Never what.
    #[serde(rename = "agent.thinking")]
    AgentThinking {},
    /// A tool call: the intent, stored before the tool runs.
    #[serde(rename = "agent.tool_use")]
    AgentToolUse {
        /// Name of the tool.
        name: String,
        /// Its input.
        input: Map<String, Value>,
        /// What the policy said.
        evaluated_permission: EvaluatedPermission,
        /// Why; absent when the call was refused before any policy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evaluation: Option<Evaluation>,
    },
    /// The one result of a tool call.
    #[serde(rename = "agent.tool_result")]
    AgentToolResult {
        /// The id of the `agent.tool_use` event.
        tool_use_id: Id,
        /// The output.
        content: Vec<ContentBlock>,
        /// Whether the call failed.
        is_error: bool,
    },
    /// The session works.
    #[serde(rename = "session.status_running")]
    StatusRunning {},
    /// The session waits for its client.
    #[serde(rename = "session.status_idle")]
    StatusIdle {
        /// Why.
        stop_reason: StopReason,
        /// More about a refusal.
        stop_details: Option<StopDetails>,
    },
    /// The session will try again.
    #[serde(rename = "session.status_rescheduled")]
    StatusRescheduled {},
    /// The session has ended.
    #[serde(rename = "session.status_terminated")]
    StatusTerminated {},
    /// Something failed.
    #[serde(rename = "session.error")]
    SessionError {
        /// What.
        error: SessionError,
    },
    /// What the session has used so far.
    #[serde(rename = "session.usage")]
    SessionUsage {
        /// The totals.
        usage: Usage,
        /// Always `null` until budgets are available.
        budget: Option<Value>,
    },
    /// The session's own fields changed. Only the changed ones are there.
    #[serde(rename = "session.updated")]
    SessionUpdated {
        /// The new title; `null` when it was cleared.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        title: Option<Option<String>>,
        /// The new metadata, in full.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<crate::metadata::Metadata>,
    },
    /// A thread works.
    #[serde(rename = "session.thread_status_running")]
    ThreadStatusRunning {
        /// Which thread.
        session_thread_id: Id,
        /// Whose it is.
        agent_name: String,
    },
    /// A thread waits.
    #[serde(rename = "session.thread_status_idle")]
    ThreadStatusIdle {
        /// Which thread.
        session_thread_id: Id,
        /// Whose it is.
        agent_name: String,
        /// Why.
        stop_reason: StopReason,
        /// More about a refusal.
        stop_details: Option<StopDetails>,
    },
    /// A thread will try again.
    #[serde(rename = "session.thread_status_rescheduled")]
    ThreadStatusRescheduled {
        /// Which thread.
        session_thread_id: Id,
        /// Whose it is.
        agent_name: String,
    },
    /// A thread has ended.
    #[serde(rename = "session.thread_status_terminated")]
    ThreadStatusTerminated {
        /// Which thread.
        session_thread_id: Id,
        /// Whose it is.
        agent_name: String,
    },
    /// A model is asked: the intent, stored before the call.
    #[serde(rename = "span.model_request_start")]
    ModelRequestStart {},
    /// The model has answered, or will not.
    #[serde(rename = "span.model_request_end")]
    ModelRequestEnd {
        /// The id of the start.
        model_request_start_id: Id,
        /// Whether the request failed.
        is_error: Option<bool>,
        /// What it used.
        model_usage: SpanUsage,
    },
}

impl EventBody {
    /// The wire's `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UserMessage { .. } => "user.message",
            Self::UserInterrupt { .. } => "user.interrupt",
            Self::AgentMessage { .. } => "agent.message",
            Self::AgentThinking {} => "agent.thinking",
            Self::AgentToolUse { .. } => "agent.tool_use",
            Self::AgentToolResult { .. } => "agent.tool_result",
            Self::StatusRunning {} => "session.status_running",
            Self::StatusIdle { .. } => "session.status_idle",
            Self::StatusRescheduled {} => "session.status_rescheduled",
            Self::StatusTerminated {} => "session.status_terminated",
            Self::SessionError { .. } => "session.error",
            Self::SessionUsage { .. } => "session.usage",
            Self::SessionUpdated { .. } => "session.updated",
            Self::ThreadStatusRunning { .. } => "session.thread_status_running",
            Self::ThreadStatusIdle { .. } => "session.thread_status_idle",
            Self::ThreadStatusRescheduled { .. } => "session.thread_status_rescheduled",
            Self::ThreadStatusTerminated { .. } => "session.thread_status_terminated",
            Self::ModelRequestStart {} => "span.model_request_start",
            Self::ModelRequestEnd { .. } => "span.model_request_end",
        }
    }

    /// Whether the event waits in the queue until the session takes it.
    pub const fn is_queued(&self) -> bool {
        matches!(self, Self::UserMessage { .. } | Self::UserInterrupt { .. })
    }
}

/// What a policy said of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedPermission {
    /// It runs.
    Allow,
    /// It does not run.
    Deny,
}

/// Why a policy said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Evaluation {
    /// The policy lets every call run.
    AlwaysAllow,
}

/// Why a session or a thread went idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StopReason {
    /// Done, or interrupted.
    EndTurn,
    /// A model failed too often, or a limit was hit.
    RetriesExhausted,
    /// The model declined.
    Refusal,
}

/// More about a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StopDetails {
    /// The model declined.
    Refusal {
        /// The provider's category.
        category: Option<String>,
        /// The provider's explanation.
        explanation: Option<String>,
    },
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionError {
    /// What kind of failure.
    #[serde(rename = "type")]
    pub kind: SessionErrorKind,
    /// For people.
    pub message: String,
    /// What happens next.
    pub retry_status: RetryStatus,
}

/// Kinds of failures of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionErrorKind {
    /// 529 and 503 of a provider.
    #[serde(rename = "model_overloaded_error")]
    ModelOverloaded,
    /// 429 of a provider.
    #[serde(rename = "model_rate_limited_error")]
    ModelRateLimited,
    /// Any other failure of a model request.
    #[serde(rename = "model_request_failed_error")]
    ModelRequestFailed,
    /// The provider wants to be paid.
    #[serde(rename = "billing_error")]
    Billing,
    /// More tool rounds in one turn than allowed.
    #[serde(rename = "tool_use_limit_reached_error")]
    ToolUseLimitReached,
    /// Anything else.
    #[serde(rename = "unknown_error")]
    Unknown,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RetryStatus {
    /// The server tries again by itself.
    Retrying,
    /// The turn is over; the session is idle and usable.
    Exhausted,
}

/// What one model request used, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanUsage {
    /// Read and not cached.
    pub input_tokens: u64,
    /// Written.
    pub output_tokens: u64,
    /// Written to the provider's cache.
    pub cache_creation_input_tokens: u64,
    /// Read from the provider's cache.
    pub cache_read_input_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Kind;

    #[test]
    fn a_taken_event_differs_from_its_queued_form_in_one_field() {
        let mut event = Event {
            id: Id::new(Kind::Event, uuid::Uuid::from_u128(1)),
            body: EventBody::UserMessage { content: vec![ContentBlock::text("\"processed_at\":null}")] },
            processed_at: None,
        };
        let queued = event.to_stored().unwrap();
        let at = Timestamp::from_micros(1_000_000);
        let joined = join_processed_at(&queued, at);
        event.processed_at = Some(at);
        assert_eq!(joined, event.to_stored().unwrap());
        assert_eq!(join_processed_at(&joined, Timestamp::from_micros(5)), joined, "a processed event stays as it is");
    }

    #[test]
    fn the_kind_is_the_wire_type() {
        let bodies = [
            EventBody::AgentThinking {},
            EventBody::ModelRequestStart {},
            EventBody::StatusIdle { stop_reason: StopReason::EndTurn, stop_details: None },
        ];
        for body in bodies {
            assert_eq!(serde_json::to_value(&body).unwrap()["type"], body.kind());
        }
    }
}
