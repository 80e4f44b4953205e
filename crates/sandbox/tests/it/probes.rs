//! Attempts to reach the host. Each is a function that says whether it got through; it runs in a process of its own,
//! inside our profile or inside the naive one.
//!
//! Rule: the naive profile gives real root on the real machine, so an attempt only *opens* what it must not write, and
//! only repeats what is already so. None changes the machine when it succeeds.

use std::ffi::{CString, c_long};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the attempts are told about the host, as `name=value`.
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no fact {name}"), |(_, value)| value)
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.get(name))
    }
}

type Attempt = fn(&Facts) -> bool;

/// Runs one attempt and ends the process: 10 if it got through.
pub(crate) fn run(arguments: &[String]) -> ! {
    let facts = arguments[1..].iter().filter_map(|fact| fact.split_once('='));
    let facts = Facts(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    let (name, attempt) = PROBES.iter().find(|(name, _)| *name == arguments[0]).expect("a known attempt");
    let reached = attempt(&facts);
    println!("\n{} {name}", if reached { "REACHED" } else { "HELD" });
    std::process::exit(if reached { 10 } else { 0 })
}

pub(crate) const PROBES: &[(&str, Attempt)] = &[
    // Files.
    ("shadow", |_| readable("/etc/shadow")),
    ("shadow_by_dots", |_| readable("../../../../../../../../etc/shadow")),
    ("shadow_by_symlink", |_| link_to("/etc/shadow", |link| readable(link))),
    ("host_file", |facts| readable(facts.path("canary_file"))),
    ("host_file_through_proc_root", |facts| {
        each_process(|pid| readable(below(format!("/proc/{pid}/root"), &facts.path("canary_file"))))
    }),
    ("host_file_through_oldroot", |facts| {
        ["/oldroot", "/newroot", "/.oldroot"].iter().any(|root| readable(below(*root, &facts.path("canary_file"))))
    }),
    ("host_directory", |facts| creatable(&facts.path("canary_directory"))),
    ("host_directory_by_symlink", |facts| link_to(facts.get("canary_directory"), |link| creatable(Path::new(link)))),
    ("root_directory", |_| creatable(Path::new("/"))),
    ("usr", |_| creatable(Path::new("/usr"))),
    ("etc", |_| creatable(Path::new("/etc"))),
    ("dev_directory", |_| creatable(Path::new("/dev"))),
    ("helper_program", |_| access("/proc/self/exe", libc::W_OK)),
    ("device_inode", |_| chmod("/dev/null", 0o666)),
    ("kernel_setting", |_| {
        ["kernel/core_pattern", "kernel/hostname", "vm/drop_caches"]
            .iter()
            .any(|name| writable(format!("/proc/sys/{name}")))
    }),
    ("sysrq", |_| writable("/proc/sysrq-trigger")),
    ("kernel_files", |_| {
        ["kcore", "kmsg", "keys", "slabinfo", "timer_list", "vmallocinfo", "iomem"]
            .iter()
            .any(|name| first_byte(format!("/proc/{name}")))
    }),
    ("control_groups", |_| {
        ["memory", "pids", "unified", "."].iter().any(|name| writable(format!("/sys/fs/cgroup/{name}/cgroup.procs")))
    }),
    ("uploads_write", |facts| writable(facts.path("uploads").join("given"))),
    ("uploads_chmod", |facts| chmod(&facts.path("uploads").join("given").display().to_string(), 0o644)),
    ("uploads_create", |facts| creatable(&facts.path("uploads"))),
    ("uploads_remount", |facts| remount(facts.get("uploads"))),
    ("disk_device_node", |_| disk_node()),
    ("host_devices", |_| {
        ["/dev/kvm", "/dev/mem", "/dev/fuse", "/dev/vda", "/dev/sda", "/dev/loop-control"].iter().any(readable)
    }),
    // Processes, their environment and their descriptors.
    ("server_environment", |facts| {
        each_process(|pid| contains(format!("/proc/{pid}/environ"), facts.get("canary_value")))
    }),
    ("server_command_line", |facts| {
        each_process(|pid| contains(format!("/proc/{pid}/cmdline"), facts.get("canary_directory")))
    }),
    ("server_descriptor", |facts| open_files().any(|path| path == facts.path("canary_file"))),
    ("server_process", |facts| Path::new("/proc").join(facts.get("server_pid")).exists()),
    ("toolbox_memory", |_| toolboxes().any(|pid| writable(format!("/proc/{pid}/mem")))),
    ("toolbox_descriptors", |_| toolboxes().any(|pid| fs::read_link(format!("/proc/{pid}/fd/0")).is_ok())),
    ("ptrace", |_| syscall(libc::SYS_ptrace, [0x4206, parent(), 0, 0, 0])),
    ("foreign_memory", |_| reaches_kernel(libc::SYS_process_vm_readv, [parent(), 1, 1, 1, 1])),
    ("foreign_descriptor", |_| reaches_kernel(libc::SYS_pidfd_getfd, [-1, 0, 0, 0, 0])),
    ("capabilities", |_| status_of("CapEff") != 0 || status_of("CapBnd") != 0),
    ("setuid_programs", |_| status_of("NoNewPrivs") != 1 || !is_nosuid("/usr")),
    // Namespaces and mounts.
    ("unshare_user", |_| syscall(libc::SYS_unshare, [libc::CLONE_NEWUSER as c_long, 0, 0, 0, 0])),
    ("unshare_mount", |_| syscall(libc::SYS_unshare, [libc::CLONE_NEWNS as c_long, 0, 0, 0, 0])),
    ("unshare_network", |_| syscall(libc::SYS_unshare, [libc::CLONE_NEWNET as c_long, 0, 0, 0, 0])),
    ("clone_user", |_| clone_user()),
    ("clone3_user", |_| clone3_user()),
    ("setns", |_| {
        File::open("/proc/1/ns/uts").is_ok_and(|file| syscall(libc::SYS_setns, [file.as_raw_fd().into(), 0, 0, 0, 0]))
    }),
    ("mount", |_| mount_tmpfs()),
    ("fsopen", |_| syscall(libc::SYS_fsopen, [c"tmpfs".as_ptr() as c_long, 0, 0, 0, 0])),
    ("open_tree", |_| syscall(libc::SYS_open_tree, [libc::AT_FDCWD.into(), c"/".as_ptr() as c_long, 1, 0, 0])),
    ("chroot", |_| syscall(libc::SYS_chroot, [c"/".as_ptr() as c_long, 0, 0, 0, 0])),
    ("file_handle", |_| {
        reaches_kernel(libc::SYS_name_to_handle_at, [libc::AT_FDCWD.into(), c"/".as_ptr() as c_long, 0, 0, 0])
    }),
    // Network.
    ("host_loopback", |facts| connects(&format!("127.0.0.1:{}", facts.get("port")))),
    ("metadata_address", |_| has_route("169.254.169.254:80")),
    ("public_address", |_| has_route("1.1.1.1:53")),
    ("public_address_v6", |_| has_route("[2606:4700:4700::1111]:53")),
    ("host_abstract_socket", |facts| {
        SocketAddr::from_abstract_name(facts.get("abstract"))
            .and_then(|address| UnixStream::connect_addr(&address))
            .is_ok()
    }),
    ("host_socket_file", |facts| UnixStream::connect(facts.path("socket")).is_ok()),
    ("packet_socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ("vsock_socket", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    ("crypto_socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    ("uevent_socket", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT)),
    ("raw_socket", |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    // Kernel interfaces.
    ("io_uring", |_| {
        let parameters = [0_u8; 256];
        syscall(libc::SYS_io_uring_setup, [1, parameters.as_ptr() as c_long, 0, 0, 0])
    }),
    ("keyring", |_| reaches_kernel(libc::SYS_keyctl, [0, -4, 0, 0, 0])),
    ("bpf", |_| reaches_kernel(libc::SYS_bpf, [9999, 0, 0, 0, 0])),
    ("perf", |_| reaches_kernel(libc::SYS_perf_event_open, [0, 0, -1, -1, 0])),
    ("userfaultfd", |_| reaches_kernel(libc::SYS_userfaultfd, [-1, 0, 0, 0, 0])),
    ("kernel_log", |_| syscall(libc::SYS_syslog, [10, 0, 0, 0, 0])),
    ("kcmp", |_| {
        syscall(libc::SYS_kcmp, [c_long::from(std::process::id()), c_long::from(std::process::id()), 0, 0, 0])
    }),
    ("personality", |_| syscall(libc::SYS_personality, [0x004_0000, 0, 0, 0, 0])),
    ("terminal_input", |_| {
        File::open("/dev/null").is_ok_and(|file| {
            reaches_kernel(libc::SYS_ioctl, [file.as_raw_fd().into(), 0x5412, c"x".as_ptr() as c_long, 0, 0])
        })
    }),
    ("x32_call", |_| syscall(0x4000_0000 + libc::SYS_getpid, [0; 5])),
    ("i386_call", |_| i386_call()),
    // Bounds.
    ("fork_bomb", |facts| fork_bomb(facts.number("pids"))),
    ("memory_bomb", |facts| memory_bomb(facts.number("memory"))),
    ("descriptor_bomb", |facts| {
        (0..=facts.number("open_files")).map(|_| File::open("/dev/null")).collect::<Result<Vec<_>, _>>().is_ok()
    }),
    ("huge_file", |facts| with_file("huge", |file| file.set_len(facts.number("file") + 1).is_ok())),
    ("fill_tmp", |facts| fill("/tmp", facts.number("tmp"))),
    ("fill_shm", |facts| fill("/dev/shm", facts.number("shm"))),
];

fn readable(path: impl AsRef<Path>) -> bool {
    File::open(path).is_ok()
}

fn writable(path: impl AsRef<Path>) -> bool {
    OpenOptions::new().write(true).open(path).is_ok()
}

fn first_byte(path: impl AsRef<Path>) -> bool {
    let options = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    options.is_ok_and(|mut file| file.read(&mut [0]).is_ok_and(|read| read > 0))
}

/// Whether a file can be made there. It never gets a name.
fn creatable(directory: &Path) -> bool {
    OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(directory).is_ok()
}

fn access(path: &str, mode: i32) -> bool {
    let path = CString::new(path).unwrap();
    // SAFETY: the string outlives the call.
    unsafe { libc::access(path.as_ptr(), mode) == 0 }
}

fn chmod(path: &str, mode: u32) -> bool {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).is_ok()
}

fn below(root: impl Into<PathBuf>, path: &Path) -> PathBuf {
    root.into().join(path.strip_prefix("/").unwrap())
}

fn link_to(target: &str, attempt: impl Fn(&str) -> bool) -> bool {
    let _ = fs::remove_file("planted");
    symlink(target, "planted").unwrap();
    let reached = attempt("planted");
    fs::remove_file("planted").unwrap();
    reached
}

fn with_file(name: &str, attempt: impl Fn(&File) -> bool) -> bool {
    // SAFETY: only says that a signal is to be ignored, so that the limit is seen as an error.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let reached = attempt(&File::create(name).unwrap());
    fs::remove_file(name).unwrap();
    reached
}

fn each_process(attempt: impl Fn(u32) -> bool) -> bool {
    let own = std::process::id();
    let names = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others: Vec<u32> = names.filter(|pid| *pid != own).collect();
    others.into_iter().any(attempt)
}

fn contains(path: String, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn open_files() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|entry| fs::read_link(entry.path()).ok())
}

fn toolboxes() -> impl Iterator<Item = u32> {
    (2..5000).filter(|pid| contains(format!("/proc/{pid}/cmdline"), "__toolbox"))
}

fn parent() -> c_long {
    c_long::from(std::os::unix::process::parent_id())
}

fn status_of(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn is_nosuid(path: &str) -> bool {
    let path = CString::new(path).unwrap();
    // SAFETY: the structure is plain numbers and is filled by the call.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        libc::statvfs(path.as_ptr(), &raw mut stat) == 0 && stat.f_flag & libc::ST_NOSUID != 0
    }
}

fn raw(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_long {
    // SAFETY: the callers give arguments that the kernel can at most refuse.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

fn syscall(number: c_long, arguments: [c_long; 5]) -> bool {
    raw(number, arguments) >= 0
}

/// Whether the call gets as far as having its arguments looked at.
fn reaches_kernel(number: c_long, arguments: [c_long; 5]) -> bool {
    raw(number, arguments) >= 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
}

fn socket(family: i32, kind: i32, protocol: i32) -> bool {
    syscall(libc::SYS_socket, [family.into(), kind.into(), protocol.into(), 0, 0])
}

fn connects(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(2)).is_ok()
}

/// Connecting a datagram socket sends nothing.
fn has_route(address: &str) -> bool {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    UdpSocket::bind(any).is_ok_and(|socket| socket.connect(address).is_ok())
}

fn remount(path: &str) -> bool {
    let path = CString::new(path).unwrap();
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    // SAFETY: the strings outlive the call. In the naive profile the mount namespace is a private one.
    unsafe { libc::mount(std::ptr::null(), path.as_ptr(), std::ptr::null(), flags, std::ptr::null()) == 0 }
}

fn mount_tmpfs() -> bool {
    fs::create_dir_all("mounted").unwrap();
    let (kind, at) = (c"tmpfs".as_ptr(), c"mounted".as_ptr());
    // SAFETY: the strings are constants. In the naive profile the mount namespace is a private one.
    let reached = unsafe { libc::mount(kind, at, kind, 0, std::ptr::null()) == 0 };
    if reached {
        // SAFETY: as above.
        unsafe { libc::umount(at) };
    }
    let _ = fs::remove_dir("mounted");
    reached
}

fn disk_node() -> bool {
    let partitions = fs::read_to_string("/proc/partitions").unwrap_or_default();
    let mut numbers = partitions.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?))
    });
    let Some((major, minor)) = numbers.next_back() else { return false };
    // SAFETY: the string is a constant.
    let made = unsafe { libc::mknod(c"disk".as_ptr(), libc::S_IFBLK | 0o600, libc::makedev(major, minor)) == 0 };
    let reached = made && readable("disk");
    let _ = fs::remove_file("disk");
    reached
}

fn clone_user() -> bool {
    let pid = raw(libc::SYS_clone, [(libc::CLONE_NEWUSER | libc::SIGCHLD).into(), 0, 0, 0, 0]);
    end_if_child(pid);
    pid > 0
}

fn clone3_user() -> bool {
    let mut arguments = [0_u64; 11];
    arguments[0] = libc::CLONE_NEWUSER as u64;
    arguments[4] = libc::SIGCHLD as u64;
    let pid = raw(libc::SYS_clone3, [arguments.as_ptr() as c_long, 88, 0, 0, 0]);
    end_if_child(pid);
    pid > 0
}

fn end_if_child(pid: c_long) {
    if pid == 0 {
        // SAFETY: the child does nothing else.
        unsafe { libc::_exit(0) };
    }
}

#[cfg(target_arch = "x86_64")]
fn i386_call() -> bool {
    // SAFETY: the child makes one call and exits with what it found; a filter may kill it.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            let mut answer: i32 = 20;
            std::arch::asm!("int 0x80", inlateout("eax") answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
            libc::_exit(i32::from(answer > 0));
        }
        let mut status = 0;
        libc::waitpid(pid, &raw mut status, 0);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn i386_call() -> bool {
    false
}

fn fork_bomb(max: u64) -> bool {
    let mut children = Vec::new();
    for _ in 0..max + 20 {
        // SAFETY: the child only waits to be killed.
        match unsafe { libc::fork() } {
            0 => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            -1 => break,
            pid => children.push(pid),
        }
    }
    for pid in &children {
        // SAFETY: these are this process's own children, not yet waited for.
        unsafe {
            libc::kill(*pid, libc::SIGKILL);
            libc::waitpid(*pid, std::ptr::null_mut(), 0);
        }
    }
    children.len() as u64 > max
}

fn memory_bomb(max: u64) -> bool {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while blocks.len() as u64 * (16 << 20) < 2 * max {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(16 << 20).is_err() {
            return false;
        }
        block.resize(16 << 20, 1);
        blocks.push(block);
    }
    std::hint::black_box(&blocks);
    true
}

fn fill(directory: &str, max: u64) -> bool {
    let path = Path::new(directory).join(format!("fill-{}", std::process::id()));
    let Ok(mut file) = File::create(&path) else { return false };
    let block = vec![1; 1 << 20];
    let wanted = max / (1 << 20) + 4;
    let written = (0..wanted).take_while(|_| file.write_all(&block).is_ok()).count() as u64;
    let _ = fs::remove_file(&path);
    written == wanted
}
