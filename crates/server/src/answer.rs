//! What every answer has: the request's id, the caller's workspace, and the envelope when it is a refusal.
//!
//! This is the outermost layer. Nothing inside it, be it a handler, an extractor, the router itself or a panic, can
//! answer in another shape.

use crate::AppState;
use crate::error::Refusal;
use crate::leftover;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daybreak_api::error::{ApiError, ErrorKind};
use daybreak_api::id::{Id, Kind};
use std::sync::{Arc, OnceLock};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ORGANIZATION_ID: HeaderName = HeaderName::from_static("anthropic-organization-id");
pub(crate) const WORKSPACE_ID: HeaderName = HeaderName::from_static("anthropic-workspace-id");

/// A server of one's own is one organization.
const ORGANIZATION: HeaderValue = HeaderValue::from_static("org_daybreak");

/// What is known about a request before and after its handler: passed along in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// The request's id.
    pub(crate) request_id: Id,
    /// The caller's workspace, once the key is known.
    pub(crate) workspace_id: Arc<OnceLock<String>>,
}

/// The layer.
pub(crate) async fn finish(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let request_id = app.engine.world().id(Kind::Request);
    let trace = Trace { request_id, workspace_id: Arc::default() };
    request.extensions_mut().insert(trace.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (request, leftover) = leftover::lend(request);
    let response = next.run(request).await;
    let mut response = conclude(&trace, &method, &path, response);
    if !leftover.clear().await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn conclude(trace: &Trace, method: &Method, path: &str, mut response: Response) -> Response {
    if let Some(refusal) = refusal_of(&mut response) {
        log(trace, method, path, &refusal);
        write_envelope(&mut response, &refusal, trace.request_id.as_str());
    }
    let headers = response.headers_mut();
    insert(headers, REQUEST_ID, trace.request_id.as_str());
    if let Some(workspace) = trace.workspace_id.get() {
        insert(headers, WORKSPACE_ID, workspace);
        headers.insert(ORGANIZATION_ID, ORGANIZATION);
    }
    tracing::debug!(request_id = %trace.request_id, %method, path, status = response.status().as_u16(), "answered");
    response
}

/// The refusal that an answer stands for: a handler's own, or what the framework has refused by itself.
fn refusal_of(response: &mut Response) -> Option<Refusal> {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return Some(refusal);
    }
    let status = response.status();
    let is_ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let kind = match status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorKind::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::TooLarge,
        status if status.is_server_error() => return Some(Refusal::internal(&status)),
        _ => ErrorKind::InvalidRequest,
    };
    let reason = status.canonical_reason().unwrap_or("refused");
    Some(ApiError::new(kind, format!("The request cannot be read: {reason}.")).into())
}

fn log(trace: &Trace, method: &Method, path: &str, refusal: &Refusal) {
    let cause = refusal.cause.as_deref().unwrap_or_default();
    if refusal.error.kind == ErrorKind::Api {
        tracing::error!(request_id = %trace.request_id, %method, path, cause, "a request failed");
    } else if !cause.is_empty() {
        tracing::warn!(request_id = %trace.request_id, %method, path, cause, "a request was not served");
    }
}

fn write_envelope(response: &mut Response, refusal: &Refusal, request_id: &str) {
    *response.body_mut() = Body::from(envelope(refusal, request_id));
    *response.status_mut() = refusal.status();
    let length = response.body().size_hint().exact().unwrap_or(0);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if refusal.error.kind == ErrorKind::Conflict {
        // Clients repeat every 409 by default; ours are final.
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// The body of a refusal.
pub(crate) fn envelope(refusal: &Refusal, request_id: &str) -> Vec<u8> {
    serde_json::to_vec(&refusal.error.envelope(request_id)).unwrap_or_default()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Answers for a path that no route has.
pub(crate) async fn no_route(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(ErrorKind::NotFound, format!("There is nothing at `{path}`.")).into()
}

/// Answers for a route that does not have the method.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(ErrorKind::MethodNotAllowed, format!("{method} is not possible at `{path}`.")).into()
}

/// Answers when a handler has panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer that catches panics passes the payload by value")]
pub(crate) fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Refusal::internal(&format_args!("panic: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::ALLOW;

    async fn concluded(response: Response) -> (Response, serde_json::Value) {
        let trace = Trace { request_id: Id::stored("req_1".to_owned()), workspace_id: Arc::default() };
        let (parts, body) = conclude(&trace, &Method::GET, "/", response).into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (response, body) = concluded(panicked(Box::new("a secret".to_owned()))).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[REQUEST_ID], "req_1");
        assert_eq!((&body["request_id"], &body["error"]["type"]), (&"req_1".into(), &"api_error".into()));
        assert!(!body.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn what_the_framework_refuses_gets_the_envelope() {
        for (status, kind) in [(404, "not_found_error"), (413, "request_too_large"), (415, "invalid_request_error")] {
            let plain = (StatusCode::from_u16(status).unwrap(), [(ALLOW, "GET")], "plain text").into_response();
            let (response, body) = concluded(plain).await;
            assert_eq!(body["error"]["type"], kind);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[ALLOW], "GET", "other headers stay");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_refusal_stays_as_it_is() {
        let json = crate::extract::json(r#"{"status":"unavailable"}"#);
        let unavailable = (StatusCode::SERVICE_UNAVAILABLE, json).into_response();
        let (response, body) = concluded(unavailable).await;
        assert_eq!((response.status().as_u16(), &body["status"]), (503, &"unavailable".into()));
        assert_eq!(response.headers()[REQUEST_ID], "req_1");
    }
}
