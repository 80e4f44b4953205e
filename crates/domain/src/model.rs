//! What the engine asks a model, and what a model answers: neutral between vendors, shaped like Messages.
//!
//! A provider adapter (in `outbound`) turns a [`ModelRequest`] into one vendor's streaming call and the answer
//! into a [`ModelReply`]. The blocks of a reply are kept as the vendor sent them ([`ReplyBlock::raw`] next to what
//! we understood of them), so that the next request can replay them byte for byte: thinking signatures
//! break otherwise.

use daybreak_api::content::ContentBlock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One call of a model.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The provider's own name of the model (`claude-…`, or the scenario of a rehearsal).
    pub model: String,
    /// Name of the agent that asks. Providers ignore it; a rehearsal's rules may look at it.
    pub agent: String,
    /// System prompt, if any.
    pub system: Option<String>,
    /// The conversation so far. Never empty; starts with [`Role::User`].
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// Output limit, in tokens.
    pub max_tokens: u32,
    /// How hard the model should think: `low`, `medium`, `high`, `xhigh` or `max`.
    pub effort: Option<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client, and the results of tools.
    User,
    /// The model.
    Assistant,
}

/// One message of the conversation. Two messages of one role may follow each other.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Vec<Block>,
}

/// A piece of a message to the model.
#[derive(Debug, Clone)]
pub enum Block {
    /// Text, image or document. A `file` source has been resolved to `base64` or `text` by the engine.
    Content(ContentBlock),
    /// The result of a tool call.
    ToolResult {
        /// The id that the provider gave the call.
        tool_use_id: String,
        /// The output.
        content: Vec<ContentBlock>,
        /// Whether the call failed.
        is_error: bool,
    },
    /// A block that this provider itself produced in an earlier reply.
    Reply(ReplyBlock),
}

/// A tool, as offered to the model.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    /// Name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its input (an object).
    pub input_schema: serde_json::Value,
}

/// One block of a model's reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplyBlock {
    /// What we understood of it.
    pub kind: ReplyKind,
    /// The block as the provider sent it, a JSON object. Replayed unchanged to the same provider.
    pub raw: Box<RawValue>,
}

/// What we understand of a reply's block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReplyKind {
    /// Text for the reader.
    Text {
        /// The text.
        text: String,
    },
    /// Thinking, in any form. Its content is never shown.
    Thinking,
    /// A tool call.
    ToolUse {
        /// The provider's id of the call. Unique within the reply.
        id: String,
        /// Name of the tool, possibly one that does not exist.
        name: String,
        /// The input: a JSON object, or why it could not be read as one.
        input: Result<serde_json::Map<String, serde_json::Value>, String>,
    },
    /// A block of a type that this version does not know.
    Other,
}

/// A complete reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelReply {
    /// Its blocks, in order. May be empty.
    pub blocks: Vec<ReplyBlock>,
    /// Why the model stopped.
    pub stop: Stop,
    /// Tokens counted by the provider.
    pub usage: ModelUsage,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It is done.
    EndTurn,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// It ran into `max_tokens`.
    MaxTokens,
    /// It declined to answer.
    Refusal {
        /// The provider's category, if it gave one.
        category: Option<String>,
        /// The provider's explanation, if it gave one.
        explanation: Option<String>,
    },
    /// It paused and wants to be called again with the same conversation.
    Pause,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// Tokens read and not cached.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens written to the provider's cache.
    pub cache_creation_input_tokens: u64,
    /// Tokens read from the provider's cache.
    pub cache_read_input_tokens: u64,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What kind of failure, in the wire's words.
    pub kind: ModelErrorKind,
    /// For people. Holds no secret: never the key, never a whole request.
    pub message: String,
    /// Whether asking again may help.
    pub retryable: bool,
    /// How long the provider asked us to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// Kinds of failed calls; the names are those of `session.error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// `model_overloaded_error`: 529 and 503.
    Overloaded,
    /// `model_rate_limited_error`: 429.
    RateLimited,
    /// `billing_error`: 402.
    Billing,
    /// `model_request_failed_error`: everything else, a broken connection included.
    RequestFailed,
}
