//! Starting a child that inherits exactly what it is given.
//!
//! Invariants:
//! - The child gets an environment and a set of descriptors that were chosen for it; every other descriptor of the
//!   server is closed by the kernel at exec.
//! - All children are forked by one thread that never ends. Why: a sandbox dies with its parent, and to the kernel the
//!   parent is the *thread* that forked; a thread of a worker pool may end while the server lives on.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::seal;

/// A child to be.
pub(crate) struct Spawn {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Kept open in the child under their present numbers.
    pub(crate) inherited: Vec<OwnedFd>,
    /// `cgroup.procs` files that the child enters before it executes the program.
    pub(crate) cgroup_entrances: Vec<File>,
    /// Whether to make the host's devices read-only for the child; needs to be root.
    pub(crate) seal_devices: bool,
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Spawn {
    /// Starts the child. Its standard input and output are empty; its standard error can be read.
    pub(crate) async fn start(self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let entrances = self.cgroup_entrances;
        let inherited = self.inherited;
        let numbers: Vec<RawFd> = inherited.iter().map(|fd| fd.as_raw_fd()).collect();
        let seal_devices = self.seal_devices;
        let prepare = move || {
            for entrance in &entrances {
                enter_cgroup(entrance)?;
            }
            if seal_devices {
                seal::seal_devices()?;
            }
            inherit_only(&numbers)
        };
        // SAFETY: between fork and exec the closure only makes system calls; it neither allocates nor locks.
        unsafe { command.pre_exec(prepare) };

        let (reply, child) = oneshot::channel();
        let job = Job { command, runtime: tokio::runtime::Handle::current(), reply };
        forking_thread()?.send(job).map_err(|_| io::Error::other("the forking thread has ended"))?;
        let child = child.await.map_err(|_| io::Error::other("the forking thread has ended"))?;
        drop(inherited);
        child
    }
}

fn forking_thread() -> io::Result<mpsc::Sender<Job>> {
    static THREAD: OnceLock<Option<mpsc::Sender<Job>>> = OnceLock::new();
    let sender = THREAD.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        let body = move || {
            while let Ok(mut job) = jobs.recv() {
                let _runtime = job.runtime.enter();
                let child = job.command.spawn();
                // A caller that has gone away drops the child, which kills it.
                let _ = job.reply.send(child);
            }
        };
        std::thread::Builder::new().name("sandbox-fork".into()).spawn(body).ok().map(|_| sender)
    });
    sender.clone().ok_or_else(|| io::Error::other("the forking thread cannot be started"))
}

fn enter_cgroup(entrance: &File) -> io::Result<()> {
    rustix::io::write(entrance, b"0")?;
    Ok(())
}

fn inherit_only(numbers: &[RawFd]) -> io::Result<()> {
    // SAFETY: marks descriptors of this process close-on-exec; closes nothing now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    for number in numbers {
        // SAFETY: the number is that of a descriptor which the parent holds open across the fork.
        if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
