//! An HTTP client that costs next to nothing: one connection, requests one after the other, no parsing beyond
//! what framing needs. The load comes from the same cores that serve it, so a client's own cost would be
//! measured as the server's.

use crate::clock::{Latencies, now};
use daybreak_testkit::server::KEY;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 * 1024;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    /// Bytes that were read and not yet understood.
    unread: Vec<u8>,
}

/// An open event stream.
pub(crate) struct Events {
    connection: Connection,
    framing: Framing,
    text: Vec<u8>,
}

enum Framing {
    /// So many bytes are still to come.
    Length(usize),
    /// So many bytes of the present chunk are still to come.
    Chunked { left: usize, over: bool },
}

impl Connection {
    /// Connects to `http://host:port`.
    pub(crate) async fn open(url: &str) -> Self {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.expect("the server accepts connections");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { stream, host, unread: Vec::new() }
    }

    /// A POST, ready to be sent any number of times.
    pub(crate) fn post(&self, path: &str, body: &str) -> Vec<u8> {
        let head = self.head("POST", path);
        format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn head(&self, method: &str, path: &str) -> String {
        let host = &self.host;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {KEY}\r\nanthropic-beta: managed-agents-2026-04-01\r\n"
        )
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When the answer is no success.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Vec<u8> {
        self.stream.write_all(request).await.expect("the request is sent");
        let mut framing = self.answer_head().await;
        let mut body = Vec::new();
        while !framing.take(&mut self.unread, &mut body) {
            self.read().await;
        }
        body
    }

    /// Opens an event stream; it is open once this returns.
    pub(crate) async fn events(mut self, path: &str) -> Events {
        let request = format!("{}accept: application/json\r\n\r\n", self.head("GET", path));
        self.stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let framing = self.answer_head().await;
        Events { connection: self, framing, text: Vec::new() }
    }

    async fn answer_head(&mut self) -> Framing {
        let end = loop {
            match find(&self.unread, b"\r\n\r\n") {
                Some(end) => break end,
                None => self.read().await,
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).to_ascii_lowercase();
        let rest = String::from_utf8_lossy(&self.unread[end..]).into_owned();
        assert!(head.starts_with("http/1.1 2"), "{head}{rest}");
        self.unread.drain(..end + 4);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        match length {
            Some(length) => Framing::Length(length.trim().parse().expect("a length")),
            None => Framing::Chunked { left: 0, over: false },
        }
    }

    async fn read(&mut self) {
        self.unread.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.unread).await.expect("the answer is read");
        assert!(read > 0, "the server closed the connection");
    }
}

impl Framing {
    /// Moves what belongs to the body; true when the body is complete.
    fn take(&mut self, unread: &mut Vec<u8>, body: &mut Vec<u8>) -> bool {
        match self {
            Self::Length(left) => {
                let here = unread.len().min(*left);
                body.extend(unread.drain(..here));
                *left -= here;
                *left == 0
            }
            Self::Chunked { left, over } => {
                let used = dechunk(unread, left, over, body);
                unread.drain(..used);
                *over
            }
        }
    }
}

/// Copies the contents of chunks to `body`; the number of bytes understood.
fn dechunk(raw: &[u8], left: &mut usize, over: &mut bool, body: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while !*over {
        let here = (raw.len() - at).min(*left);
        body.extend_from_slice(&raw[at..at + here]);
        at += here;
        *left -= here;
        let Some(end) = find(&raw[at..], b"\r\n").filter(|_| *left == 0) else { break };
        let line = &raw[at..at + end];
        // An empty line is the end of the chunk before.
        if !line.is_empty() {
            let size = std::str::from_utf8(line).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            *left = size.expect("the size of a chunk");
            *over = *left == 0;
        }
        at += end + 2;
    }
    at
}

impl Events {
    /// The name of the next event, and when it was here. `None` when the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Instant)> {
        loop {
            if let Some(end) = find(&self.text, b"\n\n") {
                let at = now();
                let frame = String::from_utf8_lossy(&self.text[..end]).into_owned();
                self.text.drain(..end + 2);
                if let Some(name) = frame.lines().find_map(|line| line.strip_prefix("event: ")) {
                    return Some((name.to_owned(), at));
                }
                continue;
            }
            if self.framing.take(&mut self.connection.unread, &mut self.text) {
                return None;
            }
            if find(&self.text, b"\n\n").is_none() {
                self.connection.read().await;
            }
        }
    }

    /// Reads on until an event of this name; when it was here.
    pub(crate) async fn until(&mut self, name: &str) -> Instant {
        loop {
            let (next, at) = self.next().await.expect("the stream goes on");
            if next == name {
                return at;
            }
        }
    }
}

/// Requests as fast as they are answered, each connection with one of its own; what each took, and all per second.
pub(crate) async fn hammer(url: &str, requests: Vec<(String, String)>, duration: Duration) -> (f64, Latencies) {
    let begun = now();
    let mut tasks = Vec::new();
    for (path, body) in requests {
        let mut connection = Connection::open(url).await;
        tasks.push(tokio::spawn(async move {
            let request = connection.post(&path, &body);
            let mut took = Latencies::default();
            while begun.elapsed() < duration {
                let sent = now();
                connection.send(&request).await;
                took.add(sent.elapsed());
            }
            took
        }));
    }
    let mut all = Latencies::default();
    for task in tasks {
        all.extend(task.await.expect("a client"));
    }
    let per_second = all.len() as f64 / begun.elapsed().as_secs_f64();
    (per_second, all)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
