//! Following a session: its stream, through broken connections.
//!
//! Invariant: every event of the log is given once, in order. A stream that breaks is opened again where it broke.

use super::client::Client;
use crate::failure::{Failure, Result};
use reqwest::Response;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Before the first event of every log.
const BEGINNING: &str = "0";
const RECONNECT_AFTER: Duration = Duration::from_millis(200);
/// Connections tried in a row that brought nothing: no answer, or a stream that ended before its first frame.
const RECONNECTS_MAX: u32 = 25;
/// A frame larger than this is not one of a session's.
const FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A session, followed from its first event on.
pub(super) struct Follower<'c> {
    client: &'c Client,
    session: String,
    live: Option<Live>,
    ready: VecDeque<Frame>,
    /// The id of the last event given.
    position: String,
    failures: u32,
}

struct Live {
    response: Response,
    frames: Frames,
}

impl<'c> Follower<'c> {
    pub(super) fn new(client: &'c Client, session: &str) -> Self {
        let (session, position) = (session.to_owned(), BEGINNING.to_owned());
        Self { client, session, live: None, ready: VecDeque::new(), position, failures: 0 }
    }

    /// The next event. Nothing is lost when this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Value> {
        loop {
            while let Some(frame) = self.ready.pop_front() {
                if let Some(event) = self.event(frame)? {
                    return Ok(event);
                }
            }
            match &mut self.live {
                None => self.connect().await?,
                Some(live) => match live.response.chunk().await {
                    Ok(Some(bytes)) => self.ready.extend(live.frames.push(&bytes)?),
                    // Why the error is not told: the next connection shows whether it matters.
                    Ok(None) | Err(_) => {
                        self.live = None;
                        self.failed(Failure::new("the stream of the session keeps ending before anything comes"))
                            .await?;
                    }
                },
            }
        }
    }

    fn event(&mut self, frame: Frame) -> Result<Option<Value>> {
        let Ok(event) = serde_json::from_str::<Value>(&frame.data) else {
            return Err(Failure::new("the stream of the session holds something that is not JSON"));
        };
        // A ping counts too: the server sends none before it has been silent for a while.
        self.failures = 0;
        match frame.name.as_str() {
            "ping" => Ok(None),
            "error" => {
                let said = event["error"]["message"].as_str().unwrap_or("it did not say why");
                Err(Failure::new(format!("the stream of the session failed: {said}")))
            }
            _ => {
                self.position = frame.id.unwrap_or_else(|| self.position.clone());
                Ok(Some(event))
            }
        }
    }

    async fn connect(&mut self) -> Result<()> {
        match self.client.stream(&self.session, &self.position).await {
            Ok(response) => self.live = Some(Live { response, frames: Frames::default() }),
            Err(failure) => self.failed(failure).await?,
        }
        Ok(())
    }

    /// Counts a connection that failed, and waits before the next. `failure` is told when there shall be none.
    async fn failed(&mut self, failure: Failure) -> Result<()> {
        if self.failures >= RECONNECTS_MAX {
            return Err(failure);
        }
        self.failures += 1;
        tokio::time::sleep(RECONNECT_AFTER).await;
        Ok(())
    }
}

/// One frame of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    name: String,
    data: String,
    id: Option<String>,
}

/// Cuts a stream of bytes into frames.
#[derive(Default)]
struct Frames {
    /// What has come since the last line break.
    line: Vec<u8>,
    frame: Frame,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() + self.frame.data.len() > FRAME_BYTES_MAX {
                return Err(Failure::new("the stream of the session holds an event that is too large"));
            }
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                complete.extend(self.take(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(complete)
    }

    /// Takes a line in; an empty one ends the frame. What comes without data is no frame.
    fn take(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            return Some(std::mem::take(&mut self.frame)).filter(|frame| !frame.data.is_empty());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.frame.name),
            "id" => self.frame.id = Some(value.to_owned()),
            "data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, data: &str, id: Option<&str>) -> Frame {
        Frame { name: name.to_owned(), data: data.to_owned(), id: id.map(str::to_owned) }
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let stream = ": hello\r\nevent: a\r\ndata: {\"é\":1}\r\nid: 3\r\n\r\nevent: b\ndata:x\ndata: y\n\nretry: 5\n\n";
        let expected = [frame("a", "{\"é\":1}", Some("3")), frame("b", "x\ny", None)];
        for cut in 0..stream.len() {
            let mut frames = Frames::default();
            let mut found = frames.push(&stream.as_bytes()[..cut]).unwrap();
            found.extend(frames.push(&stream.as_bytes()[cut..]).unwrap());
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    /// A server of two broken streams, each of one answer: what it was asked for, in lower case.
    async fn serve(listener: tokio::net::TcpListener, answers: [&'static str; 2]) -> Vec<String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut asked = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                request.push(char::from(connection.read_u8().await.unwrap()));
            }
            asked.push(request.to_lowercase());
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            connection.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn a_broken_stream_goes_on_where_it_broke() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap(), "key").unwrap();
        let first = "event: a\ndata: {\"n\":1}\nid: 7\n\nevent: ping\ndata: {}\n\nevent: b\ndata: {\"n\"";
        let second = "event: b\ndata: {\"n\":2}\nid: 9\n\nevent: error\ndata: {\"error\":{\"message\":\"enough\"}}\n\n";
        let server = tokio::spawn(serve(listener, [first, second]));
        let mut follower = Follower::new(&client, "sesn_1");
        assert_eq!(follower.next().await.unwrap()["n"], 1);
        assert_eq!(follower.next().await.unwrap()["n"], 2, "half an event is not given, and then the whole one is");
        assert!(follower.next().await.unwrap_err().to_string().contains("enough"));
        let asked = server.await.unwrap();
        assert!(
            asked[0].starts_with("get /v1/sessions/sesn_1/events/stream ") && asked[0].contains("last-event-id: 0\r")
        );
        assert!(asked[1].contains("last-event-id: 7\r") && asked[1].contains("authorization: bearer key\r"));
    }

    #[tokio::test]
    async fn streams_that_end_at_once_are_opened_a_few_times_only() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap(), "key").unwrap();
        let first = "event: a\ndata: {\"n\":1}\nid: 7\n\n";
        let server = tokio::spawn(async move { serve(listener, [first, ""]).await.len() });
        let mut follower = Follower::new(&client, "sesn_1");
        follower.failures = RECONNECTS_MAX;
        assert_eq!(follower.next().await.unwrap()["n"], 1);
        assert_eq!(follower.failures, 0, "an event makes up for what failed before it");
        follower.failures = RECONNECTS_MAX - 1;
        let failure = follower.next().await.unwrap_err();
        assert!(failure.to_string().contains("keeps ending"), "{failure}");
        assert_eq!(server.await.unwrap(), 2, "the second answer was a 200, and did not count as success");
    }

    #[test]
    fn half_a_frame_is_none() {
        assert_eq!(Frames::default().push(b"event: a\ndata: {}\n").unwrap(), []);
    }
}
