//! A folder to work in, the program in it, and a server that ends with its test.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than anything takes on a busy machine, and shorter than a person's patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with nothing in it, in which the program is started. Its environment holds nothing of the caller's.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_daybreak"), arguments)
    }

    pub(crate) fn command_of(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let tmp = self.path("tmp");
        std::fs::create_dir_all(&tmp).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TMPDIR", tmp).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(&self.command(arguments).output().unwrap())
    }

    /// What is left in the folder for temporary files.
    pub(crate) fn left_in_tmp(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// A server on any free port, with its data in `data`.
    pub(crate) fn serve(&self, arguments: &[&str], env: &[(&str, &str)]) -> Server {
        let all = [["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"].as_slice(), arguments].concat();
        let running = Running::start(self.command(&all).envs(env.iter().copied()));
        let said = running.wait_for("http://");
        let address = said.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Server { base: format!("http://{address}"), running }
    }
}

/// What a program left: exit code, standard output, standard error.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A process whose standard error is read as it comes.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let reader = std::thread::spawn(move || listen(stderr, &heard));
        Self { child, said, reader: Some(reader) }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until a line with this text has been said, and returns all that was.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said();
            if said.contains(text) {
                return said;
            }
            assert!(Instant::now() < deadline, "never said {text:?}, but:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end: exit code, and everything that was said.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().unwrap();
        (status.code().unwrap_or(-1), self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn listen(stderr: impl Read, heard: &Mutex<String>) {
    let mut lines = BufReader::new(stderr);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        heard.lock().unwrap().push_str(&line);
        line.clear();
    }
}

/// A running server.
pub(crate) struct Server {
    base: String,
    pub(crate) running: Running,
}

impl Server {
    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Tells it to stop, and waits: exit code, and everything that it said.
    pub(crate) fn stop(self) -> (i32, String) {
        self.running.signal(Signal::TERM);
        self.running.wait()
    }

    /// Asks with a key: status and body.
    pub(crate) async fn get(&self, path: &str, key: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, path, key, None).await
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(reqwest::Method::POST, path, key, Some(body)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn ask(&self, method: reqwest::Method, path: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
        daybreak_outbound::install_tls();
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(key).header("anthropic-beta", "managed-agents-2026-04-01").timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A session of rehearsal/echo that is told something; its id.
    pub(crate) async fn session(&self, key: &str, message: &str) -> String {
        let toolset = serde_json::json!([{ "type": "agent_toolset_20260401" }]);
        let agent = serde_json::json!({ "name": "Echo", "model": "rehearsal/echo", "tools": toolset });
        let agent = self.post("/v1/agents", key, &agent).await;
        let environment = self.post("/v1/environments", key, &serde_json::json!({ "name": "here" })).await;
        let message = serde_json::json!({ "type": "user.message", "content": [{ "type": "text", "text": message }] });
        let session = serde_json::json!({
            "agent": agent["id"], "environment_id": environment["id"], "initial_events": [message],
        });
        self.post("/v1/sessions", key, &session).await["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the session has an event of a type.
    pub(crate) async fn wait_for_event(&self, key: &str, session: &str, kind: &str) {
        let path = format!("/v1/sessions/{session}/events?types[]={kind}");
        let deadline = Instant::now() + PATIENCE;
        while self.get(&path, key).await.1["data"].as_array().is_none_or(Vec::is_empty) {
            assert!(Instant::now() < deadline, "there never was a {kind}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Who may do what with a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
