//! From a request to the reply that a scenario gives it.

use std::time::Duration;

use daybreak_domain::model::{Block, ModelError, ModelReply, ModelRequest, ModelUsage, ReplyBlock, ReplyKind, Stop};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::condition::Caught;
use super::refused;
use super::scenario::{Answer, Fail, Item, Performance, Scenario};
use super::scene::Scene;
use crate::model::meaning_of_status;

/// A token is taken for this many bytes when a scenario does not say how many there were.
const BYTES_PER_TOKEN: usize = 4;

/// How much of a message an error repeats, in characters.
const EXCERPT_CHARS_MAX: usize = 200;

/// What is to happen for one request.
pub(super) struct Cue {
    /// Which rule matched; that of `otherwise` comes after all others.
    pub(super) rule: usize,
    pub(super) delay: Duration,
    pub(super) failure: Option<Failure>,
    /// What is answered once the failures are used up.
    pub(super) reply: Result<ModelReply, ModelError>,
}

/// A failure on purpose.
pub(super) struct Failure {
    pub(super) error: ModelError,
    /// For how many calls. For all when absent.
    pub(super) times: Option<u64>,
}

impl Scenario {
    /// What this scenario answers. Pure: the same request always gets the same answer. Failures that are to
    /// happen a number of `times` are left to [`super::Rehearsal`], which counts them.
    ///
    /// # Errors
    /// No rule matches, a `find` finds nothing, or the rule that matches fails every call.
    pub fn play(&self, request: &ModelRequest) -> Result<Performance, ModelError> {
        let cue = self.cue(request)?;
        Ok(Performance { reply: cue.reply?, delay: cue.delay })
    }

    /// Finds the rule that matches and works out what it answers.
    pub(super) fn cue(&self, request: &ModelRequest) -> Result<Cue, ModelError> {
        let scene = Scene::of(request);
        let matching = self.rules.iter().enumerate().find_map(|(rule, candidate)| {
            let caught = candidate.when.catch(&scene)?;
            Some((rule, &candidate.answer, caught))
        });
        let otherwise = || Some((self.rules.len(), self.otherwise.as_ref()?, Caught::default()));
        let (rule, answer, caught) = matching.or_else(otherwise).ok_or_else(|| self.unmatched(&scene))?;
        let failure = answer.fail.as_ref().map(failure);
        let reply = match (&answer.reply, &failure) {
            (None, Some(failure)) => Err(failure.error.clone()),
            _ => answer.reply(request, &scene, &caught).map_err(|why| {
                refused(format!(
                    "rehearsal {:?} cannot answer turn {} by rules[{rule}]: {why}",
                    self.name(),
                    scene.turn
                ))
            }),
        };
        Ok(Cue { rule, delay: Duration::from_millis(answer.delay_ms.unwrap_or_default()), failure, reply })
    }

    fn unmatched(&self, scene: &Scene<'_>) -> ModelError {
        let excerpt = |text: &str| text.chars().take(EXCERPT_CHARS_MAX).collect::<String>();
        let mut why =
            format!("rehearsal {:?} has no rule for turn {} (round {})", self.name(), scene.turn, scene.round);
        if let Some(message) = &scene.message {
            why.push_str(&format!("; the last message is {:?}", excerpt(message)));
        }
        if let Some(last) = scene.results.last() {
            let tool = last.tool.unwrap_or("an unknown tool");
            why.push_str(&format!("; {tool} has just answered {:?}", excerpt(&scene.result())));
        }
        refused(why)
    }
}

fn failure(fail: &Fail) -> Failure {
    let (kind, retryable) = meaning_of_status(fail.status);
    let message = fail.message.clone().unwrap_or_else(|| format!("the rehearsal answers {} on purpose", fail.status));
    Failure { error: ModelError { kind, message, retryable, retry_after_ms: fail.retry_after_ms }, times: fail.times }
}

impl Answer {
    fn reply(&self, request: &ModelRequest, scene: &Scene<'_>, caught: &Caught) -> Result<ModelReply, String> {
        let mut blocks = Vec::new();
        for (index, item) in self.reply.iter().flatten().enumerate() {
            blocks.push(block(item, index, scene, caught)?);
        }
        let calls = blocks.iter().any(|block| matches!(block.kind, ReplyKind::ToolUse { .. }));
        let stop = self.stop().unwrap_or(if calls { Stop::ToolUse } else { Stop::EndTurn });
        let usage = self.usage.map_or_else(
            || estimate(request, &blocks),
            |usage| ModelUsage {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cache_creation_input_tokens: usage.cache_creation_input_tokens,
                cache_read_input_tokens: usage.cache_read_input_tokens,
            },
        );
        Ok(ModelReply { blocks, stop, usage })
    }
}

fn block(item: &Item, index: usize, scene: &Scene<'_>, caught: &Caught) -> Result<ReplyBlock, String> {
    let (kind, raw) = if let Some(text) = &item.text {
        let text = text.fill(scene, caught)?;
        let raw = json!({ "type": "text", "text": text });
        (ReplyKind::Text { text }, raw)
    } else if let Some(thinking) = &item.thinking {
        let thinking = thinking.fill(scene, caught)?;
        (ReplyKind::Thinking, json!({ "type": "thinking", "thinking": thinking, "signature": "rehearsal" }))
    } else if let Some(tool) = &item.tool {
        let id = format!("toolu_rehearsal_{:02}_{index}", scene.turn);
        let name = tool.name.fill(scene, caught)?;
        let serde_json::Value::Object(input) = tool.input.fill(scene, caught)? else {
            return Err("the input of a tool is not a mapping".to_owned());
        };
        let raw = json!({ "type": "tool_use", "id": id, "name": name, "input": input });
        (ReplyKind::ToolUse { id, name, input: Ok(input) }, raw)
    } else {
        return Err("a block is empty".to_owned());
    };
    Ok(ReplyBlock { kind, raw: to_raw_value(&raw).map_err(|error| error.to_string())? })
}

fn estimate(request: &ModelRequest, blocks: &[ReplyBlock]) -> ModelUsage {
    let content =
        |content: &daybreak_api::content::ContentBlock| serde_json::to_string(content).map_or(0, |json| json.len());
    let said = request.messages.iter().flat_map(|message| &message.content).map(|block| match block {
        Block::Content(block) => content(block),
        Block::ToolResult { content: blocks, .. } => blocks.iter().map(content).sum(),
        Block::Reply(reply) => reply.raw.get().len(),
    });
    let tools =
        request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.input_schema.to_string().len());
    let read = request.system.as_ref().map_or(0, String::len) + said.sum::<usize>() + tools.sum::<usize>();
    let written: usize = blocks.iter().map(|block| block.raw.get().len()).sum();
    let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN) as u64;
    ModelUsage { input_tokens: tokens(read), output_tokens: tokens(written), ..ModelUsage::default() }
}
