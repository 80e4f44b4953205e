//! A server that does the least: JSON in, a row into the log, JSON out after the commit; and an event stream that
//! repeats what is posted. It is this program, run once more, so that it has its own process as Daybreak has.

use super::sqlite::Log;
use axum::extract::{Path as UrlPath, State};
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::Stream;
use serde_json::Value;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};

/// The argument that makes this program the floor server.
pub(crate) const ARGUMENT: &str = "__floor-server";
/// Appends in one commit.
const GROUP_MAX: usize = 256;
const FOLLOWED_MAX: usize = 1_024;

/// The running floor server. Dropping it kills it.
pub(crate) struct FloorServer {
    child: Child,
    pub(crate) url: String,
}

impl FloorServer {
    pub(crate) async fn start(dir: &Path) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the floor server starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("the floor server says where it is");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for FloorServer {
    fn drop(&mut self) {
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Clone)]
struct Shared {
    appends: mpsc::Sender<Append>,
    echoes: broadcast::Sender<String>,
}

struct Append {
    session_key: i64,
    bodies: Vec<String>,
    done: oneshot::Sender<()>,
}

/// Serves until it is killed.
pub(crate) async fn serve(dir: &Path) {
    let (appends, queue) = mpsc::channel(4_096);
    let (echoes, _) = broadcast::channel(FOLLOWED_MAX);
    tokio::spawn(write(Log::create(&dir.join("floor-server.db")).await, queue));
    let router = Router::new()
        .route("/hello", post(async |Json(body): Json<Value>| Json(body)))
        .route("/append/{session}", post(append))
        .route("/echo", post(echo))
        .route("/durable-echo", post(durable_echo))
        .route("/stream", get(stream))
        .with_state(Shared { appends, echoes });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("http://{}", listener.local_addr().expect("an address"));
    let listener = axum::serve::ListenerExt::tap_io(listener, |connection| {
        connection.set_nodelay(true).expect("TCP_NODELAY");
    });
    axum::serve(listener, router).await.expect("the floor server serves");
}

async fn append(
    State(shared): State<Shared>,
    UrlPath(session_key): UrlPath<i64>,
    Json(events): Json<Vec<Value>>,
) -> Json<Vec<Value>> {
    shared.write(session_key, events.iter().map(Value::to_string).collect()).await;
    Json(events)
}

impl Shared {
    /// Returns once the events are on disk.
    async fn write(&self, session_key: i64, bodies: Vec<String>) {
        let (done, durable) = oneshot::channel();
        let sent = self.appends.send(Append { session_key, bodies, done }).await;
        assert!(sent.is_ok() && durable.await.is_ok(), "the writer lives");
    }
}

/// One writer: what waits goes into one commit, and is answered after it.
async fn write(mut log: Log, mut queue: mpsc::Receiver<Append>) {
    while let Some(first) = queue.recv().await {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        log.begin().await;
        for append in &group {
            log.append(append.session_key, &append.bodies).await;
        }
        log.commit().await;
        for append in group {
            let _gone = append.done.send(());
        }
    }
}

async fn echo(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let _nobody_listens = shared.echoes.send(body.to_string());
    Json(body)
}

/// An echo that is on disk before anyone hears it.
async fn durable_echo(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    shared.write(0, vec![body.to_string()]).await;
    echo(State(shared), Json(body)).await
}

async fn stream(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let echoes = shared.echoes.subscribe();
    Sse::new(futures_util::stream::unfold(echoes, async |mut echoes| {
        let said = echoes.recv().await.ok()?;
        Some((Ok(Event::default().event("echo").data(said)), echoes))
    }))
}
