//! `[engine]`: how much work is done at once, and when a turn gives up.

use super::problem::{ConfigProblem, check_range};
use serde::Deserialize;

/// `[engine]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Times that one model request is tried. 6.
    pub model_attempts_max: u32,
    /// Wait after the first failure, in milliseconds. It doubles with each further one. 500.
    pub backoff_ms_min: u64,
    /// Longest wait after a failure, in milliseconds, a provider's own wish included. 60,000.
    pub backoff_ms_max: u64,
    /// Model requests of one turn that are answered with tool calls. 200.
    pub tool_rounds_max: u32,
    /// Sessions that work at the same time; further ones wait. 512.
    pub sessions_running_max: u32,
    /// Sandboxes of idle sessions that are kept for their next turn. 32.
    pub warm_sandboxes_max: u32,
    /// How long the sandbox of an idle session is kept, in seconds. 600.
    pub warm_sandbox_idle_s: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            model_attempts_max: 6,
            backoff_ms_min: 500,
            backoff_ms_max: 60_000,
            tool_rounds_max: 200,
            sessions_running_max: 512,
            warm_sandboxes_max: 32,
            warm_sandbox_idle_s: 600,
        }
    }
}

const HOUR_MS: u64 = 3_600_000;
const DAY_S: u64 = 86_400;

impl EngineConfig {
    pub(super) fn check(&self) -> Result<(), ConfigProblem> {
        check_range("engine.model_attempts_max", self.model_attempts_max.into(), 1, 100)?;
        check_range("engine.backoff_ms_max", self.backoff_ms_max, 1, HOUR_MS)?;
        check_range("engine.backoff_ms_min", self.backoff_ms_min, 1, self.backoff_ms_max)?;
        check_range("engine.tool_rounds_max", self.tool_rounds_max.into(), 1, 100_000)?;
        check_range("engine.sessions_running_max", self.sessions_running_max.into(), 1, 100_000)?;
        check_range("engine.warm_sandboxes_max", self.warm_sandboxes_max.into(), 0, 100_000)?;
        check_range("engine.warm_sandbox_idle_s", self.warm_sandbox_idle_s, 0, DAY_S)
    }
}
