//! What is mounted in a session. A mounted file is the session's own copy: a row that shares the upload's blob.

use crate::blobs::Blob;
use crate::files::{self, NewFile, Owner};
use crate::page::{Cut, Keyed, Rows};
use crate::sessions::{self, SessionRow};
use crate::{Result, Store, StoreError, Tx, Workspace};
use daybreak_api::error::ApiError;
use daybreak_api::id::Id;
use daybreak_api::limits::SESSION_RESOURCES_MAX;
use daybreak_api::session::{FileResource, NewFileResource, ResourceKind, check_mount_is_free};
use daybreak_api::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

/// A resource, as a list is cut at it.
#[derive(Debug)]
pub struct ResourceRow {
    key: i64,
    pub(crate) session_key: i64,
    /// The resource.
    pub resource: FileResource,
}

impl Keyed for ResourceRow {
    fn key(&self) -> i64 {
        self.key
    }
    fn at(&self) -> Timestamp {
        self.resource.created_at
    }
}

#[derive(FromRow)]
struct RawResource {
    key: i64,
    session_key: i64,
    id: String,
    file_id: String,
    mount_path: String,
    created_at: i64,
    updated_at: i64,
}

const COLUMNS: &str = "key, session_key, id, file_id, mount_path, created_at, updated_at";

impl RawResource {
    fn read(self) -> ResourceRow {
        let resource = FileResource {
            id: Id::stored(self.id),
            kind: ResourceKind::File,
            file_id: Id::stored(self.file_id),
            mount_path: self.mount_path,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        };
        ResourceRow { key: self.key, session_key: self.session_key, resource }
    }
}

/// The ids that mounting a file needs.
#[derive(Debug, Clone)]
pub struct MountIds {
    /// Of the resource.
    pub resource: Id,
    /// Of the session's copy of the file.
    pub file: Id,
}

impl Store {
    /// Mounts a file in a session.
    ///
    /// # Errors
    /// 404 for an unknown session or file; 409 for a session that has ended; 400 for an expired file or a mount
    /// path that is taken.
    pub async fn add_resource(
        &self,
        ws: Workspace,
        session: Id,
        new: NewFileResource,
        ids: MountIds,
        at: Timestamp,
    ) -> Result<FileResource> {
        self.write(async move |tx: &mut Tx| {
            let row = sessions::read_open(tx, ws, &session).await?;
            let mounted: Vec<String> =
                sqlx::query_scalar("SELECT mount_path FROM session_resources WHERE session_key = $1")
                    .bind(row.key)
                    .fetch_all(&mut tx.conn)
                    .await?;
            if mounted.len() >= SESSION_RESOURCES_MAX {
                return Err(ApiError::invalid(format!("at most {SESSION_RESOURCES_MAX} resources are allowed")).into());
            }
            check_mount_is_free("resource", &new.mount_path, mounted.iter().map(String::as_str))?;
            insert(tx, ws, (row.key, &session), &new, &ids, at).await
        })
        .await
    }

    /// Unmounts a resource and deletes the session's copy of its file.
    pub async fn delete_resource(&self, ws: Workspace, session: Id, resource: Id) -> Result<FileResource> {
        let (gone, unnamed) = self
            .write(async move |tx: &mut Tx| {
                let row = sessions::read_open(tx, ws, &session).await?;
                let sql =
                    format!("DELETE FROM session_resources WHERE id = $1 AND session_key = $2 RETURNING {COLUMNS}");
                let gone: Option<RawResource> = sqlx::query_as(AssertSqlSafe(sql))
                    .bind(resource.as_str())
                    .bind(row.key)
                    .fetch_optional(&mut tx.conn)
                    .await?;
                let gone = gone.ok_or_else(|| ApiError::not_found("Resource", resource.as_str()))?.read().resource;
                let unnamed = files::delete(tx, ws, &gone.file_id).await?;
                Ok((gone, unnamed))
            })
            .await?;
        self.remove_blobs(&unnamed);
        Ok(gone)
    }

    /// A resource of a session.
    pub async fn resource(&self, session: &SessionRow, resource: &Id) -> Result<Option<FileResource>> {
        let sql = format!("SELECT {COLUMNS} FROM session_resources WHERE id = $1 AND session_key = $2");
        let row: Option<RawResource> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(resource.as_str())
            .bind(session.key)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.map(|row| row.read().resource))
    }

    /// The resources of a session, oldest first.
    pub async fn resources(&self, session_key: i64, cut: Cut) -> Result<Rows<ResourceRow>> {
        let (order, after, before) = cut.scan();
        let sql = format!(
            "SELECT {COLUMNS} FROM session_resources WHERE session_key = $1 AND key > $2 AND key < $3 \
             ORDER BY key {} LIMIT $4",
            order.sql()
        );
        let rows: Vec<RawResource> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(session_key)
            .bind(after)
            .bind(before)
            .bind(cut.fetch())
            .fetch_all(&self.readers)
            .await?;
        Ok(cut.cut(rows.into_iter().map(RawResource::read).collect()))
    }

    /// The resources of these sessions, oldest first.
    pub(crate) async fn resources_of(&self, ws: Workspace, session_keys: &[i64]) -> Result<Vec<ResourceRow>> {
        let holes: Vec<String> = (2..session_keys.len() + 2).map(|hole| format!("${hole}")).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM session_resources WHERE workspace_id = $1 AND session_key IN ({}) ORDER BY key",
            holes.join(", ")
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(ws);
        for key in session_keys {
            query = query.bind(key);
        }
        let rows: Vec<RawResource> = query.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(RawResource::read).collect())
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    ws: Workspace,
    session: (i64, &Id),
    new: &NewFileResource,
    ids: &MountIds,
    at: Timestamp,
) -> Result<FileResource> {
    let upload = usable_file(tx, ws, &new.file_id, at).await?;
    let copy = NewFile {
        id: ids.file.clone(),
        filename: upload.file.filename,
        mime_type: upload.file.mime_type,
        blob: Blob { name: upload.blob, size_bytes: upload.file.size_bytes, sha256: upload.sha256 },
        expires_at: None,
    };
    files::insert(tx, ws, &copy, &Owner { session: Some(session.1), output_path: None }, at).await?;
    let sql = format!(
        "INSERT INTO session_resources (id, workspace_id, session_key, file_id, mount_path, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING {COLUMNS}"
    );
    let row: RawResource = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ids.resource.as_str())
        .bind(ws)
        .bind(session.0)
        .bind(ids.file.as_str())
        .bind(&new.mount_path)
        .bind(at.micros())
        .fetch_one(&mut tx.conn)
        .await?;
    Ok(row.read().resource)
}

/// A file that exists and has not expired.
pub(crate) async fn usable_file(tx: &mut Tx, ws: Workspace, id: &Id, at: Timestamp) -> Result<files::FileRow> {
    let row = files::read(tx, ws, id).await?;
    if row.file.expires_at.is_some_and(|expires| expires <= at) {
        return Err(StoreError::Refused(
            ApiError::new(daybreak_api::error::ErrorKind::NotFound, format!("File `{id}` has expired."))
                .with_code("file_expired"),
        ));
    }
    Ok(row)
}
