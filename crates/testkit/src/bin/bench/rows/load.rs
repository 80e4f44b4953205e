//! T5: as many turns as sixteen sessions can do at once, and what they cost.

use crate::clock::now;
use crate::daybreak::{ANSWERS, Daybreak};
use crate::fake_model::ASK_FOR_TOOL;
use crate::results::Results;

const SESSIONS: usize = 16;
const TURNS: usize = 40;
const TOOL_TURNS: usize = 10;

pub(crate) async fn turns(daybreak: &Daybreak, results: &mut Results) {
    let (per_second, cpu_ms) = run(daybreak, "Good morning.", TURNS).await;
    results.add("turns", per_second);
    results.add("turn-cpu", cpu_ms);
    let (per_second, cpu_ms) = run(daybreak, ASK_FOR_TOOL, TOOL_TURNS).await;
    results.add("tool-turns", per_second);
    results.add("tool-turn-cpu", cpu_ms);
}

async fn run(daybreak: &Daybreak, words: &'static str, turns: usize) -> (f64, f64) {
    let conversations = daybreak.conversations(ANSWERS, SESSIONS).await;
    let cpu_before = daybreak.cpu_ms();
    let begun = now();
    let talks: Vec<_> = conversations
        .into_iter()
        .map(|mut conversation| {
            tokio::spawn(async move {
                for _ in 0..turns {
                    conversation.turn(words).await;
                }
                conversation
            })
        })
        .collect();
    let mut ended = Vec::new();
    for talk in talks {
        ended.push(talk.await.expect("a client"));
    }
    let took = begun.elapsed();
    let count = (SESSIONS * turns) as f64;
    daybreak.model.take_calls();
    (count / took.as_secs_f64(), (daybreak.cpu_ms() - cpu_before) / count)
}
