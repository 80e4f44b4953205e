//! Environments.

use crate::page::{Cut, Keyed, Rows};
use crate::{Result, Store, StoreError, Tx, Workspace};
use daybreak_api::environment::{Environment, EnvironmentConfig};
use daybreak_api::error::ApiError;
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

/// An environment, as a list is cut at it.
#[derive(Debug)]
pub struct EnvironmentRow {
    key: i64,
    /// The environment.
    pub environment: Environment,
}

impl Keyed for EnvironmentRow {
    fn key(&self) -> i64 {
        self.key
    }
    fn at(&self) -> Timestamp {
        self.environment.created_at
    }
}

#[derive(FromRow)]
struct RawEnvironment {
    key: i64,
    id: String,
    config: String,
    created_at: i64,
    updated_at: i64,
    archived_at: Option<i64>,
}

const COLUMNS: &str = "key, id, config, created_at, updated_at, archived_at";

impl RawEnvironment {
    fn read(self) -> Result<EnvironmentRow> {
        let config =
            serde_json::from_str(&self.config).map_err(|error| StoreError::unreadable("an environment", &error))?;
        let environment = Environment {
            id: Id::stored(self.id),
            kind: "environment",
            config,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            archived_at: self.archived_at.map(Timestamp::from_micros),
        };
        Ok(EnvironmentRow { key: self.key, environment })
    }
}

fn to_text(config: &EnvironmentConfig) -> Result<String> {
    serde_json::to_string(config).map_err(|error| StoreError::unreadable("an environment", &error))
}

impl Store {
    /// Stores a new environment.
    pub async fn create_environment(
        &self,
        ws: Workspace,
        id: Id,
        config: EnvironmentConfig,
        at: Timestamp,
    ) -> Result<Environment> {
        self.write(async move |tx: &mut Tx| {
            sqlx::query(
                "INSERT INTO environments (id, workspace_id, config, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
            )
            .bind(id.as_str())
            .bind(ws)
            .bind(to_text(&config)?)
            .bind(at.micros())
            .execute(&mut tx.conn)
            .await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Stores what `change` makes of an environment.
    ///
    /// # Errors
    /// 404 for an unknown one, 400 for an archived one or by `change`.
    pub async fn update_environment<F>(&self, ws: Workspace, id: Id, at: Timestamp, change: F) -> Result<Environment>
    where
        F: Fn(&EnvironmentConfig) -> daybreak_api::error::Result<EnvironmentConfig> + Send + 'static,
    {
        self.write(async move |tx: &mut Tx| {
            let before = read(tx, ws, &id).await?;
            if before.archived_at.is_some() {
                return Err(ApiError::invalid("The environment is archived and can no longer be changed.")
                    .with_code("environment_archived")
                    .into());
            }
            let config = change(&before.config)?;
            if config == before.config {
                return Ok(before);
            }
            sqlx::query("UPDATE environments SET config = $1, updated_at = $2 WHERE id = $3 AND workspace_id = $4")
                .bind(to_text(&config)?)
                .bind(at.micros())
                .bind(id.as_str())
                .bind(ws)
                .execute(&mut tx.conn)
                .await?;
            read(tx, ws, &id).await
        })
        .await
    }

    /// Archives an environment; a second time changes nothing.
    pub async fn archive_environment(&self, ws: Workspace, id: Id, at: Timestamp) -> Result<Environment> {
        self.write(async move |tx: &mut Tx| {
            sqlx::query(
                "UPDATE environments SET archived_at = $1, updated_at = $1 \
                 WHERE id = $2 AND workspace_id = $3 AND archived_at IS NULL",
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

    /// Deletes an environment.
    ///
    /// # Errors
    /// 404 for an unknown one, 409 while a session that has not ended uses it.
    pub async fn delete_environment(&self, ws: Workspace, id: Id) -> Result<()> {
        self.write(async move |tx: &mut Tx| {
            read(tx, ws, &id).await?;
            let used: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM sessions WHERE environment_id = $1 AND workspace_id = $2 AND archived_at IS NULL",
            )
            .bind(id.as_str())
            .bind(ws)
            .fetch_one(&mut tx.conn)
            .await?;
            if used > 0 {
                return Err(ApiError::conflict(format!(
                    "{used} sessions still use the environment; archive or delete them first, or archive the environment"
                ))
                .into());
            }
            sqlx::query("DELETE FROM environments WHERE id = $1 AND workspace_id = $2")
                .bind(id.as_str())
                .bind(ws)
                .execute(&mut tx.conn)
                .await?;
            Ok(())
        })
        .await
    }

    /// An environment.
    pub async fn environment(&self, ws: Workspace, id: &Id) -> Result<Option<Environment>> {
        let sql = format!("SELECT {COLUMNS} FROM environments WHERE id = $1 AND workspace_id = $2");
        let row: Option<RawEnvironment> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&self.readers).await?;
        row.map(|row| row.read().map(|row| row.environment)).transpose()
    }

    /// Environments, newest first.
    pub async fn environments(&self, ws: Workspace, archived: bool, cut: Cut) -> Result<Rows<EnvironmentRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT {COLUMNS} FROM environments WHERE workspace_id = $1 AND key > $2 AND key < $3 \
             AND ($4 = 1 OR archived_at IS NULL) ORDER BY key {} LIMIT $5",
            order.sql()
        );
        let rows: Vec<RawEnvironment> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(ws)
            .bind(after)
            .bind(before)
            .bind(i64::from(archived))
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawEnvironment::read).collect::<Result<_>>()?))
    }
}

pub(crate) async fn read(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<Environment> {
    let sql = format!("SELECT {COLUMNS} FROM environments WHERE id = $1 AND workspace_id = $2");
    let row: Option<RawEnvironment> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&mut tx.conn).await?;
    match row {
        Some(row) => Ok(row.read()?.environment),
        None => Err(ApiError::not_found("Environment", id.as_str()).into()),
    }
}
