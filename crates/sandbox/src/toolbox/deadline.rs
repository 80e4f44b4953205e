//! A point in time by which something must have ended.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        let now = now();
        // A time beyond what the clock can count is no limit that anyone could wait for.
        Self(now.checked_add(time).unwrap_or(now + Duration::from_secs(u32::MAX.into())))
    }

    /// The time that is left, if any.
    pub(super) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    pub(super) fn has_passed(self) -> bool {
        self.left().is_none()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long real processes take can only be measured")]
fn now() -> Instant {
    Instant::now()
}
