//! Files: immutable bytes, uploaded by clients or left by sessions.

use crate::error::{ApiError, Result};
use crate::id::Id;
use crate::limits::{FILE_EXPIRY_SECONDS_MAX, FILE_EXPIRY_SECONDS_MIN, FILENAME_CHARS_MAX};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A file on the wire, without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    /// Its id.
    pub id: Id,
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name, without any folder.
    pub filename: String,
    /// Its MIME type.
    pub mime_type: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether its bytes can be fetched: true for what sessions made, false for uploads.
    pub downloadable: bool,
    /// When it stops being usable.
    pub expires_at: Option<Timestamp>,
    /// The session it belongs to.
    pub scope: Option<FileScope>,
}

/// What a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FileScope {
    /// A session.
    Session {
        /// The session's id.
        id: Id,
    },
}

/// The name under which an uploaded file is kept: the last component of what was sent.
pub fn filename(sent: Option<&str>, mime_type: &str) -> Result<String> {
    let last = sent.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() {
        return Ok(format!("unnamed{}", extension(mime_type)));
    }
    let chars = last.chars().count();
    if chars > FILENAME_CHARS_MAX {
        return Err(ApiError::invalid(format!(
            "file: the name has {chars} characters, at most {FILENAME_CHARS_MAX} are allowed"
        )));
    }
    if let Some(bad) = last.chars().find(|c| matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\0'..='\u{1f}')) {
        return Err(ApiError::invalid(format!("file: the name must not contain {bad:?}")));
    }
    Ok(last.to_owned())
}

/// The MIME types that have a usual file name extension, most usual first.
const EXTENSIONS: [(&str, &str); 14] = [
    ("text/plain", ".txt"),
    ("text/plain", ".log"),
    ("text/markdown", ".md"),
    ("text/csv", ".csv"),
    ("text/html", ".html"),
    ("application/json", ".json"),
    ("application/pdf", ".pdf"),
    ("application/zip", ".zip"),
    ("image/png", ".png"),
    ("image/jpeg", ".jpg"),
    ("image/jpeg", ".jpeg"),
    ("image/gif", ".gif"),
    ("image/webp", ".webp"),
    ("image/svg+xml", ".svg"),
];

fn extension(mime_type: &str) -> &'static str {
    EXTENSIONS.iter().find(|(mime, _)| *mime == mime_type).map_or("", |(_, extension)| extension)
}

/// The MIME type of a file by its name; `application/octet-stream` when the name says nothing.
pub fn mime_type_of(filename: &str) -> &'static str {
    let lower = filename.to_ascii_lowercase();
    EXTENSIONS
        .iter()
        .find(|(_, extension)| lower.ends_with(extension))
        .map_or("application/octet-stream", |(mime, _)| mime)
}

/// Reads the form field `expires_in_seconds`.
pub fn expiry_seconds(text: &str) -> Result<i64> {
    text.trim()
        .parse::<i64>()
        .ok()
        .filter(|seconds| (FILE_EXPIRY_SECONDS_MIN..=FILE_EXPIRY_SECONDS_MAX).contains(seconds))
        .ok_or_else(|| {
            ApiError::invalid(format!(
                "expires_in_seconds: expected a number from {FILE_EXPIRY_SECONDS_MIN} to {FILE_EXPIRY_SECONDS_MAX}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders_and_bad_ones_are_refused() {
        assert_eq!(filename(Some("a/b\\c.txt"), "text/plain").unwrap(), "c.txt");
        assert_eq!(filename(None, "application/json").unwrap(), "unnamed.json");
        assert_eq!(filename(Some(""), "x/y").unwrap(), "unnamed");
        assert!(filename(Some("a:b"), "text/plain").is_err());
        assert!(filename(Some("a\u{7}b"), "text/plain").is_err());
        assert!(filename(Some(&"é".repeat(256)), "text/plain").is_err());
        assert!(filename(Some(&"é".repeat(255)), "text/plain").is_ok());
    }
}
