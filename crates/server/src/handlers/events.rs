//! `/v1/sessions/{session_id}/events`: sent, listed, followed.

use super::sessions::find;
use crate::AppState;
use crate::auth::ManagedCaller;
use crate::error::{Answer, not_found};
use crate::extract::{Json, NoQuery, PathIds, json};
use crate::paging::{self, Sizes};
use crate::query::{CREATED, Params};
use crate::sse;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use daybreak_api::error::{ApiError, Result};
use daybreak_api::event::{ClientEvent, Event, SendEvents, parse_send};
use daybreak_api::id::{Id, Kind};
use daybreak_api::limits::EVENTS_PAGE_MAX;
use daybreak_api::time::Timestamp;
use daybreak_domain::record::{Draft, RecordBody};
use daybreak_engine::World;
use daybreak_store::events::{EventCursor, EventFilter, Served};
use daybreak_store::page::Order;
use serde::Serialize;

const SIZES: Sizes = Sizes { default: EVENTS_PAGE_MAX, max: EVENTS_PAGE_MAX };
/// Values of `types[]`.
const TYPES_MAX: usize = 100;
/// Values of `event_deltas[]`.
const DELTAS_MAX: usize = 100;
/// What may be previewed, once previews exist.
const DELTAS: [&str; 2] = ["agent.message", "agent.thinking"];

/// Events that were sent, as they stand in the log.
#[derive(Debug, Serialize)]
pub(crate) struct Sent {
    data: Vec<Event>,
}

/// `POST /v1/sessions/{session_id}/events`
pub(crate) async fn send(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    _: NoQuery,
    Json(request): Json<SendEvents>,
) -> Answer<Json<Sent>> {
    let id = path.id(Kind::Session)?;
    let events = parse_send(request.events)?;
    let file_ids = file_ids(&events)?;
    let mut threads = events.iter().filter_map(named_thread).peekable();
    if threads.peek().is_some() {
        let session = find(&app, &caller, &id).await?;
        if let Some(other) = threads.find(|thread| **thread != session.thread_id) {
            return Err(not_found("Thread", other));
        }
    }
    let (world, now) = (app.engine.world(), app.engine.world().now());
    let drafts = drafts(world, events);
    let data = drafts.iter().filter_map(|draft| as_stored(draft, now)).collect();
    app.engine.store().send_events(caller.workspace, id, drafts, file_ids, caller.key_id, now).await?;
    Ok(Json(Sent { data }))
}

fn named_thread(event: &ClientEvent) -> Option<&Id> {
    match event {
        ClientEvent::Interrupt { session_thread_id } => session_thread_id.as_ref(),
        ClientEvent::Message { .. } => None,
    }
}

fn as_stored(draft: &Draft, at: Timestamp) -> Option<Event> {
    match draft.body(at) {
        RecordBody::Event(event) => Some(event),
        RecordBody::Private(_) => None,
    }
}

/// Events on their way into the log.
pub(super) fn drafts(world: &dyn World, events: Vec<ClientEvent>) -> Vec<Draft> {
    events.into_iter().map(|event| Draft::Event(world.id(Kind::Event), event.into_body())).collect()
}

/// The files that events refer to.
pub(super) fn file_ids(events: &[ClientEvent]) -> Result<Vec<Id>> {
    let parse = |text| Id::parse(Kind::File, text).ok_or_else(|| ApiError::not_found("File", text));
    events.iter().flat_map(ClientEvent::file_ids).map(parse).collect()
}

/// `GET /v1/sessions/{session_id}/events`
pub(crate) async fn list(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
) -> Answer<Response> {
    let id = path.id(Kind::Session)?;
    let known = [["types[]", "order", "limit", "page"].as_slice(), CREATED.as_slice()].concat();
    let params = Params::new(query.as_deref(), &known)?;
    let types: Vec<String> = params.list("types").into_iter().map(str::to_owned).collect();
    if types.len() > TYPES_MAX {
        return Err(ApiError::invalid(format!("types: {} values, at most {TYPES_MAX} are allowed", types.len())).into());
    }
    let filter = filter(&params, types)?;
    let session = find(&app, &caller, &id).await?;
    let (events, next) = app.engine.store().list_events(session.key, session.head_seq, &filter).await?;
    Ok(page(&events, next))
}

/// Which events a list shows.
pub(super) fn filter(params: &Params, types: Vec<String>) -> Result<EventFilter> {
    let (order, processed) = (params.order(Order::Asc)?, params.created("created_at")?);
    let cursor = params.opt("page").map(|text| EventCursor::decode(text, order, processed)).transpose()?;
    Ok(EventFilter { types, processed, order, cursor, limit: paging::limit(params, SIZES)? })
}

/// A page made of stored bytes: events are served as they were written, without being read again.
pub(super) fn page(events: &[Served], next: Option<EventCursor>) -> Response {
    let bytes: usize = events.iter().map(|event| event.json.len() + 1).sum();
    let mut body = String::with_capacity(bytes + 128);
    body.push_str("{\"data\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&event.json);
    }
    body.push_str("],\"next_page\":");
    match next {
        // A cursor is made of letters, digits and underscores.
        Some(cursor) => body.extend(["\"", &cursor.encode(), "\""]),
        None => body.push_str("null"),
    }
    body.push('}');
    json(body)
}

/// `GET /v1/sessions/{session_id}/events/stream`
pub(crate) async fn stream(
    State(app): State<AppState>,
    ManagedCaller(caller): ManagedCaller,
    path: PathIds,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response> {
    let id = path.id(Kind::Session)?;
    check_deltas(query.as_deref())?;
    sse::follow(&app, &caller, &id, &headers).await
}

/// Refuses previews: all values alike, but a wrong one for being wrong.
pub(super) fn check_deltas(query: Option<&str>) -> Result<()> {
    let params = Params::new(query, &["event_deltas[]"])?;
    let asked = params.list("event_deltas");
    if asked.len() > DELTAS_MAX {
        return Err(ApiError::invalid(format!(
            "event_deltas: {} values, at most {DELTAS_MAX} are allowed",
            asked.len()
        )));
    }
    if let Some(unknown) = asked.iter().find(|asked| !DELTAS.contains(asked)) {
        let unknown: String = unknown.chars().take(100).collect();
        return Err(ApiError::invalid(format!("event_deltas: `{unknown}` is not one of {}", DELTAS.join(", "))));
    }
    if asked.is_empty() { Ok(()) } else { Err(ApiError::not_available("event_deltas", "previews of events are")) }
}
