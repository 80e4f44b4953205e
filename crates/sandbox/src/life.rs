//! The life of one sandbox's processes: who watches them, what ends them, and why.
//!
//! Two tasks belong to a life. One waits for the first process and then removes the control groups, so that
//! [`Life::ended`] means that nothing is left. The other measures the disk, often while a tool runs and seldom while
//! only background jobs might. Both outlive the `Sandbox`, which only has to send the kill.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::cgroup::Cgroup;
use crate::disk::{self, Usage};
use crate::limits::Limits;

const DISK_PAUSE_BUSY: Duration = Duration::from_millis(250);
const DISK_PAUSE_IDLE: Duration = Duration::from_secs(2);
/// Measuring takes at most one part in this many of the time.
const DISK_SHARE: u32 = 10;
/// How long a toolbox without isolation may take to end what it started.
const HOST_GRACE: Duration = Duration::from_millis(1500);

#[derive(Debug)]
pub(crate) struct Life {
    process: OwnedFd,
    socket: OwnedFd,
    isolated: bool,
    busy: AtomicBool,
    reason: OnceLock<String>,
    killed: Notify,
    stirred: Notify,
    ended: watch::Sender<bool>,
}

/// What the disk watch needs to know.
pub(crate) struct DiskWatch {
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) limits: Limits,
    /// What was there when the sandbox was opened. More than the limits allow means that it may only clean up.
    pub(crate) before: Usage,
}

impl Life {
    /// Takes charge of a started child. `socket` is a duplicate of the server's end.
    pub(crate) fn begin(
        child: Child,
        socket: OwnedFd,
        cgroup: Option<Cgroup>,
        isolated: bool,
        disk: DiskWatch,
    ) -> io::Result<Arc<Self>> {
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the sandbox ended at once"))?;
        let life = Arc::new(Self {
            process: rustix::process::pidfd_open(pid, PidfdFlags::empty())?,
            socket,
            isolated,
            busy: AtomicBool::new(false),
            reason: OnceLock::new(),
            killed: Notify::new(),
            stirred: Notify::new(),
            ended: watch::Sender::new(false),
        });
        tokio::spawn(reap(Arc::clone(&life), child, cgroup));
        tokio::spawn(watch_disk(Arc::clone(&life), disk));
        Ok(life)
    }

    /// Ends all processes. The first reason given is the one that is kept.
    pub(crate) fn kill(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        // The toolbox ends itself and its children when its socket closes; isolated or not, that costs nothing.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if self.isolated {
            let _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
        }
        self.killed.notify_one();
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.reason.get().is_none() && !*self.ended.borrow()
    }

    /// Why the processes were ended, if it was done on purpose.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Waits until no process is left.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // An error means that the sender is gone, which cannot be while `self` is borrowed.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        self.stirred.notify_one();
    }
}

async fn reap(life: Arc<Life>, mut child: Child, cgroup: Option<Cgroup>) {
    let killed = tokio::select! {
        _ = child.wait() => false,
        () = life.killed.notified() => true,
    };
    if killed {
        if !life.isolated {
            let _ = tokio::time::timeout(HOST_GRACE, child.wait()).await;
        }
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
    if let Some(cgroup) = cgroup {
        cgroup.remove().await;
    }
    life.ended.send_replace(true);
}

async fn watch_disk(life: Arc<Life>, disk: DiskWatch) {
    let may_only_clean = disk.before.excess(&disk.limits).is_some();
    let disk = Arc::new(disk);
    let mut measured = Instant::now();
    let mut cost = Duration::ZERO;
    loop {
        let busy = life.busy.load(Ordering::Relaxed);
        let pause = if busy { DISK_PAUSE_BUSY } else { DISK_PAUSE_IDLE };
        tokio::select! {
            () = life.ended() => return,
            // A tool call has begun or ended: choose the pause anew. It counts from the last measurement, so that many
            // short calls cannot put the next one off.
            () = life.stirred.notified() => continue,
            () = tokio::time::sleep_until(measured + pause.max(cost * DISK_SHARE)) => {}
        }
        let started = Instant::now();
        let measuring = {
            let disk = Arc::clone(&disk);
            tokio::task::spawn_blocking(move || (disk::measure(&disk.roots, &disk.limits), host_shortage(&disk)))
        };
        let Ok((usage, shortage)) = measuring.await else { return };
        cost = started.elapsed();
        measured = Instant::now();
        let excess = usage.excess(&disk.limits).filter(|_| !usage.is_within(&disk.before));
        if let Some(reason) = shortage.or(excess) {
            tracing::warn!(reason, "sandbox stopped");
            life.kill(&reason);
            return;
        }
        if may_only_clean && usage.excess(&disk.limits).is_none() && !life.busy.load(Ordering::Relaxed) {
            life.kill("there is room on the disk again, and a new sandbox may write");
            return;
        }
    }
}

/// Says so if the host is short of disk space.
pub(crate) fn host_shortage(disk: &DiskWatch) -> Option<String> {
    let min = disk.limits.host_free_bytes_min;
    let short = disk.roots.iter().any(|root| disk::free_bytes(root).is_ok_and(|free| free < min));
    short.then(|| format!("disk limit exceeded: the host has less than {min} bytes of disk space left"))
}
