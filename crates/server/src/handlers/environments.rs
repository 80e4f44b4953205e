//! `/v1/environments`

use super::Deleted;
use crate::AppState;
use crate::auth::ManagedCaller;
use crate::error::{Answer, not_found};
use crate::extract::{Json, NoQuery, Nothing, PathIds};
use crate::paging::{self, USUAL};
use crate::query::Params;
use axum::extract::{RawQuery, State};
use daybreak_api::environment::{CreateEnvironment, Environment, UpdateEnvironment};
use daybreak_api::id::Kind;
use daybreak_api::page::Page;
use daybreak_store::page::{Created, Order};

/// `POST /v1/environments`
pub(crate) async fn create(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    _: NoQuery,
    Json(request): Json<CreateEnvironment>,
) -> Answer<Json<Environment>> {
    let config = request.resolve()?;
    let (id, now) = (app.engine.world().id(Kind::Environment), app.engine.world().now());
    Ok(Json(app.engine.store().create_environment(caller.workspace, id, config, now).await?))
}

/// `GET /v1/environments`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<Environment>>> {
    let params = Params::new(query.as_deref(), &["include_archived", "limit", "page"])?;
    let cut = paging::cut(&params, Order::Desc, Created::default(), USUAL)?;
    let archived = params.flag("include_archived")?;
    let rows = app.engine.store().environments(caller.workspace, archived, cut).await?;
    Ok(Json(paging::forward(rows, |row| row.environment)))
}

/// `GET /v1/environments/{environment_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Environment>> {
    let id = path.id(Kind::Environment)?;
    let environment = app.engine.store().environment(caller.workspace, &id).await?;
    Ok(Json(environment.ok_or_else(|| not_found("Environment", &id))?))
}

/// `POST /v1/environments/{environment_id}`
pub(crate) async fn update(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(request): Json<UpdateEnvironment>,
) -> Answer<Json<Environment>> {
    let (id, now) = (path.id(Kind::Environment)?, app.engine.world().now());
    let change = move |before: &_| request.clone().apply(before);
    Ok(Json(app.engine.store().update_environment(caller.workspace, id, now, change).await?))
}

/// `POST /v1/environments/{environment_id}/archive`
pub(crate) async fn archive(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<Json<Environment>> {
    let (id, now) = (path.id(Kind::Environment)?, app.engine.world().now());
    Ok(Json(app.engine.store().archive_environment(caller.workspace, id, now).await?))
}

/// `DELETE /v1/environments/{environment_id}`
pub(crate) async fn delete(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Deleted>> {
    let id = path.id(Kind::Environment)?;
    app.engine.store().delete_environment(caller.workspace, id.clone()).await?;
    Ok(Json(Deleted { id, kind: "environment_deleted" }))
}
