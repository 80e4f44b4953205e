//! Leases: who may move a session.
//!
//! A claim raises the session's epoch, so whatever an older runner still wants to write is refused. A claim
//! repeats its guard in the outer WHERE: on PostgreSQL two claims may pick the same row, and only one may win.

use crate::log::Lease;
use crate::{Result, Store, Tx};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use sqlx::FromRow;

/// How a session was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Nothing waits.
    AtRest,
    /// More work has arrived meanwhile.
    MoreWork,
    /// The lease was void already: the session was archived or deleted, or has another runner.
    Lost,
}

#[derive(FromRow)]
struct RawLease {
    key: i64,
    workspace_id: i64,
    id: String,
    epoch: i64,
}

impl RawLease {
    fn read(self) -> Lease {
        Lease {
            session_key: self.key,
            workspace: self.workspace_id,
            session_id: Id::stored(self.id),
            epoch: self.epoch,
        }
    }
}

impl Store {
    /// Frees every lease. Only for a process that has just locked the data directory: nobody else runs.
    pub async fn void_leases(&self) -> Result<()> {
        self.write_lease(async |tx: &mut Tx| {
            sqlx::query("UPDATE sessions SET lease_until = 0, lease_owner = NULL WHERE lease_until > 0")
                .execute(&mut tx.conn)
                .await?;
            Ok(())
        })
        .await
    }

    /// Claims one session, if it has work and no living runner.
    pub async fn claim(
        &self,
        session_key: i64,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>> {
        let owner = owner.to_owned();
        self.write_lease(async move |tx: &mut Tx| {
            let row: Option<RawLease> = sqlx::query_as(
                "UPDATE sessions SET epoch = epoch + 1, lease_owner = $1, lease_until = $2 \
                 WHERE key = $3 AND lease_until < $4 AND archived_at IS NULL \
                 AND (queued > 0 OR status = 'running' OR status = 'rescheduling') \
                 RETURNING key, workspace_id, id, epoch",
            )
            .bind(&owner)
            .bind(until.micros())
            .bind(session_key)
            .bind(now.micros())
            .fetch_optional(&mut tx.conn)
            .await?;
            Ok(row.map(RawLease::read))
        })
        .await
    }

    /// Sessions that have work and no living runner.
    pub async fn sessions_with_work(&self, now: Timestamp, limit: i64) -> Result<Vec<i64>> {
        Ok(sqlx::query_scalar(
            "SELECT key FROM sessions WHERE lease_until < $1 AND archived_at IS NULL \
             AND (queued > 0 OR status = 'running' OR status = 'rescheduling') ORDER BY lease_until LIMIT $2",
        )
        .bind(now.micros())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?)
    }

    /// Keeps every lease of `owner` for longer.
    pub async fn renew_leases(&self, owner: &str, until: Timestamp) -> Result<()> {
        let owner = owner.to_owned();
        self.write_lease(async move |tx: &mut Tx| {
            sqlx::query("UPDATE sessions SET lease_until = $1 WHERE lease_owner = $2 AND lease_until > 0")
                .bind(until.micros())
                .bind(&owner)
                .execute(&mut tx.conn)
                .await?;
            Ok(())
        })
        .await
    }

    /// Gives a lease back.
    pub async fn release(&self, lease: &Lease) -> Result<Released> {
        let lease = lease.clone();
        self.write_lease(async move |tx: &mut Tx| {
            let queued: Option<i64> = sqlx::query_scalar(
                "UPDATE sessions SET lease_until = 0, lease_owner = NULL WHERE key = $1 AND epoch = $2 RETURNING queued",
            )
            .bind(lease.session_key)
            .bind(lease.epoch)
            .fetch_optional(&mut tx.conn)
            .await?;
            Ok(match queued {
                Some(0) => Released::AtRest,
                Some(_) => Released::MoreWork,
                None => Released::Lost,
            })
        })
        .await
    }
}
