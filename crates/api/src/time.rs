//! Time on the wire and in the log: microseconds since the epoch, UTC, written as RFC 3339.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A point in time, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The last moment that can be written, 9999-12-30T22:00:00Z: jiff reads fractions of its last second, but makes none
/// of them from microseconds.
const LAST_MICROS: i64 = 253_402_207_200_000_000;

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this, never negative.
    #[expect(clippy::cast_precision_loss, reason = "an interval in microseconds fits a double for 285 years")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).max(0) as f64 / 1e6
    }

    /// Reads RFC 3339 with any offset. The last hours of the year 9999 become the last moment that can be written.
    pub fn parse(text: &str) -> Option<Self> {
        let stamp = text.parse().ok().or_else(|| is_beyond(text).then_some(jiff::Timestamp::MAX))?;
        Some(Self(stamp.as_microsecond().min(LAST_MICROS)))
    }
}

/// Whether the text is a good time, but too late for jiff, which ends early enough for every offset. Clients write
/// the end of the year 9999 for "no end".
fn is_beyond(text: &str) -> bool {
    jiff::fmt::temporal::Pieces::parse(text)
        .is_ok_and(|pieces| pieces.date().year() == 9999 && pieces.time().is_some() && pieces.offset().is_some())
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{stamp:.6}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected a time in RFC 3339, such as 2026-04-03T18:24:10Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_wire() {
        let time = Timestamp::from_micros(1_775_240_650_412_001);
        assert_eq!(time.to_string(), "2026-04-03T18:24:10.412001Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(Timestamp::parse("2026-04-03T20:24:10.412001+02:00"), Some(time));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn the_end_of_the_year_9999_is_the_last_moment_there_is() {
        let last = Timestamp(LAST_MICROS);
        assert_eq!(last.to_string(), "9999-12-30T22:00:00.000000Z");
        assert_eq!(Timestamp(LAST_MICROS + 1).to_string(), "1970-01-01T00:00:00.000000Z", "it is the last");
        for text in [
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59+00:00",
            "9999-12-31T23:59:59-12:00",
            "9999-12-30T22:00:01Z",
            "9999-12-30T22:00:00.5Z",
        ] {
            assert_eq!(Timestamp::parse(text), Some(last), "{text}");
        }
        assert_eq!(Timestamp::parse(&last.to_string()), Some(last));
        assert!(Timestamp::parse("9999-12-30T21:59:59Z").unwrap() < last);
        for bad in [
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-13-31T23:59:59Z",
            "9999-12-32T00:00:00Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
