//! R2: what the program costs while it does nothing.

use crate::daybreak::Daybreak;
use crate::results::Results;
use std::path::Path;
use std::time::Duration;

/// Until the self-test of the sandbox is over, and the server is really idle.
const SETTLE: Duration = Duration::from_millis(1_500);

pub(crate) async fn idle(daybreak: &Daybreak, program: &Path, start_ms: f64, results: &mut Results) {
    tokio::time::sleep(SETTLE).await;
    results.add("start", start_ms);
    results.add("idle-rss", daybreak.rss_mib());
    let bytes = std::fs::metadata(program).expect("the program").len();
    results.add("binary", bytes as f64 / (1_024.0 * 1_024.0));
}
