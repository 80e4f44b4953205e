//! `metadata`: up to 16 pairs of strings that a client keeps with an object.

use crate::error::{ApiError, Result};
use crate::limits::{METADATA_KEY_CHARS_MAX, METADATA_PAIRS_MAX, METADATA_VALUE_CHARS_MAX};
use crate::patch::Patch;
use std::collections::BTreeMap;

/// The pairs, as stored and served.
pub type Metadata = BTreeMap<String, String>;

/// An update of metadata: a string sets a key, `null` deletes it.
pub type MetadataPatch = BTreeMap<String, Option<String>>;

/// Checks the limits; the error names every problem.
pub fn validate(metadata: &Metadata) -> Result<()> {
    let mut problems = Vec::new();
    if metadata.len() > METADATA_PAIRS_MAX {
        problems.push(format!("{} pairs, at most {METADATA_PAIRS_MAX} are allowed", metadata.len()));
    }
    for (key, value) in metadata {
        if key.is_empty() || key.chars().count() > METADATA_KEY_CHARS_MAX {
            problems.push(format!("key `{}` must have 1 to {METADATA_KEY_CHARS_MAX} characters", shorten(key)));
        }
        if value.chars().count() > METADATA_VALUE_CHARS_MAX {
            problems
                .push(format!("the value of `{}` has more than {METADATA_VALUE_CHARS_MAX} characters", shorten(key)));
        }
    }
    if metadata.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
        problems.push("keys and values must not contain the character U+0000".to_owned());
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!("metadata: {}", problems.join("; "))))
}

/// Applies an update and checks the result.
pub fn patch(metadata: &mut Metadata, update: Patch<MetadataPatch>) -> Result<()> {
    match update {
        Patch::Keep => {}
        Patch::Clear => metadata.clear(),
        Patch::Set(pairs) => {
            for (key, value) in pairs {
                match value {
                    Some(value) => metadata.insert(key, value),
                    None => metadata.remove(&key),
                };
            }
        }
    }
    validate(metadata)
}

fn shorten(text: &str) -> String {
    text.chars().take(METADATA_KEY_CHARS_MAX).collect()
}
