//! `/v1/sessions`

use super::Deleted;
use super::agents::{check_model, no_version};
use super::events::{drafts, file_ids};
use crate::AppState;
use crate::auth::{Caller, ManagedCaller};
use crate::error::{Answer, Refusal, not_found};
use crate::extract::{Json, NoQuery, Nothing, PathIds};
use crate::paging::{self, USUAL};
use crate::query::{CREATED, Params};
use axum::extract::{RawQuery, State};
use daybreak_api::error::{ApiError, Result};
use daybreak_api::id::{Id, Kind};
use daybreak_api::page::TwoWayPage;
use daybreak_api::session::{CreateSession, Session, Status, UpdateSession};
use daybreak_domain::step::{ThreadName, terminated};
use daybreak_store::page::Order;
use daybreak_store::resources::MountIds;
use daybreak_store::sessions::{Creation, SessionFilter, SessionRow};

/// `POST /v1/sessions`
pub(crate) async fn create(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    _: NoQuery,
    Json(request): Json<CreateSession>,
) -> Answer<Json<Session>> {
    let new = request.resolve()?;
    let file_ids = file_ids(&new.initial_events)?;
    let agent = app.engine.store().agent(caller.workspace, &new.agent_id, new.agent_version).await?;
    let agent = agent.ok_or_else(|| match new.agent_version {
        None => ApiError::not_found("Agent", new.agent_id.as_str()),
        Some(version) => no_version(new.agent_id.as_str(), version),
    })?;
    if agent.archived_at.is_some() {
        return Err(ApiError::invalid("agent: the agent is archived and starts no sessions any more").into());
    }
    check_model(&app.engine, &agent.config.model.id)?;
    let world = app.engine.world();
    let mount_ids = || MountIds { resource: world.id(Kind::Resource), file: world.id(Kind::File) };
    let creation = Creation {
        id: world.id(Kind::Session),
        thread_id: world.id(Kind::Thread),
        agent,
        environment_id: new.environment_id,
        title: new.title,
        metadata: new.metadata,
        resources: new.resources.into_iter().map(|resource| (resource, mount_ids())).collect(),
        events: drafts(world, new.initial_events),
        file_ids,
        actor: caller.key_id,
    };
    let row = app.engine.store().create_session(caller.workspace, creation, world.now()).await?;
    on_the_wire(&app, row).await
}

/// `GET /v1/sessions`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    RawQuery(query): RawQuery,
) -> Answer<Json<TwoWayPage<Session>>> {
    let own = ["agent_id", "agent_version", "deployment_id", "include_archived", "memory_store_id", "statuses[]"];
    let known = [own.as_slice(), CREATED.as_slice(), ["order", "limit", "page"].as_slice()].concat();
    let params = Params::new(query.as_deref(), &known)?;
    let filter = filter(&params)?;
    let cut = paging::cut(&params, params.order(Order::Desc)?, filter.created, USUAL)?;
    let store = app.engine.store();
    let rows = store.sessions(caller.workspace, &filter, cut).await?;
    Ok(Json(TwoWayPage {
        next_page: rows.next.map(|cursor| cursor.encode()),
        prev_page: rows.prev.map(|cursor| cursor.encode()),
        data: store.to_wire(rows.rows, app.engine.world().now()).await?,
    }))
}

fn filter(params: &Params) -> Result<SessionFilter> {
    for (name, feature) in [("deployment_id", "deployments are"), ("memory_store_id", "memory stores are")] {
        if params.opt(name).is_some() {
            return Err(ApiError::not_available(name, feature));
        }
    }
    let agent_id =
        |text| Id::parse(Kind::Agent, text).ok_or_else(|| ApiError::invalid("agent_id: not the id of an agent"));
    let filter = SessionFilter {
        agent_id: params.opt("agent_id").map(agent_id).transpose()?,
        agent_version: params.opt_version("agent_version")?,
        statuses: statuses(params)?,
        created: params.created("created_at")?,
        archived: params.flag("include_archived")?,
    };
    if filter.agent_version.is_some() && filter.agent_id.is_none() {
        return Err(ApiError::invalid("agent_version: is only allowed together with agent_id"));
    }
    Ok(filter)
}

/// `statuses[]`, each once.
pub(super) fn statuses(params: &Params) -> Result<Vec<Status>> {
    let mut statuses = Vec::new();
    for word in params.list("statuses") {
        let status = Status::parse(word).ok_or_else(|| {
            let word: String = word.chars().take(100).collect();
            ApiError::invalid(format!("statuses: `{word}` is not one of idle, running, rescheduling, terminated"))
        })?;
        if !statuses.contains(&status) {
            statuses.push(status);
        }
    }
    Ok(statuses)
}

/// `GET /v1/sessions/{session_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Session>> {
    let row = find(&app, &caller, &path.id(Kind::Session)?).await?;
    on_the_wire(&app, row).await
}

/// `POST /v1/sessions/{session_id}`
pub(crate) async fn update(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(request): Json<UpdateSession>,
) -> Answer<Json<Session>> {
    let id = path.id(Kind::Session)?;
    let (event, now) = (app.engine.world().id(Kind::Event), app.engine.world().now());
    let row = app.engine.store().update_session(caller.workspace, id, request, event, caller.key_id, now).await?;
    on_the_wire(&app, row).await
}

/// `POST /v1/sessions/{session_id}/archive`
pub(crate) async fn archive(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<Json<Session>> {
    let row = find(&app, &caller, &path.id(Kind::Session)?).await?;
    let world = app.engine.world();
    let thread = ThreadName { id: row.thread_id, agent: row.agent.name };
    let last = terminated(&thread, &mut || world.id(Kind::Event));
    let store = app.engine.store();
    let row = store.archive_session(caller.workspace, row.id, last, caller.key_id, world.now()).await?;
    app.engine.close_sandbox(row.key).await;
    on_the_wire(&app, row).await
}

/// `DELETE /v1/sessions/{session_id}`
pub(crate) async fn delete(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Deleted>> {
    let row = find(&app, &caller, &path.id(Kind::Session)?).await?;
    app.engine.store().delete_session(caller.workspace, row.id.clone()).await?;
    app.engine.forget(row.key, &row.id).await;
    Ok(Json(Deleted { id: row.id, kind: "session_deleted" }))
}

/// A session of the caller's workspace.
pub(crate) async fn find(app: &AppState, caller: &Caller, id: &Id) -> Answer<SessionRow> {
    let row = app.engine.store().session(caller.workspace, id).await?;
    row.ok_or_else(|| not_found("Session", id))
}

async fn on_the_wire(app: &AppState, row: SessionRow) -> Answer<Json<Session>> {
    let sessions = app.engine.store().to_wire(vec![row], app.engine.world().now()).await?;
    let session = sessions.into_iter().next();
    session.map(Json).ok_or_else(|| Refusal::internal(&"a session was lost between its row and the wire"))
}
