//! The server that is measured: a process of its own, with the fake model behind it.

use crate::clock::{millis, now};
use crate::fake_model::FakeModel;
use crate::http::{Connection, Events};
use daybreak_testkit::client::{Client, text};
use daybreak_testkit::server::{Server, Spec};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// The model that is [`FakeModel`].
pub(crate) const ANSWERS: &str = "claude-opus-5-5";
/// A model that never answers: whoever writes to it finds its session at work.
pub(crate) const NEVER_ANSWERS: &str = "rehearsal/never-answers";
const SCENARIO: &str = "name: never-answers\nrules:\n  - when: { after_message: true }\n    delay_ms: 3600000\n    \
     reply:\n      - text: 'At last. (This is a rehearsal.)'\n";
/// Kernel clock ticks per second, as `/proc` counts CPU time: the same on every Linux of today.
const TICKS_PER_S: f64 = 100.0;

/// A running server.
pub(crate) struct Daybreak {
    server: Server,
    client: Client,
    pub(crate) model: FakeModel,
    environment: String,
}

/// A client of one session: it sends, and follows the stream.
pub(crate) struct Conversation {
    connection: Connection,
    events: Events,
    path: String,
}

/// When what happened in a turn, as the client saw it.
pub(crate) struct Turn {
    pub(crate) sent: Instant,
    /// The first frame of the message that was sent.
    pub(crate) echoed: Instant,
    /// The last `agent.message`.
    pub(crate) answered: Instant,
}

impl Daybreak {
    /// Starts the program on an empty data directory below `dir`; and the milliseconds that it took.
    pub(crate) async fn start(program: &Path, dir: &Path, model: FakeModel) -> (Self, f64) {
        let scenarios = dir.join("scenarios");
        std::fs::create_dir_all(&scenarios).expect("a directory");
        std::fs::write(scenarios.join("never-answers.yaml"), SCENARIO).expect("a scenario");
        let variables = [
            ("ANTHROPIC_BASE_URL", model.url.as_str()),
            ("ANTHROPIC_API_KEY", "sk-ant-bench"),
            ("NO_PROXY", "127.0.0.1"),
            ("RUST_LOG", "warn"),
        ];
        let spec = Spec {
            program: program.to_owned(),
            data_dir: dir.join("data"),
            scenarios: Some(scenarios),
            env: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        };
        let begun = now();
        let server = Server::start(&spec).await.expect("the server becomes ready");
        let took = millis(begun.elapsed());
        let client = Client::new(&server.url);
        let environment = client.post("/v1/environments", json!({"name": "local"})).await.expect("an answer");
        let environment = text(&environment["id"]);
        (Self { server, client, model, environment }, took)
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// The request that creates a session of a new agent with this model.
    pub(crate) async fn session_of(&self, model: &str) -> String {
        let tools = json!([{"type": "agent_toolset_20260401"}]);
        let agent = json!({"name": "Bench", "model": model, "tools": tools});
        let agent = self.client.post("/v1/agents", agent).await.expect("an answer");
        json!({"agent": agent["id"], "environment_id": self.environment}).to_string()
    }

    /// New sessions with this model.
    pub(crate) async fn sessions(&self, model: &str, count: usize) -> Vec<String> {
        let body = self.session_of(model).await;
        let mut connection = Connection::open(self.url()).await;
        let request = connection.post("/v1/sessions", &body);
        let mut sessions = Vec::new();
        for _ in 0..count {
            let answer = connection.send(&request).await;
            let session: serde_json::Value = serde_json::from_slice(&answer).expect("a session");
            sessions.push(text(&session["id"]));
        }
        sessions
    }

    /// Clients of new sessions, each with its stream open.
    pub(crate) async fn conversations(&self, model: &str, count: usize) -> Vec<Conversation> {
        let mut conversations = Vec::new();
        for session in self.sessions(model, count).await {
            let connection = Connection::open(self.url()).await;
            let events = Connection::open(self.url()).await;
            let events = events.events(&format!("/v1/sessions/{session}/events/stream")).await;
            conversations.push(Conversation { connection, events, path: events_path(&session) });
        }
        conversations
    }

    /// CPU time that the process has used, in milliseconds. That of its children is not in it.
    pub(crate) fn cpu_ms(&self) -> f64 {
        let stat = self.proc("stat");
        // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        ticks.sum::<f64>() * 1_000.0 / TICKS_PER_S
    }

    /// Resident memory, in MiB.
    pub(crate) fn rss_mib(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib = line.trim().trim_end_matches(" kB").parse::<f64>();
        kib.expect("resident memory") / 1_024.0
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.server.pid)).expect("the server lives")
    }
}

impl Conversation {
    /// Says something and follows the turn to its end.
    pub(crate) async fn turn(&mut self, words: &str) -> Turn {
        let request = self.connection.post(&self.path, &messages(&[words]));
        let sent = now();
        let (connection, events) = (&mut self.connection, &mut self.events);
        let follow = async {
            let echoed = events.until("user.message").await;
            let mut answered = echoed;
            loop {
                match events.next().await.expect("the stream goes on") {
                    (name, at) if name == "agent.message" => answered = at,
                    (name, _) if name == "session.status_idle" => return (echoed, answered),
                    (name, _) => assert!(name != "session.error", "the turn failed"),
                }
            }
        };
        let (_, (echoed, answered)) = tokio::join!(connection.send(&request), follow);
        Turn { sent, echoed, answered }
    }
}

/// Where a session's events are sent.
pub(crate) fn events_path(session: &str) -> String {
    format!("/v1/sessions/{session}/events")
}

/// The body that sends messages.
pub(crate) fn messages(texts: &[&str]) -> String {
    let message = |words: &&str| json!({"type": "user.message", "content": [{"type": "text", "text": words}]});
    json!({"events": texts.iter().map(message).collect::<Vec<_>>()}).to_string()
}
