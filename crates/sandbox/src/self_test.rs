//! The proof, at start-up, that a sandbox can be opened and does not reach the host.
//!
//! bubblewrap resolves the places where it mounts things with the launcher's rights. Where such a place lies below a
//! directory that the inside can write, a planted symlink through `/oldroot` (the host's root while the sandbox is
//! built) makes it create directories and files on the host (CVE-2026-87766). Our profile has no such place; this test
//! plants a symlink under every name that the profile uses and then looks whether anything arrived.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::diagnosis::Unavailable;
use crate::launcher::{Launcher, SandboxError};
use crate::mounts::Mounts;
use crate::output::{OutputBlock, ToolOutput};

const PLANTED: &[&str] = &[
    "daybreak",
    "dev",
    "etc",
    "group",
    "hosts",
    "mnt",
    "outputs",
    "passwd",
    "proc",
    "session",
    "tmp",
    "toolbox",
    "uploads",
    "usr",
    "var",
    "workspace",
];

const SCRATCH_PREFIX: &str = "daybreak-self-test-";
/// Far longer than a self-test takes.
const SCRATCH_AGE: Duration = Duration::from_secs(60);

/// Opens a few things that must not be writable, without writing to them.
const QUESTIONS: &str = "chmod 666 /dev/null 2>/dev/null && echo 'the devices'; \
    { : >>/proc/sys/kernel/core_pattern; } 2>/dev/null && echo 'the kernel settings'; \
    { : >>/usr/.daybreak-self-test; } 2>/dev/null && echo 'the programs'; echo asked";

/// Runs the proof.
pub(crate) async fn run(launcher: &Launcher) -> Result<(), Unavailable> {
    remove_leftovers(&std::env::temp_dir());
    let scratch =
        Scratch::new().map_err(|error| Unavailable::failed(format!("the self-test cannot begin: {error}")))?;
    let mounts = scratch.mounts();
    let mut sandbox = launcher.open(&mounts).await.map_err(|error| match error {
        SandboxError::NotReady { said } => Unavailable::explain(&said),
        SandboxError::Start(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Unavailable::explain("bwrap cannot be started: Operation not permitted")
        }
        error => Unavailable::failed(with_sources(&error)),
    })?;
    if launcher.is_isolated() {
        let input = json!({ "command": QUESTIONS });
        let answer = sandbox.call("bash", input.as_object().unwrap_or(&serde_json::Map::new())).await;
        let answer = text(&answer);
        let reached = answer.strip_suffix("asked").ok_or_else(|| Unavailable::failed(answer.clone()))?;
        if !reached.is_empty() {
            return Err(Unavailable::reaches_the_host(&reached.trim().replace('\n', ", ")));
        }
    }
    sandbox.close().await;
    if !scratch.canary_is_untouched() {
        return Err(Unavailable::reaches_the_host("a planted symlink was followed while the sandbox was built"));
    }
    Ok(())
}

fn text(output: &ToolOutput) -> String {
    let text = |block: &OutputBlock| if let OutputBlock::Text(text) = block { text.clone() } else { String::new() };
    output.content.iter().map(text).collect()
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// Removes what servers left that were killed during their self-test. Another user's directory is none of our business,
/// and a young one may belong to a server that this process cannot see.
fn remove_leftovers(directory: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let server = name.to_str().and_then(|name| name.strip_prefix(SCRATCH_PREFIX)?.split_once('-'));
        let Some((server, _)) = server.filter(|(pid, _)| pid.parse::<u32>().is_ok()) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        let is_old = metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > SCRATCH_AGE));
        if metadata.is_dir() && metadata.uid() == own && is_old && !Path::new("/proc").join(server).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory of the launcher's own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let nonce = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let name = format!("{SCRATCH_PREFIX}{}-{count}-{nonce}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Fails if the name exists, so nobody can have prepared it.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let scratch = Self(path.canonicalize()?);
        fs::create_dir(scratch.canary())?;
        let mounts = scratch.mounts();
        let target = Path::new("/oldroot").join(scratch.canary().strip_prefix("/").unwrap_or(Path::new("")));
        for directory in [&mounts.workspace, &mounts.outputs, &mounts.uploads] {
            fs::create_dir(directory)?;
            for name in PLANTED {
                symlink(&target, directory.join(name))?;
            }
        }
        Ok(scratch)
    }

    fn mounts(&self) -> Mounts {
        let [workspace, outputs, uploads] = ["workspace", "outputs", "uploads"].map(|name| self.0.join(name));
        Mounts { workspace, outputs, uploads }
    }

    fn canary(&self) -> PathBuf {
        self.0.join("canary")
    }

    fn canary_is_untouched(&self) -> bool {
        fs::read_dir(self.canary()).is_ok_and(|mut entries| entries.next().is_none())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn only_old_scratch_directories_of_dead_servers_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: String, age: u64| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.join("inner")).unwrap();
            let time = SystemTime::UNIX_EPOCH + SystemTime::UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(age);
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
            path
        };
        let dead = make(format!("{SCRATCH_PREFIX}4194999-0-1"), 300);
        let young = make(format!("{SCRATCH_PREFIX}4194999-0-2"), 0);
        let alive = make(format!("{SCRATCH_PREFIX}{}-0-3", std::process::id()), 300);
        let foreign = make(format!("{SCRATCH_PREFIX}x-0-4"), 300);
        remove_leftovers(directory.path());
        assert_eq!([&dead, &young, &alive, &foreign].map(|path| path.exists()), [false, true, true, true]);
    }
}
