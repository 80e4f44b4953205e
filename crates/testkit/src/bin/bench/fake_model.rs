//! A Messages API that answers at once: a text, or first a call of `bash` where the message asks for one.
//!
//! It notes when each request was here and when the last byte of each reply was given to the connection.

use crate::clock::now;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;

/// A message with this in it is answered with a call of `bash`.
pub(crate) const ASK_FOR_TOOL: &str = "[tool]";

/// One call of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// When the whole request was here.
    pub(crate) arrived: Instant,
    /// When the last bytes of the reply were handed over.
    pub(crate) replied: Option<Instant>,
}

/// The running API.
#[derive(Clone)]
pub(crate) struct FakeModel {
    /// For `ANTHROPIC_BASE_URL`.
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl FakeModel {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let model = Self { url, calls: Arc::default() };
        let router = Router::new().route("/v1/messages", post(messages)).with_state(model.clone());
        tokio::spawn(async move {
            let listener = axum::serve::ListenerExt::tap_io(listener, |connection| {
                connection.set_nodelay(true).expect("TCP_NODELAY");
            });
            axum::serve(listener, router).await.expect("the fake model serves");
        });
        model
    }

    /// The calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls())
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn messages(State(model): State<FakeModel>, request: Bytes) -> Response {
    let index = {
        let mut calls = model.calls();
        calls.push(Call { arrived: now(), replied: None });
        calls.len() - 1
    };
    let reply = if wants_tool(&request) { tool_reply(index) } else { text_reply() };
    let last = reply.len() - 1;
    let pieces = futures_util::stream::iter(reply.into_iter().enumerate()).map(move |(number, piece)| {
        if number == last
            && let Some(call) = model.calls().get_mut(index)
        {
            call.replied = Some(now());
        }
        Ok::<_, Infallible>(piece)
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// Whether the newest thing that the request says is a message that asks for a tool. Searched and not parsed: what
/// this costs is taken from the server's cores.
fn wants_tool(request: &[u8]) -> bool {
    let last = |wanted: &str| request.windows(wanted.len()).rposition(|window| window == wanted.as_bytes());
    last(ASK_FOR_TOOL).is_some_and(|asked| last("\"tool_result\"").is_none_or(|result| asked > result))
}

fn text_reply() -> Vec<String> {
    let block = json!({"type": "text", "text": ""});
    let delta = |text: &str| json!({"type": "text_delta", "text": text});
    reply(&block, &[delta("Good morning. "), delta("There is "), delta("nothing to do.")], "end_turn")
}

fn tool_reply(index: usize) -> Vec<String> {
    let block = json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": "bash", "input": {}});
    let delta = json!({"type": "input_json_delta", "partial_json": "{\"command\": \"true\"}"});
    reply(&block, &[delta], "tool_use")
}

/// The frames of a reply, in the pieces in which they are sent.
fn reply(block: &Value, deltas: &[Value], stop: &str) -> Vec<String> {
    let usage = json!({"input_tokens": 100, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage});
    let start = frame(&json!({"type": "message_start", "message": message}))
        + &frame(&json!({"type": "content_block_start", "index": 0, "content_block": block}));
    let delta = |delta: &Value| frame(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let end = frame(&json!({"type": "content_block_stop", "index": 0}))
        + &frame(&json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 12}}))
        + &frame(&json!({"type": "message_stop"}));
    std::iter::once(start).chain(deltas.iter().map(delta)).chain(std::iter::once(end)).collect()
}

fn frame(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
