//! The body of a call.
//!
//! Blocks of earlier replies stand in it as [`RawValue`]s, so that they go back byte for byte. Everything else
//! is written anew each time, and the same request always gives the same bytes: the provider's cache depends
//! on it.
//!
//! Why `thinking` is hardly ever sent: models of the 5 line and later think adaptively unless told otherwise,
//! and reject the older settings; models before 4.6 know no adaptive thinking at all. Only for those in
//! between is it opt-in, and there an `effort` (which says how much to think) is taken as the wish for it.
//! `effort` itself needs no beta header any more; a model that does not know it refuses the call and says so.

use daybreak_api::content::{ContentBlock, Source};
use daybreak_domain::model::{Block, Message, ModelError, ModelRequest, ReplyBlock, ReplyKind, Role, ToolSpec};
use serde::Serialize;
use serde_json::value::RawValue;

use super::failure;

/// How many user messages from the end carry a cache mark. Two, so that the next call, which is longer by one
/// exchange, still finds the mark of this one. The API allows four marks in all; the system prompt takes one.
const MARKED_MESSAGES: usize = 2;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<[SystemText<'a>; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Typed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

/// An object with a `type` and nothing else.
#[derive(Clone, Copy, Serialize)]
struct Typed {
    r#type: &'static str,
}

/// The mark up to which the provider caches what it read.
const CACHE_MARK: Typed = Typed { r#type: "ephemeral" };

#[derive(Serialize)]
struct OutputConfig<'a> {
    effort: &'a str,
}

#[derive(Serialize)]
struct SystemText<'a> {
    r#type: &'static str,
    text: &'a str,
    cache_control: Typed,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: &'a serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Typed>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Replayed(&'a RawValue),
    Result(ToolResult<'a>),
    Content(Content<'a>),
}

#[derive(Serialize)]
struct ToolResult<'a> {
    r#type: &'static str,
    tool_use_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    content: Vec<&'a ContentBlock>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Typed>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(flatten)]
    block: &'a ContentBlock,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Typed>,
}

/// Writes the body.
pub(super) fn encode(request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
    let system = request.system.as_deref().filter(|text| !is_blank(text));
    let mut messages = turns(&request.messages)?;
    if messages.is_empty() {
        return Err(failure::unsendable("the conversation is empty"));
    }
    mark_for_caching(&mut messages);
    let mut tools: Vec<Tool<'_>> = request.tools.iter().map(tool).collect();
    // Why: the mark of the system prompt covers the tools too, which come before it; without one they need their own.
    if let (None, Some(last)) = (system, tools.last_mut()) {
        last.cache_control = Some(CACHE_MARK);
    }
    let effort = request.effort.as_deref();
    let body = Body {
        model: &request.model,
        max_tokens: request.max_tokens,
        stream: true,
        system: system.map(|text| [SystemText { r#type: "text", text, cache_control: CACHE_MARK }]),
        tools,
        messages,
        thinking: (effort.is_some() && thinks_only_if_asked(&request.model)).then_some(Typed { r#type: "adaptive" }),
        output_config: effort.map(|effort| OutputConfig { effort }),
    };
    serde_json::to_vec(&body).map_err(|error| failure::unsendable(&error.to_string()))
}

/// Whether a model can think adaptively but does so only if the request says it. A closed list of the past:
/// no later model belongs to it.
fn thinks_only_if_asked(model: &str) -> bool {
    ["opus-4-6", "opus-4-7", "opus-4-8", "sonnet-4-6"].iter().any(|name| model.contains(name))
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool { name: &spec.name, description: &spec.description, input_schema: &spec.input_schema, cache_control: None }
}

/// The conversation with neighbours of one role merged, results of tools first in their message, and without
/// what the API refuses: blank texts and empty messages.
fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, ModelError> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in messages {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut parts = Vec::new();
        for block in &message.content {
            parts.extend(part(message.role, block)?);
        }
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == role => last.content.append(&mut parts),
            _ => turns.push(Turn { role, content: parts }),
        }
    }
    for turn in &mut turns {
        // Why stable: the order among results, and among the rest, is the conversation's.
        turn.content.sort_by_key(|part| turn.role == "user" && !matches!(part, Part::Result(_)));
    }
    Ok(turns)
}

fn part(role: Role, block: &Block) -> Result<Option<Part<'_>>, ModelError> {
    Ok(match (role, block) {
        (_, Block::Content(block)) => {
            sendable(block)?.map(|block| Part::Content(Content { block, cache_control: None }))
        }
        (Role::User, Block::ToolResult { tool_use_id, content, is_error }) => {
            let mut sent = Vec::with_capacity(content.len());
            for block in content {
                sent.extend(sendable(block)?);
            }
            Some(Part::Result(ToolResult {
                r#type: "tool_result",
                tool_use_id,
                content: sent,
                is_error: *is_error,
                cache_control: None,
            }))
        }
        (Role::Assistant, Block::Reply(ReplyBlock { kind: ReplyKind::Text { text }, .. })) if is_blank(text) => None,
        (Role::Assistant, Block::Reply(block)) => Some(Part::Replayed(&block.raw)),
        (Role::Assistant, Block::ToolResult { .. }) => {
            return Err(failure::unsendable("the model's own message holds the result of a tool"));
        }
        (Role::User, Block::Reply(_)) => {
            return Err(failure::unsendable("a user message holds a block of a reply"));
        }
    })
}

/// The block, unless it is a blank text, which the API refuses.
fn sendable(block: &ContentBlock) -> Result<Option<&ContentBlock>, ModelError> {
    match block {
        ContentBlock::Text { text } if is_blank(text) => Ok(None),
        ContentBlock::Image { source: Source::File { .. } }
        | ContentBlock::Document { source: Source::File { .. }, .. } => {
            Err(failure::unsendable("a file has not been read in"))
        }
        _ => Ok(Some(block)),
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Puts cache marks on the last block of the last user messages. Never on a replayed block: that would change it.
fn mark_for_caching(turns: &mut [Turn<'_>]) {
    for turn in turns.iter_mut().rev().filter(|turn| turn.role == "user").take(MARKED_MESSAGES) {
        match turn.content.last_mut() {
            Some(Part::Result(result)) => result.cache_control = Some(CACHE_MARK),
            Some(Part::Content(content)) => content.cache_control = Some(CACHE_MARK),
            Some(Part::Replayed(_)) | None => {}
        }
    }
}
