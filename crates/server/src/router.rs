//! Every route, in one place.

use crate::AppState;
use crate::answer;
use crate::handlers::{agents, environments, events, files, health, models, resources, sessions, threads};
use axum::Router;
use axum::middleware;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

/// The routes, behind the layers that shape every answer.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(health::front))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .nest("/v1", Router::new().merge(library()).merge(session_routes()))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), answer::finish))
        .with_state(state)
}

/// What sessions are made of.
fn library() -> Router<AppState> {
    use axum::routing::post;
    Router::new()
        .route("/agents", get(agents::list).post(agents::create))
        .route("/agents/{agent_id}", get(agents::retrieve).post(agents::update))
        .route("/agents/{agent_id}/archive", post(agents::archive))
        .route("/agents/{agent_id}/versions", get(agents::versions))
        .route("/environments", get(environments::list).post(environments::create))
        .route(
            "/environments/{environment_id}",
            get(environments::retrieve).post(environments::update).delete(environments::delete),
        )
        .route("/environments/{environment_id}/archive", post(environments::archive))
        .route("/files", get(files::list).post(files::upload))
        .route("/files/{file_id}", get(files::retrieve).delete(files::delete))
        .route("/files/{file_id}/content", get(files::download))
        .route("/models", get(models::list))
        // A model's id may hold a slash, percent-encoded or not.
        .route("/models/{*model_id}", get(models::retrieve))
}

/// Sessions and what belongs to them.
fn session_routes() -> Router<AppState> {
    use axum::routing::post;
    Router::new()
        .route("/sessions", get(sessions::list).post(sessions::create))
        .route("/sessions/{session_id}", get(sessions::retrieve).post(sessions::update).delete(sessions::delete))
        .route("/sessions/{session_id}/archive", post(sessions::archive))
        .route("/sessions/{session_id}/resources", get(resources::list).post(resources::add))
        .route(
            "/sessions/{session_id}/resources/{resource_id}",
            get(resources::retrieve).post(resources::update).delete(resources::delete),
        )
        .route("/sessions/{session_id}/events", get(events::list).post(events::send))
        .route("/sessions/{session_id}/events/stream", get(events::stream))
        .route("/sessions/{session_id}/threads", get(threads::list))
        .route("/sessions/{session_id}/threads/{thread_id}", get(threads::retrieve))
        .route("/sessions/{session_id}/threads/{thread_id}/archive", post(threads::archive))
        .route("/sessions/{session_id}/threads/{thread_id}/events", get(threads::events))
        .route("/sessions/{session_id}/threads/{thread_id}/stream", get(threads::stream))
}
