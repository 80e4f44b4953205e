//! Sessions and what is mounted in them, as far as the server alone decides.

use crate::test_server::{TestServer, id, message, request};
use axum::http::Method;
use serde_json::json;

const INVALID: &str = "invalid_request_error";
const NOT_FOUND: &str = "not_found_error";

#[tokio::test]
async fn a_session_needs_an_agent_and_an_environment_that_are_there() {
    let server = TestServer::start().await;
    let (agent, environment) = (server.agent().await, server.environment().await);
    let create = async |agent: serde_json::Value, environment: &str| {
        server.post("/v1/sessions", json!({"agent": agent, "environment_id": environment})).await
    };
    create(json!("agent_1"), &environment).await.refused(404, NOT_FOUND);
    create(json!({"type": "agent", "id": agent, "version": 2}), &environment).await.refused(404, NOT_FOUND);
    create(json!(agent), "env_1").await.refused(404, NOT_FOUND);
    let session = create(json!({"type": "agent", "id": agent, "version": 1}), &environment).await.ok();
    assert_eq!((&session["status"], &session["agent"]["version"]), (&json!("idle"), &json!(1)));
    server.make(&format!("/v1/agents/{agent}/archive"), json!({})).await;
    create(json!(agent), &environment).await.refused(400, INVALID);
}

#[tokio::test]
async fn a_session_ends_for_good() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let path = format!("/v1/sessions/{session}");
    assert_eq!(server.make(&path, json!({"title": "t"})).await["title"], "t");
    // The SDKs send a content type with every POST, and no body.
    let archived = server.send(request(Method::POST, &format!("{path}/archive"), axum::body::Body::empty())).await.ok();
    assert_eq!(archived["status"], "terminated");
    assert_eq!(server.make(&format!("{path}/archive"), json!({})).await, archived);
    server.post(&format!("{path}/events"), message("hi")).await.refused(409, "conflict_error");
    assert_eq!(server.delete(&path).await.ok(), json!({"id": session, "type": "session_deleted"}));
    server.get(&path).await.refused(404, NOT_FOUND);
    server.delete(&path).await.refused(404, NOT_FOUND);
}

#[tokio::test]
async fn an_interrupt_may_name_the_primary_thread_only() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let path = format!("/v1/sessions/{session}/events");
    let thread = server.get(&format!("/v1/sessions/{session}/threads")).await.ok();
    let interrupt = |thread: &str| json!({"events": [{"type": "user.interrupt", "session_thread_id": thread}]});
    server.post(&path, interrupt("sthr_1")).await.refused(404, NOT_FOUND);
    server.post(&path, interrupt("nonsense")).await.refused(404, NOT_FOUND);
    server.make(&path, interrupt(&id(&thread["data"][0]))).await;
    let file = json!({"type": "document", "source": {"type": "file", "file_id": "nonsense"}});
    let sent = json!({"events": [{"type": "user.message", "content": [file]}]});
    server.post(&path, sent).await.refused(404, NOT_FOUND);
}

#[tokio::test]
async fn files_are_mounted_as_copies() {
    let server = TestServer::start().await;
    let (session, file) = (server.session().await, crate::files::upload(&server, "data.csv", b"a,b\n").await);
    let path = format!("/v1/sessions/{session}/resources");
    let added = server.make(&path, json!({"type": "file", "file_id": file, "mount_path": "in/data.csv"})).await;
    assert_eq!(added["mount_path"], "/mnt/session/uploads/in/data.csv");
    assert_ne!(added["file_id"], json!(file));
    server.post(&path, json!({"type": "file", "file_id": "file_1"})).await.refused(404, NOT_FOUND);
    let again = json!({"type": "file", "file_id": file, "mount_path": "in/data.csv"});
    server.post(&path, again).await.refused(400, INVALID);
    server.post(&path, json!({"type": "memory_store", "memory_store_id": "memstore_1"})).await.refused(400, INVALID);

    let own = format!("{path}/{}", id(&added));
    assert_eq!(server.get(&own).await.ok(), added);
    assert_eq!(server.get(&path).await.ok(), json!({"data": [added], "next_page": null}));
    server.post(&own, json!({"authorization_token": "t"})).await.refused(400, INVALID);
    let scoped = server.get(&format!("/v1/files?scope_id={session}")).await.ok();
    assert_eq!(scoped["data"][0]["id"], added["file_id"]);
    let deleted = server.delete(&own).await.ok();
    assert_eq!(deleted, json!({"id": added["id"], "type": "session_resource_deleted"}));
    server.get(&own).await.refused(404, NOT_FOUND);
    assert_eq!(server.get(&format!("/v1/files/{file}")).await.ok()["filename"], "data.csv");
}
