//! The scenario file: its shape, and what is checked when it is loaded.

use daybreak_domain::model::{ModelReply, Stop};
use serde::Deserialize;
use std::time::Duration;

use super::condition::When;
use super::template::{Template, Value};

/// How large a scenario file may be, in bytes.
pub(crate) const SCENARIO_BYTES_MAX: usize = 1024 * 1024;

/// How long a call may be made to take, in milliseconds.
const DELAY_MS_MAX: u64 = 60 * 60 * 1_000;

/// How long a scenario's name may be, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A scenario, checked and ready to be played. The format is described at [`crate::rehearsal`].
#[derive(Debug, Clone)]
pub struct Scenario {
    name: String,
    description: Option<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) otherwise: Option<Answer>,
}

/// What a scenario answers to one request.
#[derive(Debug, Clone)]
pub struct Performance {
    /// The reply.
    pub reply: ModelReply,
    /// How long the call takes.
    pub delay: Duration,
}

/// A scenario that cannot be played: where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub(crate) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    description: Option<String>,
    rules: Vec<Rule>,
    otherwise: Option<Answer>,
}

/// One rule: when it matches and what it answers. Written as one mapping; `when` is split off while reading.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    when: When,
    reply: Option<Vec<Item>>,
    delay_ms: Option<u64>,
    usage: Option<Usage>,
    stop: Option<StopFile>,
    fail: Option<Fail>,
}

/// One rule: when it matches and what it answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "RuleFile")]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) answer: Answer,
}

/// What a rule answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) reply: Option<Vec<Item>>,
    pub(super) delay_ms: Option<u64>,
    pub(super) usage: Option<Usage>,
    stop: Option<StopFile>,
    pub(super) fail: Option<Fail>,
}

/// One block of a reply: exactly one of the three.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) text: Option<Template>,
    pub(super) thinking: Option<Template>,
    pub(super) tool: Option<Tool>,
}

/// A tool call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub(super) name: Template,
    pub(super) input: Value,
}

/// Tokens, instead of an estimate.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) input_tokens: u64,
    #[serde(default)]
    pub(super) output_tokens: u64,
    #[serde(default)]
    pub(super) cache_creation_input_tokens: u64,
    #[serde(default)]
    pub(super) cache_read_input_tokens: u64,
}

/// A failure on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fail {
    pub(super) status: u16,
    pub(super) message: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) times: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StopWord {
    EndTurn,
    ToolUse,
    MaxTokens,
    Pause,
    Refusal,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected end_turn, tool_use, max_tokens, pause, refusal or {refusal: {category, explanation}}"
)]
enum StopFile {
    Word(StopWord),
    Refusal(RefusalFile),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalFile {
    refusal: RefusalDetails,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalDetails {
    category: Option<String>,
    explanation: Option<String>,
}

impl From<RuleFile> for Rule {
    fn from(file: RuleFile) -> Self {
        let RuleFile { when, reply, delay_ms, usage, stop, fail } = file;
        Self { when, answer: Answer { reply, delay_ms, usage, stop, fail } }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Anything unknown, missing or contradictory, with its line or its rule. So is a text of more than 1 MiB.
    pub fn from_yaml(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > SCENARIO_BYTES_MAX {
            return Err(ScenarioError(format!("a scenario may be {SCENARIO_BYTES_MAX} bytes long")));
        }
        let file: File = yaml_serde::from_str(text).map_err(|error| ScenarioError(error.to_string()))?;
        let scenario =
            Self { name: file.name, description: file.description, rules: file.rules, otherwise: file.otherwise };
        scenario.check().map_err(ScenarioError)?;
        Ok(scenario)
    }

    /// Its name; the model id is `rehearsal/` and this.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, if it says so.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Rules, `otherwise` included.
    pub(super) fn rule_count(&self) -> usize {
        self.rules.len() + 1
    }

    fn check(&self) -> Result<(), String> {
        let lawful = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(lawful) {
            return Err(format!(
                "name: {:?} must be 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _",
                self.name.chars().take(NAME_BYTES_MAX).collect::<String>()
            ));
        }
        if self.rules.is_empty() && self.otherwise.is_none() {
            return Err("rules: at least one rule, or `otherwise`, is needed".to_owned());
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let place = format!("rules[{index}]");
            rule.when.check().map_err(|why| format!("{place}.when: {why}"))?;
            rule.answer.check(&rule.when).map_err(|why| format!("{place}: {why}"))?;
        }
        let nothing = When::default();
        self.otherwise
            .as_ref()
            .map_or(Ok(()), |answer| answer.check(&nothing).map_err(|why| format!("otherwise: {why}")))
    }
}

impl Answer {
    /// Why it stopped, unless that follows from the reply.
    pub(super) fn stop(&self) -> Option<Stop> {
        Some(match self.stop.as_ref()? {
            StopFile::Word(StopWord::EndTurn) => Stop::EndTurn,
            StopFile::Word(StopWord::ToolUse) => Stop::ToolUse,
            StopFile::Word(StopWord::MaxTokens) => Stop::MaxTokens,
            StopFile::Word(StopWord::Pause) => Stop::Pause,
            StopFile::Word(StopWord::Refusal) => Stop::Refusal { category: None, explanation: None },
            StopFile::Refusal(RefusalFile { refusal }) => {
                Stop::Refusal { category: refusal.category.clone(), explanation: refusal.explanation.clone() }
            }
        })
    }

    fn check(&self, when: &When) -> Result<(), String> {
        match (&self.reply, &self.fail) {
            (None, None) => return Err("`reply` or `fail` is needed".to_owned()),
            (None, Some(Fail { times: Some(_), .. })) => {
                return Err("`fail` with `times` needs a `reply` for the calls after them".to_owned());
            }
            (Some(_), Some(Fail { times: None, .. })) => {
                return Err("`fail` without `times` fails every call: the `reply` would never be given".to_owned());
            }
            _ => {}
        }
        if let Some(fail) = &self.fail
            && !(400..=599).contains(&fail.status)
        {
            return Err(format!("fail.status: {} is not within 400 to 599", fail.status));
        }
        if self.delay_ms.is_some_and(|delay| delay > DELAY_MS_MAX) {
            return Err(format!("delay_ms: at most {DELAY_MS_MAX}"));
        }
        for (index, item) in self.reply.iter().flatten().enumerate() {
            item.check(when).map_err(|why| format!("reply[{index}]: {why}"))?;
        }
        Ok(())
    }
}

impl Item {
    fn check(&self, when: &When) -> Result<(), String> {
        let given =
            usize::from(self.text.is_some()) + usize::from(self.thinking.is_some()) + usize::from(self.tool.is_some());
        if given != 1 {
            return Err("exactly one of `text`, `thinking` and `tool` is needed".to_owned());
        }
        if let Some(tool) = &self.tool {
            if !matches!(tool.input, Value::Map(_)) {
                return Err("tool.input: must be a mapping".to_owned());
            }
            tool.name.check(when)?;
            tool.input.check(when)?;
        }
        self.text.iter().chain(&self.thinking).try_for_each(|template| template.check(when))
    }
}
