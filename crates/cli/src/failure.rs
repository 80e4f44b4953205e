//! Why a command cannot go on, in words for the person who typed it.

use std::error::Error;
use std::fmt;

/// A value, or why there is none.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command cannot go on.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What was tried, followed by the error and everything that caused it.
    pub(crate) fn caused(what: impl fmt::Display, error: &dyn Error) -> Self {
        Self(format!("{what}: {}", chain(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error with its causes: errors here do not repeat what they were caused by.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
