//! What makes sessions move.
//!
//! The cast: the [`dispatch`]er hears that a session has work and claims it; a runner (`runner`) folds the
//! session's log, decides with the pure core, performs, appends, and goes on until there is nothing to do; the
//! workbench (`workbench`) keeps warm sandboxes and the directories behind them. All of them see the database
//! through [`log::Log`], tools through [`tools::Sandboxes`], and time and chance through [`World`].
//!
//! Always true: an act is performed only after its intent is durable, and nothing about a running session lives
//! only in memory except what is warm: killing the process costs at most the model call in flight.

mod content;
pub mod dispatch;
mod folds;
pub mod log;
mod outputs;
mod prompt;
mod runner;
pub mod tools;
mod workbench;
mod world;

pub use world::{SystemWorld, World};

use daybreak_api::id::Id;
use daybreak_api::session::FileResource;
use daybreak_domain::step::TurnLimits;
use daybreak_outbound::Models;
use daybreak_store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the engine is made of.
pub struct Parts {
    /// The database and the blobs.
    pub store: Store,
    /// The models.
    pub models: Arc<Models>,
    /// Where tools run, or why they cannot.
    pub sandboxes: tools::Availability,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Where the directories of sessions lie.
    pub sessions_dir: PathBuf,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of each turn.
    pub turn: TurnLimits,
    /// Sessions that run at the same time; more wait for their turn.
    pub sessions_running_max: usize,
    /// Sandboxes kept warm for sessions that are idle.
    pub warm_sandboxes_max: usize,
    /// How long a sandbox of an idle session is kept warm, in milliseconds.
    pub warm_sandbox_idle_ms: u64,
    /// How long a runner's right to a session lasts without being renewed, in milliseconds.
    pub lease_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            turn: TurnLimits::default(),
            sessions_running_max: 512,
            warm_sandboxes_max: 32,
            warm_sandbox_idle_ms: 10 * 60 * 1000,
            lease_ms: 15_000,
        }
    }
}

/// The running engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    dispatcher: dispatch::Dispatcher,
}

/// What runners share.
pub(crate) struct Shared {
    store: Store,
    log: Arc<dyn log::Log>,
    models: Arc<Models>,
    folds: folds::Folds,
    workbench: workbench::Workbench,
    world: Arc<dyn World>,
    limits: Limits,
}

impl Engine {
    /// Starts to look for work. Must be called within a tokio runtime.
    pub fn start(parts: Parts) -> Self {
        let workbench = workbench::Workbench::new(parts.sandboxes, parts.sessions_dir, &parts.limits);
        let shared = Arc::new(Shared {
            log: Arc::new(parts.store.clone()),
            store: parts.store,
            models: parts.models,
            folds: folds::Folds::default(),
            workbench,
            world: parts.world,
            limits: parts.limits,
        });
        let (sweeping, names) = (Arc::clone(&shared), shared.workbench.names());
        tokio::spawn(async move { sweeping.workbench.sweep(&sweeping.store, names).await });
        let dispatcher = dispatch::Dispatcher::start(Arc::clone(&shared));
        Self { shared, dispatcher }
    }

    /// The database and the blobs.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The models.
    pub fn models(&self) -> &Models {
        &self.shared.models
    }

    /// Time and chance.
    pub fn world(&self) -> &dyn World {
        &*self.shared.world
    }

    /// Makes a file appear in the session's sandbox, now if it is warm.
    ///
    /// # Errors
    /// When the file cannot be copied; the text is for the operator.
    pub async fn mount(&self, session: &Id, resource: &FileResource, blob: &str) -> Result<(), String> {
        let blob = self.shared.store.blobs().path(blob);
        self.shared.workbench.mount(session, resource, blob, self.shared.world.unique()).await
    }

    /// Makes a file disappear from the session's sandbox.
    pub async fn unmount(&self, session: &Id, mount_path: &str) {
        self.shared.workbench.unmount(session, mount_path).await;
    }

    /// Closes the sandbox of a session that has ended.
    pub async fn close_sandbox(&self, session_key: i64) {
        self.shared.workbench.close(session_key);
    }

    /// Closes the sandbox of a deleted session and removes its directory.
    pub async fn forget(&self, session_key: i64, session: &Id) {
        self.shared.workbench.forget(session_key, session).await;
    }

    /// Why tools cannot run, if they cannot.
    pub fn sandbox_problem(&self) -> Option<String> {
        self.shared.workbench.problem()
    }

    /// Stops claiming, lets every runner finish the act it is in, and returns when they have or `grace` is over.
    /// What is unfinished then goes on at the next start.
    pub async fn stop(&self, grace: Duration) {
        self.dispatcher.stop(grace).await;
    }
}
