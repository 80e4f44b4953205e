//! How much of the disk a sandbox uses.
//!
//! The trees are written by the inside while they are measured. So a directory is only ever opened beneath its root
//! and without following symbolic links, nothing but metadata is read, and the walk ends early once a limit is passed.
//!
//! A file that is open but no longer has a name is not seen here; the floor of free space on the host is what bounds
//! those.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::limits::Limits;

const BLOCK_BYTES: u64 = 512;

/// What a walk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
    /// A path was too long to be walked, which only happens on purpose.
    pub(crate) too_deep: bool,
}

impl Usage {
    /// What is exceeded, in words.
    pub(crate) fn excess(&self, limits: &Limits) -> Option<String> {
        if self.too_deep {
            return Some("the workspace holds a directory tree that is too deep to be measured".to_owned());
        }
        if self.bytes > limits.disk_bytes_max {
            let max = limits.disk_bytes_max;
            return Some(format!("disk limit exceeded: the workspace and the outputs use more than {max} bytes"));
        }
        if self.inodes > limits.inodes_max {
            let max = limits.inodes_max;
            return Some(format!("disk limit exceeded: the workspace and the outputs hold more than {max} files"));
        }
        None
    }

    /// Whether nothing has been added since `before`.
    pub(crate) fn is_within(&self, before: &Usage) -> bool {
        self.bytes <= before.bytes && self.inodes <= before.inodes && self.too_deep <= before.too_deep
    }
}

/// Measures the trees together. Entries that vanish or cannot be read while walking are left out.
pub(crate) fn measure(roots: &[PathBuf], limits: &Limits) -> Usage {
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    for root in roots {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(root) = rustix::fs::open(root, flags, Mode::empty()) {
            measure_tree(&root, limits, &mut usage, &mut linked);
        }
    }
    usage
}

fn measure_tree(root: &OwnedFd, limits: &Limits, usage: &mut Usage, linked: &mut HashSet<(u64, u64)>) {
    let mut pending = vec![PathBuf::from(".")];
    while let Some(path) = pending.pop() {
        let directory = match open_beneath(root, &path) {
            Ok(directory) => directory,
            Err(Errno::NAMETOOLONG) => {
                usage.too_deep = true;
                continue;
            }
            Err(_) => continue,
        };
        let Ok(entries) = Dir::read_from(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
            // A file with several names is counted once.
            if !is_directory && stat.st_nlink > 1 && !linked.insert((stat.st_dev, stat.st_ino)) {
                continue;
            }
            usage.inodes += 1;
            usage.bytes = usage.bytes.saturating_add(stat.st_blocks.unsigned_abs() * BLOCK_BYTES);
            if is_directory {
                pending.push(path.join(OsStr::from_bytes(name.to_bytes())));
            }
            if usage.excess(limits).is_some() {
                return;
            }
        }
    }
}

fn open_beneath(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// Bytes that an unprivileged writer could still take on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_counts_blocks_once_and_does_not_follow_links() {
        let tree = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("big"), vec![1; 1 << 20]).unwrap();
        std::fs::create_dir(tree.path().join("sub")).unwrap();
        std::fs::write(tree.path().join("sub/file"), vec![1; 64 << 10]).unwrap();
        std::fs::hard_link(tree.path().join("sub/file"), tree.path().join("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("away")).unwrap();
        let usage = measure(&[tree.path().to_path_buf()], &Limits::default());
        assert_eq!(usage.inodes, 3);
        assert!((64 << 10..256 << 10).contains(&usage.bytes), "{usage:?}");
    }

    #[test]
    fn a_tree_beyond_the_longest_path_is_noticed() {
        let tree = tempfile::tempdir().unwrap();
        let mut directory = rustix::fs::open(tree.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let name = "d".repeat(250);
        for _ in 0..20 {
            rustix::fs::mkdirat(&directory, &*name, Mode::RWXU).unwrap();
            directory = rustix::fs::openat(&directory, &*name, OFlags::RDONLY, Mode::empty()).unwrap();
        }
        assert!(measure(&[tree.path().to_path_buf()], &Limits::default()).too_deep);
    }
}
