//! The log: the one append, and reading back for the fold.
//!
//! Invariant: `seq` is assigned here, inside the transaction, from the session's row; together with the unique
//! (session, seq) it makes a log without gaps or twins.

use crate::{Result, Store, StoreError, Tx, Workspace};
use daybreak_api::event::EventBody;
use daybreak_api::id::Id;
use daybreak_api::session::{Status, Usage};
use daybreak_api::time::Timestamp;
use daybreak_domain::record::{Draft, Private, RECORD_VERSION, Record, RecordBody};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, FromRow};
use std::fmt::Write as _;

/// The thread number of a session's primary thread.
pub const PRIMARY: i64 = 0;
/// Rows in one INSERT; larger appends take several. Each size is a prepared statement of its own.
const INSERT_ROWS_MAX: usize = 64;
/// Records read at once when a log is loaded.
const LOAD_ROWS: i64 = 1_000;

/// The right of a runner to move a session.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The session, as rows name it.
    pub session_key: i64,
    /// Its workspace.
    pub workspace: Workspace,
    /// Its id.
    pub session_id: Id,
    /// The fencing token.
    pub epoch: i64,
}

/// What the session's row remembers of the fold.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// What the session is doing.
    pub status: Status,
    /// What it has used.
    pub usage: Usage,
    /// Since when it works, while it does.
    pub running_since: Option<Timestamp>,
}

/// What a client's append touches.
pub(crate) struct Target {
    pub(crate) session_key: i64,
    pub(crate) workspace: Workspace,
    /// The head before the append.
    pub(crate) head: i64,
}

pub(crate) struct Author<'a> {
    pub(crate) actor: &'a str,
    pub(crate) epoch: Option<i64>,
    pub(crate) at: Timestamp,
}

struct Line {
    seq: i64,
    kind: &'static str,
    name: &'static str,
    queued: bool,
    taken_seq: Option<i64>,
    body: String,
}

impl Line {
    fn of(seq: i64, draft: &Draft, at: Timestamp) -> Result<Self> {
        let unwritable = |error| StoreError::unreadable("a record", &error);
        Ok(match (draft, draft.body(at)) {
            (_, RecordBody::Event(event)) => Self {
                seq,
                kind: "wire",
                name: event.body.kind(),
                queued: event.body.is_queued(),
                taken_seq: None,
                body: event.to_stored().map_err(unwritable)?,
            },
            (_, RecordBody::Private(private)) => {
                let (name, taken_seq) = match &private {
                    Private::Taken { seq } => ("taken", Some(*seq)),
                    Private::Reply { .. } => ("reply", None),
                    Private::Backoff { .. } => ("backoff", None),
                    Private::OutputsCollected => ("outputs_collected", None),
                };
                let body = serde_json::to_string(&private).map_err(unwritable)?;
                Self { seq, kind: "private", name, queued: false, taken_seq, body }
            }
        })
    }
}

/// Writes `drafts` behind `target.head`. The caller has moved the head of the session's row by as many.
pub(crate) async fn insert(tx: &mut Tx, target: &Target, author: &Author<'_>, drafts: &[Draft]) -> Result<()> {
    let mut seq = target.head;
    for chunk in drafts.chunks(INSERT_ROWS_MAX) {
        let sql = insert_sql(chunk.len());
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(target.workspace)
            .bind(target.session_key)
            .bind(PRIMARY)
            .bind(author.epoch)
            .bind(author.actor)
            .bind(RECORD_VERSION)
            .bind(author.at.micros());
        for draft in chunk {
            seq += 1;
            let line = Line::of(seq, draft, author.at)?;
            query = query
                .bind(line.seq)
                .bind(line.kind)
                .bind(line.name)
                .bind(i64::from(line.queued))
                .bind(line.taken_seq)
                .bind(line.body);
        }
        query.execute(&mut tx.conn).await?;
    }
    tx.note_growth(target.session_key, seq);
    Ok(())
}

fn insert_sql(rows: usize) -> String {
    let mut sql = String::from(
        "INSERT INTO log (workspace_id, session_key, thread, epoch, actor, v, at, seq, kind, type, queued, taken_seq, body) VALUES ",
    );
    for row in 0..rows {
        let first = 8 + row * 6;
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|offset| first + offset);
        let _infallible = write!(sql, "{comma}($1, $2, $3, $4, $5, $6, $7, ${a}, ${b}, ${c}, ${d}, ${e}, ${f})");
    }
    sql
}

impl Store {
    /// Appends what a runner has to say. What clients have appended since `seen` comes back, for the runner's
    /// state to catch up with.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the session has another runner, or is gone. Nothing was written.
    pub async fn append(
        &self,
        lease: &Lease,
        seen: i64,
        drafts: Vec<Draft>,
        cache: Cache,
        at: Timestamp,
    ) -> Result<(i64, Vec<Record>)> {
        let lease = lease.clone();
        self.write(async move |tx: &mut Tx| {
            let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
            let taken = drafts.iter().filter(|draft| matches!(draft, Draft::Private(Private::Taken { .. }))).count();
            let usage = serde_json::to_string(&cache.usage).map_err(|error| StoreError::unreadable("usage", &error))?;
            let head: Option<i64> = sqlx::query_scalar(
                "UPDATE sessions SET head_seq = head_seq + $1, queued = queued - $2, status = $3, usage = $4, \
                 running_since = $5, updated_at = $6 WHERE key = $7 AND epoch = $8 RETURNING head_seq",
            )
            .bind(count)
            .bind(i64::try_from(taken).unwrap_or(i64::MAX))
            .bind(cache.status.as_str())
            .bind(usage)
            .bind(cache.running_since.map(Timestamp::micros))
            .bind(at.micros())
            .bind(lease.session_key)
            .bind(lease.epoch)
            .fetch_optional(&mut tx.conn)
            .await?;
            let head = head.ok_or(StoreError::StaleEpoch)?;
            let target = Target { session_key: lease.session_key, workspace: lease.workspace, head: head - count };
            let author = Author { actor: "daybreak", epoch: Some(lease.epoch), at };
            insert(tx, &target, &author, &drafts).await?;
            let missed = if target.head > seen {
                load(&mut tx.conn, lease.session_key, seen, target.head, LOAD_ROWS).await?
            } else {
                Vec::new()
            };
            Ok((head, missed))
        })
        .await
    }

    /// The records of a session with a seq in `(after, head]`, oldest first.
    pub async fn records(&self, session_key: i64, after: i64) -> Result<Vec<Record>> {
        let mut conn = self.readers.acquire().await?;
        let mut records: Vec<Record> = Vec::new();
        loop {
            let last = records.last().map_or(after, |record| record.seq);
            let chunk = load(&mut conn, session_key, last, i64::MAX, LOAD_ROWS).await?;
            if chunk.is_empty() {
                return Ok(records);
            }
            records.extend(chunk);
        }
    }
}

#[derive(FromRow)]
struct RawRecord {
    seq: i64,
    kind: String,
    at: i64,
    body: String,
}

async fn load(conn: &mut SqliteConnection, session_key: i64, after: i64, to: i64, limit: i64) -> Result<Vec<Record>> {
    let rows: Vec<RawRecord> = sqlx::query_as(
        "SELECT seq, kind, at, body FROM log WHERE session_key = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
    )
    .bind(session_key)
    .bind(after)
    .bind(to)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(RawRecord::read).collect()
}

impl RawRecord {
    fn read(self) -> Result<Record> {
        let unreadable = |error| StoreError::unreadable(&format!("record {}", self.seq), &error);
        let body = match self.kind.as_str() {
            "wire" => RecordBody::Event(serde_json::from_str(&self.body).map_err(unreadable)?),
            "private" => RecordBody::Private(serde_json::from_str(&self.body).map_err(unreadable)?),
            other => return Err(StoreError::Inconsistent(format!("record {} is of kind `{other}`", self.seq))),
        };
        Ok(Record { seq: self.seq, at: Timestamp::from_micros(self.at), body })
    }
}

/// How many of the drafts will wait in the queue.
pub(crate) fn count_queued(drafts: &[Draft]) -> i64 {
    let queued = |draft: &&Draft| matches!(draft, Draft::Event(_, body) if EventBody::is_queued(body));
    i64::try_from(drafts.iter().filter(queued).count()).unwrap_or(i64::MAX)
}
