//! Bounds on memory and processes by control groups, where the host gives them.
//!
//! Version 2 is used if a child group with both controllers can be made; else the `memory` and `pids` hierarchies of
//! version 1, each on its own; else none, and only resource limits remain. Each sandbox has a group of its own, named
//! after the server's process, so that what a killed server left can be told from what is in use.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::Limits;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";
const NAME_PREFIX: &str = "daybreak-sandbox-";
const REMOVE_ATTEMPTS_MAX: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

static GROUP_COUNT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unified,
    Memory,
    Pids,
}

/// Where groups can be made on this host.
#[derive(Debug, Clone, Default)]
pub(crate) struct CgroupBases(Vec<(Kind, PathBuf)>);

/// The groups of one sandbox.
#[derive(Debug)]
pub(crate) struct Cgroup {
    directories: Vec<PathBuf>,
}

impl CgroupBases {
    /// Finds where groups can be made, by making one, and removes what servers that are gone left there.
    pub(crate) fn detect() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let unified = unified_candidates(&own).into_iter().find(|base| works(Kind::Unified, base));
        let bases = match unified {
            Some(base) => vec![(Kind::Unified, base)],
            None => [(Kind::Memory, "memory"), (Kind::Pids, "pids")]
                .into_iter()
                .filter_map(|(kind, name)| Some((kind, v1_base(&own, name)?)))
                .filter(|(kind, base)| works(*kind, base))
                .collect(),
        };
        for (_, base) in &bases {
            remove_leftovers(base);
        }
        Self(bases)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bounds_memory(&self) -> bool {
        self.0.iter().any(|(kind, _)| *kind != Kind::Pids)
    }

    /// Makes the groups of one sandbox.
    pub(crate) fn create(&self, limits: &Limits) -> io::Result<Cgroup> {
        let name = group_name();
        let mut cgroup = Cgroup { directories: Vec::new() };
        for (kind, base) in &self.0 {
            let directory = base.join(&name);
            fs::create_dir(&directory)?;
            cgroup.directories.push(directory.clone());
            set_limits(*kind, &directory, limits)?;
        }
        Ok(cgroup)
    }
}

impl Cgroup {
    /// The files through which a process enters the groups.
    ///
    /// The first version of control groups can take a single thread, and whoever enters here has no other. That spares
    /// a lock on all threads of the host, for which moving a process waits many milliseconds.
    pub(crate) fn entrances(&self) -> io::Result<Vec<File>> {
        let open = |directory: &PathBuf| {
            let thread = directory.join("tasks");
            let entrance = if thread.exists() { thread } else { directory.join("cgroup.procs") };
            OpenOptions::new().write(true).open(entrance)
        };
        self.directories.iter().map(open).collect()
    }

    /// Removes the groups, waiting for the kernel to finish with their last processes.
    pub(crate) async fn remove(mut self) {
        for directory in std::mem::take(&mut self.directories) {
            for _ in 0..REMOVE_ATTEMPTS_MAX {
                match fs::remove_dir(&directory) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => tokio::time::sleep(REMOVE_PAUSE).await,
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only on paths where nothing was started, or at exit; the next start removes what is still busy.
        for directory in &self.directories {
            let _ = fs::remove_dir(directory);
        }
    }
}

fn group_name() -> String {
    let count = GROUP_COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{NAME_PREFIX}{}-{count}", std::process::id())
}

/// The own group first; then its parent, because a group with processes cannot hand controllers to its children.
fn unified_candidates(own: &str) -> Vec<PathBuf> {
    let root = Path::new(CGROUP_ROOT);
    if !root.join("cgroup.controllers").exists() {
        return Vec::new();
    }
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let own = existing_or(root.join(path), root);
    let parent = own.parent().filter(|parent| parent.starts_with(root)).map(Path::to_path_buf);
    [Some(own), parent].into_iter().flatten().collect()
}

fn v1_base(own: &str, controller: &str) -> Option<PathBuf> {
    let root = Path::new(CGROUP_ROOT).join(controller);
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/'))
    })?;
    root.join("cgroup.procs").exists().then(|| existing_or(root.join(path), &root))
}

/// In a container the path that the kernel tells may lie outside of what is mounted.
fn existing_or(path: PathBuf, fallback: &Path) -> PathBuf {
    if path.is_dir() { path } else { fallback.to_path_buf() }
}

fn works(kind: Kind, base: &Path) -> bool {
    let directory = base.join(group_name());
    if fs::create_dir(&directory).is_err() {
        return false;
    }
    let works = set_limits(kind, &directory, &Limits::default()).is_ok()
        && OpenOptions::new().write(true).open(directory.join("cgroup.procs")).is_ok()
        && (kind != Kind::Unified || OpenOptions::new().write(true).open(base.join("cgroup.procs")).is_ok());
    fs::remove_dir(&directory).is_ok() && works
}

fn set_limits(kind: Kind, directory: &Path, limits: &Limits) -> io::Result<()> {
    let set = |file: &str, value: u64| fs::write(directory.join(file), value.to_string());
    match kind {
        Kind::Unified => {
            set("memory.max", limits.memory_bytes_max)?;
            // Absent where the kernel does not account for swap.
            let _ = set("memory.swap.max", 0);
            set("pids.max", limits.pids_max)
        }
        Kind::Memory => {
            set("memory.limit_in_bytes", limits.memory_bytes_max)?;
            let _ = set("memory.memsw.limit_in_bytes", limits.memory_bytes_max);
            Ok(())
        }
        Kind::Pids => set("pids.max", limits.pids_max),
    }
}

fn remove_leftovers(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NAME_PREFIX)?.split_once('-')).map(|(pid, _)| pid);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            kill_all(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A server that is killed while bubblewrap starts can leave it waiting forever for a word from its parent. It has run
/// nothing of the agent's, but it must not stay. Processes of other pid namespaces are listed as 0 and left alone.
fn kill_all(directory: &Path) {
    let listed = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in listed.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v1_base_needs_its_controller_in_the_list() {
        let own = "8:pids:/a\n4:cpu,memory:/process/x\n0::/\n";
        assert_eq!(v1_base(own, "hugetlb"), None);
        if let Some(base) = v1_base(own, "memory") {
            assert!(base.starts_with(CGROUP_ROOT));
        }
    }

    #[test]
    fn leftovers_of_dead_servers_are_told_from_those_in_use() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("{NAME_PREFIX}4194999-0"));
        let alive = base.path().join(format!("{NAME_PREFIX}{}-77", std::process::id()));
        let foreign = base.path().join("user.slice");
        for directory in [&dead, &alive, &foreign] {
            fs::create_dir(directory).unwrap();
        }
        remove_leftovers(base.path());
        assert!(!dead.exists() && alive.exists() && foreign.exists());
    }
}
