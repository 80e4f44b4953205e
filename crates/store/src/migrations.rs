//! Brings the tables up to date when a store is opened.
//!
//! Each migration runs in one transaction together with the note that it has run, so a crash at any statement
//! leaves a database that the next start carries on from.

use crate::{Result, StoreError};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor};

/// Append only: a migration that has been released never changes.
const MIGRATIONS: [(&str, &str); 1] = [("0001_init", include_str!("../migrations/0001_init.sql"))];

/// SQLite's word for an integer key that grows with every row and is never given twice.
const KEY: &str = "INTEGER PRIMARY KEY AUTOINCREMENT";

pub(crate) async fn run(conn: &mut SqliteConnection) -> Result<()> {
    conn.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL PRIMARY KEY)").await?;
    let done: Vec<String> = sqlx::query_scalar("SELECT name FROM migrations").fetch_all(&mut *conn).await?;
    if let Some(unknown) = done.iter().find(|name| !MIGRATIONS.iter().any(|(known, _)| known == name)) {
        return Err(StoreError::Inconsistent(format!(
            "it was written by a newer daybreak (migration {unknown}); upgrade this one"
        )));
    }
    for (name, sql) in MIGRATIONS.iter().filter(|(name, _)| !done.iter().any(|done| done == name)) {
        conn.execute("BEGIN IMMEDIATE").await?;
        conn.execute(AssertSqlSafe(sql.replace("{key}", KEY))).await?;
        sqlx::query("INSERT INTO migrations (name) VALUES ($1)").bind(name).execute(&mut *conn).await?;
        conn.execute("COMMIT").await?;
    }
    Ok(())
}
