//! The API as any client sees it.

use crate::failure::{Failure, Result, chain};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const MANAGED_AGENTS: HeaderValue = HeaderValue::from_static("managed-agents-2026-04-01");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const CONTRACT: HeaderValue = HeaderValue::from_static("2026-10-21");
/// Carries the place in the log from which a stream goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// Silence after which a connection counts as dead. A stream sends a sign of life far more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Most files that one request lists.
const FILES_LISTED: &str = "1000";

/// A client of one server.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A client of the server at `address`, with `key`.
    pub(super) fn new(address: SocketAddr, key: &str) -> Result<Self> {
        daybreak_outbound::install_tls();
        let unfit = |_| Failure::new("the API key does not fit into a header");
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}")).map_err(unfit)?;
        authorization.set_sensitive(true);
        let headers = [(AUTHORIZATION, authorization), (BETA, MANAGED_AGENTS), (VERSION, CONTRACT)];
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter(headers))
            // The server is in this process: a proxy could only see what it should not.
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|error| Failure::caused("no HTTP client can be made", &error))?;
        Ok(Self { http, base: format!("http://{address}") })
    }

    /// Creates an object, or does something to one.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        read(path, self.request(Method::POST, path).json(body)).await
    }

    /// Reads an object.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        read(path, self.request(Method::GET, path)).await
    }

    /// Creates an agent. What the server has against it is told of `file`, if that is where it was written.
    pub(super) async fn create_agent(&self, agent: &Value, file: Option<&Path>) -> Result<Value> {
        const PATH: &str = "/v1/agents";
        match (answered(PATH, self.request(Method::POST, PATH).json(agent)).await?, file) {
            (Ok(response), _) => body(PATH, response).await,
            (Err(refusal), Some(file)) if refusal.status.is_client_error() => {
                Err(Failure::new(format!("{}: {}", file.display(), refusal.said)))
            }
            (Err(refusal), _) => Err(refusal.of(PATH)),
        }
    }

    /// Uploads a file.
    pub(super) async fn upload(&self, part: Part) -> Result<Value> {
        const PATH: &str = "/v1/files";
        // Names are plain already, and not every reader of forms knows the encoded ones.
        let form = Form::new().percent_encode_noop().part("file", part);
        read(PATH, self.request(Method::POST, PATH).multipart(form)).await
    }

    /// What the agent of a session has left: the oldest first.
    pub(super) async fn outputs(&self, session: &str) -> Result<Vec<Value>> {
        const PATH: &str = "/v1/files";
        let (mut files, mut page) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("scope_id", session), ("limit", FILES_LISTED)];
            query.extend(page.as_deref().map(|page| ("page", page)));
            let mut listed = read(PATH, self.request(Method::GET, PATH).query(&query)).await?;
            if let Some(data) = listed["data"].as_array_mut() {
                files.append(data);
            }
            match listed["next_page"].as_str() {
                Some(next) => page = Some(next.to_owned()),
                None => break,
            }
        }
        // Copies of what was uploaded are of the session too, and cannot be downloaded.
        files.retain(|file| file["downloadable"] == true);
        files.reverse();
        Ok(files)
    }

    /// The bytes of a file.
    pub(super) async fn content(&self, file: &str) -> Result<Response> {
        let path = format!("/v1/files/{file}/content");
        let request = self.request(Method::GET, &path);
        accepted(&path, request).await
    }

    /// The events of a session after a place in its log.
    pub(super) async fn stream(&self, session: &str, after: &str) -> Result<Response> {
        let path = format!("/v1/sessions/{session}/events/stream");
        let request = self.request(Method::GET, &path).header(LAST_EVENT_ID, after);
        accepted(&path, request).await
    }

    /// Sends one event to a session.
    pub(super) async fn send(&self, session: &str, event: Value) -> Result<()> {
        self.post(&format!("/v1/sessions/{session}/events"), &json!({ "events": [event] })).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }
}

/// The id of an object.
pub(super) fn id_of(object: &Value) -> Result<String> {
    object["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new("the server answered with an object without id"))
}

async fn read(path: &str, request: RequestBuilder) -> Result<Value> {
    body(path, accepted(path, request).await?).await
}

async fn body(path: &str, response: Response) -> Result<Value> {
    response.json().await.map_err(|error| unreachable(path, &error))
}

/// The answer, unless it is a refusal.
async fn accepted(path: &str, request: RequestBuilder) -> Result<Response> {
    answered(path, request).await?.map_err(|refusal| refusal.of(path))
}

/// What the server has against a request.
struct Refusal {
    status: StatusCode,
    said: String,
}

impl Refusal {
    fn of(self, path: &str) -> Failure {
        Failure::new(format!("the server refused {path} ({}): {}", self.status.as_u16(), self.said))
    }
}

/// The answer or the refusal.
async fn answered(path: &str, request: RequestBuilder) -> Result<std::result::Result<Response, Refusal>> {
    let response = request.send().await.map_err(|error| unreachable(path, &error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(Ok(response));
    }
    let body: Value = response.json().await.unwrap_or_default();
    let said = body["error"]["message"].as_str().unwrap_or("it did not say why").to_owned();
    Ok(Err(Refusal { status, said }))
}

fn unreachable(path: &str, error: &reqwest::Error) -> Failure {
    Failure::new(format!("the server does not answer {path}: {}", chain(error)))
}
