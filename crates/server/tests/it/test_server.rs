//! A server over a directory of its own, called without a network.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use daybreak_api::id::Kind;
use daybreak_engine::tools::Availability;
use daybreak_engine::{Engine, Limits, Parts, SystemWorld, World};
use daybreak_outbound::{Models, ModelsConfig};
use daybreak_server::{AppState, ServerConfig};
use daybreak_store::{Options, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::Service;

pub(crate) const KEY: &str = "sk-test-key";
pub(crate) const BETA: &str = "managed-agents-2026-04-01";
pub(crate) const MODEL: &str = "rehearsal/echo";

pub(crate) struct TestServer {
    router: Router,
    pub(crate) state: AppState,
    _dir: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), Options::default()).await.unwrap();
        let world = SystemWorld;
        let (workspace, key) = (world.id(Kind::Workspace), world.id(Kind::ApiKey));
        store.admit_key(KEY, "test", workspace, key, world.now()).await.unwrap();
        let engine = Engine::start(Parts {
            store,
            models: Arc::new(Models::from_config(ModelsConfig::default(), &|_| None).unwrap()),
            sandboxes: Availability::probing(async { Err("there is no sandbox in this test".to_owned()) }),
            world: Arc::new(world),
            sessions_dir: dir.path().join("sessions"),
            limits: Limits::default(),
        });
        let state = AppState::new(engine, ServerConfig::default());
        Self { router: daybreak_server::router(state.clone()), state, _dir: dir }
    }

    pub(crate) fn store(&self) -> &Store {
        self.state.engine.store()
    }

    /// Calls and gives the answer with its body unread.
    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().call(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.open(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Reply { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(request(Method::DELETE, path, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(request(Method::POST, path, Body::from(body.to_string()))).await
    }

    /// Posts something that must succeed.
    pub(crate) async fn make(&self, path: &str, body: Value) -> Value {
        self.post(path, body).await.ok()
    }

    pub(crate) async fn agent(&self) -> String {
        id(&self.make("/v1/agents", json!({"name": "a", "model": MODEL})).await)
    }

    pub(crate) async fn environment(&self) -> String {
        id(&self.make("/v1/environments", json!({"name": "e"})).await)
    }

    /// A session that has nothing to do.
    pub(crate) async fn session(&self) -> String {
        let (agent, environment) = (self.agent().await, self.environment().await);
        id(&self.make("/v1/sessions", json!({"agent": agent, "environment_id": environment})).await)
    }

    /// Waits for a session to have done what it was told.
    pub(crate) async fn wait_until_idle(&self, session: &str) {
        for _ in 0..500 {
            if self.get(&format!("/v1/sessions/{session}")).await.ok()["status"] == "idle" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the session did not become idle");
    }
}

/// A request with a good key and the beta that most routes want.
pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, format!("Bearer {KEY}"))
        .header("anthropic-beta", BETA)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap()
}

pub(crate) fn message(text: &str) -> Value {
    json!({"events": [{"type": "user.message", "content": [{"type": "text", "text": text}]}]})
}

pub(crate) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        assert!(self.header("request-id").starts_with("req_"));
        assert!(self.header("anthropic-workspace-id").starts_with("wrkspc_"));
        assert_eq!(self.header("anthropic-organization-id"), "org_daybreak");
        self.json()
    }

    /// Checks that this is a refusal in its envelope, and gives its message.
    pub(crate) fn refused(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["type", "error", "request_id"]);
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert_eq!(body["request_id"], self.header("request-id"));
        assert_eq!(self.header("x-should-retry"), if status == 409 { "false" } else { "" });
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    /// Checks that this is a 400, 404 or the like with a code.
    pub(crate) fn refused_with(&self, status: u16, kind: &str, code: &str) -> String {
        assert_eq!(self.json()["error"]["details"]["error_code"], code, "{:?}", self.body);
        self.refused(status, kind)
    }
}
