//! What a handler leaves unread of a request's body.
//!
//! A handler may refuse a request before it has read the body. A connection that is then closed while bytes arrive is
//! reset, and its client may never see the answer; one that is kept open would take those bytes for the next request.
//! So the rest is read and forgotten, within reason; beyond that the answer says that the connection ends.

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Twice the largest body that is allowed.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;
const TIME_MAX: Duration = Duration::from_secs(10);
/// Whoever sends nothing for this long has stopped.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Where an unread rest turns up.
type Slot = Arc<Mutex<Option<BodyDataStream>>>;

/// The rest of a body, once whoever read it has let go of it.
pub(crate) struct Leftover {
    slot: Option<Slot>,
    /// The client sends its body only when asked to, which reading would do.
    is_held_back: bool,
}

/// Lends the body of a request to whoever handles it.
pub(crate) fn lend(request: Request) -> (Request, Leftover) {
    let is_held_back = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(parts, body), Leftover { slot: None, is_held_back });
    }
    let slot = Slot::default();
    let lent = Lent { body: Some(body.into_data_stream()), slot: Arc::clone(&slot) };
    (Request::from_parts(parts, Body::from_stream(lent)), Leftover { slot: Some(slot), is_held_back })
}

impl Leftover {
    /// Reads the rest. True when the connection is good for another request.
    pub(crate) async fn clear(self) -> bool {
        let rest = self.slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(mut rest) = rest else { return true };
        if self.is_held_back {
            return false;
        }
        let read_on = async {
            let mut bytes = 0;
            while bytes <= BYTES_MAX {
                match tokio::time::timeout(QUIET_MAX, rest.next()).await {
                    Ok(Some(Ok(chunk))) => bytes += chunk.len() as u64,
                    Ok(None) => return true,
                    Ok(Some(Err(_))) | Err(_) => return false,
                }
            }
            false
        };
        tokio::time::timeout(TIME_MAX, read_on).await.unwrap_or(false)
    }
}

/// A body that goes back to its slot when it is dropped before its end.
struct Lent {
    body: Option<BodyDataStream>,
    slot: Slot,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let next = Pin::new(body).poll_next(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        next
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}
