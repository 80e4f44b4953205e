//! For whoever watches over the server: no key is needed, and nothing is told that needs one.

use crate::AppState;
use crate::error::chain;
use crate::extract::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// `GET /`
pub(crate) async fn front() -> Json<Value> {
    Json(json!({
        "name": "daybreak",
        "version": env!("CARGO_PKG_VERSION"),
        "what": "a server for the Managed Agents API; point an official SDK's base_url here",
        "api": "/v1",
        "health": "/healthz",
        "ready": "/readyz",
    }))
}

/// `GET /healthz`: the process lives.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the process can serve. Sessions whose tools cannot run are served too, so that is a detail.
pub(crate) async fn ready(State(app): State<AppState>) -> Response {
    let sandbox = app.engine.sandbox_problem();
    if app.stopping.is_cancelled() {
        return unavailable("the server is stopping");
    }
    match app.engine.store().ping().await {
        Ok(()) => Json(json!({"status": "ready", "database": "ok", "sandbox": sandbox.as_deref().unwrap_or("ok")}))
            .into_response(),
        Err(error) => {
            tracing::error!(cause = chain(&error), "the database does not answer");
            unavailable("the database does not answer")
        }
    }
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", "why": why}))).into_response()
}
