//! T4: the time between two model requests when the first reply calls `bash` with `true`.

use super::turn::PAUSE;
use crate::clock::Latencies;
use crate::daybreak::{ANSWERS, Conversation, Daybreak};
use crate::fake_model::ASK_FOR_TOOL;
use crate::results::Results;
use std::time::Duration;

const SESSIONS: usize = 15;
const WARM_TURNS: usize = 4;

pub(crate) async fn gaps(daybreak: &Daybreak, results: &mut Results) {
    let [mut new, mut warm] = <[Latencies; 2]>::default();
    for mut conversation in daybreak.conversations(ANSWERS, SESSIONS).await {
        new.add(gap(daybreak, &mut conversation).await);
        for _ in 0..WARM_TURNS {
            warm.add(gap(daybreak, &mut conversation).await);
        }
    }
    results.add("tool-new-p50", new.p50());
    results.add("tool-new-p99", new.p99());
    results.add("tool-warm-p50", warm.p50());
    results.add("tool-warm-p99", warm.p99());
}

async fn gap(daybreak: &Daybreak, conversation: &mut Conversation) -> Duration {
    daybreak.model.take_calls();
    conversation.turn(ASK_FOR_TOOL).await;
    let calls = daybreak.model.take_calls();
    let [asked, answered] = calls[..] else { panic!("{} model calls in a turn with one tool call", calls.len()) };
    tokio::time::sleep(PAUSE).await;
    answered.arrived - asked.replied.expect("the model has replied")
}
