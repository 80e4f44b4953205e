//! What this crate does, seen from outside: over real sockets, real files and a real shell.

mod anthropic;
mod demo;
mod fake_api;
mod registry;
mod rehearsal;
mod request;

use daybreak_api::content::ContentBlock;
use daybreak_domain::model::{Block, Message, ModelReply, ModelRequest, ReplyKind, Role};

/// A request of one text message.
fn request(text: &str) -> ModelRequest {
    ModelRequest {
        model: "claude-opus-5-5".to_owned(),
        agent: "Tester".to_owned(),
        system: None,
        messages: vec![user(text)],
        tools: Vec::new(),
        max_tokens: 1_000,
        effort: None,
    }
}

/// A message of the client.
fn user(text: &str) -> Message {
    Message { role: Role::User, content: vec![Block::Content(ContentBlock::text(text))] }
}

/// A reply as it stands in the conversation of the next request.
fn replied(reply: &ModelReply) -> Message {
    Message { role: Role::Assistant, content: reply.blocks.iter().cloned().map(Block::Reply).collect() }
}

/// The results of tools: id, text, whether it is an error.
fn results(results: &[(&str, &str, bool)]) -> Message {
    let result = |(id, text, is_error): &(&str, &str, bool)| Block::ToolResult {
        tool_use_id: (*id).to_owned(),
        content: vec![ContentBlock::text(*text)],
        is_error: *is_error,
    };
    Message { role: Role::User, content: results.iter().map(result).collect() }
}

/// The texts of a reply.
fn texts(reply: &ModelReply) -> String {
    let text = |kind: &ReplyKind| match kind {
        ReplyKind::Text { text } => Some(text.clone()),
        _ => None,
    };
    reply.blocks.iter().filter_map(|block| text(&block.kind)).collect::<Vec<_>>().join("\n")
}
