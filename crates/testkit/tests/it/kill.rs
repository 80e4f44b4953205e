//! `kill -9` while something is under way.

use crate::audit::{check, full, spec, until_idle};
use daybreak_testkit::client::{Client, text};
use daybreak_testkit::server::{Server, Spec};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_model_request_the_request_is_closed_and_asked_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = spec(dir.path());
    let (mut server, client, session, said) = start_and_say(&spec, "slow model").await;
    until_event(&client, &session, "span.model_request_start").await;
    server.kill();

    let (_server, events) = events_after_restart(&spec, &session, said).await;
    let ends: Vec<bool> = of_type(&events, "span.model_request_end").map(|event| event["is_error"] == true).collect();
    assert_eq!(ends, [true, false], "the killed request is an error, the second one is not");
    assert_eq!(of_type(&events, "agent.message").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_tool_call_the_call_is_not_run_again_and_has_one_error_result() {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = spec(dir.path());
    let (mut server, client, session, said) = start_and_say(&spec, "slow tool").await;
    until_event(&client, &session, "agent.tool_use").await;
    let marks = spec.data_dir.join("sessions").join(&session).join("workspace/slow");
    while !marks.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();

    let (_server, events) = events_after_restart(&spec, &session, said).await;
    let results: Vec<_> = of_type(&events, "agent.tool_result").collect();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["is_error"], true);
    assert!(text(&results[0]["content"][0]["text"]).contains("interrupted"), "{}", results[0]);
    // Longer than the command would have taken: had the sandbox survived its server, it would end by now.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        std::fs::read_to_string(marks).expect("the marks"),
        "started\n",
        "started once, and dead with the server"
    );
}

async fn start_and_say(spec: &Spec, words: &str) -> (Server, Client, String, String) {
    let server = Server::start(spec).await.expect("a server");
    let client = Client::new(&server.url);
    let session = client.create_session("rehearsal/crash").await.expect("a session");
    let said = client.say(&session, words).await.expect("an answer");
    (server, client, session, said)
}

/// Starts the killed server again, waits until the session is at rest, and checks its events.
async fn events_after_restart(spec: &Spec, session: &str, said: String) -> (Server, Vec<serde_json::Value>) {
    let mut server = Server::start(spec).await.expect("a restart");
    let client = Client::new(&server.url);
    until_idle(&client, &mut server, session).await.expect("it goes on");
    let events = client.events(session).await.expect("a list");
    check(&events, &[said]);
    (server, events)
}

/// Writers that note what they were promised, and a server that dies at random moments among appends.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_nothing_acknowledged_is_lost_doubled_or_reordered() {
    const SESSIONS: usize = 4;
    let cycles = if full() { 300 } else { 12 };
    let dir = tempfile::tempdir().expect("a directory");
    let spec = spec(dir.path());
    let mut sessions: Vec<(String, Vec<String>, u32)> = Vec::new();
    let mut acknowledged = 0;
    for cycle in 0..cycles {
        let mut server = Server::start(&spec).await.expect("a restart");
        let client = Client::new(&server.url);
        while sessions.len() < SESSIONS {
            sessions.push((client.create_session("rehearsal/crash").await.expect("a session"), Vec::new(), 0));
        }
        let writers: Vec<_> =
            sessions.drain(..).map(|state| tokio::spawn(write_until_dead(client.clone(), state))).collect();
        // Moments spread over the life of a turn; a fixed sequence keeps a failure repeatable.
        tokio::time::sleep(Duration::from_millis(20 + (cycle * 37) % 280)).await;
        server.kill();
        for writer in writers {
            sessions.push(writer.await.expect("a writer"));
        }
    }
    let mut server = Server::start(&spec).await.expect("the last restart");
    let client = Client::new(&server.url);
    for (session, promised, _) in &sessions {
        until_idle(&client, &mut server, session).await.expect("it comes to rest");
        let events = client.events(session).await.expect("a list");
        check(&events, promised);
        acknowledged += promised.len();
    }
    assert!(acknowledged > SESSIONS * 2, "the suite made no progress: {acknowledged}");
    println!("random kill -9: {cycles} cycles, {acknowledged} acknowledged messages, 0 lost, 0 doubled, 0 reordered");
}

async fn write_until_dead(client: Client, state: (String, Vec<String>, u32)) -> (String, Vec<String>, u32) {
    let (session, mut promised, mut number) = state;
    loop {
        number += 1;
        let words = if number % 3 == 0 { format!("step {number}") } else { format!("hello {number}") };
        match client.say(&session, &words).await {
            Ok(id) => promised.push(id),
            Err(_unanswered) => return (session, promised, number),
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn until_event(client: &Client, session: &str, kind: &str) {
    for _ in 0..2_000 {
        let events = client.events(session).await.expect("a list");
        if of_type(&events, kind).next().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no {kind} came");
}

fn of_type<'e>(events: &'e [serde_json::Value], kind: &'e str) -> impl Iterator<Item = &'e serde_json::Value> {
    events.iter().filter(move |event| event["type"] == kind)
}
