//! Sessions: the row beside the log.

use crate::log::{self, Author, Target};
use crate::page::{Created, Cut, Keyed, Rows};
use crate::resources::{self, MountIds};
use crate::{Result, Store, StoreError, Tx, Workspace, environments, feed, files};
use daybreak_api::agent::{Agent, AgentSnapshot};
use daybreak_api::error::ApiError;
use daybreak_api::event::EventBody;
use daybreak_api::id::Id;
use daybreak_api::metadata::Metadata;
use daybreak_api::session::{FileResource, NewFileResource, Session, Stats, Status, UpdateSession, Usage};
use daybreak_api::time::Timestamp;
use daybreak_domain::record::Draft;
use sqlx::{AssertSqlSafe, FromRow};
use std::collections::HashMap;

/// A session's row.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its key: what the log names it by.
    pub key: i64,
    /// Its workspace.
    pub workspace: Workspace,
    /// Its id.
    pub id: Id,
    /// The agent, as pinned.
    pub agent: AgentSnapshot,
    /// The environment.
    pub environment_id: Id,
    /// The id of its primary thread.
    pub thread_id: Id,
    /// Title.
    pub title: Option<String>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// What it is doing, work that waits included.
    pub status: Status,
    /// What it has used.
    pub usage: Usage,
    /// Since when it works, while it does.
    pub running_since: Option<Timestamp>,
    /// The seq of its newest record.
    pub head_seq: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

impl Keyed for SessionRow {
    fn key(&self) -> i64 {
        self.key
    }
    fn at(&self) -> Timestamp {
        self.created_at
    }
}

#[derive(FromRow)]
struct RawSession {
    key: i64,
    workspace_id: i64,
    id: String,
    agent: String,
    environment_id: String,
    thread_id: String,
    title: Option<String>,
    metadata: String,
    status: String,
    usage: String,
    running_since: Option<i64>,
    head_seq: i64,
    queued: i64,
    created_at: i64,
    updated_at: i64,
    archived_at: Option<i64>,
}

const COLUMNS: &str = "key, workspace_id, id, agent, environment_id, thread_id, title, metadata, status, usage, \
     running_since, head_seq, queued, created_at, updated_at, archived_at";

impl RawSession {
    fn read(self) -> Result<SessionRow> {
        let status = Status::parse(&self.status)
            .ok_or_else(|| StoreError::Inconsistent(format!("session {} is `{}`", self.id, self.status)))?;
        Ok(SessionRow {
            key: self.key,
            workspace: self.workspace_id,
            agent: serde_json::from_str(&self.agent)
                .map_err(|error| StoreError::unreadable("a session's agent", &error))?,
            environment_id: Id::stored(self.environment_id),
            thread_id: Id::stored(self.thread_id),
            title: self.title,
            metadata: serde_json::from_str(&self.metadata)
                .map_err(|error| StoreError::unreadable("metadata", &error))?,
            // An accepted event that nobody has taken yet is work: whoever polls must not take it for an answer.
            status: if status == Status::Idle && self.queued > 0 { Status::Running } else { status },
            usage: serde_json::from_str(&self.usage).map_err(|error| StoreError::unreadable("usage", &error))?,
            running_since: self.running_since.map(Timestamp::from_micros),
            head_seq: self.head_seq,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            archived_at: self.archived_at.map(Timestamp::from_micros),
            id: Id::stored(self.id),
        })
    }
}

impl SessionRow {
    /// Times up to `now`.
    pub fn stats(&self, now: Timestamp) -> Stats {
        let running = self.running_since.map_or(0.0, |since| now.seconds_since(since));
        Stats {
            active_seconds: self.usage.active_seconds + running,
            duration_seconds: self.archived_at.unwrap_or(now).seconds_since(self.created_at),
        }
    }

    /// Whether nothing has to happen before the session may be archived or deleted.
    fn check_not_running(&self) -> Result<()> {
        if matches!(self.status, Status::Running | Status::Rescheduling) {
            return Err(ApiError::invalid(format!(
                "The session is {}; send user.interrupt and wait for it to be idle.",
                self.status.as_str()
            ))
            .into());
        }
        Ok(())
    }
}

/// A session to be stored.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its id.
    pub id: Id,
    /// The id of its primary thread.
    pub thread_id: Id,
    /// Its agent.
    pub agent: Agent,
    /// Its environment.
    pub environment_id: Id,
    /// Title.
    pub title: Option<String>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// Files to mount.
    pub resources: Vec<(NewFileResource, MountIds)>,
    /// Events to start with.
    pub events: Vec<Draft>,
    /// The files that those events refer to.
    pub file_ids: Vec<Id>,
    /// Who creates it.
    pub actor: String,
}

/// Which sessions a list shows.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this agent.
    pub agent_id: Option<Id>,
    /// Of this version of it.
    pub agent_version: Option<i64>,
    /// In one of these states; in any when empty.
    pub statuses: Vec<Status>,
    /// Created within.
    pub created: Created,
    /// Archived ones too.
    pub archived: bool,
}

impl Store {
    /// Stores a session, the copies of its files and its first events, all or nothing.
    ///
    /// # Errors
    /// 404 for an unknown environment or file, 400 for an archived one.
    pub async fn create_session(&self, ws: Workspace, new: Creation, at: Timestamp) -> Result<SessionRow> {
        self.write(async move |tx: &mut Tx| {
            let environment = environments::read(tx, ws, &new.environment_id).await?;
            if environment.archived_at.is_some() {
                return Err(ApiError::invalid("environment_id: the environment is archived")
                    .with_code("environment_archived")
                    .into());
            }
            for id in new.file_ids.iter().chain(new.resources.iter().map(|(resource, _)| &resource.file_id)) {
                resources::usable_file(tx, ws, id, at).await?;
            }
            let key = insert(tx, ws, &new, at).await?;
            for (resource, ids) in &new.resources {
                resources::insert(tx, ws, (key, &new.id), resource, ids, at).await?;
            }
            let target = Target { session_key: key, workspace: ws, head: 0 };
            log::insert(tx, &target, &Author { actor: &new.actor, epoch: None, at }, &new.events).await?;
            read(tx, ws, &new.id).await
        })
        .await
    }

    /// A session.
    pub async fn session(&self, ws: Workspace, id: &Id) -> Result<Option<SessionRow>> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = $1 AND workspace_id = $2");
        let row: Option<RawSession> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&self.readers).await?;
        row.map(RawSession::read).transpose()
    }

    /// Sessions.
    pub async fn sessions(&self, ws: Workspace, filter: &SessionFilter, cut: Cut) -> Result<Rows<SessionRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions WHERE workspace_id = $1 AND key > $2 AND key < $3 \
             AND created_at >= $4 AND created_at <= $5 AND ($6 = 1 OR archived_at IS NULL) \
             AND ($7 = '' OR agent_id = $7) AND ($8 = 0 OR agent_version = $8) \
             AND ($9 = 0 OR CASE WHEN status = 'idle' AND queued > 0 THEN 'running' ELSE status END IN ($10, $11, $12, $13)) \
             ORDER BY key {} LIMIT $14",
            order.sql()
        );
        let status = |index: usize| filter.statuses.get(index).map_or("", |status| status.as_str());
        let rows: Vec<RawSession> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(ws)
            .bind(after)
            .bind(before)
            .bind(filter.created.from)
            .bind(filter.created.to)
            .bind(i64::from(filter.archived))
            .bind(filter.agent_id.as_ref().map_or("", Id::as_str))
            .bind(filter.agent_version.unwrap_or(0))
            .bind(i64::from(!filter.statuses.is_empty()))
            .bind(status(0))
            .bind(status(1))
            .bind(status(2))
            .bind(status(3))
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawSession::read).collect::<Result<_>>()?))
    }

    /// Sessions on the wire, with what is mounted in them. The rows must be of one workspace.
    pub async fn to_wire(&self, rows: Vec<SessionRow>, now: Timestamp) -> Result<Vec<Session>> {
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        let mut mounted: HashMap<i64, Vec<FileResource>> = HashMap::new();
        for row in self.resources_of(first.workspace, &keys).await? {
            mounted.entry(row.session_key).or_default().push(row.resource);
        }
        let sessions = rows.into_iter().map(|row| {
            let own = mounted.remove(&row.key).unwrap_or_default();
            Session {
                kind: "session",
                stats: row.stats(now),
                id: row.id,
                agent: row.agent,
                environment_id: row.environment_id,
                status: row.status,
                title: row.title,
                metadata: row.metadata,
                resources: own,
                vault_ids: Vec::new(),
                outcome_evaluations: Vec::new(),
                budget: None,
                deployment_id: None,
                usage: row.usage,
                created_at: row.created_at,
                updated_at: row.updated_at,
                archived_at: row.archived_at,
            }
        });
        Ok(sessions.collect())
    }

    /// Changes title and metadata, and says so in the log when they did change.
    pub async fn update_session(
        &self,
        ws: Workspace,
        id: Id,
        update: UpdateSession,
        event: Id,
        actor: String,
        at: Timestamp,
    ) -> Result<SessionRow> {
        self.write(async move |tx: &mut Tx| {
            let before = read_open(tx, ws, &id).await?;
            let (mut title, mut metadata) = (before.title.clone(), before.metadata.clone());
            update.clone().apply(&mut title, &mut metadata)?;
            if (&title, &metadata) == (&before.title, &before.metadata) {
                return Ok(before);
            }
            let body = EventBody::SessionUpdated {
                title: (title != before.title).then(|| title.clone()),
                metadata: Some(metadata.clone()).filter(|after| *after != before.metadata && !after.is_empty()),
            };
            let text = serde_json::to_string(&metadata).map_err(|error| StoreError::unreadable("metadata", &error))?;
            sqlx::query("UPDATE sessions SET title = $1, metadata = $2, head_seq = head_seq + 1, updated_at = $3 WHERE key = $4")
                .bind(&title)
                .bind(text)
                .bind(at.micros())
                .bind(before.key)
                .execute(&mut tx.conn)
                .await?;
            let target = Target { session_key: before.key, workspace: ws, head: before.head_seq };
            let author = Author { actor: &actor, epoch: None, at };
            log::insert(tx, &target, &author, &[Draft::Event(event.clone(), body)]).await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Which of these ids belong to sessions that exist, in any workspace: what else has a directory is a leftover.
    pub async fn existing_sessions(&self, ids: &[String]) -> Result<Vec<String>> {
        let mut existing = Vec::new();
        for id in ids {
            let found: Option<String> = sqlx::query_scalar("SELECT id FROM sessions WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.readers)
                .await?;
            existing.extend(found);
        }
        Ok(existing)
    }

    /// Archives a session; a second time changes nothing. `last` are its last records.
    ///
    /// # Errors
    /// 400 while it is running.
    pub async fn archive_session(
        &self,
        ws: Workspace,
        id: Id,
        last: Vec<Draft>,
        actor: String,
        at: Timestamp,
    ) -> Result<SessionRow> {
        self.write(async move |tx: &mut Tx| {
            let before = read(tx, ws, &id).await?;
            if before.archived_at.is_some() {
                return Ok(before);
            }
            before.check_not_running()?;
            let count = i64::try_from(last.len()).unwrap_or(i64::MAX);
            // The epoch moves on, so that a runner that has just finished can add nothing.
            sqlx::query(
                "UPDATE sessions SET archived_at = $1, updated_at = $1, status = 'terminated', epoch = epoch + 1, \
                 lease_until = 0, lease_owner = NULL, head_seq = head_seq + $2 WHERE key = $3",
            )
            .bind(at.micros())
            .bind(count)
            .bind(before.key)
            .execute(&mut tx.conn)
            .await?;
            let target = Target { session_key: before.key, workspace: ws, head: before.head_seq };
            log::insert(tx, &target, &Author { actor: &actor, epoch: None, at }, &last).await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Deletes a session, its log, and the files that belong to it.
    ///
    /// # Errors
    /// 404 for an unknown one, 400 while it is running.
    pub async fn delete_session(&self, ws: Workspace, id: Id) -> Result<()> {
        let unnamed = self
            .write(async move |tx: &mut Tx| {
                let row = read(tx, ws, &id).await?;
                row.check_not_running()?;
                let owned: Vec<String> =
                    sqlx::query_scalar("SELECT id FROM files WHERE session_id = $1 AND workspace_id = $2")
                        .bind(id.as_str())
                        .bind(ws)
                        .fetch_all(&mut tx.conn)
                        .await?;
                sqlx::query("DELETE FROM deleted_outputs WHERE session_id = $1")
                    .bind(id.as_str())
                    .execute(&mut tx.conn)
                    .await?;
                for sql in [
                    "DELETE FROM log WHERE session_key = $1",
                    "DELETE FROM session_resources WHERE session_key = $1",
                    "DELETE FROM sessions WHERE key = $1",
                ] {
                    sqlx::query(sql).bind(row.key).execute(&mut tx.conn).await?;
                }
                let mut unnamed = Vec::new();
                for file in owned {
                    unnamed.extend(files::delete(tx, ws, &Id::stored(file)).await?);
                }
                tx.note_growth(row.key, feed::DELETED);
                Ok(unnamed)
            })
            .await?;
        self.remove_blobs(&unnamed);
        Ok(())
    }
}

async fn insert(tx: &mut Tx, ws: Workspace, new: &Creation, at: Timestamp) -> Result<i64> {
    let snapshot = AgentSnapshot::of(new.agent.id.clone(), new.agent.version, new.agent.config.clone());
    let text =
        |what: &str, value: serde_json::Result<String>| value.map_err(|error| StoreError::unreadable(what, &error));
    Ok(sqlx::query_scalar(
        "INSERT INTO sessions (id, workspace_id, agent_id, agent_version, agent, environment_id, thread_id, title, metadata, \
         status, usage, head_seq, queued, epoch, lease_until, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'idle', $10, $11, $12, 0, 0, $13, $13) RETURNING key",
    )
    .bind(new.id.as_str())
    .bind(ws)
    .bind(new.agent.id.as_str())
    .bind(new.agent.version)
    .bind(text("an agent", serde_json::to_string(&snapshot))?)
    .bind(new.environment_id.as_str())
    .bind(new.thread_id.as_str())
    .bind(&new.title)
    .bind(text("metadata", serde_json::to_string(&new.metadata))?)
    .bind(text("usage", serde_json::to_string(&Usage::default()))?)
    .bind(i64::try_from(new.events.len()).unwrap_or(i64::MAX))
    .bind(log::count_queued(&new.events))
    .bind(at.micros())
    .fetch_one(&mut tx.conn)
    .await?)
}

pub(crate) async fn read(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<SessionRow> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = $1 AND workspace_id = $2");
    let row: Option<RawSession> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&mut tx.conn).await?;
    row.ok_or_else(|| ApiError::not_found("Session", id.as_str()))?.read()
}

/// A session that has not ended, to be changed: whatever is archived refuses that with a 400.
pub(crate) async fn read_open(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<SessionRow> {
    let row = read(tx, ws, id).await?;
    if row.archived_at.is_some() || row.status == Status::Terminated {
        return Err(ApiError::invalid("The session has ended and can no longer be changed.").into());
    }
    Ok(row)
}
