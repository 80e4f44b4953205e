//! API keys and the workspaces they open. A key itself is never stored, only its hash.

use crate::{Result, Store, Tx, Workspace};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::FromRow;

/// What a key opens.
#[derive(Debug, Clone, FromRow)]
pub struct Access {
    /// The key's id: the actor of everything it does.
    pub key_id: String,
    /// The workspace, as rows name it.
    pub workspace: Workspace,
    /// The workspace's id on the wire.
    pub workspace_id: String,
}

/// The name of the workspace that a new server starts with.
pub const DEFAULT_WORKSPACE: &str = "default";

/// The hash under which a key is kept. Keys are long and random, so a plain hash is enough.
pub fn hash(key: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(key.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

impl Store {
    /// What a key opens, if anything.
    pub async fn access(&self, key: &str) -> Result<Option<Access>> {
        Ok(sqlx::query_as(
            "SELECT api_keys.id AS key_id, workspaces.key AS workspace, workspaces.id AS workspace_id \
             FROM api_keys JOIN workspaces ON workspaces.key = api_keys.workspace_id \
             WHERE api_keys.sha256 = $1 AND api_keys.revoked_at IS NULL",
        )
        .bind(hash(key))
        .fetch_optional(&self.readers)
        .await?)
    }

    /// Whether any key exists.
    pub async fn has_keys(&self) -> Result<bool> {
        let keys: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM api_keys").fetch_one(&self.readers).await?;
        Ok(keys > 0)
    }

    /// Makes a key open the default workspace, which is created with it. There is one key of a name: an older one of
    /// the same name opens nothing any more.
    pub async fn admit_key(&self, key: &str, name: &str, workspace_id: Id, key_id: Id, at: Timestamp) -> Result<()> {
        let (sha256, name) = (hash(key), name.to_owned());
        self.write(async move |tx: &mut Tx| {
            sqlx::query(
                "INSERT INTO workspaces (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            )
            .bind(workspace_id.as_str())
            .bind(DEFAULT_WORKSPACE)
            .bind(at.micros())
            .execute(&mut tx.conn)
            .await?;
            sqlx::query("UPDATE api_keys SET revoked_at = $1 WHERE name = $2 AND sha256 <> $3 AND revoked_at IS NULL")
                .bind(at.micros())
                .bind(&name)
                .bind(&sha256)
                .execute(&mut tx.conn)
                .await?;
            sqlx::query(
                "INSERT INTO api_keys (id, workspace_id, name, sha256, created_at) \
                 SELECT $1, key, $2, $3, $4 FROM workspaces WHERE name = $5 \
                 ON CONFLICT (sha256) DO UPDATE SET revoked_at = NULL",
            )
            .bind(key_id.as_str())
            .bind(&name)
            .bind(&sha256)
            .bind(at.micros())
            .bind(DEFAULT_WORKSPACE)
            .execute(&mut tx.conn)
            .await?;
            Ok(())
        })
        .await
    }
}
