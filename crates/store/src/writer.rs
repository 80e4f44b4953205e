//! The one writer: group commit.
//!
//! Writes queue up while a commit syncs; the writer then runs all that wait inside one transaction, commits
//! once, publishes what has changed, and answers each. So the cost of a sync is shared by everyone who writes at
//! the same time, and an answer still means "on disk".
//!
//! A write that fails half-way must not take its neighbours with it: the transaction is rolled back and each
//! write of the batch runs again, alone. A write may therefore run twice.

use crate::feed::Feed;
use crate::{CommitHook, Result, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Writes in one transaction: enough to share a sync among, few enough to answer the first one soon.
const BATCH_MAX: usize = 256;
/// Writes that may wait. More callers than this wait for their turn to queue.
const QUEUE_MAX: usize = 4_096;

/// Where in a commit the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitPoint {
    /// Everything is written, nothing is durable.
    Before,
    /// Everything is durable, nobody has been told.
    After,
}

/// A transaction under way.
pub struct Tx {
    pub(crate) conn: SqliteConnection,
    grown: Vec<(i64, i64)>,
}

impl Tx {
    /// Notes that a session's log has grown to `head`; told to the feed once it is durable.
    pub(crate) fn note_growth(&mut self, session_key: i64, head: i64) {
        self.grown.push((session_key, head));
    }
}

type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How safe a write must be before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Safety {
    /// It survives the process; a power cut may undo it. Enough for leases: after a power cut nobody holds one, and
    /// the log of SQLite is sequential, so whatever was appended under a lease makes the lease durable as well.
    Process,
    /// It survives a power cut.
    Power,
}

trait Job: Send {
    fn safety(&self) -> Safety;
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalFuture<'a, Result<()>>;
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Write<T, F> {
    safety: Safety,
    write: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send + 'static,
    F: AsyncFn(&mut Tx) -> Result<T> + Send + 'static,
{
    fn safety(&self) -> Safety {
        self.safety
    }

    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            self.value = Some((self.write)(tx).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { value, reply, .. } = *self;
        let answer = outcome.and_then(|()| value.ok_or(StoreError::Closed));
        // Whoever asked may have gone away; what they asked for is done all the same.
        let _gone = reply.send(answer);
    }
}

/// A handle to the writer.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

pub(crate) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    Ok(options.connect().await?)
}

impl Writer {
    pub(crate) fn start(conn: SqliteConnection, feed: Arc<Feed>, on_commit: Option<CommitHook>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let tx = Tx { conn, grown: Vec::new() };
        let writer = WriterTask { tx, safety: Safety::Power, jobs, feed, on_commit };
        // A thread of its own: writes borrow the connection across awaits, which is simplest where nothing has to
        // move between threads, and a busy runtime cannot delay a commit.
        let body = move || {
            let run = std::panic::AssertUnwindSafe(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    runtime.block_on(writer.run());
                }
            });
            if std::panic::catch_unwind(run).is_err() {
                // Without its writer the server can acknowledge nothing; a restart recovers from the log.
                tracing::error!("the writer panicked; aborting");
                std::process::abort();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("daybreak-writer".to_owned()).spawn(body) {
            tracing::error!(%error, "the writer thread could not be started");
        }
        Self { queue }
    }

    pub(crate) async fn write<T, F>(&self, safety: Safety, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: AsyncFn(&mut Tx) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write { safety, write, value: None, reply });
        self.queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

struct WriterTask {
    tx: Tx,
    /// What the connection is set to.
    safety: Safety,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    feed: Arc<Feed>,
    on_commit: Option<CommitHook>,
}

impl WriterTask {
    async fn run(mut self) {
        while let Some(first) = self.jobs.recv().await {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            self.commit_batch(batch).await;
        }
    }

    async fn commit_batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        match self.transaction(&mut batch).await {
            Ok(outcomes) => {
                self.publish();
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    job.answer(outcome);
                }
            }
            Err(error) if batch.len() == 1 => {
                if let Some(job) = batch.pop() {
                    job.answer(Err(error));
                }
            }
            Err(error) => {
                tracing::warn!(%error, writes = batch.len(), "a write failed; each of its batch runs again alone");
                for job in batch {
                    Box::pin(self.commit_batch(vec![job])).await;
                }
            }
        }
    }

    /// Runs every job of the batch and commits. An error means that nothing of the batch was written.
    async fn transaction(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Vec<Result<()>>> {
        self.tx.grown.clear();
        self.set_safety(batch.iter().map(|job| job.safety()).max().unwrap_or(Safety::Power)).await?;
        if self.tx.conn.execute("BEGIN IMMEDIATE").await.is_err() {
            // A transaction that could not be rolled back may still be open; without this it would block every write.
            self.rollback().await;
            self.tx.conn.execute("BEGIN IMMEDIATE").await?;
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        for job in batch {
            match job.run(&mut self.tx).await {
                Err(error) if !error.is_clean() => {
                    self.rollback().await;
                    return Err(error);
                }
                outcome => outcomes.push(outcome),
            }
        }
        self.at(CommitPoint::Before);
        if let Err(error) = self.tx.conn.execute("COMMIT").await {
            self.rollback().await;
            return Err(error.into());
        }
        self.at(CommitPoint::After);
        Ok(outcomes)
    }

    async fn set_safety(&mut self, safety: Safety) -> Result<()> {
        if self.safety != safety {
            let sql = match safety {
                Safety::Process => "PRAGMA synchronous = NORMAL",
                Safety::Power => "PRAGMA synchronous = FULL",
            };
            self.tx.conn.execute(sql).await?;
            self.safety = safety;
        }
        Ok(())
    }

    async fn rollback(&mut self) {
        self.tx.grown.clear();
        if let Err(error) = self.tx.conn.execute("ROLLBACK").await {
            // SQLite has rolled back by itself after some errors (a full disk); then there is nothing to do.
            tracing::debug!(%error, "rollback");
        }
    }

    fn at(&self, point: CommitPoint) {
        if let Some(hook) = &self.on_commit {
            hook(point);
        }
    }

    fn publish(&mut self) {
        for (session_key, head) in self.tx.grown.drain(..) {
            self.feed.publish(session_key, head);
        }
    }
}
