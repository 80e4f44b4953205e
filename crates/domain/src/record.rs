//! One line of a session's log.
//!
//! A record is a wire event, or private: what the wire does not show and the fold needs. Private records are
//! never listed or streamed.

use crate::model::ModelReply;
use daybreak_api::event::{Event, EventBody};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the private bodies written by this build.
pub const RECORD_VERSION: i64 = 1;

/// A stored record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place in the session's log, from 1, without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub body: RecordBody,
}

/// What a record says.
#[derive(Debug, Clone)]
pub enum RecordBody {
    /// A wire event.
    Event(Event),
    /// A private record.
    Private(Private),
}

/// What the wire does not show.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Private {
    /// A queued event was taken. Its place in lists and its `processed_at` are this record's.
    Taken {
        /// The seq of the queued event.
        seq: i64,
    },
    /// A model's reply as the provider sent it, stored in one append with the events that show it.
    Reply {
        /// The provider that gave it: only it gets the raw blocks back.
        provider: String,
        /// The reply.
        reply: ModelReply,
        /// The ids of the `agent.tool_use` events, one for each tool call of the reply in its order.
        calls: Vec<Id>,
    },
    /// What lay in the outputs folder has become files.
    OutputsCollected,
    /// The model failed; ask again at this time.
    Backoff {
        /// When.
        until: Timestamp,
    },
}

/// A record to be stored: it has an id where the wire shows one, and neither seq nor time.
#[derive(Debug, Clone)]
pub enum Draft {
    /// A wire event.
    Event(Id, EventBody),
    /// A private record.
    Private(Private),
}

impl Draft {
    /// The record's body, as it will stand in the log once written at `at`.
    pub fn body(&self, at: Timestamp) -> RecordBody {
        match self {
            Self::Event(id, body) => {
                let processed_at = (!body.is_queued()).then_some(at);
                RecordBody::Event(Event { id: id.clone(), body: body.clone(), processed_at })
            }
            Self::Private(private) => RecordBody::Private(private.clone()),
        }
    }
}
