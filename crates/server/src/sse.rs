//! Streams: a cursor over a session's log.
//!
//! A stream holds a position and nothing else. It reads from the log what lies beyond, sends that, and waits to be
//! told that the log has grown. A reader that falls behind is not waited for and misses nothing: the log is still
//! there. Being told is a hint; after every quiet spell the log is read anyway.
//!
//! Invariant: the watch is marked as seen before the log is read, so that what is written after that read wakes the
//! stream again.

use crate::AppState;
use crate::answer::envelope;
use crate::auth::Caller;
use crate::error::{Answer, Refusal};
use crate::handlers::sessions::find;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use daybreak_api::error::{ApiError, Result};
use daybreak_api::id::{Id, Kind};
use daybreak_api::session::Status;
use daybreak_store::events::Served;
use daybreak_store::feed::DELETED;
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// How often a quiet stream shows that it lives.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Events read from the log at once.
const READ_EVENTS: i64 = 256;

const PING: Bytes = Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers with the events of a session that come after now, or after the position in `Last-Event-ID`.
pub(crate) async fn follow(app: &AppState, caller: &Caller, session: &Id, headers: &HeaderMap) -> Answer<Response> {
    let resume = last_event_id(headers)?;
    let key = find(app, caller, session).await?.key;
    let heads = app.engine.store().feed().watch(key);
    // Read again now that the watch stands: a deletion between the two would never be heard of.
    let row = find(app, caller, session).await?;
    if resume.is_some_and(|position| position > row.head_seq) {
        return Err(bad_position().into());
    }
    let follower = Follower {
        app: app.clone(),
        session_key: row.key,
        heads,
        position: resume.unwrap_or(row.head_seq),
        is_over: row.archived_at.is_some() || row.status == Status::Terminated,
        request_id: caller.request_id.clone(),
    };
    let frames = stream::unfold(Some(follower), async |follower| {
        let (frames, follower) = follower?.next().await?;
        Some((Ok::<_, Infallible>(frames), follower))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    position.filter(|position| *position >= 0).map(Some).ok_or_else(bad_position)
}

fn bad_position() -> ApiError {
    ApiError::invalid("Last-Event-ID: expected the id of a frame of this session's stream")
}

/// One open stream.
struct Follower {
    app: AppState,
    session_key: i64,
    heads: watch::Receiver<i64>,
    /// Everything up to here has been sent.
    position: i64,
    /// Nothing more will be written: once all is sent, the stream ends.
    is_over: bool,
    request_id: Id,
}

impl Follower {
    /// The next frames, and the follower unless they are the last. Nothing at the end of the stream.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        while !self.app.stopping.is_cancelled() {
            let head = *self.heads.borrow_and_update();
            let store = self.app.engine.store();
            match store.served_after(self.session_key, self.position, READ_EVENTS).await {
                Err(error) => return Some((self.failed(error.into()), None)),
                Ok(events) => {
                    if let Some(last) = events.last() {
                        self.position = last.position;
                        let is_last = events.iter().any(|event| event.kind == "session.status_terminated");
                        return Some((frames(&events), (!is_last).then_some(self)));
                    }
                }
            }
            if head == DELETED {
                return Some((self.deleted(), None));
            }
            if self.is_over {
                return None;
            }
            let stopping = self.app.stopping.clone();
            tokio::select! {
                () = stopping.cancelled() => return None,
                grown = tokio::time::timeout(PING_EVERY, self.heads.changed()) => match grown {
                    Ok(Ok(())) => {}
                    // The feed has forgotten the session. It never does while somebody watches.
                    Ok(Err(_)) => return None,
                    Err(_) => return Some((PING, Some(self))),
                },
            }
        }
        None
    }

    fn failed(&self, refusal: Refusal) -> Bytes {
        let cause = refusal.cause.as_deref().unwrap_or_default();
        tracing::error!(request_id = %self.request_id, cause, "a stream failed");
        let mut frame = b"event: error\ndata: ".to_vec();
        frame.extend(envelope(&refusal, self.request_id.as_str()));
        frame.extend(b"\n\n");
        frame.into()
    }

    fn deleted(&self) -> Bytes {
        let world = self.app.engine.world();
        let (id, now) = (world.id(Kind::Event), world.now());
        let json = format!("{{\"type\":\"session.deleted\",\"id\":\"{id}\",\"processed_at\":\"{now}\"}}");
        format!("event: session.deleted\ndata: {json}\n\n").into()
    }
}

/// The frames of events, in one piece. Stored JSON has no line breaks, so an event is one `data` line.
fn frames(events: &[Served]) -> Bytes {
    let bytes: usize = events.iter().map(|event| event.json.len() + event.kind.len() + 48).sum();
    let mut text = String::with_capacity(bytes);
    for event in events {
        let position = event.position.to_string();
        text.extend(["event: ", &event.kind, "\ndata: ", &event.json, "\nid: ", &position, "\n\n"]);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_frame() {
        let served =
            |position, kind: &str, json: &str| Served { position, kind: kind.to_owned(), json: json.to_owned() };
        let events = [served(3, "user.message", r#"{"a":"x\ny"}"#), served(5, "agent.thinking", "{}")];
        assert_eq!(
            frames(&events),
            "event: user.message\ndata: {\"a\":\"x\\ny\"}\nid: 3\n\nevent: agent.thinking\ndata: {}\nid: 5\n\n"
        );
    }

    #[test]
    fn a_position_is_a_whole_number_from_zero() {
        let read = |text| last_event_id(&HeaderMap::from_iter([(LAST_EVENT_ID, HeaderValue::from_static(text))]));
        assert_eq!(read("17"), Ok(Some(17)));
        assert_eq!(read("0"), Ok(Some(0)));
        assert_eq!(last_event_id(&HeaderMap::new()), Ok(None));
        for bad in ["", "-1", "sevt_1", "1.5", "99999999999999999999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
