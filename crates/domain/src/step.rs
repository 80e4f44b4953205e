//! What comes next.
//!
//! Every function here takes the state and what has happened, and words the answer as drafts. Time, ids and
//! limits are arguments. [`decide`] is the loop's question; [`recovery`], [`replied`], [`failed`] and
//! [`ran`] turn what the world did into records.
//!
//! Invariant: an act (asking the model, running a tool) is only ever returned together with, or after, the
//! drafts that state its intent. Whoever performs it stores those first.

use crate::model::{ModelError, ModelErrorKind, ModelReply, ModelUsage, ReplyKind};
use crate::record::{Draft, Private};
use crate::state::{Call, Phase, Queued, State};
use daybreak_api::content::ContentBlock;
use daybreak_api::event::{
    EvaluatedPermission, Evaluation, EventBody, RetryStatus, SessionError, SessionErrorKind, SpanUsage, StopDetails,
    StopReason,
};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use serde_json::Map;

/// What a session may use up before it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// Model requests of one turn that are answered with tool calls.
    pub tool_rounds_max: u32,
    /// How long one turn may take, in milliseconds. Checked before each model request.
    pub turn_ms_max: u64,
    /// Times that one model request is tried.
    pub model_attempts_max: u32,
    /// Wait after the first failure, in milliseconds. It doubles with each further one.
    pub backoff_ms_min: u64,
    /// Longest wait after a failure, in milliseconds, a provider's own wish included.
    pub backoff_ms_max: u64,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            tool_rounds_max: 200,
            turn_ms_max: 12 * 60 * 60 * 1000,
            model_attempts_max: 6,
            backoff_ms_min: 500,
            backoff_ms_max: 60_000,
        }
    }
}

/// Who the thread is: what status events say of it.
#[derive(Debug, Clone)]
pub struct ThreadName {
    /// Its id.
    pub id: Id,
    /// Its agent's name.
    pub agent: String,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Apply the drafts and decide again.
    Again,
    /// Ask the model.
    Ask {
        /// The id of the request's start.
        request: Id,
    },
    /// Run a tool.
    Run(Call),
    /// Wait, unless something new arrives before.
    Wait {
        /// Until this time.
        until: Timestamp,
    },
    /// Nothing to do until something new arrives.
    Rest,
}

/// Where drafts get the ids of their events.
pub type NewId<'a> = &'a mut dyn FnMut() -> Id;

/// Decides what comes next.
pub fn decide(
    state: &State,
    thread: &ThreadName,
    limits: &TurnLimits,
    now: Timestamp,
    id: NewId<'_>,
) -> (Vec<Draft>, Act) {
    let mut page = Page { drafts: Vec::new(), id };
    if state.is_interrupted() {
        interrupt(&mut page, state, thread, now);
        return (page.drafts, Act::Again);
    }
    let act = match &state.phase {
        Phase::Terminated => Act::Rest,
        Phase::Idle if state.queue.is_empty() => Act::Rest,
        Phase::Idle => {
            page.begin_turn(state, thread);
            Act::Again
        }
        // A turn that died takes what waits with it, so that the next turn's model sees it.
        Phase::Done { reason: StopReason::RetriesExhausted, .. } => {
            page.take_messages(state);
            page.idle(state, thread, now, StopReason::RetriesExhausted, None);
            Act::Again
        }
        Phase::Done { .. } if !state.queue.is_empty() => {
            page.begin_turn(state, thread);
            Act::Again
        }
        Phase::Done { reason, details } => {
            page.idle(state, thread, now, *reason, details.clone());
            Act::Again
        }
        Phase::Ready if state.tool_rounds >= limits.tool_rounds_max => {
            page.event(EventBody::SessionError { error: tool_limit_error(limits) });
            Act::Again
        }
        Phase::Ready if has_run_out_of_time(state, limits, now) => {
            page.event(EventBody::SessionError { error: time_limit_error(limits) });
            Act::Again
        }
        Phase::Ready => Act::Ask { request: page.event(EventBody::ModelRequestStart {}) },
        Phase::Calling { calls } => calls.front().map_or(Act::Again, |call| Act::Run(call.clone())),
        Phase::Waiting { until } if *until > now => Act::Wait { until: *until },
        Phase::Waiting { .. } => {
            page.event(EventBody::StatusRunning {});
            page.thread_running(thread);
            Act::Again
        }
        // Only a crash leaves these behind, and `recovery` has closed them.
        Phase::Asking { request } => {
            page.end_request(request, true, ModelUsage::default());
            Act::Again
        }
        Phase::Replied { .. } => Act::Rest,
    };
    (page.drafts, act)
}

/// What a new runner writes first: it closes what the one before left open.
///
/// A request without an end is closed as an error and will be asked again. A tool call without a result is not
/// run again: nobody knows what it has done, so the model is told that and decides.
pub fn recovery(state: &State, id: NewId<'_>) -> Vec<Draft> {
    let mut page = Page { drafts: Vec::new(), id };
    match &state.phase {
        Phase::Asking { request } => page.end_request(request, true, ModelUsage::default()),
        Phase::Calling { calls } => page.close_calls(calls.iter(), INTERRUPTED_BY_RESTART),
        _ => {}
    }
    page.drafts
}

/// What a tool call is told whose runner died or had to let go.
pub const INTERRUPTED_BY_RESTART: &str = "The tool call was interrupted: the server stopped or failed while it was \
     running. It was not run again, and its effect is unknown: check before repeating it.";

/// What a tool call is told that the client interrupted.
pub const INTERRUPTED_BY_USER: &str = "Tool execution was interrupted before completion. Please retry.";

/// The model has answered. `permission` says what the policy makes of a tool by name.
pub fn replied(
    request: &Id,
    provider: &str,
    reply: ModelReply,
    permission: impl Fn(&str) -> (EvaluatedPermission, Option<Evaluation>),
    id: NewId<'_>,
) -> Vec<Draft> {
    let mut page = Page { drafts: Vec::new(), id };
    let mut calls = Vec::new();
    let mut text = Vec::new();
    for block in &reply.blocks {
        if !matches!(block.kind, ReplyKind::Text { .. }) {
            page.message(&mut text);
        }
        match &block.kind {
            ReplyKind::Text { text: said } if said.is_empty() => {}
            ReplyKind::Text { text: said } => text.push(ContentBlock::text(said)),
            ReplyKind::Thinking => {
                page.event(EventBody::AgentThinking {});
            }
            ReplyKind::ToolUse { name, input, .. } => {
                let (evaluated_permission, evaluation) = permission(name);
                calls.push(page.event(EventBody::AgentToolUse {
                    name: name.clone(),
                    input: input.as_ref().map_or_else(|_| Map::new(), Clone::clone),
                    evaluated_permission,
                    evaluation,
                }));
            }
            ReplyKind::Other => {}
        }
    }
    page.message(&mut text);
    let usage = reply.usage;
    // The private record comes first: the fold needs the calls before it meets their events.
    page.drafts.insert(0, Draft::Private(Private::Reply { provider: provider.to_owned(), reply, calls }));
    page.end_request(request, false, usage);
    page.drafts
}

/// The model request has failed.
pub fn failed(
    state: &State,
    thread: &ThreadName,
    limits: &TurnLimits,
    request: &Id,
    error: &ModelError,
    now: Timestamp,
    id: NewId<'_>,
) -> Vec<Draft> {
    let mut page = Page { drafts: Vec::new(), id };
    page.end_request(request, true, ModelUsage::default());
    let attempts = state.failures + 1;
    if !error.retryable || attempts >= limits.model_attempts_max {
        page.event(EventBody::SessionError { error: session_error(error, RetryStatus::Exhausted) });
        return page.drafts;
    }
    page.event(EventBody::SessionError { error: session_error(error, RetryStatus::Retrying) });
    page.event(EventBody::StatusRescheduled {});
    page.event(EventBody::ThreadStatusRescheduled {
        session_thread_id: thread.id.clone(),
        agent_name: thread.agent.clone(),
    });
    let until = now.micros().saturating_add(backoff_micros(limits, attempts, error.retry_after_ms));
    page.drafts.push(Draft::Private(Private::Backoff { until: Timestamp::from_micros(until) }));
    page.drafts
}

/// A tool has run.
pub fn ran(call: &Call, content: Vec<ContentBlock>, is_error: bool, id: NewId<'_>) -> Vec<Draft> {
    let mut page = Page { drafts: Vec::new(), id };
    page.event(EventBody::AgentToolResult { tool_use_id: call.id.clone(), content, is_error });
    page.drafts
}

/// The session is archived: its last records.
pub fn terminated(thread: &ThreadName, id: NewId<'_>) -> Vec<Draft> {
    let mut page = Page { drafts: Vec::new(), id };
    page.event(EventBody::ThreadStatusTerminated {
        session_thread_id: thread.id.clone(),
        agent_name: thread.agent.clone(),
    });
    page.event(EventBody::StatusTerminated {});
    page.drafts
}

fn interrupt(page: &mut Page<'_>, state: &State, thread: &ThreadName, now: Timestamp) {
    for (seq, queued) in &state.queue {
        if *queued == Queued::Interrupt {
            page.take(*seq);
        }
    }
    match &state.phase {
        Phase::Idle | Phase::Terminated => return,
        Phase::Asking { request } => page.end_request(request, true, ModelUsage::default()),
        Phase::Calling { calls } => page.close_calls(calls.iter(), INTERRUPTED_BY_USER),
        Phase::Ready | Phase::Replied { .. } | Phase::Waiting { .. } | Phase::Done { .. } => {}
    }
    page.idle(state, thread, now, StopReason::EndTurn, None);
}

fn backoff_micros(limits: &TurnLimits, attempts: u32, wish_ms: Option<u64>) -> i64 {
    let doubled = limits.backoff_ms_min.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let ms = wish_ms.unwrap_or(doubled).min(limits.backoff_ms_max);
    i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX)
}

fn session_error(error: &ModelError, retry_status: RetryStatus) -> SessionError {
    let kind = match error.kind {
        ModelErrorKind::Overloaded => SessionErrorKind::ModelOverloaded,
        ModelErrorKind::RateLimited => SessionErrorKind::ModelRateLimited,
        ModelErrorKind::Billing => SessionErrorKind::Billing,
        ModelErrorKind::RequestFailed => SessionErrorKind::ModelRequestFailed,
    };
    SessionError { kind, message: error.message.clone(), retry_status }
}

fn tool_limit_error(limits: &TurnLimits) -> SessionError {
    SessionError {
        kind: SessionErrorKind::ToolUseLimitReached,
        message: format!(
            "The agent called tools in {} rounds of one turn, the most that is allowed.",
            limits.tool_rounds_max
        ),
        retry_status: RetryStatus::Exhausted,
    }
}

fn has_run_out_of_time(state: &State, limits: &TurnLimits, now: Timestamp) -> bool {
    let spent_ms = state.running_since.map_or(0, |since| (now.micros() - since.micros()) / 1000);
    u64::try_from(spent_ms).is_ok_and(|spent| spent > limits.turn_ms_max)
}

fn time_limit_error(limits: &TurnLimits) -> SessionError {
    SessionError {
        kind: SessionErrorKind::Unknown,
        message: format!("The turn took longer than the {} seconds that are allowed.", limits.turn_ms_max / 1000),
        retry_status: RetryStatus::Exhausted,
    }
}

/// Drafts under way.
struct Page<'a> {
    drafts: Vec<Draft>,
    id: NewId<'a>,
}

impl Page<'_> {
    fn event(&mut self, body: EventBody) -> Id {
        let id = (self.id)();
        self.drafts.push(Draft::Event(id.clone(), body));
        id
    }

    fn take(&mut self, seq: i64) {
        self.drafts.push(Draft::Private(Private::Taken { seq }));
    }

    fn message(&mut self, text: &mut Vec<ContentBlock>) {
        if !text.is_empty() {
            self.event(EventBody::AgentMessage { content: std::mem::take(text) });
        }
    }

    /// Takes every message that waits: what was said while the agent worked belongs together.
    fn take_messages(&mut self, state: &State) {
        for (seq, queued) in &state.queue {
            if matches!(queued, Queued::Message(_)) {
                self.take(*seq);
            }
        }
    }

    fn begin_turn(&mut self, state: &State, thread: &ThreadName) {
        self.take_messages(state);
        self.event(EventBody::StatusRunning {});
        self.thread_running(thread);
    }

    fn thread_running(&mut self, thread: &ThreadName) {
        self.event(EventBody::ThreadStatusRunning {
            session_thread_id: thread.id.clone(),
            agent_name: thread.agent.clone(),
        });
    }

    fn end_request(&mut self, request: &Id, is_error: bool, usage: ModelUsage) {
        self.event(EventBody::ModelRequestEnd {
            model_request_start_id: request.clone(),
            is_error: Some(is_error),
            model_usage: SpanUsage {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cache_creation_input_tokens: usage.cache_creation_input_tokens,
                cache_read_input_tokens: usage.cache_read_input_tokens,
            },
        });
    }

    fn close_calls<'c>(&mut self, calls: impl Iterator<Item = &'c Call>, why: &str) {
        for call in calls {
            self.event(EventBody::AgentToolResult {
                tool_use_id: call.id.clone(),
                content: vec![ContentBlock::text(why)],
                is_error: true,
            });
        }
    }

    fn idle(
        &mut self,
        state: &State,
        thread: &ThreadName,
        now: Timestamp,
        stop_reason: StopReason,
        stop_details: Option<StopDetails>,
    ) {
        self.event(EventBody::ThreadStatusIdle {
            session_thread_id: thread.id.clone(),
            agent_name: thread.agent.clone(),
            stop_reason,
            stop_details: stop_details.clone(),
        });
        let mut usage = state.usage;
        if let Some(since) = state.running_since {
            usage.active_seconds += now.seconds_since(since);
        }
        self.event(EventBody::SessionUsage { usage, budget: None });
        self.event(EventBody::StatusIdle { stop_reason, stop_details });
    }
}
