//! SQLite as fast as it is durable: the log's table alone, one writer, groups of rows in one commit.

use super::{EVENT_BYTES, HAMMER_FOR};
use crate::clock::now;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::collections::HashMap;
use std::path::Path;

const TABLE: &str = "CREATE TABLE log (key INTEGER PRIMARY KEY, session_key BIGINT NOT NULL, seq BIGINT NOT NULL, \
     thread BIGINT NOT NULL, kind TEXT NOT NULL, type TEXT NOT NULL, at BIGINT NOT NULL, body TEXT NOT NULL, \
     UNIQUE (session_key, seq))";

/// An append-order table of events, and the connection that writes it.
pub(crate) struct Log {
    conn: SqliteConnection,
    heads: HashMap<i64, i64>,
}

impl Log {
    /// Makes a new database file of this name, in place of one that is there.
    pub(crate) async fn create(path: &Path) -> Self {
        for end in ["", "-wal", "-shm"] {
            let mut file = path.as_os_str().to_owned();
            file.push(end);
            // Usually there is none.
            let _absent = std::fs::remove_file(file);
        }
        let mut conn = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await
            .expect("a database");
        conn.execute(TABLE).await.expect("a table");
        Self { conn, heads: HashMap::new() }
    }

    /// Begins a group.
    pub(crate) async fn begin(&mut self) {
        self.conn.execute("BEGIN IMMEDIATE").await.expect("a transaction");
    }

    /// Makes the group durable.
    pub(crate) async fn commit(&mut self) {
        self.conn.execute("COMMIT").await.expect("a commit");
    }

    /// Appends events of one session, in one statement.
    pub(crate) async fn append(&mut self, session_key: i64, bodies: &[String]) {
        let head = self.heads.entry(session_key).or_default();
        let row = |index: usize| format!("($1, ${}, 0, 'wire', 'user.message', 1, ${})", 2 * index + 2, 2 * index + 3);
        let rows: Vec<String> = (0..bodies.len()).map(row).collect();
        let sql =
            format!("INSERT INTO log (session_key, seq, thread, kind, type, at, body) VALUES {}", rows.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(session_key);
        for body in bodies {
            *head += 1;
            query = query.bind(*head).bind(body);
        }
        query.execute(&mut self.conn).await.expect("an insert");
    }
}

/// Events per second, in commits of `writes` appends of `events` events each.
pub(crate) async fn groups_per_second(dir: &Path, writes: usize, events: usize) -> f64 {
    let mut log = Log::create(&dir.join("floor.db")).await;
    let bodies = vec!["x".repeat(EVENT_BYTES); events];
    let mut written = 0_usize;
    let begun = now();
    while begun.elapsed() < HAMMER_FOR {
        log.begin().await;
        for session_key in 0..writes {
            log.append(i64::try_from(session_key).unwrap_or_default(), &bodies).await;
        }
        log.commit().await;
        written += writes * events;
    }
    written as f64 / begun.elapsed().as_secs_f64()
}
