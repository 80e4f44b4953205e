//! What a fork costs here: bash alone, bash in a bare sandbox, and a shell that is already there.

use crate::clock::{Latencies, now};
use crate::results::Results;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const SPAWNS: usize = 25;
const ROUNDS: usize = 300;

/// A sandbox with nothing in it but what bash needs.
const BUBBLEWRAP: [&str; 26] = [
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--chdir",
    "/",
    "bash",
    "-c",
    "true",
];

pub(super) fn measure(dir: &Path, results: &mut Results) {
    let bash = spawns(Command::new("bash").args(["-c", "true"]).current_dir(dir));
    results.add("bash", bash.p50());
    let bubblewrap = spawns(Command::new("bwrap").args(BUBBLEWRAP).current_dir(dir));
    results.add("bwrap-p50", bubblewrap.p50());
    results.add("bwrap-p99", bubblewrap.p99());
    results.add("shell", live_shell().p50());
}

/// From fork to exit.
fn spawns(command: &mut Command) -> Latencies {
    let mut latencies = Latencies::default();
    for _ in 0..SPAWNS {
        let begun = now();
        let status = command.stdin(Stdio::null()).status().expect("the program is installed");
        latencies.add(begun.elapsed());
        assert!(status.success(), "{command:?}: {status}");
    }
    latencies
}

/// A builtin of a bash that is waiting for commands: asked through a pipe, answered through another.
fn live_shell() -> Latencies {
    let mut command = Command::new("bash");
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash is installed");
    let mut asks = shell.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(shell.stdout.take().expect("a pipe"));
    let mut latencies = Latencies::default();
    let mut line = String::new();
    for _ in 0..ROUNDS {
        let begun = now();
        asks.write_all(b"echo $?\n").expect("bash listens");
        let bytes = answers.read_line(&mut line).expect("bash answers");
        latencies.add(begun.elapsed());
        assert!(bytes > 0, "bash has ended");
    }
    drop(asks);
    let _status = shell.wait();
    latencies
}
