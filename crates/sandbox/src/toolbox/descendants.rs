//! Everything that the shell has started, whoever its parent was.
//!
//! The toolbox adopts orphans, so its children are found again and again below it until none is left. That works alike
//! with and without a pid namespace; killing "all processes" would not.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};

use super::deadline::Deadline;

const KILL_TIME_MAX: Duration = Duration::from_millis(1200);
const PAUSE: Duration = Duration::from_millis(1);

pub(super) fn adopt_orphans() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
}

/// Collects children that have ended.
pub(super) fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// Kills everything below this process. Ends this process too if something keeps multiplying faster than it dies: in a
/// sandbox the kernel then ends the rest.
pub(super) fn kill_all() {
    let deadline = Deadline::after(KILL_TIME_MAX);
    loop {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        reap();
        if deadline.has_passed() {
            std::process::exit(1);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The kernel lists children by the thread that has them.
fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}
