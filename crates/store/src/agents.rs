//! Agents and their versions.

use crate::page::{Created, Cut, Keyed, Rows};
use crate::{Result, Store, StoreError, Tx, Workspace};
use daybreak_api::agent::{Agent, AgentConfig};
use daybreak_api::error::ApiError;
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

/// An agent at one version, as a list is cut at it.
#[derive(Debug)]
pub struct AgentRow {
    key: i64,
    listed_at: Timestamp,
    /// The agent.
    pub agent: Agent,
}

impl Keyed for AgentRow {
    fn key(&self) -> i64 {
        self.key
    }
    fn at(&self) -> Timestamp {
        self.listed_at
    }
}

#[derive(FromRow)]
struct RawAgent {
    key: i64,
    agent_key: i64,
    id: String,
    version: i64,
    config: String,
    created_at: i64,
    updated_at: i64,
    archived_at: Option<i64>,
}

const COLUMNS: &str = "agents.key AS agent_key, agents.id, agent_versions.version, agent_versions.config, \
     agents.created_at, agent_versions.created_at AS updated_at, agents.archived_at";

impl RawAgent {
    fn read(self) -> Result<AgentRow> {
        let config = serde_json::from_str(&self.config)
            .map_err(|error| StoreError::unreadable("an agent's configuration", &error))?;
        // Archiving changes the agent, not a version of it.
        let updated_at = self.updated_at.max(self.archived_at.unwrap_or(i64::MIN));
        let agent = Agent {
            id: Id::stored(self.id),
            kind: "agent",
            version: self.version,
            config,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(updated_at),
            archived_at: self.archived_at.map(Timestamp::from_micros),
        };
        Ok(AgentRow { key: self.key, listed_at: agent.created_at, agent })
    }
}

impl Store {
    /// Stores the first version of a new agent.
    pub async fn create_agent(&self, ws: Workspace, id: Id, config: AgentConfig, at: Timestamp) -> Result<Agent> {
        self.write(async move |tx: &mut Tx| {
            let key: i64 = sqlx::query_scalar(
                "INSERT INTO agents (id, workspace_id, version, created_at) VALUES ($1, $2, 1, $3) RETURNING key",
            )
            .bind(id.as_str())
            .bind(ws)
            .bind(at.micros())
            .fetch_one(&mut tx.conn)
            .await?;
            insert_version(tx, ws, key, 1, &config, at).await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Stores what `change` makes of the latest version, if it makes anything of it.
    ///
    /// # Errors
    /// 404 for an unknown agent; 409 when `expected` is not its version; 400 when it is archived, or by `change`.
    pub async fn update_agent<F>(
        &self,
        ws: Workspace,
        id: Id,
        expected: Option<i64>,
        at: Timestamp,
        change: F,
    ) -> Result<Agent>
    where
        F: Fn(&AgentConfig) -> daybreak_api::error::Result<AgentConfig> + Send + 'static,
    {
        self.write(async move |tx: &mut Tx| {
            let row = read_row(tx, ws, &id).await?;
            let key = row.agent_key;
            let before = row.read()?.agent;
            if let Some(expected) = expected.filter(|expected| *expected != before.version) {
                return Err(ApiError::conflict(format!(
                    "version: {expected} was expected and the agent is at version {}; retrieve it and try again",
                    before.version
                ))
                .into());
            }
            if before.archived_at.is_some() {
                return Err(ApiError::invalid("The agent is archived and can no longer be changed.").into());
            }
            let config = change(&before.config)?;
            if config == before.config {
                return Ok(before);
            }
            let version = before.version + 1;
            sqlx::query("UPDATE agents SET version = $1 WHERE key = $2")
                .bind(version)
                .bind(key)
                .execute(&mut tx.conn)
                .await?;
            insert_version(tx, ws, key, version, &config, at).await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Archives an agent; a second time changes nothing.
    pub async fn archive_agent(&self, ws: Workspace, id: Id, at: Timestamp) -> Result<Agent> {
        self.write(async move |tx: &mut Tx| {
            sqlx::query(
                "UPDATE agents SET archived_at = $1 WHERE id = $2 AND workspace_id = $3 AND archived_at IS NULL",
            )
            .bind(at.micros())
            .bind(id.as_str())
            .bind(ws)
            .execute(&mut tx.conn)
            .await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// An agent at a version, or at its latest.
    pub async fn agent(&self, ws: Workspace, id: &Id, version: Option<i64>) -> Result<Option<Agent>> {
        let sql = format!(
            "SELECT agent_versions.key, {COLUMNS} FROM agents JOIN agent_versions ON agent_versions.agent_key = agents.key \
             AND agent_versions.version = CASE WHEN $3 = 0 THEN agents.version ELSE $3 END \
             WHERE agents.id = $1 AND agents.workspace_id = $2"
        );
        let row: Option<RawAgent> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.as_str())
            .bind(ws)
            .bind(version.unwrap_or(0))
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| row.read().map(|row| row.agent)).transpose()
    }

    /// Agents at their latest versions.
    pub async fn agents(&self, ws: Workspace, created: Created, archived: bool, cut: Cut) -> Result<Rows<AgentRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT agents.key, {COLUMNS} FROM agents JOIN agent_versions ON agent_versions.agent_key = agents.key \
             AND agent_versions.version = agents.version \
             WHERE agents.workspace_id = $1 AND agents.key > $2 AND agents.key < $3 \
             AND agents.created_at >= $4 AND agents.created_at <= $5 AND ($6 = 1 OR agents.archived_at IS NULL) \
             ORDER BY agents.key {} LIMIT $7",
            order.sql()
        );
        let rows: Vec<RawAgent> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(ws)
            .bind(after)
            .bind(before)
            .bind(created.from)
            .bind(created.to)
            .bind(i64::from(archived))
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawAgent::read).collect::<Result<_>>()?))
    }

    /// The versions of an agent. Empty for an unknown one.
    pub async fn agent_versions(&self, ws: Workspace, id: &Id, cut: Cut) -> Result<Rows<AgentRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT agent_versions.key, {COLUMNS} FROM agents JOIN agent_versions ON agent_versions.agent_key = agents.key \
             WHERE agents.id = $1 AND agents.workspace_id = $2 AND agent_versions.key > $3 AND agent_versions.key < $4 \
             ORDER BY agent_versions.key {} LIMIT $5",
            order.sql()
        );
        let rows: Vec<RawAgent> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.as_str())
            .bind(ws)
            .bind(after)
            .bind(before)
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawAgent::read).collect::<Result<_>>()?))
    }
}

async fn insert_version(
    tx: &mut Tx,
    ws: Workspace,
    agent: i64,
    version: i64,
    config: &AgentConfig,
    at: Timestamp,
) -> Result<()> {
    let config = serde_json::to_string(config).map_err(|error| StoreError::unreadable("an agent", &error))?;
    sqlx::query(
        "INSERT INTO agent_versions (workspace_id, agent_key, version, config, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(ws)
    .bind(agent)
    .bind(version)
    .bind(config)
    .bind(at.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

async fn read_row(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<RawAgent> {
    let sql = format!(
        "SELECT agents.key, {COLUMNS} FROM agents JOIN agent_versions ON agent_versions.agent_key = agents.key \
         AND agent_versions.version = agents.version WHERE agents.id = $1 AND agents.workspace_id = $2"
    );
    let row: Option<RawAgent> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&mut tx.conn).await?;
    row.ok_or_else(|| ApiError::not_found("Agent", id.as_str()).into())
}

async fn read(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<Agent> {
    Ok(read_row(tx, ws, id).await?.read()?.agent)
}
