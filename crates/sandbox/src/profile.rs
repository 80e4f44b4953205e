//! The sandbox as bubblewrap is told to build it.
//!
//! Laws of this file:
//! - Nothing is created below a directory that the inside can write, now or in an earlier life of the same workspace:
//!   the writable binds come last, and they are siblings. A bind destination is resolved by the launcher with the
//!   launcher's rights, through symlinks that the inside may have planted.
//! - Every directory of the root is made here, and the root ends up read-only.
//! - The arguments travel in a descriptor, so that no host path can be read in `/proc/1/cmdline`.
//! - What the host's root owns is not writable inside even by its owner: see [`proc_covers`] and the module `seal`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;

use crate::limits::Limits;
use crate::mounts::{Bind, TMP, WORKSPACE};
use crate::protocol::{Access, SOCKET_VARIABLE};

/// Where the helper program appears inside.
const HELPER: &str = "/toolbox/daybreak";

/// The one user inside.
const UID: &str = "1000";

/// Parts of the host's `/etc` that programs need and that hold no secret.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// Small files that replace the host's own, which name the host's users.
const ETC_MADE: &[(&str, &str)] = &[
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/workspace:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

/// Files in `/proc` that tell about the host's kernel or let its owner change it.
const PROC_MASKED: &[&str] = &[
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "mtrr",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

/// What bubblewrap is started with.
pub(crate) struct Profile {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) inherited: Vec<OwnedFd>,
}

/// What a profile is made from.
pub(crate) struct Inside<'a> {
    pub(crate) helper: &'a Path,
    pub(crate) helper_arguments: &'a [String],
    pub(crate) limits: &'a Limits,
    pub(crate) seccomp_programs: &'a [Vec<u8>],
    pub(crate) binds: &'a [Bind],
    /// The toolbox's end of the socket.
    pub(crate) socket: OwnedFd,
}

/// Renders the profile.
pub(crate) fn profile(inside: Inside<'_>) -> io::Result<Profile> {
    let mut options = Options::default();
    isolation(&mut options);
    environment(&mut options, inside.socket.as_raw_fd());
    system(&mut options)?;
    temporary(&mut options, inside.limits);
    options.add(["--perms", "0755", "--dir", "/toolbox", "--ro-bind"]).add_path(inside.helper).add([HELPER]);
    for bind in inside.binds {
        directories_above(&mut options, &bind.target);
    }
    for bind in inside.binds {
        let option = if bind.access == Access::ReadWrite { "--bind" } else { "--ro-bind" };
        options.add([option]).add_path(&bind.source).add_path(&bind.target);
    }
    options.add(["--remount-ro", "/", "--chdir", WORKSPACE]);
    for program in inside.seccomp_programs {
        let number = options.data(program)?;
        options.add(["--add-seccomp-fd", &number]);
    }

    let mut inherited = options.data;
    let arguments_file = memory_file(&options.arguments)?;
    let mut arguments: Vec<OsString> = vec!["--args".into(), arguments_file.as_raw_fd().to_string().into()];
    arguments.extend(["--".into(), HELPER.into()]);
    arguments.extend(inside.helper_arguments.iter().map(OsString::from));
    inherited.extend([arguments_file, inside.socket]);
    Ok(Profile { arguments, inherited })
}

fn isolation(options: &mut Options) {
    options.add(["--unshare-all", "--unshare-user", "--disable-userns"]);
    options.add(["--uid", UID, "--gid", UID, "--hostname", "sandbox"]);
    options.add(["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"]);
}

fn environment(options: &mut Options, socket: i32) {
    let socket = socket.to_string();
    let variables = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", WORKSPACE),
        ("USER", "agent"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        ("TMPDIR", TMP),
        (SOCKET_VARIABLE, &socket),
    ];
    for (name, value) in variables {
        options.add(["--setenv", name, value]);
    }
}

fn system(options: &mut Options) -> io::Result<()> {
    options.add(["--ro-bind", "/usr", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let path = format!("/{name}");
        match fs::read_link(&path) {
            Ok(target) => _ = options.add(["--symlink"]).add_path(&target).add([&path]),
            Err(_) if Path::new(&path).is_dir() => _ = options.add(["--ro-bind", &path, &path]),
            Err(_) => {}
        }
    }
    options.add(["--perms", "0755", "--dir", "/etc"]);
    for path in ETC.iter().filter(|path| Path::new(path).exists()) {
        directories_above(options, Path::new(path));
        options.add(["--ro-bind", path, path]);
    }
    for (path, content) in ETC_MADE {
        let number = options.data(content.as_bytes())?;
        options.add(["--perms", "0644", "--file", &number, path]);
    }
    options.add(["--proc", "/proc"]);
    for (source, target) in proc_covers() {
        options.add(["--ro-bind"]).add_path(&source).add_path(&target);
    }
    Ok(())
}

/// What is laid over `/proc`, as source and target.
///
/// Why all of it: `/proc/sys` and others belong to the host's root file by file. If the launcher is root, then so is,
/// to the kernel, the user inside, and a write would change the host. bubblewrap covers only directories that are
/// themselves writable, which `/proc/sys` is not.
fn proc_covers() -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut covers = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        if metadata.is_dir() {
            covers.push((path.clone(), path));
        } else if metadata.is_file() && (PROC_MASKED.contains(&name) || metadata.permissions().mode() & 0o222 != 0) {
            covers.push((PathBuf::from("/dev/null"), path));
        }
    }
    covers
}

fn temporary(options: &mut Options, limits: &Limits) {
    options.add(["--dev", "/dev"]);
    options.add(["--perms", "1777", "--size", &limits.shm_bytes_max.to_string(), "--tmpfs", "/dev/shm"]);
    options.add(["--remount-ro", "/dev"]);
    options.add(["--perms", "1777", "--size", &limits.tmp_bytes_max.to_string(), "--tmpfs", TMP]);
    for directory in ["/run", "/var", "/root", "/home"] {
        options.add(["--perms", "0755", "--dir", directory]);
    }
    options.add(["--symlink", TMP, "/var/tmp"]);
}

/// bubblewrap would make missing parents with a mode that shuts the user inside out.
fn directories_above(options: &mut Options, target: &Path) {
    let above: Vec<&Path> = target.ancestors().skip(1).filter(|path| *path != Path::new("/")).collect();
    for directory in above.into_iter().rev() {
        options.add(["--perms", "0755", "--dir"]).add_path(directory);
    }
}

/// Arguments as bubblewrap reads them from a descriptor: each ends with a zero byte.
#[derive(Default)]
struct Options {
    arguments: Vec<u8>,
    data: Vec<OwnedFd>,
}

impl Options {
    fn add<'a>(&mut self, arguments: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> &mut Self {
        for argument in arguments {
            self.arguments.extend_from_slice(argument.as_ref().as_bytes());
            self.arguments.push(0);
        }
        self
    }

    fn add_path(&mut self, path: &Path) -> &mut Self {
        use std::os::unix::ffi::OsStrExt as _;
        self.arguments.extend_from_slice(path.as_os_str().as_bytes());
        self.arguments.push(0);
        self
    }

    /// Puts data where bubblewrap can read it and gives the descriptor's number.
    fn data(&mut self, content: &[u8]) -> io::Result<String> {
        let file = memory_file(content)?;
        let number = file.as_raw_fd().to_string();
        self.data.push(file);
        Ok(number)
    }
}

fn memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = fs::File::from(rustix::fs::memfd_create("sandbox", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}
