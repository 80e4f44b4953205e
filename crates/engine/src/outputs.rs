//! What agents leave in their outputs folder becomes files.
//!
//! The folder is written by hostile code that may still be running. It is only ever entered through descriptors
//! with `openat2`, beneath its root and without following links; sizes and counts are bounded; what is not a plain file
//! is passed over.

use crate::Shared;
use crate::workbench::blocking;
use daybreak_api::file::mime_type_of;
use daybreak_api::id::Kind;
use daybreak_api::limits::FILE_BYTES_MAX;
use daybreak_store::files::NewFile;
use daybreak_store::log::Lease;
use daybreak_store::{Result, Store, StoreError};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Files of one session's outputs. More are left where they are.
const OUTPUT_FILES_MAX: usize = 1_000;
/// Folders below the outputs folder.
const OUTPUT_DEPTH_MAX: usize = 16;

/// What a file looked like: unchanged means unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
    inode: u64,
}

/// Stores every output that has changed since `known`, and returns what they look like now.
pub(crate) async fn collect(
    shared: &Shared,
    lease: &Lease,
    root: PathBuf,
    known: BTreeMap<String, Stamp>,
) -> Result<BTreeMap<String, Stamp>> {
    let walked_root = root.clone();
    let found = blocking(move || walk(&walked_root)).await?;
    let changed: Vec<String> =
        found.iter().filter(|(path, stamp)| known.get(*path) != Some(stamp)).map(|(path, _)| path.clone()).collect();
    if changed.is_empty() {
        return Ok(found);
    }
    let seen = shared.store.seen_outputs(lease.workspace, &lease.session_id).await?;
    for path in changed {
        let id = shared.world.id(Kind::File);
        let (store, root, name, blob_name) = (shared.store.clone(), root.clone(), path.clone(), id.to_string());
        let same_as: Vec<String> =
            seen.iter().filter(|(of, _)| *of == path).map(|(_, sha256)| sha256.clone()).collect();
        let Some(blob) = blocking(move || copy(&store, &root, &name, &blob_name, &same_as)).await? else { continue };
        let filename = clean_name(path.rsplit('/').next().unwrap_or(&path));
        let mime_type = mime_type_of(&filename).to_owned();
        let new = NewFile { id, filename, mime_type, blob, expires_at: None };
        shared.store.replace_output(lease, path, new, shared.world.now()).await?;
    }
    Ok(found)
}

/// A name that the Files API would take from an upload as well.
fn clean_name(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || "<>:\"|?*\\".contains(c) { '_' } else { c }).collect()
}

fn walk(root: &Path) -> Result<BTreeMap<String, Stamp>> {
    let mut found = BTreeMap::new();
    let failed = |error: rustix::io::Errno| StoreError::Io { path: root.to_owned(), source: error.into() };
    let root_fd = match open_root(root) {
        Err(rustix::io::Errno::NOENT) => return Ok(found),
        opened => opened.map_err(failed)?,
    };
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        // Whatever cannot be opened has changed under our hands; the next look sees it again.
        let Ok(fd) = open_beneath(&root_fd, &folder, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
        let Ok(entries) = Dir::read_from(&fd) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth < OUTPUT_DEPTH_MAX => folders.push((path, depth + 1)),
                FileType::RegularFile if found.len() < OUTPUT_FILES_MAX => {
                    let stamp = Stamp {
                        size: stat.st_size,
                        modified: (stat.st_mtime, stat.st_mtime_nsec),
                        changed: (stat.st_ctime, stat.st_ctime_nsec),
                        inode: stat.st_ino,
                    };
                    found.insert(path, stamp);
                }
                FileType::RegularFile => {
                    tracing::warn!(limit = OUTPUT_FILES_MAX, "an output was left where it is: there are too many")
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Copies an output into a blob; nothing when it is gone, no plain file, too large, or what is stored already.
fn copy(
    store: &Store,
    root: &Path,
    path: &str,
    blob: &str,
    same_as: &[String],
) -> Result<Option<daybreak_store::blobs::Blob>> {
    let Ok(root_fd) = open_root(root) else { return Ok(None) };
    let Ok(fd) = open_beneath(&root_fd, path, OFlags::RDONLY | OFlags::NONBLOCK) else { return Ok(None) };
    let file = File::from(fd);
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let mut writer = store.blobs().create(blob)?;
    if !writer.copy_from(file, FILE_BYTES_MAX)? {
        tracing::warn!(path, limit_bytes = FILE_BYTES_MAX, "an output was left where it is: it is too large");
        return Ok(None);
    }
    if same_as.contains(&writer.sha256()) {
        return Ok(None);
    }
    Ok(Some(writer.finish()?))
}

fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}
