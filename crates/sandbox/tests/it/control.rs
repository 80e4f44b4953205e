//! The control: the same attempts in the profile that one would write first. They must get through there, or they
//! prove nothing about ours.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use daybreak_sandbox::Limits;

use crate::HELPER_ARGS;
use crate::probes::PROBES;
use crate::world::World;

const REACHED_MIN: usize = 30;
const MIB: u64 = 1 << 20;

/// Things on the host that the attempts look for.
pub(crate) struct Host {
    facts: Vec<String>,
    canary_value: String,
    _listeners: (TcpListener, UnixListener, UnixListener),
    _leaked: File,
}

impl Host {
    pub(crate) fn limits(limits: &mut Limits) {
        limits.memory_bytes_max = 200 * MIB;
        limits.pids_max = 64;
        limits.open_files_max = 256;
        limits.file_bytes_max = 64 * MIB;
        limits.tmp_bytes_max = 16 * MIB;
        limits.shm_bytes_max = 8 * MIB;
    }

    pub(crate) fn new(world: &World) -> Self {
        let canary_value = format!("canary-{}", std::process::id());
        let (file, directory, socket) = (world.beside("secret"), world.beside("host"), world.beside("socket"));
        std::fs::write(&file, &canary_value).unwrap();
        std::fs::write(world.mounts.uploads.join("given"), "given").unwrap();
        std::fs::create_dir(&directory).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("daybreak-test-{}-{}", std::process::id(), tcp.local_addr().unwrap().port());
        let unix = UnixListener::bind(&socket).unwrap();
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let leaked = File::open(&file).unwrap();
        // SAFETY: the file is open; it is now one that a careless server would hand to its children.
        unsafe { libc::fcntl(leaked.as_raw_fd(), libc::F_SETFD, 0) };
        // SAFETY: what other tests of this process do with the environment is to copy it to children.
        unsafe { std::env::set_var("DAYBREAK_TEST_CANARY", &canary_value) };
        let facts = vec![
            format!("canary_file={}", file.display()),
            format!("canary_directory={}", directory.display()),
            format!("canary_value={canary_value}"),
            format!("socket={}", socket.display()),
            format!("abstract={name}"),
            format!("port={}", tcp.local_addr().unwrap().port()),
            format!("server_pid={}", std::process::id()),
            "pids=64".into(),
            format!("memory={}", 200 * MIB),
            "open_files=256".into(),
            format!("file={}", 64 * MIB),
            format!("tmp={}", 16 * MIB),
            format!("shm={}", 8 * MIB),
        ];
        Self { facts, canary_value, _listeners: (tcp, unix, hidden), _leaked: leaked }
    }

    pub(crate) fn facts(&self) -> Vec<String> {
        self.facts.clone()
    }
}

#[tokio::test]
async fn the_naive_profile_lets_most_attempts_through() {
    let world = World::with_limits(Host::limits).await;
    let host = Host::new(&world);
    let mut reached = Vec::new();
    for (name, _) in PROBES {
        let mut facts = host.facts();
        facts.push(format!("uploads={}", world.mounts.uploads.display()));
        let output = Command::new("bwrap")
            .args(["--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc"])
            .arg(std::env::current_exe().unwrap())
            .args(HELPER_ARGS)
            .args(["__probe", name])
            .args(&facts)
            .env("DAYBREAK_TEST_CANARY", &host.canary_value)
            .current_dir(&world.mounts.workspace)
            .output()
            .expect("the package `bubblewrap` must be installed");
        if output.status.code() == Some(10) {
            reached.push(*name);
        }
    }
    println!("the naive profile: {} of {} attempts reached: {reached:?}", reached.len(), PROBES.len());
    assert!(reached.len() >= REACHED_MIN, "only {} reached: {reached:?}", reached.len());
}

/// Shows what the start-up self-test is about: bubblewrap up to 0.11 creates a mount point through a planted symlink.
/// With a bubblewrap that no longer does, there is nothing to compare with.
#[tokio::test]
async fn a_mount_below_a_writable_directory_reaches_the_host() {
    let world = World::new().await;
    let canary = world.beside("canary");
    std::fs::create_dir(&canary).unwrap();
    symlink(format!("/oldroot{}", canary.display()), world.workspace("x")).unwrap();
    let status = Command::new("bwrap")
        .args([
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
            "--bind",
        ])
        .arg(&world.mounts.workspace)
        .args(["/workspace", "--dir", "/workspace/x/made", "/usr/bin/true"])
        .status()
        .unwrap();
    let reached = std::fs::read_dir(&canary).unwrap().count() > 0;
    let version = Command::new("bwrap").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8_lossy(&version);
    let minor: u32 = version.trim().split('.').nth(1).unwrap_or("0").parse().unwrap_or(0);
    println!("{}: mount point through a planted symlink: reached {reached}, {status}", version.trim());
    assert!(reached || minor >= 12, "the control no longer shows the weakness");
}
