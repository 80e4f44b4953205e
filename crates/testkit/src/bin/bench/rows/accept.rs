//! E1 and S1: how much is taken in, durably, from eight clients that wait for each answer.

use crate::daybreak::{Daybreak, NEVER_ANSWERS, events_path, messages};
use crate::floor::{BATCH, CONNECTIONS, EVENT_BYTES, HAMMER_FOR};
use crate::http::{Connection, hammer};
use crate::results::Results;

/// What an event's row holds beside the text.
const ENVELOPE_BYTES: usize = 120;

/// E1: messages to sessions that are at work, so that they wait in the log and start nothing.
pub(crate) async fn events(daybreak: &Daybreak, results: &mut Results) {
    for (events, key) in [(1, "accept"), (BATCH, "accept-batch")] {
        let words = "x".repeat(EVENT_BYTES - ENVELOPE_BYTES);
        let body = messages(&vec![words.as_str(); events]);
        let sessions = daybreak.sessions(NEVER_ANSWERS, CONNECTIONS).await;
        let mut connection = Connection::open(daybreak.url()).await;
        for session in &sessions {
            let first = connection.post(&events_path(session), &messages(&["Begin."]));
            connection.send(&first).await;
        }
        let requests = sessions.iter().map(|session| (events_path(session), body.clone())).collect();
        let (requests_per_second, latencies) = hammer(daybreak.url(), requests, HAMMER_FOR).await;
        results.add(key, requests_per_second * events as f64);
        if events == 1 {
            results.add("accept-p99", latencies.p99());
        }
    }
}

/// S1: sessions of one agent.
pub(crate) async fn sessions(daybreak: &Daybreak, results: &mut Results) {
    let request = ("/v1/sessions".to_owned(), daybreak.session_of(NEVER_ANSWERS).await);
    let (per_second, latencies) = hammer(daybreak.url(), vec![request; CONNECTIONS], HAMMER_FOR).await;
    results.add("create", per_second);
    results.add("create-p99", latencies.p99());
}
