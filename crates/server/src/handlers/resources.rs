//! `/v1/sessions/{session_id}/resources`: files mounted in a session.

use super::Deleted;
use super::sessions::find;
use crate::AppState;
use crate::auth::ManagedCaller;
use crate::error::{Answer, Refusal, not_found};
use crate::extract::{Json, NoQuery, PathIds};
use crate::paging::{self, Sizes};
use crate::query::Params;
use axum::extract::{RawQuery, State};
use daybreak_api::error::ApiError;
use daybreak_api::id::{Id, Kind};
use daybreak_api::limits::PAGE_WIDE_MAX;
use daybreak_api::page::Page;
use daybreak_api::session::{FileResource, parse_resource};
use daybreak_store::Workspace;
use daybreak_store::page::{Created, Order};
use daybreak_store::resources::MountIds;
use serde_json::{Map, Value};

/// A session has fewer resources than a page: without a limit all of them are listed.
const SIZES: Sizes = Sizes { default: PAGE_WIDE_MAX, max: PAGE_WIDE_MAX };

/// `GET /v1/sessions/{session_id}/resources`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<FileResource>>> {
    let id = path.id(Kind::Session)?;
    let params = Params::new(query.as_deref(), &["limit", "page"])?;
    let cut = paging::cut(&params, Order::Asc, Created::default(), SIZES)?;
    let session = find(&app, &caller, &id).await?;
    let rows = app.engine.store().resources(session.key, cut).await?;
    Ok(Json(paging::forward(rows, |row| row.resource)))
}

/// `POST /v1/sessions/{session_id}/resources`
pub(crate) async fn add(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(request): Json<Map<String, Value>>,
) -> Answer<Json<FileResource>> {
    let session = path.id(Kind::Session)?;
    let new = parse_resource("resource", Value::Object(request))?;
    let (store, world) = (app.engine.store(), app.engine.world());
    let ids = MountIds { resource: world.id(Kind::Resource), file: world.id(Kind::File) };
    let added = store.add_resource(caller.workspace, session.clone(), new, ids, world.now()).await?;
    if let Err(why) = show(&app, caller.workspace, &session, &added).await {
        // What the agent cannot see must not be listed as if it could.
        store.delete_resource(caller.workspace, session, added.id).await?;
        return Err(why);
    }
    Ok(Json(added))
}

/// Lets a sandbox that is running see a new file.
async fn show(app: &AppState, workspace: Workspace, session: &Id, added: &FileResource) -> Answer<()> {
    let copy = app.engine.store().file(workspace, &added.file_id).await?;
    let copy = copy.ok_or_else(|| not_found("File", &added.file_id))?;
    app.engine.mount(session, added, &copy.blob).await.map_err(|why| Refusal::internal(&why))
}

/// `GET /v1/sessions/{session_id}/resources/{resource_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<FileResource>> {
    let [session, resource] = path.ids([Kind::Session, Kind::Resource])?;
    let session = find(&app, &caller, &session).await?;
    let found = app.engine.store().resource(&session, &resource).await?;
    Ok(Json(found.ok_or_else(|| not_found("Resource", &resource))?))
}

/// `POST /v1/sessions/{session_id}/resources/{resource_id}`: nothing that can be mounted here has anything to change.
pub(crate) async fn update(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(_): Json<Map<String, Value>>,
) -> Answer<Json<FileResource>> {
    let [session, resource] = path.ids([Kind::Session, Kind::Resource])?;
    let session = find(&app, &caller, &session).await?;
    if app.engine.store().resource(&session, &resource).await?.is_none() {
        return Err(not_found("Resource", &resource));
    }
    Err(ApiError::invalid("Only the token of a github_repository can be changed; this resource is a file.").into())
}

/// `DELETE /v1/sessions/{session_id}/resources/{resource_id}`
pub(crate) async fn delete(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Deleted>> {
    let [session, resource] = path.ids([Kind::Session, Kind::Resource])?;
    let gone = app.engine.store().delete_resource(caller.workspace, session.clone(), resource).await?;
    app.engine.unmount(&session, &gone.mount_path).await;
    Ok(Json(Deleted { id: gone.id, kind: "session_resource_deleted" }))
}
