//! The server on a socket: it stops when told, and takes its streams with it.

use crate::test_server::{BETA, KEY, TestServer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Sends a request and reads its answer, which has a length.
async fn ask(connection: &mut TcpStream, head: &str, body: &[u8]) -> String {
    connection
        .write_all(format!("{head}\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes())
        .await
        .unwrap();
    connection.write_all(body).await.unwrap();
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = tokio::time::timeout(Duration::from_secs(5), connection.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the connection was closed: {answer}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_refusal_without_reading_the_body_leaves_the_connection_usable() {
    let server = TestServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(daybreak_server::serve(listener, server.state.clone(), std::future::pending()));
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = vec![b'x'; 3_000_000];
    for head in
        ["POST /nothing HTTP/1.1", "POST /v1/agents HTTP/1.1", "POST /v1/files HTTP/1.1\r\nx-api-key: sk-test-key"]
    {
        let answer = ask(&mut connection, head, &body).await;
        assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains("connection: close"), "{answer}");
        assert!(ask(&mut connection, "GET /healthz HTTP/1.1", b"").await.starts_with("HTTP/1.1 200"));
    }
    // A client that asks before it sends is told at once, and that it need not send.
    let held_back = b"POST /nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3000000\r\n\r\n";
    connection.write_all(held_back).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_its_streams() {
    let server = TestServer::start().await;
    let session = server.session().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, told) = oneshot::channel::<()>();
    let shutdown = async {
        let _told = told.await;
    };
    let serving = tokio::spawn(daybreak_server::serve(listener, server.state.clone(), shutdown));

    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/sessions/{session}/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\
         anthropic-beta: {BETA}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 4096];
    let read = connection.read(&mut head).await.unwrap();
    assert!(head[..read].starts_with(b"HTTP/1.1 200 OK\r\n"), "the headers come before any event");

    stop.send(()).unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), connection.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the stream has ended");
    assert!(rest.ends_with(b"0\r\n\r\n"), "and in order: {rest:?}");
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
