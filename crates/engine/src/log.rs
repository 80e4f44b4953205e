//! The log as the engine sees it: one narrow trait, so that a simulation can stand in for the database.

use async_trait::async_trait;
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use daybreak_domain::record::{Draft, Record};
use daybreak_store::files::FileRow;
use daybreak_store::leases::Released;
use daybreak_store::log::{Cache, Lease};
use daybreak_store::sessions::SessionRow;
use daybreak_store::{Result, Store, Workspace};
use tokio::sync::watch;

/// The log, leases, and what a runner must look up.
#[async_trait]
pub trait Log: Send + Sync {
    /// Sessions that have work and no living runner.
    async fn with_work(&self, now: Timestamp, limit: i64) -> Result<Vec<i64>>;
    /// Claims a session, if it has work and no living runner.
    async fn claim(&self, session_key: i64, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<Lease>>;
    /// Keeps every lease of `owner` for longer.
    async fn renew(&self, owner: &str, until: Timestamp) -> Result<()>;
    /// Gives a lease back.
    async fn release(&self, lease: &Lease) -> Result<Released>;
    /// The session behind a lease.
    async fn session(&self, lease: &Lease) -> Result<Option<SessionRow>>;
    /// The records beyond `after`.
    async fn records(&self, session_key: i64, after: i64) -> Result<Vec<Record>>;
    /// Appends; the new head and what clients appended since `seen` come back.
    async fn append(
        &self,
        lease: &Lease,
        seen: i64,
        drafts: Vec<Draft>,
        cache: Cache,
        at: Timestamp,
    ) -> Result<(i64, Vec<Record>)>;
    /// Watches the head of a log.
    fn watch(&self, session_key: i64) -> watch::Receiver<i64>;
    /// A file and its blob.
    async fn file(&self, ws: Workspace, id: &Id) -> Result<Option<FileRow>>;
}

#[async_trait]
impl Log for Store {
    async fn with_work(&self, now: Timestamp, limit: i64) -> Result<Vec<i64>> {
        self.sessions_with_work(now, limit).await
    }
    async fn claim(&self, session_key: i64, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<Lease>> {
        self.claim(session_key, owner, now, until).await
    }
    async fn renew(&self, owner: &str, until: Timestamp) -> Result<()> {
        self.renew_leases(owner, until).await
    }
    async fn release(&self, lease: &Lease) -> Result<Released> {
        self.release(lease).await
    }
    async fn session(&self, lease: &Lease) -> Result<Option<SessionRow>> {
        self.session(lease.workspace, &lease.session_id).await
    }
    async fn records(&self, session_key: i64, after: i64) -> Result<Vec<Record>> {
        self.records(session_key, after).await
    }
    async fn append(
        &self,
        lease: &Lease,
        seen: i64,
        drafts: Vec<Draft>,
        cache: Cache,
        at: Timestamp,
    ) -> Result<(i64, Vec<Record>)> {
        self.append(lease, seen, drafts, cache, at).await
    }
    fn watch(&self, session_key: i64) -> watch::Receiver<i64> {
        self.feed().watch(session_key)
    }
    async fn file(&self, ws: Workspace, id: &Id) -> Result<Option<FileRow>> {
        self.file(ws, id).await
    }
}
