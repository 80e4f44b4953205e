//! Durations and what is said about many of them.

use std::time::{Duration, Instant};

/// The time, for durations only.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures durations")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Durations of one thing done many times, in milliseconds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    /// Adds a duration.
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(millis(duration));
    }

    /// Adds the durations of another.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Half of them were shorter.
    pub(crate) fn p50(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// One in a hundred was longer.
    pub(crate) fn p99(&self) -> f64 {
        quantile(&self.0, 0.99)
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
