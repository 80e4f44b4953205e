//! The conversation as the model sees it, grown one record at a time.

use crate::model::{Block, Message, ModelReply, ReplyBlock, ReplyKind, Role};
use daybreak_api::content::{ContentBlock, Source};

/// The conversation so far.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    User(Vec<ContentBlock>),
    Reply { provider: String, blocks: Vec<ReplyBlock> },
    Result { tool_use_id: String, content: Vec<ContentBlock>, is_error: bool },
}

impl Transcript {
    /// A client's message was taken.
    pub(crate) fn push_user(&mut self, content: Vec<ContentBlock>) {
        self.entries.push(Entry::User(content));
    }

    /// A model answered.
    pub(crate) fn push_reply(&mut self, provider: &str, reply: &ModelReply) {
        if !reply.blocks.is_empty() {
            self.entries.push(Entry::Reply { provider: provider.to_owned(), blocks: reply.blocks.clone() });
        }
    }

    /// A tool call ended.
    pub(crate) fn push_result(&mut self, tool_use_id: String, content: Vec<ContentBlock>, is_error: bool) {
        self.entries.push(Entry::Result { tool_use_id, content, is_error });
    }

    /// About how much memory the conversation takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let block = |block: &ContentBlock| match block {
            ContentBlock::Text { text } => text.len(),
            ContentBlock::Image { source } | ContentBlock::Document { source, .. } => match source {
                Source::Base64 { data, .. } | Source::Text { data, .. } => data.len(),
                Source::Url { .. } | Source::File { .. } => 0,
            },
        };
        let entry = |entry: &Entry| match entry {
            Entry::User(content) | Entry::Result { content, .. } => content.iter().map(block).sum::<usize>(),
            // A block is kept twice: as it came, and as we understood it.
            Entry::Reply { blocks, .. } => blocks.iter().map(|block| 2 * block.raw.get().len()).sum(),
        };
        self.entries.iter().map(|it| entry(it) + std::mem::size_of::<Entry>()).sum()
    }

    /// The messages of the next request to `provider`. Blocks of another provider lose what only that one
    /// could read: their text and tool calls stay, their thinking goes.
    pub fn messages(&self, provider: &str) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for entry in &self.entries {
            let (role, blocks) = match entry {
                Entry::User(content) => (Role::User, content.iter().cloned().map(Block::Content).collect()),
                Entry::Result { tool_use_id, content, is_error } => {
                    let result = Block::ToolResult {
                        tool_use_id: tool_use_id.clone(),
                        content: content.clone(),
                        is_error: *is_error,
                    };
                    (Role::User, vec![result])
                }
                Entry::Reply { provider: from, blocks } => {
                    let own = from == provider;
                    let kept = blocks.iter().filter(|block| own || is_portable(&block.kind));
                    (Role::Assistant, kept.cloned().map(Block::Reply).collect())
                }
            };
            // Results of one reply belong together; messages of the client stay apart, as they were sent.
            let is_result = matches!(entry, Entry::Result { .. });
            match messages.last_mut() {
                Some(last) if is_result && matches!(last.content.last(), Some(Block::ToolResult { .. })) => {
                    last.content.extend(blocks);
                }
                _ => messages.push(Message { role, content: blocks }),
            }
        }
        messages.retain(|message| !message.content.is_empty());
        messages
    }
}

fn is_portable(kind: &ReplyKind) -> bool {
    matches!(kind, ReplyKind::Text { .. } | ReplyKind::ToolUse { .. })
}
