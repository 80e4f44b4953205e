//! `daybreak` with a fuse: it aborts right before or right after a chosen commit.
//!
//! `DAYBREAK_CRASH_AT=before:7` aborts when the seventh commit of this process is written and not durable;
//! `after:7` when it is durable and nobody has been told. `DAYBREAK_COMMITS_FILE` names a file that always holds
//! the number of commits so far. Without them it is `daybreak`.

use daybreak_store::CommitPoint;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("__toolbox") {
        return daybreak_sandbox::toolbox::main();
    }
    let fuse = env("DAYBREAK_CRASH_AT").map(|at| {
        let (side, number) = at.split_once(':').expect("before:N or after:N");
        let point = if side == "before" { CommitPoint::Before } else { CommitPoint::After };
        (point, number.parse::<u64>().expect("a number"))
    });
    let commits_file = env("DAYBREAK_COMMITS_FILE");
    let commits = AtomicU64::new(0);
    let on_commit = move |point: CommitPoint| {
        let number = match point {
            CommitPoint::Before => commits.fetch_add(1, Ordering::SeqCst) + 1,
            CommitPoint::After => commits.load(Ordering::SeqCst),
        };
        if fuse == Some((point, number)) {
            std::process::abort();
        }
        if let Some(path) = &commits_file {
            std::fs::write(path, number.to_string()).expect("the commits file is writable");
        }
    };
    daybreak_cli::main_with(daybreak_cli::Hooks { on_commit: Some(Arc::new(on_commit)) })
}

#[expect(clippy::disallowed_methods, reason = "this is main: the environment is read here")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
