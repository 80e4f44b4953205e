//! What a tool call gives back.

use serde::{Deserialize, Serialize};

/// The result of one tool call. A refusal, a failed command and a lost sandbox are all outputs with `is_error`: the
/// model reads them and decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// What the tool said.
    pub content: Vec<OutputBlock>,
    /// Whether the call failed.
    pub is_error: bool,
}

/// One part of a tool's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum OutputBlock {
    /// Plain text.
    Text(String),
    /// An image, as `read` returns for an image file.
    Image {
        /// For example `image/png`.
        media_type: String,
        /// The file's bytes.
        base64: String,
    },
    /// A document, as `read` returns for a PDF file.
    Document {
        /// `application/pdf`.
        media_type: String,
        /// The file's bytes.
        base64: String,
    },
}

impl ToolOutput {
    /// A successful output of plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![OutputBlock::Text(text.into())], is_error: false }
    }

    /// A failed call, with what the model is told about it.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self { content: vec![OutputBlock::Text(text.into())], is_error: true }
    }
}
