//! `/v1/files`

use super::Deleted;
use super::upload;
use crate::AppState;
use crate::auth::Caller;
use crate::error::{Answer, Refusal, not_found};
use crate::extract::{Json, NoQuery, PathIds};
use crate::paging::{self, Sizes};
use crate::query::Params;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use daybreak_api::error::{ApiError, ErrorKind, Result};
use daybreak_api::file::File;
use daybreak_api::id::{Id, Kind};
use daybreak_api::limits::{FILE_BYTES_MAX, FILE_IDS_MAX, PAGE_DEFAULT, PAGE_WIDE_MAX};
use daybreak_api::page::Page;
use daybreak_api::time::Timestamp;
use daybreak_store::files::{FileRow, NewFile};
use daybreak_store::page::{Created, Keyed, Order};
use tokio_util::io::ReaderStream;

const SIZES: Sizes = Sizes { default: PAGE_DEFAULT, max: PAGE_WIDE_MAX };
/// Bytes read from a blob at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// `POST /v1/files`
pub(crate) async fn upload(
    State(app): State<AppState>,
    caller: Caller,
    _: NoQuery,
    request: Request,
) -> Answer<Json<File>> {
    let (store, world) = (app.engine.store(), app.engine.world());
    let id = world.id(Kind::File);
    let received = upload::receive(store, &id, request, FILE_BYTES_MAX).await?;
    let now = world.now();
    let expires = |seconds: i64| Timestamp::from_micros(now.micros().saturating_add(seconds * 1_000_000));
    let new = NewFile {
        id,
        filename: received.filename,
        mime_type: received.mime_type,
        blob: received.blob,
        expires_at: received.expires_in_seconds.map(expires),
    };
    Ok(Json(store.create_file(caller.workspace, new, now).await?))
}

/// `GET /v1/files`
pub(crate) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<File>>> {
    let params = Params::new(query.as_deref(), &["ids[]", "limit", "page", "scope_id"])?;
    let scope =
        |text| Id::parse(Kind::Session, text).ok_or_else(|| ApiError::invalid("scope_id: not the id of a session"));
    let scope = params.opt("scope_id").map(scope).transpose()?;
    let ids = distinct_ids(&params)?;
    if !ids.is_empty() {
        return Ok(Json(pick(&app, &caller, &ids, scope.as_ref()).await?));
    }
    let cut = paging::cut(&params, Order::Desc, Created::default(), SIZES)?;
    let rows = app.engine.store().files(caller.workspace, scope.as_ref(), cut).await?;
    Ok(Json(paging::forward(rows, |row| row.file)))
}

fn distinct_ids(params: &Params) -> Result<Vec<&str>> {
    let mut ids = params.list("ids");
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > FILE_IDS_MAX {
        return Err(ApiError::invalid(format!("ids: {} ids, at most {FILE_IDS_MAX} are allowed", ids.len())));
    }
    if !ids.is_empty() && (params.opt("page").is_some() || params.opt("limit").is_some()) {
        return Err(ApiError::invalid("ids: cannot be combined with page or limit"));
    }
    Ok(ids)
}

/// The files of a list of ids that exist, newest first.
async fn pick(app: &AppState, caller: &Caller, ids: &[&str], scope: Option<&Id>) -> Answer<Page<File>> {
    let mut rows: Vec<FileRow> = Vec::with_capacity(ids.len());
    for id in ids.iter().filter_map(|text| Id::parse(Kind::File, text)) {
        rows.extend(app.engine.store().file(caller.workspace, &id).await?);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.key()));
    let of_scope =
        |file: &File| scope.is_none_or(|session| file.scope.as_ref().is_some_and(|scope| belongs(scope, session)));
    let data = rows.into_iter().map(|row| row.file).filter(of_scope).collect();
    Ok(Page { data, next_page: None })
}

fn belongs(scope: &daybreak_api::file::FileScope, session: &Id) -> bool {
    let daybreak_api::file::FileScope::Session { id } = scope;
    id == session
}

/// `GET /v1/files/{file_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    caller: Caller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<File>> {
    Ok(Json(find(&app, &caller, &path).await?.file))
}

async fn find(app: &AppState, caller: &Caller, path: &PathIds) -> Answer<FileRow> {
    let id = path.id(Kind::File)?;
    let row = app.engine.store().file(caller.workspace, &id).await?;
    row.ok_or_else(|| not_found("File", &id))
}

/// `GET /v1/files/{file_id}/content`
pub(crate) async fn download(
    State(app): State<AppState>,
    caller: Caller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Response> {
    let FileRow { file, blob, .. } = find(&app, &caller, &path).await?;
    if file.expires_at.is_some_and(|expires| expires <= app.engine.world().now()) {
        let expired = ApiError::new(ErrorKind::NotFound, format!("File `{}` has expired.", file.id));
        return Err(expired.with_code("file_expired").into());
    }
    if !file.downloadable {
        let refused = ApiError::invalid("Uploaded files cannot be downloaded; files that sessions have made can.");
        return Err(refused.with_code("file_not_downloadable").into());
    }
    let path = app.engine.store().blobs().path(&blob);
    let opened = tokio::fs::File::open(&path).await;
    let opened = opened.map_err(|error| Refusal::internal(&format_args!("{}: {error}", path.display())))?;
    let body = Body::from_stream(ReaderStream::with_capacity(opened, CHUNK_BYTES));
    let octets = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_str(&file.mime_type).unwrap_or(octets)),
        (CONTENT_LENGTH, HeaderValue::from(file.size_bytes)),
        (CONTENT_DISPOSITION, attachment(&file.filename)),
        // What an agent has written must never run in a browser as if it were ours.
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, body).into_response())
}

/// The header that names a download: every byte that is not plain is percent-encoded.
fn attachment(filename: &str) -> HeaderValue {
    use std::fmt::Write;
    let mut text = String::from("attachment; filename*=UTF-8''");
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// `DELETE /v1/files/{file_id}`
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Deleted>> {
    let id = path.id(Kind::File)?;
    app.engine.store().delete_file(caller.workspace, id.clone()).await?;
    Ok(Json(Deleted { id, kind: "file_deleted" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_cannot_leave_its_header() {
        assert_eq!(attachment("a b\".txt"), "attachment; filename*=UTF-8''a%20b%22.txt");
        assert_eq!(attachment("é\r\n.md"), "attachment; filename*=UTF-8''%C3%A9%0D%0A.md");
    }
}
