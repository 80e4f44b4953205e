//! The bytes of files, one file each in a folder of the data directory.
//!
//! A blob is complete and synced before any row names it, and unlinked only after the last row that names it is
//! gone. A crash between leaves a blob that nobody names; the next start removes it.

use crate::{Result, StoreError};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The folder.
pub struct Blobs {
    dir: PathBuf,
}

/// Bytes on their way in. Dropped before [`BlobWriter::finish`], they leave nothing behind.
pub struct BlobWriter {
    file: File,
    path: PathBuf,
    name: String,
    hash: Sha256,
    size_bytes: u64,
    finished: bool,
}

/// A finished blob.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// The hash of its bytes, in hex.
    pub sha256: String,
}

impl Blobs {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        crate::create_private_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Starts a blob. `name` must be new and plain: an id.
    pub fn create(&self, name: &str) -> Result<BlobWriter> {
        let path = self.path(name);
        let file = File::create_new(&path).map_err(|error| StoreError::io(&path, error))?;
        let hash = Sha256::new();
        Ok(BlobWriter { file, path, name: name.to_owned(), hash, size_bytes: 0, finished: false })
    }

    /// Where a blob lies. Its bytes never change.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Removes a blob that no row names any more.
    pub(crate) fn remove(&self, name: &str) {
        if let Err(error) = std::fs::remove_file(self.path(name)) {
            tracing::warn!(%error, blob = name, "a blob could not be removed; the next start tries again");
        }
    }

    pub(crate) fn sweep(&self, named: &HashSet<String>) -> Result<()> {
        let entries = std::fs::read_dir(&self.dir).map_err(|error| StoreError::io(&self.dir, error))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !named.contains(&name) {
                self.remove(&name);
            }
        }
        Ok(())
    }
}

impl BlobWriter {
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| StoreError::io(&self.path, error))
    }

    /// Adds everything that a reader gives, `limit_bytes` at the most. False when there was more.
    pub fn copy_from(&mut self, mut reader: impl Read, limit_bytes: u64) -> Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut buffer).map_err(|error| StoreError::io(&self.path, error))?;
            if read == 0 {
                return Ok(true);
            }
            if self.size_bytes + read as u64 > limit_bytes {
                return Ok(false);
            }
            self.write(&buffer[..read])?;
        }
    }

    /// Bytes so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The hash of the bytes so far, in hex.
    pub fn sha256(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Syncs the bytes to disk.
    pub fn finish(mut self) -> Result<Blob> {
        self.file.sync_all().map_err(|error| StoreError::io(&self.path, error))?;
        // The folder's entry must survive a power cut as well.
        if let Some(dir) = self.path.parent() {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| StoreError::io(dir, error))?;
        }
        self.finished = true;
        let sha256 = self.sha256();
        Ok(Blob { name: std::mem::take(&mut self.name), size_bytes: self.size_bytes, sha256 })
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _best_effort = std::fs::remove_file(&self.path);
        }
    }
}
