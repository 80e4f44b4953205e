//! A Daybreak server as a child process.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The key that every test server knows.
pub const KEY: &str = "sk-ant-api-testkit-0123456789abcdef";
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program: it takes the arguments of `daybreak`.
    pub program: PathBuf,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Where its rehearsals lie, if it has any of its own.
    pub scenarios: Option<PathBuf>,
    /// More environment.
    pub env: Vec<(String, String)>,
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its process id.
    pub pid: u32,
}

impl Server {
    /// Starts a server and waits until it is ready. `None` when it died first, which a crash test may want.
    ///
    /// # Panics
    /// When it can neither be started nor become ready.
    pub async fn start(spec: &Spec) -> Option<Self> {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let mut command = Command::new(&spec.program);
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(&spec.data_dir)
            .env("DAYBREAK_API_KEY", KEY)
            .env_remove("ANTHROPIC_API_KEY")
            .current_dir(spec.data_dir.parent().expect("a data directory inside another"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(scenarios) = &spec.scenarios {
            command.env("DAYBREAK_SCENARIOS", scenarios);
        }
        command.envs(spec.env.iter().map(|(name, value)| (name, value)));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(spec.data_dir.with_extension("log"));
        command.stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
        let child = command.spawn().expect("the server starts");
        let mut server = Self { pid: child.id(), child, url: format!("http://127.0.0.1:{port}") };
        server.until_ready().await.then_some(server)
    }

    async fn until_ready(&mut self) -> bool {
        let client = crate::client::http();
        let ready = async {
            loop {
                if self.has_died() {
                    return false;
                }
                let answer = client.get(format!("{}/readyz", self.url)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(START_TIME_MAX, ready).await.expect("the server becomes ready")
    }

    /// Whether the process has ended.
    pub fn has_died(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
