//! What users see happen.

use crate::stage::{Line, Stage};
use daybreak_api::content::{ContentBlock, Source};
use daybreak_api::event::EventBody;
use daybreak_store::page::{Cut, Order};
use serde_json::{Value, json};

fn bash(command: &str) -> (&'static str, Value) {
    ("bash", json!({ "command": command }))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tool_calls_of_one_reply_run_in_order_and_the_model_sees_their_results() {
    let calls = vec![bash("one"), bash("two"), bash("three")];
    let stage = Stage::set([Line::Calls(calls), Line::Says("done")]).await;
    stage.say("go").await;
    stage.until_idle().await;
    assert_eq!(*stage.sandboxes.ran.lock().unwrap(), ["one", "two", "three"]);
    assert_eq!(stage.results_seen(), ["ran one", "ran two", "ran three"]);
    assert_eq!(*stage.sandboxes.opened.lock().unwrap(), 1);
    let kinds = stage.kinds().await;
    assert_eq!(kinds.last().unwrap(), "session.status_idle");
    assert_eq!(kinds.iter().filter(|kind| *kind == "session.status_running").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_is_a_file_before_anyone_is_told_that_the_session_is_idle() {
    let stage = Stage::set([Line::Calls(vec![bash("write report.md")]), Line::Says("done")]).await;
    stage.say("go").await;
    stage.until_idle().await;
    assert_eq!(stage.outputs().await, ["report.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_of_a_turn_that_a_restart_cut_in_two_is_not_forgotten() {
    let mut stage = Stage::set([Line::Calls(vec![bash("write report.md")]), Line::Hangs, Line::Says("done")]).await;
    stage.say("go").await;
    stage.until("the second request", async || stage.model.requests.lock().unwrap().len() == 2).await;
    stage.restart().await;
    stage.until_idle().await;
    assert_eq!(stage.outputs().await, ["report.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_of_an_interrupted_turn_is_a_file_soon_after() {
    let stage = Stage::set([Line::Calls(vec![bash("write report.md")]), Line::Hangs]).await;
    stage.say("go").await;
    stage.until("the second request", async || stage.model.requests.lock().unwrap().len() == 2).await;
    stage.interrupt().await;
    stage.until_idle().await;
    stage.until("the output is a file", async || stage.outputs().await == ["report.md"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_its_client_deleted_comes_back_only_when_it_changes() {
    let lines = ["write a.txt", "look", "write a.txt", "write a.txt  "]
        .map(|command| [Line::Calls(vec![bash(command)]), Line::Says("done")]);
    let mut stage = Stage::set(lines.into_iter().flatten()).await;
    stage.say("go").await;
    stage.until_idle().await;
    let cut = Cut { order: Order::Desc, cursor: None, limit: 10 };
    let files = stage.engine.store().files(stage.ws, Some(&stage.session.id), cut).await.unwrap().rows;
    stage.engine.store().delete_file(stage.ws, files[0].file.id.clone()).await.unwrap();
    stage.restart().await;
    for (left, why) in [(0, "untouched"), (0, "written again, the same"), (1, "changed")] {
        stage.say("go").await;
        stage.until_idle().await;
        assert_eq!(stage.outputs().await.len(), left, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_model_call_that_hangs_and_the_session_stays_usable() {
    let stage = Stage::set([Line::Hangs, Line::Says("again")]).await;
    stage.say("go").await;
    stage.until("asked", async || !stage.model.requests.lock().unwrap().is_empty()).await;
    stage.interrupt().await;
    stage.until_idle().await;
    assert_eq!(stage.of_type("session.status_idle").await[0]["stop_reason"]["type"], "end_turn");
    assert_eq!(stage.of_type("span.model_request_end").await.len(), 1);
    stage.say("more").await;
    stage.until_idle().await;
    assert_eq!(stage.of_type("agent.message").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_tool_that_hangs_and_closes_every_open_call() {
    let stage = Stage::set([Line::Calls(vec![bash("hang"), bash("never")]), Line::Says("again")]).await;
    stage.say("go").await;
    stage.until("it runs", async || !stage.sandboxes.ran.lock().unwrap().is_empty()).await;
    stage.interrupt().await;
    stage.until_idle().await;
    let results = stage.of_type("agent.tool_result").await;
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|result| result["is_error"] == true));
    assert_eq!(*stage.sandboxes.ran.lock().unwrap(), ["hang"], "what had not begun never begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_off_or_unknown_is_denied_and_never_runs() {
    let calls =
        vec![("write", json!({"file_path": "x", "content": "y"})), ("rm_rf", json!({})), ("bash", json!("text"))];
    let stage = Stage::set([Line::Calls(calls), Line::Says("sorry")]).await;
    stage.say("go").await;
    stage.until_idle().await;
    let uses = stage.of_type("agent.tool_use").await;
    let permissions: Vec<_> = uses.iter().map(|used| used["evaluated_permission"].as_str().unwrap()).collect();
    assert_eq!(permissions, ["deny", "deny", "allow"]);
    assert!(uses[0].get("evaluation").is_none(), "refused before any policy");
    assert!(stage.of_type("agent.tool_result").await.iter().all(|result| result["is_error"] == true));
    assert!(stage.sandboxes.ran.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_asked_again_and_a_dead_turn_leaves_a_usable_session() {
    let fails = |retryable| Line::Fails { retryable };
    let stage = Stage::set([fails(true), fails(true), Line::Says("hello"), fails(false), Line::Says("back")]).await;
    stage.say("go").await;
    stage.until_idle().await;
    assert_eq!(stage.of_type("session.status_rescheduled").await.len(), 2);
    assert_eq!(stage.of_type("session.status_idle").await[0]["stop_reason"]["type"], "end_turn");
    stage.say("go").await;
    stage.until_idle().await;
    let idle = stage.of_type("session.status_idle").await;
    assert_eq!(idle[1]["stop_reason"]["type"], "retries_exhausted");
    stage.say("go").await;
    stage.until_idle().await;
    assert_eq!(stage.of_type("agent.message").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_the_agent_works_is_taken_at_the_end_of_the_turn() {
    let stage = Stage::set([Line::Calls(vec![bash("one")]), Line::Says("first"), Line::Says("second")]).await;
    stage.say("go").await;
    stage.say("and this").await;
    stage.until_idle().await;
    let messages = stage.of_type("user.message").await;
    assert!(messages.iter().all(|message| !message["processed_at"].is_null()));
    assert_eq!(messages.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_running_when_the_engine_stopped_goes_on_and_the_shell_is_said_to_be_new() {
    let lines = [Line::Calls(vec![bash("one")]), Line::Hangs, Line::Calls(vec![bash("two")]), Line::Says("done")];
    let mut stage = Stage::set(lines).await;
    stage.say("go").await;
    stage.until("the second request", async || stage.model.requests.lock().unwrap().len() == 2).await;
    stage.restart().await;
    stage.until_idle().await;
    let ends: Vec<Value> = stage.of_type("span.model_request_end").await;
    assert!(ends.iter().any(|end| end["is_error"] == true), "the request that was cut short");
    let seen = stage.results_seen();
    assert_eq!(seen[0], "ran one");
    assert!(seen[1].contains("shell was restarted") && seen[1].ends_with("ran two"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_sandbox_serves_the_next_turn() {
    let lines = [Line::Calls(vec![bash("one")]), Line::Says("a"), Line::Calls(vec![bash("two")]), Line::Says("b")];
    let stage = Stage::set(lines).await;
    for _ in 0..2 {
        stage.say("go").await;
        stage.until_idle().await;
    }
    assert_eq!(*stage.sandboxes.opened.lock().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_message_reaches_the_model_as_bytes_and_an_unusable_one_as_words() {
    let stage = Stage::set([Line::Says("seen")]).await;
    let file = |file_id: String| Source::File { file_id };
    let text = file(stage.upload("text/csv", b"a,b").await);
    let binary = file(stage.upload("application/zip", &[0xff, 0xfe]).await);
    let picture = file(stage.upload("image/png", &[1, 2, 3]).await);
    let no_picture = file(stage.upload("image/svg+xml", b"<svg/>").await);
    let document = |source| ContentBlock::Document { source, title: None, context: None };
    let content = vec![
        document(text),
        document(binary),
        document(file("file_gone".to_owned())),
        ContentBlock::Image { source: picture },
        ContentBlock::Image { source: no_picture },
    ];
    stage.send(EventBody::UserMessage { content }).await;
    stage.until_idle().await;
    let requests = stage.model.requests.lock().unwrap();
    let seen: Vec<String> = requests[0].messages[0].content.iter().map(|block| format!("{block:?}")).collect();
    for (block, part) in seen.iter().zip(["a,b", "neither a PDF nor text", "has been deleted", "AQID", "no image"]) {
        assert!(block.contains(part), "{block} does not hold {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_tool_calls_end_the_turn_with_an_error_that_says_so() {
    let stage = Stage::set(std::iter::repeat_n(Line::Calls(vec![bash("again")]), 20)).await;
    stage.say("go").await;
    stage.until_idle().await;
    assert_eq!(stage.of_type("session.error").await[0]["error"]["type"], "tool_use_limit_reached_error");
    assert_eq!(stage.sandboxes.ran.lock().unwrap().len(), 4);
}
