//! A request as the rules of a scenario see it.

use daybreak_api::content::{ContentBlock, Source};
use daybreak_domain::model::{Block, Message, ModelRequest, ReplyKind, Role};

/// Where a conversation stands.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) agent: &'a str,
    pub(super) system: &'a str,
    /// 1 + the number of replies so far.
    pub(super) turn: u64,
    /// 1 + the number of replies since the client's last message.
    pub(super) round: u64,
    /// The newest thing is a message of the client.
    pub(super) after_message: bool,
    /// Text of the last message that the client sent.
    pub(super) message: Option<String>,
    /// Results of tools that came since the last reply.
    pub(super) results: Vec<ToolOutcome<'a>>,
    /// Everything the client and the tools said so far, in order.
    pub(super) seen: Vec<Seen>,
}

/// The result of one tool call.
#[derive(Debug)]
pub(super) struct ToolOutcome<'a> {
    /// The tool's name, if its call is in the conversation.
    pub(super) tool: Option<&'a str>,
    pub(super) is_error: bool,
    text: String,
}

/// Something that was said.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) text: String,
    /// By a tool, not by the client.
    pub(super) by_tool: bool,
}

impl<'a> Scene<'a> {
    /// Looks at a request.
    pub(super) fn of(request: &'a ModelRequest) -> Self {
        let mut scene = Self {
            agent: &request.agent,
            system: request.system.as_deref().unwrap_or_default(),
            turn: 1,
            round: 1,
            after_message: false,
            message: None,
            results: Vec::new(),
            seen: Vec::new(),
        };
        let mut calls: Vec<(&str, &str)> = Vec::new();
        for message in request.messages.iter().filter(|message| !message.content.is_empty()) {
            match message.role {
                Role::Assistant => {
                    scene.turn += 1;
                    scene.round += 1;
                    scene.results.clear();
                    scene.after_message = false;
                    calls.extend(message.content.iter().filter_map(call));
                }
                Role::User => scene.hear(message, &calls),
            }
        }
        scene
    }

    fn hear(&mut self, message: &'a Message, calls: &[(&str, &'a str)]) {
        let mut said: Option<String> = None;
        for block in &message.content {
            match block {
                Block::ToolResult { tool_use_id, content, is_error } => {
                    // Why from the end: ids of a rehearsal may come again after the conversation was shortened.
                    let tool = calls.iter().rev().find(|(id, _)| id == tool_use_id).map(|(_, name)| *name);
                    let text = content.iter().filter_map(text_of).collect::<Vec<_>>().join("\n");
                    self.seen.push(Seen { text: text.clone(), by_tool: true });
                    self.results.push(ToolOutcome { tool, is_error: *is_error, text });
                    self.after_message = false;
                }
                Block::Content(content) => {
                    let said = said.get_or_insert_default();
                    if let Some(text) = text_of(content) {
                        said.push_str(if said.is_empty() { "" } else { "\n" });
                        said.push_str(text);
                    }
                    self.after_message = true;
                    self.round = 1;
                }
                Block::Reply(_) => {}
            }
        }
        if let Some(said) = said {
            self.seen.push(Seen { text: said.clone(), by_tool: false });
            self.message = Some(said);
        }
    }

    /// The results just received, as one text.
    pub(super) fn result(&self) -> String {
        self.results.iter().map(|result| result.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// What the tools said, in order.
    pub(super) fn tool_texts(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().filter(|seen| seen.by_tool).map(|seen| seen.text.as_str())
    }
}

fn call(block: &Block) -> Option<(&str, &str)> {
    match block {
        Block::Reply(reply) => match &reply.kind {
            ReplyKind::ToolUse { id, name, .. } => Some((id, name)),
            _ => None,
        },
        _ => None,
    }
}

fn text_of(content: &ContentBlock) -> Option<&str> {
    match content {
        ContentBlock::Text { text } => Some(text),
        ContentBlock::Document { source: Source::Text { data, .. }, .. } => Some(data),
        _ => None,
    }
}
