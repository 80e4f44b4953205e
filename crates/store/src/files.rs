//! Files: rows that name blobs.

use crate::blobs::Blob;
use crate::log::Lease;
use crate::page::{Cut, Keyed, Rows};
use crate::{Result, Store, StoreError, Tx, Workspace};
use daybreak_api::error::ApiError;
use daybreak_api::file::{File, FileScope};
use daybreak_api::id::Id;
use daybreak_api::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};
use std::collections::HashSet;

/// A file and its blob.
#[derive(Debug, Clone)]
pub struct FileRow {
    key: i64,
    /// The file.
    pub file: File,
    /// The name of its blob.
    pub blob: String,
    /// The hash of its bytes, in hex.
    pub sha256: String,
    /// For what a session left: its path below the outputs folder.
    pub output_path: Option<String>,
}

impl Keyed for FileRow {
    fn key(&self) -> i64 {
        self.key
    }
    fn at(&self) -> Timestamp {
        self.file.created_at
    }
}

/// A file to be stored.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub filename: String,
    /// Its MIME type.
    pub mime_type: String,
    /// Its bytes.
    pub blob: Blob,
    /// When it stops being usable.
    pub expires_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct RawFile {
    key: i64,
    id: String,
    filename: String,
    mime_type: String,
    size_bytes: i64,
    sha256: String,
    blob: String,
    downloadable: i64,
    session_id: Option<String>,
    output_path: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
}

const COLUMNS: &str = "key, id, filename, mime_type, size_bytes, sha256, blob, downloadable, session_id, output_path, \
     created_at, expires_at";

impl RawFile {
    fn read(self) -> FileRow {
        let file = File {
            id: Id::stored(self.id),
            kind: "file",
            filename: self.filename,
            mime_type: self.mime_type,
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
            created_at: Timestamp::from_micros(self.created_at),
            downloadable: self.downloadable != 0,
            expires_at: self.expires_at.map(Timestamp::from_micros),
            scope: self.session_id.map(|id| FileScope::Session { id: Id::stored(id) }),
        };
        FileRow { key: self.key, file, blob: self.blob, sha256: self.sha256, output_path: self.output_path }
    }
}

/// Who a new file belongs to.
pub(crate) struct Owner<'a> {
    pub(crate) session: Option<&'a Id>,
    pub(crate) output_path: Option<&'a str>,
}

impl Store {
    /// Stores an upload.
    pub async fn create_file(&self, ws: Workspace, new: NewFile, at: Timestamp) -> Result<File> {
        self.write(async move |tx: &mut Tx| {
            insert(tx, ws, &new, &Owner { session: None, output_path: None }, at).await?;
            Ok(read(tx, ws, &new.id).await?.file)
        })
        .await
    }

    /// Stores what a session left in its outputs folder. An older file of the same path gives way.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the session has another runner, or is gone. Nothing was written.
    pub async fn replace_output(&self, lease: &Lease, path: String, new: NewFile, at: Timestamp) -> Result<()> {
        let lease = lease.clone();
        let unnamed = self
            .write(async move |tx: &mut Tx| {
                let (ws, session) = (lease.workspace, &lease.session_id);
                let moved: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sessions WHERE key = $1 AND epoch = $2")
                    .bind(lease.session_key)
                    .bind(lease.epoch)
                    .fetch_one(&mut tx.conn)
                    .await?;
                if moved == 0 {
                    return Err(StoreError::StaleEpoch);
                }
                let old: Vec<String> = sqlx::query_scalar(
                    "SELECT id FROM files WHERE workspace_id = $1 AND session_id = $2 AND output_path = $3",
                )
                .bind(ws)
                .bind(session.as_str())
                .bind(&path)
                .fetch_all(&mut tx.conn)
                .await?;
                insert(tx, ws, &new, &Owner { session: Some(session), output_path: Some(&path) }, at).await?;
                sqlx::query("DELETE FROM deleted_outputs WHERE session_id = $1 AND output_path = $2")
                    .bind(session.as_str())
                    .bind(&path)
                    .execute(&mut tx.conn)
                    .await?;
                let mut unnamed = Vec::new();
                for id in old {
                    unnamed.extend(delete(tx, ws, &Id::stored(id)).await?);
                }
                Ok(unnamed)
            })
            .await?;
        self.remove_blobs(&unnamed);
        Ok(())
    }

    /// Deletes a file, and its bytes with the last file that shares them.
    ///
    /// # Errors
    /// 404 for an unknown file; 400 for one that is mounted in a session.
    pub async fn delete_file(&self, ws: Workspace, id: Id) -> Result<()> {
        let unnamed = self
            .write(async move |tx: &mut Tx| {
                let row = read(tx, ws, &id).await?;
                let mounted: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM session_resources WHERE file_id = $1")
                    .bind(id.as_str())
                    .fetch_one(&mut tx.conn)
                    .await?;
                if mounted > 0 {
                    let message = "The file is mounted in a session; delete that session's resource instead.";
                    return Err(ApiError::invalid(message).into());
                }
                if let (Some(path), Some(FileScope::Session { id: session })) = (&row.output_path, &row.file.scope) {
                    sqlx::query(
                        "INSERT INTO deleted_outputs (workspace_id, session_id, output_path, sha256) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (session_id, output_path) DO UPDATE SET sha256 = excluded.sha256",
                    )
                    .bind(ws)
                    .bind(session.as_str())
                    .bind(path)
                    .bind(&row.sha256)
                    .execute(&mut tx.conn)
                    .await?;
                }
                delete(tx, ws, &id).await
            })
            .await?;
        self.remove_blobs(unnamed.as_slice());
        Ok(())
    }

    pub(crate) fn remove_blobs(&self, names: &[String]) {
        for name in names {
            self.blobs.remove(name);
        }
    }

    /// A file.
    pub async fn file(&self, ws: Workspace, id: &Id) -> Result<Option<FileRow>> {
        let sql = format!("SELECT {COLUMNS} FROM files WHERE id = $1 AND workspace_id = $2");
        let row: Option<RawFile> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&self.readers).await?;
        Ok(row.map(RawFile::read))
    }

    /// Files, newest first; those of one session when `scope` names it.
    pub async fn files(&self, ws: Workspace, scope: Option<&Id>, cut: Cut) -> Result<Rows<FileRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT {COLUMNS} FROM files WHERE workspace_id = $1 AND key > $2 AND key < $3 \
             AND ($4 = '' OR session_id = $4) ORDER BY key {} LIMIT $5",
            order.sql()
        );
        let rows: Vec<RawFile> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(ws)
            .bind(after)
            .bind(before)
            .bind(scope.map_or("", Id::as_str))
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawFile::read).collect()))
    }

    /// The outputs of a session that were seen before, by path, with the hash of their bytes: its files, and what a
    /// client has deleted since.
    pub async fn seen_outputs(&self, ws: Workspace, session: &Id) -> Result<Vec<(String, String)>> {
        Ok(sqlx::query_as(
            "SELECT output_path, sha256 FROM deleted_outputs WHERE workspace_id = $1 AND session_id = $2 \
             UNION ALL SELECT output_path, sha256 FROM files \
             WHERE workspace_id = $1 AND session_id = $2 AND output_path IS NOT NULL",
        )
        .bind(ws)
        .bind(session.as_str())
        .fetch_all(&self.readers)
        .await?)
    }

    /// Removes what a crash left in the blobs folder.
    pub(crate) async fn sweep_blobs(&self) -> Result<()> {
        let named: Vec<String> = sqlx::query_scalar("SELECT DISTINCT blob FROM files").fetch_all(&self.readers).await?;
        self.blobs.sweep(&named.into_iter().collect::<HashSet<_>>())
    }
}

pub(crate) async fn insert(tx: &mut Tx, ws: Workspace, new: &NewFile, owner: &Owner<'_>, at: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO files (id, workspace_id, filename, mime_type, size_bytes, sha256, blob, downloadable, session_id, \
         output_path, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(new.id.as_str())
    .bind(ws)
    .bind(&new.filename)
    .bind(&new.mime_type)
    .bind(i64::try_from(new.blob.size_bytes).unwrap_or(i64::MAX))
    .bind(&new.blob.sha256)
    .bind(&new.blob.name)
    .bind(i64::from(owner.output_path.is_some()))
    .bind(owner.session.map(Id::as_str))
    .bind(owner.output_path)
    .bind(at.micros())
    .bind(new.expires_at.map(Timestamp::micros))
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

pub(crate) async fn read(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<FileRow> {
    let sql = format!("SELECT {COLUMNS} FROM files WHERE id = $1 AND workspace_id = $2");
    let row: Option<RawFile> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id.as_str()).bind(ws).fetch_optional(&mut tx.conn).await?;
    row.map(RawFile::read).ok_or_else(|| ApiError::not_found("File", id.as_str()).into())
}

/// Deletes a row; the name of its blob comes back when no other row names it.
pub(crate) async fn delete(tx: &mut Tx, ws: Workspace, id: &Id) -> Result<Vec<String>> {
    let blob: Option<String> =
        sqlx::query_scalar("DELETE FROM files WHERE id = $1 AND workspace_id = $2 RETURNING blob")
            .bind(id.as_str())
            .bind(ws)
            .fetch_optional(&mut tx.conn)
            .await?;
    let Some(blob) = blob else { return Ok(Vec::new()) };
    let others: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM files WHERE blob = $1").bind(&blob).fetch_one(&mut tx.conn).await?;
    Ok(if others == 0 { vec![blob] } else { Vec::new() })
}
