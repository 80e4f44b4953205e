//! Starting sandboxes.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr};

use crate::cgroup::{Cgroup, CgroupBases};
use crate::diagnosis::{self, Unavailable};
use crate::disk::{self, Usage};
use crate::life::{self, DiskWatch, Life};
use crate::limits::Limits;
use crate::mounts::{self, Bind, Mounts, OUTPUTS, SandboxPaths, UPLOADS, WORKSPACE};
use crate::profile::{self, Inside};
use crate::protocol::{Access, Ready, SOCKET_VARIABLE, Setup, ShellLimits};
use crate::sandbox::Sandbox;
use crate::seccomp;
use crate::self_test;
use crate::spawn::Spawn;
use crate::wire::Wire;

/// How long a sandbox may take to come up on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(20);
const STDERR_BYTES_MAX: u64 = 4096;
const STDERR_TIME_MAX: Duration = Duration::from_millis(500);

/// From this kernel on, processes are counted per user namespace; before, the count would include the whole desktop of
/// the user who runs the server.
const KERNEL_WITH_PROCESS_COUNT_PER_NAMESPACE: (u32, u32) = (5, 14);

/// What separates tools from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Namespaces, a system call filter and limits, set up by bubblewrap.
    Bubblewrap,
    /// Nothing: tools run as the server's user and can do whatever it can. Only for a machine that is itself thrown
    /// away, and only when asked for by name.
    UnsafeHost,
}

/// How to start sandboxes.
#[derive(Debug, Clone)]
pub struct Config {
    /// What separates tools from the host.
    pub backend: Backend,
    /// The program that runs inside and calls [`crate::toolbox::main`]: this one, executed again.
    pub helper: PathBuf,
    /// The arguments that make it do so.
    pub helper_args: Vec<String>,
    /// What one sandbox may use.
    pub limits: Limits,
}

impl Config {
    /// The default limits, and `__toolbox` as the helper's argument.
    #[must_use]
    pub fn new(backend: Backend, helper: impl Into<PathBuf>) -> Self {
        Self { backend, helper: helper.into(), helper_args: vec!["__toolbox".into()], limits: Limits::default() }
    }
}

/// Why one sandbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A directory cannot be mounted.
    #[error("cannot mount {}", path.display())]
    Mount {
        /// The host's directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The host is short of disk space.
    #[error("{0}")]
    HostDisk(String),
    /// The process could not be started.
    #[error("cannot start a sandbox")]
    Start(#[source] io::Error),
    /// The process was started but did not come up.
    #[error("the sandbox did not come up: {said}")]
    NotReady {
        /// What it said, as far as it said anything.
        said: String,
    },
}

/// Starts sandboxes on a machine that has been shown to allow them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Launcher {
    host: Arc<Host>,
}

#[derive(Debug)]
struct Host {
    config: Config,
    bubblewrap: PathBuf,
    cgroups: CgroupBases,
    seccomp_programs: Vec<Vec<u8>>,
    seal_devices: bool,
}

impl Launcher {
    /// Finds what is needed, opens a sandbox, and tries to reach the host from it.
    ///
    /// # Errors
    /// [`Unavailable`] says what is missing and how to get it.
    pub async fn probe(config: Config) -> Result<Self, Unavailable> {
        let isolated = config.backend == Backend::Bubblewrap;
        if !isolated {
            tracing::warn!("TOOLS RUN ON THIS HOST WITHOUT A SANDBOX: they can do whatever this server's user can");
        }
        let mut config = config;
        config.helper = config.helper.canonicalize().map_err(|_| Unavailable::no_helper(&config.helper))?;
        let host = Host {
            bubblewrap: if isolated { diagnosis::find_bubblewrap()? } else { PathBuf::new() },
            cgroups: CgroupBases::detect(),
            seccomp_programs: seccomp::programs().map_err(|error| Unavailable::failed(error.to_string()))?,
            seal_devices: isolated && rustix::process::geteuid().is_root(),
            config,
        };
        let launcher = Self { host: Arc::new(host) };
        if isolated && launcher.host.cgroups.is_empty() {
            tracing::warn!(
                "no control groups can be used, so memory is bounded for each process of a sandbox and not for all of \
                 them together; start the server as a service with delegated control groups, for example with \
                 `systemd-run --user --scope -p Delegate=yes`"
            );
        }
        let Err(unavailable) = self_test::run(&launcher).await else { return Ok(launcher) };
        if launcher.host.cgroups.is_empty() {
            return Err(unavailable);
        }
        // A host may let a group be made and still refuse to move a process into it.
        let launcher = launcher.without_cgroups();
        self_test::run(&launcher).await?;
        tracing::warn!(%unavailable, "control groups cannot be used; only resource limits bound a sandbox");
        Ok(launcher)
    }

    /// Starts a sandbox with these directories and waits until it can take calls.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub async fn open(&self, mounts: &Mounts) -> Result<Sandbox, SandboxError> {
        let binds = mounts.binds().map_err(|(path, source)| SandboxError::Mount { path, source })?;
        let limits = &self.host.config.limits;
        let disk = self.measure(&binds).await?;
        let before = disk.before;

        let (ours, theirs) = UnixStream::pair().map_err(SandboxError::Start)?;
        let cgroups = &self.host.cgroups;
        let cgroup = if cgroups.is_empty() { None } else { Some(cgroups.create(limits).map_err(SandboxError::Start)?) };
        let spawn = self.spawn(&binds, theirs.into(), cgroup.as_ref()).map_err(SandboxError::Start)?;
        let mut child = spawn.start().await.map_err(SandboxError::Start)?;
        let stderr = child.stderr.take();
        let life = begin(child, &ours, cgroup, self.is_isolated(), disk).map_err(SandboxError::Start)?;
        // From here on, dropping this future drops the sandbox, which ends its processes.
        let wire = Wire::new(ours).map_err(SandboxError::Start)?;
        let mut sandbox = Sandbox::new(life, wire, limits.call_time_max);

        let setup = self.setup(&binds, &before);
        let problem = match tokio::time::timeout(START_TIME_MAX, sandbox.greet(&setup)).await {
            Ok(Ok(Ready { problem: None })) => return Ok(sandbox),
            Ok(Ok(Ready { problem: Some(problem) })) => problem,
            Ok(Err(_)) => String::new(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        drop(sandbox);
        let said = format!("{problem}\n{}", last_words(stderr).await).trim().to_owned();
        Err(SandboxError::NotReady { said })
    }

    /// The name of the backend, for logs and for the operator.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        match self.host.config.backend {
            Backend::Bubblewrap => "bubblewrap",
            Backend::UnsafeHost => "unsafe_host",
        }
    }

    /// Where tools find the directories: fixed places in a sandbox, the host's own paths without one.
    #[must_use]
    pub fn paths(&self, mounts: &Mounts) -> SandboxPaths {
        let at = |inside: &str, outside: &Path| if self.is_isolated() { inside.into() } else { outside.to_path_buf() };
        SandboxPaths {
            workdir: at(WORKSPACE, &mounts.workspace),
            outputs: at(OUTPUTS, &mounts.outputs),
            uploads: at(UPLOADS, &mounts.uploads),
        }
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.host.config.backend == Backend::Bubblewrap
    }

    fn without_cgroups(&self) -> Self {
        let host = Host {
            config: self.host.config.clone(),
            bubblewrap: self.host.bubblewrap.clone(),
            cgroups: CgroupBases::default(),
            seccomp_programs: self.host.seccomp_programs.clone(),
            seal_devices: self.host.seal_devices,
        };
        Self { host: Arc::new(host) }
    }

    async fn measure(&self, binds: &[Bind]) -> Result<DiskWatch, SandboxError> {
        let limits = self.host.config.limits.clone();
        let writable = binds.iter().filter(|bind| bind.access == Access::ReadWrite);
        let roots: Vec<PathBuf> = writable.map(|bind| bind.source.clone()).collect();
        let measuring = tokio::task::spawn_blocking(move || {
            let before = disk::measure(&roots, &limits);
            DiskWatch { roots, limits, before }
        });
        let disk = measuring.await.map_err(|error| SandboxError::Start(io::Error::other(error)))?;
        match life::host_shortage(&disk) {
            Some(shortage) => Err(SandboxError::HostDisk(shortage)),
            None => Ok(disk),
        }
    }

    fn spawn(&self, binds: &[Bind], socket: OwnedFd, cgroup: Option<&Cgroup>) -> io::Result<Spawn> {
        let host = &*self.host;
        let cgroup_entrances = cgroup.map(Cgroup::entrances).transpose()?.unwrap_or_default();
        let seal_devices = host.seal_devices;
        if !self.is_isolated() {
            let environment = host_environment(&socket, binds);
            let arguments = host.config.helper_args.iter().map(OsString::from).collect();
            let (program, inherited) = (host.config.helper.clone(), vec![socket]);
            return Ok(Spawn { program, arguments, environment, inherited, cgroup_entrances, seal_devices });
        }
        let profile = profile::profile(Inside {
            helper: &host.config.helper,
            helper_arguments: &host.config.helper_args,
            limits: &host.config.limits,
            seccomp_programs: &host.seccomp_programs,
            binds,
            socket,
        })?;
        Ok(Spawn {
            program: host.bubblewrap.clone(),
            arguments: profile.arguments,
            // Empty, because bubblewrap's own first process keeps it readable in /proc/1/environ.
            environment: Vec::new(),
            inherited: profile.inherited,
            cgroup_entrances,
            seal_devices,
        })
    }

    fn setup(&self, binds: &[Bind], before: &Usage) -> Setup {
        let limits = &self.host.config.limits;
        let roots = mounts::roots(binds, self.is_isolated());
        let may_only_clean = before.excess(limits).is_some();
        let isolated = self.is_isolated();
        Setup {
            workdir: roots[0].path.clone(),
            roots,
            shell_limits: ShellLimits {
                address_space_bytes: (!self.host.cgroups.bounds_memory()).then_some(limits.memory_bytes_max),
                processes: (isolated && counts_processes_per_namespace()).then_some(limits.pids_max),
                open_files: Some(limits.open_files_max),
                file_bytes: Some(if may_only_clean { 0 } else { limits.file_bytes_max }),
            },
            bash_ms_default: u64::try_from(limits.bash_time_default.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn begin(
    child: Child,
    socket: &UnixStream,
    cgroup: Option<Cgroup>,
    isolated: bool,
    disk: DiskWatch,
) -> io::Result<Arc<Life>> {
    Life::begin(child, socket.try_clone()?.into(), cgroup, isolated, disk)
}

/// Without a sandbox: the search path of the server, and nothing else of its environment.
fn host_environment(socket: &OwnedFd, binds: &[Bind]) -> Vec<(OsString, OsString)> {
    let path = diagnosis::search_path();
    let home = binds.first().map(|bind| bind.source.clone().into_os_string()).unwrap_or_default();
    vec![
        ("PATH".into(), path),
        ("HOME".into(), home),
        ("LANG".into(), "C.UTF-8".into()),
        ("TERM".into(), "dumb".into()),
        (SOCKET_VARIABLE.into(), socket.as_raw_fd().to_string().into()),
    ]
}

/// What a sandbox that did not come up wrote to its standard error.
async fn last_words(stderr: Option<ChildStderr>) -> String {
    let Some(stderr) = stderr else { return String::new() };
    let mut words = Vec::new();
    let mut bounded = stderr.take(STDERR_BYTES_MAX);
    let _ = tokio::time::timeout(STDERR_TIME_MAX, bounded.read_to_end(&mut words)).await;
    String::from_utf8_lossy(&words).into_owned()
}

fn counts_processes_per_namespace() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= KERNEL_WITH_PROCESS_COUNT_PER_NAMESPACE
}
