//! The HTTP server: routes, callers, configuration.
//!
//! The cast: [`Config`] is what the operator has set. [`AppState`] is what every handler works on: the engine and the
//! server's own settings. `auth` proves who calls; `extract` and `query` read a request strictly; `handlers` has one
//! file per noun; `sse` follows a session's log; `answer` is the outermost layer, which gives every answer its headers
//! and every refusal its envelope.
//!
//! The laws: an answer of success is sent after the change is on disk. A handler opens no transaction. Whatever the
//! input, the answer has the contract's shape; a panic or a 5xx that input can cause is a bug.

mod answer;
mod auth;
mod body;
mod config;
mod error;
mod extract;
mod handlers;
mod leftover;
mod paging;
mod query;
mod router;
mod sse;

pub use config::{Config, ConfigProblem, EngineConfig, SCENARIOS_VAR, SandboxBackend, SandboxConfig, ServerConfig};
pub use router::router;

use axum::serve::ListenerExt;
use daybreak_engine::Engine;
use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What every handler works on.
#[derive(Clone)]
pub struct AppState {
    /// What makes sessions move, and the store beneath it.
    pub engine: Engine,
    /// The server's own settings.
    pub config: Arc<ServerConfig>,
    keys: Arc<auth::KnownKeys>,
    /// Cancelled once the server is told to stop: streams end.
    stopping: CancellationToken,
}

impl AppState {
    /// The state of a server that has not started yet.
    pub fn new(engine: Engine, config: ServerConfig) -> Self {
        Self { engine, config: Arc::new(config), keys: Arc::default(), stopping: CancellationToken::new() }
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is ready: then no connection is accepted any more, streams end, and requests under way have
/// `shutdown_grace_s` to finish.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stopping = state.stopping.clone();
    let grace = Duration::from_secs(state.config.shutdown_grace_s);
    // Frames of a stream are small and must not wait for each other.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    let told_to_stop = {
        let stopping = stopping.clone();
        async move {
            shutdown.await;
            stopping.cancel();
        }
    };
    let serving = axum::serve(listener, router(state)).with_graceful_shutdown(told_to_stop).into_future();
    let out_of_time = async {
        stopping.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = serving => served,
        () = out_of_time => {
            tracing::warn!(seconds = grace.as_secs(), "requests were still under way when the time to stop was over");
            Ok(())
        }
    }
}
