//! Content blocks: what a message or a tool result is made of.
//!
//! One type serves both directions. Which block may stand where is checked by the request that carries it
//! (a client may not send `redacted`, for instance), not here.

use serde::{Deserialize, Serialize};

/// A piece of content in a message or a tool result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentBlock {
    /// Plain text.
    Text {
        /// The text itself.
        text: String,
    },
    /// A picture.
    Image {
        /// Where its bytes come from.
        source: Source,
    },
    /// A document, such as a PDF or a text file.
    Document {
        /// Where its bytes come from.
        source: Source,
        /// A title shown to the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Context shown to the model beside the document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<String>,
    },
}

/// The kinds of pictures that models see.
pub const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Where the bytes of an image or a document come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Bytes in the block itself.
    Base64 {
        /// The MIME type of the bytes.
        media_type: String,
        /// The bytes, in standard base64.
        data: String,
    },
    /// Text in the block itself (documents only).
    Text {
        /// Always `text/plain`.
        media_type: String,
        /// The text.
        data: String,
    },
    /// A public address that the provider reads.
    Url {
        /// The address.
        url: String,
    },
    /// A file of the Files API.
    File {
        /// The file's id.
        file_id: String,
    },
}

impl ContentBlock {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            _ => None,
        }
    }
}
