//! What the tests stand on: the host's directories of one session, and a launcher.

use std::path::{Path, PathBuf};

use daybreak_sandbox::{Backend, Config, Launcher, Limits, Mounts, OutputBlock, Sandbox, ToolOutput};
use serde_json::Value;
use tempfile::TempDir;

use crate::HELPER_ARGS;

pub(crate) struct World {
    directory: TempDir,
    pub(crate) mounts: Mounts,
    pub(crate) launcher: Launcher,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_limits(|_| {}).await
    }

    pub(crate) async fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with_backend(Backend::Bubblewrap, change).await
    }

    pub(crate) async fn with_backend(backend: Backend, change: impl FnOnce(&mut Limits)) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| {
            let path = directory.path().canonicalize().unwrap().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let mounts = Mounts { workspace: at("workspace"), outputs: at("outputs"), uploads: at("uploads") };
        let mut config = config(backend);
        change(&mut config.limits);
        let launcher = Launcher::probe(config).await.expect("this machine must be able to run sandboxes");
        Self { directory, mounts, launcher }
    }

    pub(crate) async fn open(&self) -> Sandbox {
        self.launcher.open(&self.mounts).await.unwrap()
    }

    /// A path on the host that no sandbox is given.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn workspace(&self, name: &str) -> PathBuf {
        self.mounts.workspace.join(name)
    }
}

pub(crate) fn config(backend: Backend) -> Config {
    let mut config = Config::new(backend, std::env::current_exe().unwrap());
    config.helper_args = HELPER_ARGS.iter().map(|argument| (*argument).to_owned()).collect();
    config.helper_args.push("__toolbox".to_owned());
    config
}

/// A call's text, and whether it is an error.
pub(crate) async fn call(sandbox: &mut Sandbox, tool: &str, input: Value) -> (String, bool) {
    let output = sandbox.call(tool, input.as_object().unwrap()).await;
    (text(&output), output.is_error)
}

/// The text of a call that must succeed.
pub(crate) async fn ok(sandbox: &mut Sandbox, tool: &str, input: Value) -> String {
    let (text, is_error) = call(sandbox, tool, input.clone()).await;
    assert!(!is_error, "{tool} {input} failed: {text}");
    text
}

/// The text of a call that must fail.
pub(crate) async fn fails(sandbox: &mut Sandbox, tool: &str, input: Value) -> String {
    let (text, is_error) = call(sandbox, tool, input.clone()).await;
    assert!(is_error, "{tool} {input} should have failed: {text}");
    text
}

pub(crate) async fn sh(sandbox: &mut Sandbox, command: &str) -> String {
    ok(sandbox, "bash", serde_json::json!({ "command": command })).await
}

pub(crate) fn text(output: &ToolOutput) -> String {
    match output.content.as_slice() {
        [OutputBlock::Text(text)] => text.clone(),
        other => panic!("not one text block: {other:?}"),
    }
}

/// Host processes whose arguments contain the marker.
pub(crate) fn processes_with(marker: &str) -> Vec<u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own).filter(|pid| arguments_contain(*pid, marker)).collect()
}

fn arguments_contain(pid: u32, marker: &str) -> bool {
    let path = Path::new("/proc").join(pid.to_string()).join("cmdline");
    std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(marker))
}
