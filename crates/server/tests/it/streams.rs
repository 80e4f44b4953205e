//! Streams, byte for byte.

use crate::test_server::{TestServer, message, request};
use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

/// An open stream and what has been read of it.
struct Reader {
    body: BodyDataStream,
    buffer: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Frame {
    event: String,
    data: Value,
    id: Option<i64>,
}

impl Reader {
    async fn open(server: &TestServer, session: &str, after: Option<i64>) -> Self {
        let response = server.open(stream_request(session, after)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert!(response.headers().contains_key("request-id"));
        Self { body: response.into_body().into_data_stream(), buffer: String::new() }
    }

    /// The next frame; nothing at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let frame = parse(frame);
                self.buffer = rest.to_owned();
                return Some(frame);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.expect("a frame");
            let Some(chunk) = chunk else {
                assert_eq!(self.buffer, "", "a stream ends between frames");
                return None;
            };
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    async fn until(&mut self, event: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Frame| frame.event != event) {
            frames.push(self.next().await.expect("the stream goes on"));
        }
        frames
    }
}

fn stream_request(session: &str, after: Option<i64>) -> Request<Body> {
    let mut request = request(Method::GET, &format!("/v1/sessions/{session}/events/stream"), Body::empty());
    if let Some(after) = after {
        request.headers_mut().insert("last-event-id", after.into());
    }
    request
}

/// Reads one frame. Every line is checked: the framing is exactly this.
fn parse(frame: &str) -> Frame {
    let mut lines = frame.split('\n');
    let event = lines.next().and_then(|line| line.strip_prefix("event: ")).expect(frame).to_owned();
    let data = lines.next().and_then(|line| line.strip_prefix("data: ")).expect(frame);
    let data: Value = serde_json::from_str(data).expect(frame);
    assert_eq!(data["type"], event.as_str());
    let id = lines.next().map(|line| line.strip_prefix("id: ").expect(frame).parse().expect(frame));
    assert_eq!(lines.next(), None, "{frame}");
    Frame { event, data, id }
}

#[tokio::test]
async fn a_stream_shows_what_comes_and_ends_with_the_session() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let path = format!("/v1/sessions/{session}");
    let mut reader = Reader::open(&server, &session, None).await;
    let sent = server.make(&format!("{path}/events"), message("hello\nworld")).await;

    let turn = reader.until("session.status_idle").await;
    assert_eq!(turn[0].data, sent["data"][0], "queued first");
    assert_eq!(turn[0].id, Some(1));
    let taken: Vec<_> = turn.iter().skip(1).filter(|frame| frame.event == "user.message").collect();
    assert_eq!(taken.len(), 1, "and once more when it is taken");
    assert_eq!(taken[0].data["id"], sent["data"][0]["id"]);
    assert!(taken[0].data["processed_at"].is_string());
    assert!(turn.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(turn.iter().any(|frame| frame.event == "agent.message"));

    server.make(&format!("{path}/archive"), json!({})).await;
    let rest = reader.until("session.status_terminated").await;
    assert_eq!(reader.next().await, None);

    // Whoever comes back names the last frame that arrived, and misses nothing.
    let all: Vec<Frame> = [turn, rest].concat();
    for (index, frame) in all.iter().enumerate() {
        let mut reader = Reader::open(&server, &session, frame.id).await;
        for expected in &all[index + 1..] {
            assert_eq!(reader.next().await.as_ref(), Some(expected));
        }
        assert_eq!(reader.next().await, None);
    }
    assert_eq!(Reader::open(&server, &session, Some(0)).await.next().await.as_ref(), all.first());
    assert_eq!(Reader::open(&server, &session, None).await.next().await, None, "nothing comes any more");
}

#[tokio::test]
async fn a_stream_says_that_its_session_was_deleted() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut reader = Reader::open(&server, &session, None).await;
    server.delete(&format!("/v1/sessions/{session}")).await.ok();
    let last = reader.next().await.unwrap();
    assert_eq!(last.event, "session.deleted");
    assert!(last.data["id"].as_str().unwrap().starts_with("sevt_"));
    assert!(last.data["processed_at"].is_string());
    assert_eq!(last.data.as_object().unwrap().len(), 3);
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn a_position_must_be_one_of_the_stream() {
    let server = TestServer::start().await;
    let session = server.session().await;
    for bad in ["nonsense", "-1", "1", "999999"] {
        let mut request = stream_request(&session, None);
        request.headers_mut().insert("last-event-id", bad.parse().unwrap());
        let told = server.send(request).await.refused(400, "invalid_request_error");
        assert!(told.contains("Last-Event-ID"), "{told}");
    }
}

#[tokio::test]
async fn a_burst_of_events_arrives_whole_and_in_order() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let mut reader = Reader::open(&server, &session, None).await;
    let texts: Vec<String> = (0..700).map(|number| format!("message {number}")).collect();
    let events: Vec<_> = texts.iter().map(|text| message(text)["events"][0].clone()).collect();
    server.make(&format!("/v1/sessions/{session}/events"), json!({"events": events})).await;
    let frames = reader.until("session.status_idle").await;
    let queued = frames.iter().filter(|frame| frame.event == "user.message" && frame.data["processed_at"].is_null());
    let queued: Vec<_> = queued.map(|frame| frame.data["content"][0]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(queued, texts);
}
