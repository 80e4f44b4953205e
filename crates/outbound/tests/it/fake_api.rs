//! A Messages API that plays byte scripts over a plain socket, and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One thing to do on a connection.
#[derive(Clone)]
pub(crate) enum Step {
    /// Send bytes.
    Send(Vec<u8>),
    /// Send nothing and keep the connection open for as long as the test runs.
    Hang,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Request line and header lines.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

/// The server. Connection n plays script n; after the last, the last again.
pub(crate) struct FakeApi {
    /// Its address.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeApi {
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            let mut script = scripts.next().unwrap_or_default();
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                tokio::spawn(play(socket, script.clone(), Arc::clone(&kept)));
                script = scripts.next().unwrap_or(script);
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn play(mut socket: TcpStream, script: Vec<Step>, asked: Arc<Mutex<Vec<Asked>>>) {
    let Some(request) = read_request(&mut socket).await else { return };
    asked.lock().unwrap().push(request);
    for step in script {
        match step {
            Step::Send(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Hang => tokio::time::sleep(Duration::from_secs(600)).await,
        }
    }
    let _ = socket.shutdown().await;
}

async fn read_request(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0usize) {
                return Some(Asked { head, body: String::from_utf8(bytes[end + 4..].to_vec()).unwrap() });
            }
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The head of a streamed answer that ends with the connection.
pub(crate) fn stream_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n".to_vec(),
    )
}

/// A streamed answer, sent as HTTP chunks so that the client sees the pieces one by one. Without its last chunk
/// the answer is cut off.
pub(crate) fn chunked(pieces: &[&[u8]], complete: bool) -> Vec<Step> {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    if complete {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
    vec![Step::Send(bytes)]
}

/// An answer with a status.
pub(crate) fn refusal(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Step::Send(
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}")
            .into_bytes(),
    )]
}

/// Frames as they stand in a stream.
pub(crate) fn frames(data: &[Value]) -> Vec<u8> {
    data.iter()
        .flat_map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("x")).into_bytes())
        .collect()
}
