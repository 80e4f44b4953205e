//! What must hold of a session's events, whatever happened to the server.

use daybreak_testkit::client::{Client, Unanswered, text};
use daybreak_testkit::server::{Server, Spec};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program under test: `daybreak` with a fuse.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_daybreak-crash");

pub(crate) fn spec(dir: &Path) -> Spec {
    let data_dir = dir.join("data");
    std::fs::create_dir_all(&data_dir).expect("a data directory");
    let scenarios = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Spec { program: PROGRAM.into(), data_dir, scenarios: Some(scenarios), env: Vec::new() }
}

/// Whether the long form of the suites was asked for.
#[expect(clippy::disallowed_methods, reason = "a test takes its size from the environment")]
pub(crate) fn full() -> bool {
    std::env::var("DAYBREAK_TORTURE").is_ok_and(|value| value == "full")
}

/// Waits until the session is idle.
pub(crate) async fn until_idle(client: &Client, server: &mut Server, session: &str) -> Result<(), Unanswered> {
    for _ in 0..1_500 {
        if server.has_died() {
            return Err(Unanswered);
        }
        if client.status(session).await? == "idle" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let events = client.events(session).await?;
    panic!("session {session} is stuck; its last events: {:#?}", events.iter().rev().take(5).collect::<Vec<_>>());
}

/// Checks everything that holds for a session at rest. `said` are the messages that the server acknowledged.
pub(crate) fn check(events: &[Value], said: &[String]) {
    let mut ids = BTreeSet::new();
    let mut open: BTreeMap<String, u32> = BTreeMap::new();
    for event in events {
        let id = text(&event["id"]);
        assert!(ids.insert(id.clone()), "listed twice: {event}");
        assert!(!event["processed_at"].is_null(), "never processed: {event}");
        match event["type"].as_str().unwrap_or_default() {
            "agent.tool_use" | "span.model_request_start" => {
                open.insert(id, 0);
            }
            "agent.tool_result" => *open.get_mut(&text(&event["tool_use_id"])).expect("a result follows its call") += 1,
            "span.model_request_end" => {
                *open.get_mut(&text(&event["model_request_start_id"])).expect("an end follows its start") += 1;
            }
            _ => {}
        }
    }
    for (id, ends) in open {
        assert_eq!(ends, 1, "{id} has {ends} ends");
    }
    let order: Vec<_> = events.iter().map(|event| text(&event["id"])).filter(|id| said.contains(id)).collect();
    assert_eq!(order, said, "acknowledged messages are all there, once, in order");
    let last = events.last().map(|event| text(&event["type"]));
    assert_eq!(last.as_deref(), Some("session.status_idle"));
}

/// How often each line of the `steps` output stands in it.
pub(crate) async fn steps_left(client: &Client, session: &str) -> Result<BTreeMap<String, u32>, Unanswered> {
    let files = client.get(&format!("/v1/files?scope_id={session}&limit=100")).await?;
    let files: Vec<Value> = files["data"].as_array().cloned().unwrap_or_default();
    assert!(files.len() <= 1, "one path, one file: {files:?}");
    let mut steps = BTreeMap::new();
    for file in files {
        let bytes = client.download(&text(&file["id"])).await?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            *steps.entry(line.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(steps)
}

/// The audit must be able to fail: each of these logs is broken in one way.
#[test]
fn the_audit_of_the_kill_suites_finds_what_is_broken() {
    let event = |id: &str, kind: &str, extra: Value| {
        let mut event = serde_json::json!({"id": id, "type": kind, "processed_at": "2026-01-01T00:00:00Z"});
        if let (Some(event), Some(extra)) = (event.as_object_mut(), extra.as_object()) {
            event.extend(extra.clone());
        }
        event
    };
    let none = || serde_json::json!({});
    let call = || event("call", "agent.tool_use", none());
    let result = |id: &str| event(id, "agent.tool_result", serde_json::json!({"tool_use_id": "call"}));
    let idle = || event("idle", "session.status_idle", none());
    let message = |id: &str| event(id, "user.message", none());
    let queued = event("m", "user.message", serde_json::json!({"processed_at": null}));
    let said = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    check(&[message("m"), call(), result("r"), idle()], &said(&["m"]));
    let broken: [(&str, Vec<Value>, &[&str]); 7] = [
        ("a call without a result", vec![call(), idle()], &[]),
        ("a call with two results", vec![call(), result("r"), result("s"), idle()], &[]),
        ("an event listed twice", vec![message("m"), message("m"), idle()], &["m"]),
        ("a message lost", vec![idle()], &["m"]),
        ("messages in another order", vec![message("n"), message("m"), idle()], &["m", "n"]),
        ("a message never processed", vec![queued, idle()], &["m"]),
        ("a session that is not idle", vec![message("m")], &["m"]),
    ];
    for (what, events, said_ids) in broken {
        let found = std::panic::catch_unwind(|| check(&events, &said(said_ids)));
        assert!(found.is_err(), "the audit overlooks {what}");
    }
}
