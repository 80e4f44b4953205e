//! A client of the API that expects the server to die at any moment.

use crate::server::KEY;
use serde_json::{Value, json};
use std::time::Duration;

/// The server did not answer: nobody knows whether it did what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// An HTTP client without retries, proxies or patience.
pub fn http() -> reqwest::Client {
    // A second call finds the provider installed, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("an HTTP client")
}

impl Client {
    /// A client of the server at `url`.
    pub fn new(url: &str) -> Self {
        Self { http: http(), url: url.to_owned() }
    }

    /// Sends a request. An answer that is no success is a bug of the test or the server.
    ///
    /// # Panics
    /// When the server answers with an error.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, Unanswered> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(KEY)
            .header("anthropic-beta", "managed-agents-2026-04-01");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|_| Unanswered)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|_| Unanswered)?;
        assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).map_err(|_| Unanswered)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Value, Unanswered> {
        self.call(reqwest::Method::GET, path, None).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Unanswered> {
        self.call(reqwest::Method::POST, path, Some(body)).await
    }

    /// Creates an agent with every tool and the model, an environment, and a session of them; the session's id.
    pub async fn create_session(&self, model: &str) -> Result<String, Unanswered> {
        let tools = json!([{"type": "agent_toolset_20260401"}]);
        let agent = self.post("/v1/agents", json!({"name": "Tester", "model": model, "tools": tools})).await?;
        let environment = self.post("/v1/environments", json!({"name": "local"})).await?;
        let body = json!({"agent": agent["id"], "environment_id": environment["id"]});
        let session = self.post("/v1/sessions", body).await?;
        Ok(text(&session["id"]))
    }

    /// Sends a message; the id of its event.
    pub async fn say(&self, session: &str, words: &str) -> Result<String, Unanswered> {
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": words}]});
        let sent = self.post(&format!("/v1/sessions/{session}/events"), json!({"events": [message]})).await?;
        Ok(text(&sent["data"][0]["id"]))
    }

    /// Every event of a session, in the list's order.
    pub async fn events(&self, session: &str) -> Result<Vec<Value>, Unanswered> {
        let mut events = Vec::new();
        let mut page = String::new();
        loop {
            let listed = self.get(&format!("/v1/sessions/{session}/events?limit=1000{page}")).await?;
            events.extend(listed["data"].as_array().cloned().unwrap_or_default());
            match listed["next_page"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => return Ok(events),
            }
        }
    }

    /// The bytes of a file.
    pub async fn download(&self, file: &str) -> Result<Vec<u8>, Unanswered> {
        let request = self.http.get(format!("{}/v1/files/{file}/content", self.url)).bearer_auth(KEY);
        let answer = request.send().await.map_err(|_| Unanswered)?;
        Ok(answer.bytes().await.map_err(|_| Unanswered)?.to_vec())
    }

    /// A session's status.
    pub async fn status(&self, session: &str) -> Result<String, Unanswered> {
        Ok(text(&self.get(&format!("/v1/sessions/{session}")).await?["status"]))
    }
}

/// A JSON string's text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
