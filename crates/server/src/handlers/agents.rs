//! `/v1/agents`

use crate::AppState;
use crate::auth::ManagedCaller;
use crate::error::{Answer, not_found};
use crate::extract::{Json, NoQuery, Nothing, PathIds};
use crate::paging::{self, USUAL};
use crate::query::Params;
use axum::extract::{RawQuery, State};
use daybreak_api::agent::{Agent, CreateAgent, UpdateAgent};
use daybreak_api::error::{ApiError, ErrorKind};
use daybreak_api::id::Kind;
use daybreak_api::page::Page;
use daybreak_engine::Engine;
use daybreak_store::page::{Created, Order};

/// `POST /v1/agents`
pub(crate) async fn create(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    _: NoQuery,
    Json(request): Json<CreateAgent>,
) -> Answer<Json<Agent>> {
    let config = request.resolve()?;
    check_model(&app.engine, &config.model.id)?;
    let (id, now) = (app.engine.world().id(Kind::Agent), app.engine.world().now());
    Ok(Json(app.engine.store().create_agent(caller.workspace, id, config, now).await?))
}

/// `GET /v1/agents`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<Agent>>> {
    let known = ["created_at[gte]", "created_at[lte]", "include_archived", "limit", "page"];
    let params = Params::new(query.as_deref(), &known)?;
    let created = params.created("created_at")?;
    let cut = paging::cut(&params, Order::Desc, created, USUAL)?;
    let archived = params.flag("include_archived")?;
    let rows = app.engine.store().agents(caller.workspace, created, archived, cut).await?;
    Ok(Json(paging::forward(rows, |row| row.agent)))
}

/// `GET /v1/agents/{agent_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Json<Agent>> {
    let id = path.id(Kind::Agent)?;
    let version = Params::new(query.as_deref(), &["version"])?.opt_version("version")?;
    let agent = app.engine.store().agent(caller.workspace, &id, version).await?;
    let agent = agent.ok_or_else(|| match version {
        None => ApiError::not_found("Agent", id.as_str()),
        Some(version) => no_version(id.as_str(), version),
    })?;
    Ok(Json(agent))
}

/// `POST /v1/agents/{agent_id}`
pub(crate) async fn update(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(request): Json<UpdateAgent>,
) -> Answer<Json<Agent>> {
    let id = path.id(Kind::Agent)?;
    if request.version.is_some_and(|version| version < 1) {
        return Err(ApiError::invalid("version: expected a whole number from 1").into());
    }
    let (engine, expected, now) = (app.engine.clone(), request.version, app.engine.world().now());
    let agent = app
        .engine
        .store()
        .update_agent(caller.workspace, id, expected, now, move |before| {
            let config = request.clone().apply(before)?;
            // A model that has gone since must not stand in the way of any other change.
            if config.model.id != before.model.id {
                check_model(&engine, &config.model.id)?;
            }
            Ok(config)
        })
        .await?;
    Ok(Json(agent))
}

/// `POST /v1/agents/{agent_id}/archive`
pub(crate) async fn archive(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<Json<Agent>> {
    let (id, now) = (path.id(Kind::Agent)?, app.engine.world().now());
    Ok(Json(app.engine.store().archive_agent(caller.workspace, id, now).await?))
}

/// `GET /v1/agents/{agent_id}/versions`
pub(crate) async fn versions(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<Agent>>> {
    let id = path.id(Kind::Agent)?;
    let params = Params::new(query.as_deref(), &["limit", "page"])?;
    let cut = paging::cut(&params, Order::Desc, Created::default(), USUAL)?;
    let store = app.engine.store();
    if store.agent(caller.workspace, &id, None).await?.is_none() {
        return Err(not_found("Agent", &id));
    }
    let rows = store.agent_versions(caller.workspace, &id, cut).await?;
    Ok(Json(paging::forward(rows, |row| row.agent)))
}

/// 404 for a version that an agent does not have, or for an agent that is not there.
pub(super) fn no_version(id: &str, version: i64) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("Agent `{id}` not found at version {version}."))
}

/// Refuses a model that nobody can serve; the message lists those that somebody can.
pub(super) fn check_model(engine: &Engine, id: &str) -> daybreak_api::error::Result<()> {
    engine.models().resolve(id).map(|_route| ()).map_err(|unknown| ApiError::invalid(format!("model: {unknown}")))
}
