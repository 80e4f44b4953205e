//! What can go wrong in the store.

use daybreak_api::error::ApiError;
use std::path::{Path, PathBuf};

/// A value, or why there is none.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state of an object forbids it. Invariant: a write that is refused has written nothing.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// A runner's right to move the session has passed to another. Nothing was written.
    #[error("the session is moved by another runner now")]
    StaleEpoch,
    /// Another process has the data directory open.
    #[error("{} is in use by another daybreak process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The database holds what this program never writes.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A file failed.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The writer is gone: the process is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        Self::Inconsistent(format!("{what}: {error}"))
    }

    /// Whether the failed write is known to have written nothing.
    pub(crate) const fn is_clean(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::StaleEpoch)
    }
}
