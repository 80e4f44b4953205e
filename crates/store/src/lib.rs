//! All SQL. One file per table family; one way to write.
//!
//! The cast: the [`Store`] reads through a pool and hands every write to one writer task (`writer`), which
//! puts what waits into a single transaction, syncs it, and only then answers: group commit. A session's log
//! grows through [`Store::append`] alone. [`feed`] tells whoever waits that a log has grown; it is a hint, and a
//! lost one costs latency only. [`blobs`] keeps the bytes of files beside the database.
//!
//! The store decides nothing: ids and times arrive as arguments, and what an update makes of an object is a
//! function that the caller passes in.

pub mod agents;
pub mod api_keys;
pub mod blobs;
pub mod environments;
mod error;
pub mod events;
pub mod feed;
pub mod files;
pub mod leases;
pub mod log;
mod migrations;
pub mod page;
pub mod resources;
pub mod sessions;
mod writer;

pub use error::{Result, StoreError};
pub use writer::{CommitPoint, Tx};

use feed::Feed;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::Safety;

/// Connections that read. Reads are short; more would only compete for the two to four cores of a small host.
const READERS_MAX: u32 = 4;
/// Prepared statements kept per connection: every statement of this crate, and each size of a multi-row insert.
const STATEMENTS_MAX: usize = 256;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Called around every commit; a test can end the process there.
pub type CommitHook = Arc<dyn Fn(CommitPoint) + Send + Sync>;

/// How to open a store.
#[derive(Clone, Default)]
pub struct Options {
    /// Called before and after every commit.
    pub on_commit: Option<CommitHook>,
}

/// A workspace, as the rows of every table name it.
pub type Workspace = i64;

/// The database and the blobs of one data directory.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: writer::Writer,
    feed: Arc<Feed>,
    blobs: Arc<blobs::Blobs>,
    // Held as long as any clone lives: two servers on one directory would both own every lease.
    _lock: Arc<std::fs::File>,
}

impl Store {
    /// Opens the data directory, creates what is missing and brings the tables up to date.
    ///
    /// # Errors
    /// When another process has the directory open, or the database is newer than this program or damaged.
    pub async fn open(dir: &Path, options: Options) -> Result<Self> {
        create_private_dir(dir)?;
        let lock = lock_dir(dir)?;
        let path = dir.join("daybreak.db");
        let mut connection = writer::connect(&connect_options(&path)).await?;
        migrations::run(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .min_connections(0)
            .test_before_acquire(false)
            .connect_lazy_with(connect_options(&path).read_only(true));
        let feed = Arc::new(Feed::default());
        let writer = writer::Writer::start(connection, Arc::clone(&feed), options.on_commit);
        let blobs = Arc::new(blobs::Blobs::open(&dir.join("blobs"))?);
        let store = Self { readers, writer, feed, blobs, _lock: Arc::new(lock) };
        store.sweep_blobs().await?;
        Ok(store)
    }

    /// Who waits for logs to grow.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The bytes of files.
    pub fn blobs(&self) -> &blobs::Blobs {
        &self.blobs
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: AsyncFn(&mut Tx) -> Result<T> + Send + 'static,
    {
        self.writer.write(Safety::Power, write).await
    }

    /// A write about leases: see [`Safety::Process`].
    pub(crate) async fn write_lease<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: AsyncFn(&mut Tx) -> Result<T> + Send + 'static,
    {
        self.writer.write(Safety::Process, write).await
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An answer must survive a power cut, not only a crash: NORMAL would lose the last commits.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_MAX)
}

/// Creates a directory that only its owner can enter.
fn create_private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| StoreError::io(dir, error))
}

fn lock_dir(dir: &Path) -> Result<std::fs::File> {
    let path: PathBuf = dir.join("lock");
    let file = std::fs::File::create(&path).map_err(|error| StoreError::io(&path, error))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse { dir: dir.to_owned() })?;
    Ok(file)
}
