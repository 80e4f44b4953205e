//! T1, T2 and T3: what Daybreak adds to a turn, one at a time: on the way in, to the model, and back.

use crate::clock::Latencies;
use crate::daybreak::{ANSWERS, Daybreak};
use crate::results::Results;
use std::time::Duration;

const SESSIONS: usize = 10;
const TURNS: usize = 20;
/// Between turns: what ends one is not to be in the way of the next.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

pub(crate) async fn latencies(daybreak: &Daybreak, results: &mut Results) {
    let [mut to_stream, mut to_model, mut from_model] = <[Latencies; 3]>::default();
    for mut conversation in daybreak.conversations(ANSWERS, SESSIONS).await {
        for _ in 0..TURNS {
            daybreak.model.take_calls();
            let turn = conversation.turn("Good morning. What is there to do today?").await;
            let calls = daybreak.model.take_calls();
            let call = calls.first().expect("the model was asked");
            to_stream.add(turn.echoed - turn.sent);
            to_model.add(call.arrived - turn.sent);
            from_model.add(turn.answered - call.replied.expect("the model has replied"));
            tokio::time::sleep(PAUSE).await;
        }
    }
    for (p50, p99, latencies) in [
        ("post-to-stream-p50", "post-to-stream-p99", to_stream),
        ("post-to-model-p50", "post-to-model-p99", to_model),
        ("model-to-stream-p50", "model-to-stream-p99", from_model),
    ] {
        results.add(p50, latencies.p50());
        results.add(p99, latencies.p99());
    }
}
