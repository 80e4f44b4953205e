//! `/v1/sessions/{session_id}/threads`: until delegation is available, the primary one.

use super::events::{check_deltas, filter, page};
use super::sessions::{find, statuses};
use crate::AppState;
use crate::auth::{Caller, ManagedCaller};
use crate::error::{Answer, not_found};
use crate::extract::{Json, NoQuery, Nothing, PathIds};
use crate::paging::{self, Sizes};
use crate::query::Params;
use crate::sse;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use daybreak_api::error::ApiError;
use daybreak_api::id::Kind;
use daybreak_api::limits::THREADS_PAGE_MAX;
use daybreak_api::page::Page;
use daybreak_api::session::Usage;
use daybreak_api::thread::{Thread, thread_agent};
use daybreak_api::time::Timestamp;
use daybreak_store::sessions::SessionRow;

const SIZES: Sizes = Sizes { default: THREADS_PAGE_MAX, max: THREADS_PAGE_MAX };

/// `GET /v1/sessions/{session_id}/threads`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Json<Page<Thread>>> {
    let id = path.id(Kind::Session)?;
    let params = Params::new(query.as_deref(), &["statuses[]", "limit", "page"])?;
    paging::limit(&params, SIZES)?;
    if params.opt("page").is_some() {
        // One thread fits every page, so no cursor of this list was ever given out.
        return Err(ApiError::invalid("page: not a cursor of this list").into());
    }
    let statuses = statuses(&params)?;
    let session = find(&app, &caller, &id).await?;
    let primary = primary(&session, app.engine.world().now());
    let data = if statuses.is_empty() || statuses.contains(&primary.status) { vec![primary] } else { Vec::new() };
    Ok(Json(Page { data, next_page: None }))
}

/// `GET /v1/sessions/{session_id}/threads/{thread_id}`
pub(crate) async fn retrieve(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
) -> Answer<Json<Thread>> {
    let session = session_of(&app, &caller, &path).await?;
    Ok(Json(primary(&session, app.engine.world().now())))
}

/// `POST /v1/sessions/{session_id}/threads/{thread_id}/archive`
pub(crate) async fn archive(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<Json<Thread>> {
    session_of(&app, &caller, &path).await?;
    Err(ApiError::invalid("The primary thread cannot be archived by itself; archive the session.").into())
}

/// `GET /v1/sessions/{session_id}/threads/{thread_id}/events`
pub(crate) async fn events(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Response> {
    let filter = filter(&Params::new(query.as_deref(), &["limit", "page"])?, Vec::new())?;
    let session = session_of(&app, &caller, &path).await?;
    let (events, next) = app.engine.store().list_events(session.key, session.head_seq, &filter).await?;
    Ok(page(&events, next))
}

/// `GET /v1/sessions/{session_id}/threads/{thread_id}/stream`
pub(crate) async fn stream(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response> {
    check_deltas(query.as_deref())?;
    let session = session_of(&app, &caller, &path).await?;
    sse::follow(&app, &caller, &session.id, &headers).await
}

/// The session whose thread the path names.
async fn session_of(app: &AppState, caller: &Caller, path: &PathIds) -> Answer<SessionRow> {
    let [session, thread] = path.ids([Kind::Session, Kind::Thread])?;
    let session = find(app, caller, &session).await?;
    if session.thread_id == thread { Ok(session) } else { Err(not_found("Thread", &thread)) }
}

fn primary(session: &SessionRow, now: Timestamp) -> Thread {
    let has_worked = session.running_since.is_some() || session.usage != Usage::default();
    // Time at work is added up when a turn ends: without any, the thread has not been idle after work yet.
    let has_rested = session.usage.active_seconds > 0.0;
    Thread {
        id: session.thread_id.clone(),
        kind: "session_thread",
        session_id: session.id.clone(),
        status: session.status,
        agent: thread_agent(&session.agent),
        parent_thread_id: None,
        workflow_run_id: None,
        archived_at: session.archived_at,
        stats: has_worked.then(|| session.stats(now)),
        usage: has_rested.then_some(session.usage),
        created_at: session.created_at,
        updated_at: session.updated_at,
    }
}
