//! The lines that the server and the toolbox exchange over one socket.
//!
//! The server speaks first: one [`Setup`] line, answered by one [`Ready`] line. Then one [`Request`] line at a time,
//! each answered by one [`Response`] line with the same id.
//!
//! Invariant: the toolbox may have been taken over by what it runs. Its lines are bounded in length, must parse, must
//! carry the expected id and must hold a plausible output; anything else costs it the sandbox.

use std::path::PathBuf;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::output::{OutputBlock, ToolOutput};

/// Longest line in either direction: a 20 MiB document in base64 with room to spare.
pub(crate) const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Longest text block: 100 KiB of output may triple when every byte of it is invalid UTF-8, and 200 found paths may
/// be 4 KiB each.
pub(crate) const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The environment variable that tells the toolbox the number of its socket.
pub(crate) const SOCKET_VARIABLE: &str = "DAYBREAK_TOOLBOX_SOCKET";

/// The tools of the toolset that run inside.
pub(crate) const TOOLS: [&str; 6] = ["bash", "read", "write", "edit", "glob", "grep"];

/// What may be done below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// A directory that the file tools may reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
}

/// Limits that the toolbox puts on the shell; `None` leaves the inherited one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShellLimits {
    pub(crate) address_space_bytes: Option<u64>,
    pub(crate) processes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) file_bytes: Option<u64>,
}

/// The first line: where the toolbox is and what it may touch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) workdir: PathBuf,
    pub(crate) roots: Vec<Root>,
    pub(crate) shell_limits: ShellLimits,
    pub(crate) bash_ms_default: u64,
}

/// The answer to [`Setup`]: the toolbox serves, or says why it cannot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) problem: Option<String>,
}

/// One tool call, as the toolbox reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) tool: String,
    pub(crate) input: Map<String, Value>,
}

/// One tool call, as the server writes it.
#[derive(Debug, Serialize)]
pub(crate) struct RequestLine<'a> {
    pub(crate) id: u64,
    pub(crate) tool: &'a str,
    pub(crate) input: &'a Map<String, Value>,
}

/// The answer to [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) id: u64,
    pub(crate) output: ToolOutput,
}

/// Renders one line, with its end.
pub(crate) fn line<T: Serialize>(message: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Whether an output is one that the toolbox could honestly have sent.
pub(crate) fn is_plausible(output: &ToolOutput) -> bool {
    let [block] = output.content.as_slice() else { return false };
    match block {
        OutputBlock::Text(text) => text.len() <= TEXT_BYTES_MAX,
        OutputBlock::Image { media_type, base64 } => {
            let known = ["image/png", "image/jpeg", "image/gif", "image/webp"];
            known.contains(&media_type.as_str()) && is_base64(base64)
        }
        OutputBlock::Document { media_type, base64 } => media_type == "application/pdf" && is_base64(base64),
    }
}

fn is_base64(text: &str) -> bool {
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_no_tool_sends_are_implausible() {
        assert!(is_plausible(&ToolOutput::text("hello")));
        assert!(!is_plausible(&ToolOutput { content: vec![], is_error: false }));
        assert!(!is_plausible(&ToolOutput::text("x".repeat(TEXT_BYTES_MAX + 1))));
        let image = |media_type: &str, base64: &str| ToolOutput {
            content: vec![OutputBlock::Image { media_type: media_type.into(), base64: base64.into() }],
            is_error: false,
        };
        assert!(is_plausible(&image("image/png", "aGk=")));
        assert!(!is_plausible(&image("text/html", "aGk=")));
        assert!(!is_plausible(&image("image/png", "<script>")));
    }
}
