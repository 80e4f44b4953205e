//! What is known about models without configuration.
//!
//! Only limits and names: they decide how much may be asked for and when a conversation must be compacted.
//! Prices are the operator's to configure, since list prices change and differ by contract.

use crate::ModelEntry;

/// What is asked for when nothing is known about a model, in tokens. Every current model can write that much.
pub(super) const OUTPUT_TOKENS_DEFAULT: u32 = 32_000;

/// One known model.
pub(super) struct Known {
    pub(super) id: &'static str,
    name: &'static str,
    line: &'static str,
    released: (i64, i64, i64),
    pub(super) context_window: u64,
    pub(super) max_output_tokens: u32,
}

const fn known(
    id: &'static str,
    name: &'static str,
    line: &'static str,
    released: (i64, i64, i64),
    limits: (u64, u32),
) -> Known {
    Known { id, name, line, released, context_window: limits.0, max_output_tokens: limits.1 }
}

/// A day that we do not know.
const UNKNOWN: (i64, i64, i64) = (1970, 1, 1);
const LARGE: (u64, u32) = (1_000_000, 128_000);
const SMALL: (u64, u32) = (200_000, 64_000);

/// Models of Anthropic, newest first. A `claude-…` id that is not here is sent to Anthropic all the same.
pub(super) const ANTHROPIC: [Known; 14] = [
    known("claude-haiku-5-5", "Claude Haiku 5.5", "haiku", (2026, 10, 7), LARGE),
    known("claude-sonnet-5-5", "Claude Sonnet 5.5", "sonnet", (2026, 9, 28), LARGE),
    known("claude-opus-5-5", "Claude Opus 5.5", "opus", (2026, 9, 22), LARGE),
    known("claude-fable-5-1", "Claude Fable 5.1", "fable", UNKNOWN, LARGE),
    known("claude-opus-5", "Claude Opus 5", "opus", (2026, 7, 24), LARGE),
    known("claude-sonnet-5", "Claude Sonnet 5", "sonnet", UNKNOWN, LARGE),
    known("claude-fable-5", "Claude Fable 5", "fable", (2026, 6, 9), LARGE),
    known("claude-opus-4-8", "Claude Opus 4.8", "opus", UNKNOWN, LARGE),
    known("claude-opus-4-7", "Claude Opus 4.7", "opus", UNKNOWN, LARGE),
    known("claude-opus-4-6", "Claude Opus 4.6", "opus", (2026, 2, 5), LARGE),
    known("claude-sonnet-4-6", "Claude Sonnet 4.6", "sonnet", UNKNOWN, (1_000_000, 64_000)),
    known("claude-opus-4-5", "Claude Opus 4.5", "opus", (2025, 11, 24), SMALL),
    known("claude-haiku-4-5", "Claude Haiku 4.5", "haiku", UNKNOWN, SMALL),
    known("claude-sonnet-4-5", "Claude Sonnet 4.5", "sonnet", (2025, 9, 29), SMALL),
];

/// What is known about a model of Anthropic; a date at the end of its id does not matter.
pub(super) fn anthropic(id: &str) -> Option<&'static Known> {
    let dated = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()))
    };
    ANTHROPIC.iter().find(|known| id.strip_prefix(known.id).is_some_and(|rest| rest.is_empty() || dated(rest)))
}

impl Known {
    /// As listed.
    pub(super) fn entry(&self) -> ModelEntry {
        ModelEntry {
            id: self.id.to_owned(),
            display_name: self.name.to_owned(),
            created_at_us: midnight_us(self.released),
            line: Some(self.line),
            max_input_tokens: Some(self.context_window),
            max_tokens: Some(self.max_output_tokens),
        }
    }
}

/// The first moment of a day of the Gregorian calendar, in microseconds since the epoch. For years from 1970.
///
/// Counts the days of a year that begins in March, so that the leap day is its last.
fn midnight_us((year, month, day): (i64, i64, i64)) -> i64 {
    const DAYS_TO_EPOCH: i64 = 719_468;
    const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    (days - DAYS_TO_EPOCH) * DAY_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_rightly() {
        assert_eq!(midnight_us(UNKNOWN), 0);
        assert_eq!(midnight_us((2000, 2, 29)), 951_782_400_000_000);
        assert_eq!(midnight_us((2026, 10, 7)), 1_791_331_200_000_000);
    }

    #[test]
    fn a_dated_id_is_the_same_model_and_a_longer_name_is_not() {
        assert_eq!(anthropic("claude-haiku-4-5-20251001").map(|known| known.id), Some("claude-haiku-4-5"));
        assert_eq!(anthropic("claude-opus-5-5").map(|known| known.id), Some("claude-opus-5-5"));
        assert_eq!(anthropic("claude-opus-5-9").map(|known| known.id), None);
    }
}
