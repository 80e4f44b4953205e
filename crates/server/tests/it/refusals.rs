//! Every refusal has the contract's envelope, and the first thing that is wrong is the one that is told.

use crate::test_server::{BETA, KEY, MODEL, TestServer, request};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use futures_util::stream;
use serde_json::json;
use std::convert::Infallible;

const INVALID: &str = "invalid_request_error";
const NOT_FOUND: &str = "not_found_error";

fn bare(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let builder = Request::builder().uri(path);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_key_is_needed_and_x_api_key_wins() {
    let server = TestServer::start().await;
    let bearer = format!("Bearer {KEY}");
    let try_with = async |headers: &[(&str, &str)]| server.send(bare("/v1/models", headers)).await;
    for headers in [
        [].as_slice(),
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer ")],
        &[("authorization", KEY)],
        &[("x-api-key", "wrong"), ("authorization", &bearer)],
    ] {
        let reply = try_with(headers).await;
        reply.refused(401, "authentication_error");
        assert_eq!(reply.header("anthropic-workspace-id"), "");
    }
    for headers in [
        [("authorization", bearer.as_str())].as_slice(),
        &[("authorization", &format!("bearer {KEY}"))],
        &[("x-api-key", KEY)],
        &[("x-api-key", KEY), ("authorization", "Bearer wrong")],
    ] {
        try_with(headers).await.ok();
    }
}

#[tokio::test]
async fn a_key_opens_its_own_workspace_only() {
    let server = TestServer::start().await;
    let own = server.get("/v1/models").await.header("anthropic-workspace-id").to_owned();
    server.send(bare("/v1/models", &[("x-api-key", KEY), ("anthropic-workspace-id", &own)])).await.ok();
    let other = server.send(bare("/v1/models", &[("x-api-key", KEY), ("anthropic-workspace-id", "wrkspc_1")])).await;
    other.refused(403, "permission_error");
}

#[tokio::test]
async fn keys_come_before_betas_and_betas_before_the_rest() {
    let server = TestServer::start().await;
    let key = ("x-api-key", KEY);
    let agents = async |headers: &[(&str, &str)]| server.send(bare("/v1/agents?limit=0", headers)).await;
    agents(&[("anthropic-beta", "nonsense")]).await.refused(401, "authentication_error");
    let told = agents(&[key, ("anthropic-beta", "nonsense-1"), ("anthropic-beta", BETA)]).await.refused(400, INVALID);
    assert!(told.starts_with("Unexpected value(s) `nonsense-1` for the `anthropic-beta` header"), "{told}");
    assert!(agents(&[key]).await.refused(404, NOT_FOUND).contains(BETA));
    agents(&[key, ("anthropic-beta", "skills-2025-10-02")]).await.refused(404, NOT_FOUND);
    for betas in [BETA.to_owned(), format!("skills-2025-10-02, {BETA},")] {
        assert!(agents(&[key, ("anthropic-beta", &betas)]).await.refused(400, INVALID).contains("limit"));
    }
    let repeated = [key, ("anthropic-beta", "skills-2025-10-02"), ("anthropic-beta", BETA)];
    assert!(agents(&repeated).await.refused(400, INVALID).contains("limit"));
    server.send(bare("/v1/files", &[key])).await.ok();
    server.send(bare("/v1/files", &[key, ("anthropic-beta", "nonsense")])).await.refused(400, INVALID);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_envelope_too() {
    let server = TestServer::start().await;
    for path in ["/v1/nonsense", "/nonsense", "/v1/", "/v1", "/v1/agents/", "/v1/sessions/x/y/z", "/v1/models/nonsense"]
    {
        server.get(path).await.refused(404, NOT_FOUND);
    }
    for path in [
        "/v1/agents/nonsense",
        "/v1/agents/agent_1",
        "/v1/agents/sesn_1",
        "/v1/agents/%ff",
        "/v1/environments/env_1",
        "/v1/sessions/sesn_1",
        "/v1/sessions/sesn_1/events",
        "/v1/sessions/sesn_1/events/stream",
        "/v1/sessions/sesn_1/threads",
        "/v1/sessions/sesn_1/threads/sthr_1/stream",
        "/v1/sessions/sesn_1/resources",
        "/v1/files/file_1",
        "/v1/files/file_1/content",
    ] {
        server.get(path).await.refused(404, NOT_FOUND);
    }
    server.delete("/v1/agents").await.refused(405, INVALID);
    server.post("/healthz", json!({})).await.refused(405, INVALID);
    let session = server.session().await;
    server.get(&format!("/v1/sessions/{session}/threads/sthr_1")).await.refused(404, NOT_FOUND);
    server.get(&format!("/v1/sessions/{session}/threads/{session}/stream")).await.refused(404, NOT_FOUND);
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let server = TestServer::start().await;
    let post = async |body: Body| server.send(request(Method::POST, "/v1/agents", body)).await;
    assert!(post(Body::empty()).await.refused(400, INVALID).contains("name"));
    assert!(post("{\"name\": \n?".into()).await.refused(400, INVALID).contains("line 2"));
    assert!(post(r#"{"name": "n", "model": "m", "x": 1}"#.into()).await.refused(400, INVALID).contains("x: extra"));
    assert!(
        post(r#"{"name": "n", "model": {"id": "m", "effort": "lots"}}"#.into())
            .await
            .refused(400, INVALID)
            .contains("model.effort")
    );
    let told = post(r#"{"name": "n", "model": "nonsense"}"#.into()).await.refused(400, INVALID);
    assert!(told.starts_with("model: ") && told.contains(MODEL), "{told}");

    let with = async |name: &str, value: &str| {
        let mut request = request(Method::POST, "/v1/agents", Body::from("{}"));
        request.headers_mut().insert(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        server.send(request).await
    };
    let code = "unsupported_charset";
    with("content-type", "application/json; charset=latin1").await.refused_with(400, INVALID, code);
    let code = "request_body_encoding_unsupported";
    with("content-encoding", "gzip").await.refused_with(400, INVALID, code);
    assert!(with("content-type", "application/json; charset=\"UTF-8\"").await.refused(400, INVALID).contains("name"));
    assert!(with("content-encoding", "identity").await.refused(400, INVALID).contains("name"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let server = TestServer::start().await;
    let mut announced = request(Method::POST, "/v1/agents", Body::from("{}"));
    announced.headers_mut().insert("content-length", (33 * 1024 * 1024).into());
    assert!(server.send(announced).await.refused(413, "request_too_large").contains("32 MB"));

    let mib = Bytes::from(vec![b' '; 1024 * 1024]);
    let chunks = |count| Body::from_stream(stream::iter(vec![Ok::<_, Infallible>(mib.clone()); count]));
    server.send(request(Method::POST, "/v1/agents", chunks(33))).await.refused(413, "request_too_large");
    server.send(request(Method::POST, "/v1/agents", chunks(32))).await.refused(400, INVALID);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_refused_by_its_name() {
    let server = TestServer::start().await;
    let events = json!({"events": vec![json!([]); 1001]});
    let told = server.post("/v1/sessions/sesn_1/events", events).await.refused(400, INVALID);
    assert_eq!(told, "events: at most 1000 entries are allowed");
    for (list, max) in [("initial_events", 50), ("resources", 500)] {
        let body = json!({"agent": "agent_1", "environment_id": "env_1", list: vec![json!([]); max + 1]});
        let told = server.post("/v1/sessions", body).await.refused(400, INVALID);
        assert_eq!(told, format!("{list}: at most {max} entries are allowed"));
    }
    let body = json!({"name": "n", "model": MODEL, "tools": vec![json!([]); 257]});
    let told = server.post("/v1/agents", body).await.refused(400, INVALID);
    assert_eq!(told, "tools: at most 256 entries are allowed");
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let server = TestServer::start().await;
    for (path, named) in [
        ("/v1/agents?nonsense=1", "nonsense"),
        ("/v1/agents?limit=101", "limit"),
        ("/v1/agents?limit=x", "limit"),
        ("/v1/agents?page=x", "page"),
        ("/v1/agents?include_archived=yes", "include_archived"),
        ("/v1/agents?created_at[gt]=2026-01-01T00:00:00Z", "created_at[gt]"),
        ("/v1/agents/agent_1?version=0", "version"),
        ("/v1/sessions?statuses[]=asleep", "statuses"),
        ("/v1/sessions?agent_version=1", "agent_version"),
        ("/v1/sessions?agent_id=nonsense", "agent_id"),
        ("/v1/sessions?deployment_id=depl_1", "deployment_id"),
        ("/v1/sessions?memory_store_id=memstore_1", "memory_store_id"),
        ("/v1/sessions?order=up", "order"),
        ("/v1/sessions?created_at[lt]=never", "created_at[lt]"),
        ("/v1/sessions/sesn_1/events?limit=1001", "limit"),
        ("/v1/sessions/sesn_1/events/stream?event_deltas[]=agent.message", "event_deltas"),
        ("/v1/sessions/sesn_1/events/stream?event_deltas[]=nonsense", "nonsense"),
        ("/v1/sessions/sesn_1/threads?page=page_af1_1", "page"),
        ("/v1/files?limit=1001", "limit"),
        ("/v1/files?ids[]=file_1&limit=5", "ids"),
        ("/v1/files?scope_id=nonsense", "scope_id"),
        ("/v1/models?lifecycle[]=young", "young"),
        ("/v1/models?after_id=nonsense", "after_id"),
    ] {
        let told = server.get(path).await.refused(400, INVALID);
        assert!(told.contains(named), "{path}: {told}");
    }
    server.get("/v1/agents?beta=true&limit=100").await.ok();
    server
        .get(
            "/v1/sessions?statuses%5B%5D=idle&statuses[]=running&created_at%5Blte%5D=2030-01-01T00%3A00%3A00%2B00%3A00",
        )
        .await
        .ok();
}

#[tokio::test]
async fn a_conflict_is_not_to_be_retried() {
    let server = TestServer::start().await;
    let agent = server.agent().await;
    let path = format!("/v1/agents/{agent}");
    assert_eq!(server.make(&path, json!({"version": 1, "name": "b"})).await["version"], 2);
    server.post(&path, json!({"version": 1, "name": "c"})).await.refused(409, "conflict_error");
    server.post(&path, json!({"version": 0, "name": "c"})).await.refused(400, INVALID);
    assert!(server.post(&path, json!({"model": "nonsense"})).await.refused(400, INVALID).contains(MODEL));
    assert_eq!(server.get(&format!("{path}?version=1")).await.ok()["name"], "a");
    server.get(&format!("{path}?version=3")).await.refused(404, NOT_FOUND);
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = TestServer::start().await;
    for (path, field, expected) in
        [("/", "name", "daybreak"), ("/healthz", "status", "ok"), ("/readyz", "status", "ready")]
    {
        let reply = server.send(bare(path, &[])).await;
        assert_eq!((reply.status.as_u16(), &reply.json()[field]), (200, &json!(expected)));
        assert!(reply.header("request-id").starts_with("req_"));
    }
}
