//! What a tool says when it refuses.

use std::io;

/// A tool's refusal, in the words that the model reads.
#[derive(Debug)]
pub(super) struct ToolError(String);

impl ToolError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failed operation on a path, named as the model gave it.
    pub(super) fn file(tool: &str, path: &str, error: &io::Error) -> Self {
        Self(format!("{tool}: {path}: {}", reason(error)))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// One phrase per kind of failure, the same on every host.
pub(super) fn reason(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory",
        Some(libc::ENOTDIR) => "not a directory",
        Some(libc::EISDIR) => "is a directory",
        Some(libc::EACCES | libc::EPERM) => "permission denied",
        Some(libc::EEXIST) => "file already exists",
        Some(libc::ELOOP) => "too many levels of symbolic links",
        Some(libc::EROFS) => "read-only file system",
        Some(libc::ENOSPC) => "no space left on device",
        Some(libc::EFBIG) => "file too large",
        Some(libc::ENAMETOOLONG) => "file name too long",
        Some(libc::EDQUOT) => "disk quota exceeded",
        _ => "i/o error",
    }
}
