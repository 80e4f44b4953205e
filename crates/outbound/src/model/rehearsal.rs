//! The provider that costs nothing: it plays a scenario file and calls no model.
//!
//! It is for demonstrations, for tests, and for people who want to test their own agents without paying for a
//! model: the agent, the session, the tools and the log are real; only the replies come from a file.
//! **Whatever a person might take for a model's work must say that it is a rehearsal**: [`REHEARSAL_NOTICE`]
//! is the sentence for that, the listed model says so in its display name, and a scenario's closing text should.
//!
//! # The file
//!
//! A scenario is YAML. Unknown keys, bad patterns and undefined placeholders are errors when the file is loaded,
//! with their line.
//!
//! ```yaml
//! name: release-notes            # the model id is rehearsal/release-notes; the file release-notes.yaml
//! description: For whom it is.   # optional
//! rules:                         # the first rule whose conditions all hold gives the reply
//!   - when:
//!       message: 'notes for (?P<version>v[0-9.]+)'
//!       after_message: true
//!     reply:
//!       - thinking: The changes first.
//!       - text: Reading the changes of {{version}}.
//!       - tool:
//!           name: bash
//!           input: { command: 'git log --oneline {{version}}' }
//!   - when: { tool: bash, result_is_error: true }
//!     reply:
//!       - text: 'That did not work: {{result}}'
//!   - when: { tool: bash }
//!     delay_ms: 400
//!     fail: { status: 529, times: 1 }
//!     reply:
//!       - text: 'There are {{count:^[0-9a-f]{7} }} changes. (This is a rehearsal.)'
//! otherwise:                     # optional; without it a request that no rule matches is an error
//!   reply:
//!     - text: I only know how to write release notes. (This is a rehearsal.)
//! ```
//!
//! ## Conditions (`when`)
//!
//! At least one; all that are given must hold. Patterns are those of the `regex` crate and match anywhere.
//!
//! | Key | Holds if |
//! |---|---|
//! | `message` | the pattern matches the text of the last message that the client sent |
//! | `result` | the pattern matches the texts of the tool results just received, joined by newlines |
//! | `result_is_error` | results were just received, and whether one of them is an error is as given |
//! | `tool` | the last of the results just received came from this tool |
//! | `seen` | each pattern of the list matches some message of the client or some tool result so far |
//! | `after_message` | whether the newest thing is a message of the client (`true`) or tool results (`false`) |
//! | `turn` | 1 + the number of replies so far is this number, or in this range: `"2..4"`, `"3.."`, both ends included |
//! | `round` | as `turn`, counted since the last message of the client |
//! | `agent` | the pattern matches the agent's name |
//! | `system` | the pattern matches the system prompt |
//!
//! ## Replies
//!
//! `reply` is a list of `text`, `thinking` and `tool` (`name`, `input`). Every string in it, however deep in an
//! input, may hold placeholders; what they insert is not read again.
//!
//! | Placeholder | Becomes |
//! |---|---|
//! | `{{message}}` `{{result}}` | what the conditions of these names look at |
//! | `{{turn}}` `{{round}}` `{{agent}}` | the number, the number, the name |
//! | `{{1}}` `{{version}}` | a group of the conditions' patterns; numbers run through `message`, `result`, `seen`, `agent`, `system` in this order |
//! | `{{find:REGEX}}` | the first group (or the whole) of the first match in everything seen; finding nothing is an error |
//! | `{{count:REGEX}}` | the number of matches in all tool results |
//! | `{{lines:REGEX}}` | the matching lines of all tool results, joined by newlines |
//! | `\{{` | `{{` itself |
//!
//! In `find` and `count`, `^` and `$` match at lines. So a scenario computes its texts from what the tools really
//! said, and stays right when that changes.
//!
//! Beside `reply`: `delay_ms` (how long the call takes, at most an hour), `usage` (`input_tokens`, `output_tokens`,
//! `cache_creation_input_tokens`, `cache_read_input_tokens`; estimated as bytes / 4 when absent), `stop` (`end_turn`,
//! `tool_use`, `max_tokens`, `pause`, `refusal`, or `{refusal: {category, explanation}}`; `tool_use` or `end_turn`
//! when absent) and `fail`.
//!
//! `fail` takes `status` (an HTTP status of 400 to 599, which means what it means from a model), `message`,
//! `retry_after_ms` and `times`. With `times: n` the first *n* calls that this rule matches since the process
//! started fail, and later ones get the reply: for trying retries. Without `times` every call fails, which does
//! not depend on what happened before, and there is no `reply`.
//!
//! A tool call's id depends on nothing but its place: `toolu_rehearsal_<turn>_<index>`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use daybreak_domain::model::{ModelError, ModelErrorKind, ModelReply, ModelRequest};

pub use self::scenario::{Performance, Scenario, ScenarioError};
use crate::Provider;

mod condition;
mod perform;
mod scenario;
mod scene;
mod template;

/// What must be shown wherever a person might take a rehearsal for a model.
pub const REHEARSAL_NOTICE: &str =
    "This is a rehearsal: a scenario file is being played and no model is called. Tools run for real.";

/// The scenarios that are always there: name and text.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    ("build-logs", include_str!("../../scenarios/build-logs.yaml")),
    ("echo", include_str!("../../scenarios/echo.yaml")),
];

/// The provider: plays the scenario that `ModelRequest::model` names.
#[derive(Default)]
pub struct Rehearsal {
    stages: BTreeMap<String, Stage>,
}

struct Stage {
    scenario: Scenario,
    /// How often each rule has failed on purpose.
    failures: Vec<AtomicU64>,
}

impl Rehearsal {
    /// A provider of these scenarios. Of two with one name, the later counts.
    pub fn new(scenarios: impl IntoIterator<Item = Scenario>) -> Self {
        let stage = |scenario: Scenario| {
            let failures = std::iter::repeat_with(AtomicU64::default).take(scenario.rule_count()).collect();
            (scenario.name().to_owned(), Stage { scenario, failures })
        };
        Self { stages: scenarios.into_iter().map(stage).collect() }
    }
}

#[async_trait]
impl Provider for Rehearsal {
    async fn call(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let Some(stage) = self.stages.get(&request.model) else {
            return Err(refused(format!("there is no scenario {:?} to rehearse", request.model)));
        };
        let cue = stage.scenario.cue(request)?;
        tokio::time::sleep(cue.delay).await;
        if let Some(failure) = cue.failure {
            let failed = &stage.failures[cue.rule];
            let again = |count: u64| (count < failure.times.unwrap_or(u64::MAX)).then(|| count.saturating_add(1));
            if failed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, again).is_ok() {
                return Err(failure.error);
            }
        }
        cue.reply
    }
}

/// A failure that asking again would only repeat.
fn refused(message: String) -> ModelError {
    ModelError { kind: ModelErrorKind::RequestFailed, message, retryable: false, retry_after_ms: None }
}
