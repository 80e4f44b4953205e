//! Why a configuration cannot be used, with the line where one can be named.

use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    file: Option<PathBuf>,
    line: Option<usize>,
    /// The table and key that are to blame, for a value that reads well and makes no sense.
    key: Option<String>,
    message: String,
}

impl std::error::Error for ConfigProblem {}

impl std::fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => write!(f, "configuration")?,
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl ConfigProblem {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self { file: Some(path.to_owned()), line: None, key: None, message: format!("cannot be read: {error}") }
    }

    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        Self { file: None, line, key: None, message: without_strings(error.message()) }
    }

    pub(super) fn of_value(key: &str, message: String) -> Self {
        Self { file: None, line: None, key: Some(key.to_owned()), message }
    }

    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// Finds the line that sets the key to blame.
    pub(super) fn at_key_of(mut self, text: &str) -> Self {
        self.line = self.key.as_deref().and_then(|key| line_of_key(text, key));
        self
    }
}

/// Refuses a number outside `min..=max`.
pub(super) fn check_range(key: &str, value: u64, min: u64, max: u64) -> Result<(), ConfigProblem> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigProblem::of_value(key, format!("{value} is out of range; {min} to {max} are allowed")))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The line of `key = …` below `[table]`, for a key written `table.key`. Good enough for a message.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let (table, key) = key.rsplit_once('.').unwrap_or(("", key));
    let mut current = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            current = header.trim_end_matches(']').trim();
        }
        let named = line.split('=').next().is_some_and(|name| name.trim() == key);
        if named && current == table {
            return Some(index + 1);
        }
    }
    None
}

/// Takes the value out of `invalid type: string "…"`: it may be a key that stands in the wrong place.
fn without_strings(message: &str) -> String {
    let first_line = message.lines().next().unwrap_or_default();
    match (first_line.find("string \""), first_line.rfind("\",")) {
        (Some(from), Some(to)) if from < to => format!("{}a string{}", &first_line[..from], &first_line[to + 1..]),
        _ => first_line.to_owned(),
    }
}
