//! What the records of a thread add up to.

use crate::model::{ReplyKind, Stop};
use crate::record::{Private, RecordBody};
use crate::transcript::Transcript;
use daybreak_api::content::ContentBlock;
use daybreak_api::event::{EvaluatedPermission, Event, EventBody, RetryStatus, StopDetails, StopReason};
use daybreak_api::id::Id;
use daybreak_api::session::{Status, Usage};
use daybreak_api::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// The state of a thread.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What the thread is in the middle of.
    pub phase: Phase,
    /// Events that wait to be taken, by their seq.
    pub queue: BTreeMap<i64, Queued>,
    /// How many of them are interrupts.
    interrupts: usize,
    /// The conversation as the model sees it.
    pub transcript: Transcript,
    /// Tokens and time used so far.
    pub usage: Usage,
    /// When the current turn began, while there is one.
    pub running_since: Option<Timestamp>,
    /// Model requests of this turn that were answered with tool calls.
    pub tool_rounds: u32,
    /// Model requests that failed one after the other.
    pub failures: u32,
    /// Whether a tool has run since what lies in the outputs folder became files.
    pub outputs_pending: bool,
    /// Whether the shell has been used: after a restart its variables are gone, and the model is told so.
    pub shell_used: bool,
}

/// What a thread is in the middle of.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Phase {
    /// Nothing: it waits for its client.
    #[default]
    Idle,
    /// A turn; the model is to be asked next.
    Ready,
    /// A model request that was started and has no end.
    Asking {
        /// The id of its start.
        request: Id,
    },
    /// A reply that is stored; `span.model_request_end` follows in the same append.
    Replied {
        /// The tool calls it made.
        calls: VecDeque<Call>,
        /// Why the model stopped.
        stop: Stop,
    },
    /// Tool calls without a result, in their order. Never empty.
    Calling {
        /// The calls.
        calls: VecDeque<Call>,
    },
    /// A failed request will be repeated.
    Waiting {
        /// Not before this time.
        until: Timestamp,
    },
    /// The turn is over and nobody has been told yet.
    Done {
        /// Why.
        reason: StopReason,
        /// More about a refusal.
        details: Option<StopDetails>,
    },
    /// The session has ended.
    Terminated,
}

/// An event that waits to be taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    /// A message.
    Message(Vec<ContentBlock>),
    /// An interrupt.
    Interrupt,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The id of its `agent.tool_use` event.
    pub id: Id,
    /// The id that the provider gave it.
    pub provider_id: String,
    /// Name of the tool.
    pub name: String,
    /// Its input, or why that could not be read.
    pub input: Result<Map<String, Value>, String>,
    /// What the policy said.
    pub permission: EvaluatedPermission,
}

impl State {
    /// What the thread is doing, in the wire's words.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Idle => Status::Idle,
            Phase::Waiting { .. } => Status::Rescheduling,
            Phase::Terminated => Status::Terminated,
            _ => Status::Running,
        }
    }

    /// Whether an interrupt waits.
    pub fn is_interrupted(&self) -> bool {
        self.interrupts > 0
    }

    /// Adds one record. `seq` is its place in the log; a record of our own that has none yet passes `None`,
    /// which is fine because only queued events, which clients write, are known by their seq.
    pub fn apply(&mut self, seq: Option<i64>, at: Timestamp, body: RecordBody) {
        match body {
            RecordBody::Event(event) => self.apply_event(seq, at, event),
            RecordBody::Private(Private::Taken { seq }) => self.apply_taken(seq),
            RecordBody::Private(Private::Backoff { until }) => self.phase = Phase::Waiting { until },
            RecordBody::Private(Private::OutputsCollected) => self.outputs_pending = false,
            RecordBody::Private(Private::Reply { provider, reply, calls }) => {
                self.transcript.push_reply(&provider, &reply);
                let mut ids = calls.into_iter();
                let calls = reply.blocks.into_iter().filter_map(|block| match block.kind {
                    ReplyKind::ToolUse { id: provider_id, name, input } => {
                        Some(Call { id: ids.next()?, provider_id, name, input, permission: EvaluatedPermission::Deny })
                    }
                    _ => None,
                });
                self.phase = Phase::Replied { calls: calls.collect(), stop: reply.stop };
                self.failures = 0;
            }
        }
    }

    fn apply_taken(&mut self, seq: i64) {
        match self.queue.remove(&seq) {
            Some(Queued::Message(content)) => self.transcript.push_user(content),
            Some(Queued::Interrupt) => self.interrupts -= 1,
            None => {}
        }
    }

    fn apply_event(&mut self, seq: Option<i64>, at: Timestamp, event: Event) {
        match event.body {
            EventBody::UserMessage { content } => self.enqueue(seq, Queued::Message(content)),
            EventBody::UserInterrupt { .. } => self.enqueue(seq, Queued::Interrupt),
            EventBody::StatusRunning {} => {
                if self.running_since.is_none() {
                    self.running_since = Some(at);
                }
                // A new turn counts anew; the end of a backoff does not.
                if !matches!(self.phase, Phase::Waiting { .. }) {
                    (self.tool_rounds, self.failures) = (0, 0);
                }
                self.phase = Phase::Ready;
            }
            EventBody::ModelRequestStart {} => self.phase = Phase::Asking { request: event.id },
            EventBody::AgentToolUse { evaluated_permission, .. } => {
                self.note_permission(&event.id, evaluated_permission)
            }
            EventBody::ModelRequestEnd { model_usage, is_error, .. } => {
                self.usage.input_tokens += model_usage.input_tokens;
                self.usage.output_tokens += model_usage.output_tokens;
                self.usage.cache_read_input_tokens += model_usage.cache_read_input_tokens;
                self.usage.cache_creation.ephemeral_5m_input_tokens += model_usage.cache_creation_input_tokens;
                self.end_request(is_error == Some(true));
            }
            EventBody::AgentToolResult { tool_use_id, content, is_error } => {
                self.end_call(&tool_use_id, content, is_error);
            }
            EventBody::StatusIdle { .. } => {
                if let Some(since) = self.running_since.take() {
                    self.usage.active_seconds += at.seconds_since(since);
                }
                self.phase = Phase::Idle;
            }
            EventBody::StatusTerminated {} => self.phase = Phase::Terminated,
            EventBody::SessionError { error } if error.retry_status == RetryStatus::Exhausted => {
                self.phase = Phase::Done { reason: StopReason::RetriesExhausted, details: None };
            }
            EventBody::AgentMessage { .. }
            | EventBody::AgentThinking {}
            | EventBody::StatusRescheduled {}
            | EventBody::SessionError { .. }
            | EventBody::SessionUsage { .. }
            | EventBody::SessionUpdated { .. }
            | EventBody::ThreadStatusRunning { .. }
            | EventBody::ThreadStatusIdle { .. }
            | EventBody::ThreadStatusRescheduled { .. }
            | EventBody::ThreadStatusTerminated { .. } => {}
        }
    }

    fn enqueue(&mut self, seq: Option<i64>, queued: Queued) {
        let Some(seq) = seq else { return };
        self.interrupts += usize::from(queued == Queued::Interrupt);
        self.queue.insert(seq, queued);
    }

    fn note_permission(&mut self, id: &Id, permission: EvaluatedPermission) {
        if let Phase::Replied { calls, .. } = &mut self.phase
            && let Some(call) = calls.iter_mut().find(|call| call.id == *id)
        {
            call.permission = permission;
        }
    }

    fn end_request(&mut self, is_error: bool) {
        self.phase = match std::mem::take(&mut self.phase) {
            Phase::Replied { calls, .. } if !calls.is_empty() => {
                self.tool_rounds += 1;
                Phase::Calling { calls }
            }
            Phase::Replied { stop: Stop::Pause, .. } => {
                self.tool_rounds += 1;
                Phase::Ready
            }
            Phase::Replied { stop: Stop::Refusal { category, explanation }, .. } => Phase::Done {
                reason: StopReason::Refusal,
                details: Some(StopDetails::Refusal { category, explanation }),
            },
            Phase::Replied { .. } => Phase::Done { reason: StopReason::EndTurn, details: None },
            _ => {
                self.failures += u32::from(is_error);
                Phase::Ready
            }
        };
    }

    fn end_call(&mut self, id: &Id, content: Vec<ContentBlock>, is_error: bool) {
        let Phase::Calling { calls } = &mut self.phase else { return };
        let Some(index) = calls.iter().position(|call| call.id == *id) else { return };
        let Some(call) = calls.remove(index) else { return };
        if calls.is_empty() {
            self.phase = Phase::Ready;
        }
        self.outputs_pending = true;
        self.shell_used |= call.name == "bash";
        self.transcript.push_result(call.provider_id, content, is_error);
    }
}
