//! A whole server in this process: store, engine and HTTP, started and stopped in the right order.

use crate::Env;
use crate::Hooks;
use crate::failure::{Failure, Result};
use crate::key::{self, FirstKey};
use crate::models;
use crate::settings;
use daybreak_engine::tools::{Availability, Sandboxes};
use daybreak_engine::{Engine, Parts, SystemWorld};
use daybreak_outbound::Models;
use daybreak_sandbox::{Backend, Config as LauncherConfig, Launcher};
use daybreak_server::{AppState, Config, SandboxBackend, SandboxConfig};
use daybreak_store::{Options, Store, StoreError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where the directories of sessions lie, in the data directory.
const SESSIONS_DIR: &str = "sessions";

/// A server that runs.
pub(crate) struct Instance {
    /// Where it listens: the real port, whatever was asked for.
    pub(crate) address: SocketAddr,
    /// The key that opens it.
    pub(crate) key: FirstKey,
    pub(crate) engine: Engine,
    serving: JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Instance {
    /// Starts a server. What is wrong with the configuration comes out before anything is written, and a server that
    /// cannot listen has made no key.
    pub(crate) async fn start(config: &Config, hooks: Hooks, env: Env<'_>) -> Result<Self> {
        let models = models::load(config.models.clone(), env)?;
        let launcher = launcher_config(&config.sandbox)?;
        let opened = Store::open(&config.data_dir, Options { on_commit: hooks.on_commit }).await;
        let store = opened.map_err(|error| unopened(&error))?;
        let wanted = config.server.listen;
        let unheard = |error| unheard(wanted, &error);
        let listener = TcpListener::bind(wanted).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;

        let world = Arc::new(SystemWorld);
        let key = key::admit_first(&store, &config.data_dir, &*world, env).await?;
        // The data directory is locked by us, so whoever held a lease is gone.
        store.void_leases().await.map_err(|error| Failure::caused("leases cannot be freed", &error))?;
        let engine = Engine::start(Parts {
            store,
            models: Arc::new(models),
            sandboxes: Availability::probing(probe(launcher)),
            world,
            sessions_dir: config.data_dir.join(SESSIONS_DIR),
            limits: settings::engine_limits(&config.engine),
        });
        let (stop, told_to_stop) = oneshot::channel();
        let state = AppState::new(engine.clone(), config.server.clone());
        let serving = tokio::spawn(daybreak_server::serve(listener, state, async {
            // An instance that was dropped stops like one that was told to.
            let _told = told_to_stop.await;
        }));
        Ok(Self { address, key, engine, serving, stop })
    }

    /// The models that this server can call.
    pub(crate) fn models(&self) -> &Models {
        self.engine.models()
    }

    /// Returns only if the server ends by itself.
    pub(crate) async fn failed(&mut self) -> Failure {
        match (&mut self.serving).await {
            Ok(Ok(())) => Failure::new("the server ended by itself"),
            Ok(Err(error)) => Failure::caused("the server failed", &error),
            Err(error) => Failure::caused("the server failed", &error),
        }
    }

    /// Accepts nothing more, and gives what is under way until `grace` is over.
    pub(crate) async fn stop(self, grace: Duration) -> Result<()> {
        let _it_may_have_ended = self.stop.send(());
        let (served, ()) = tokio::join!(self.serving, self.engine.stop(grace));
        match served {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::caused("the server failed", &error)),
            Err(error) => Err(Failure::caused("the server failed", &error)),
        }
    }
}

fn unopened(error: &StoreError) -> Failure {
    let failure = Failure::caused("the data directory cannot be used", error);
    match error {
        StoreError::InUse { .. } => {
            Failure::new(format!("{failure}; talk to that server, or choose another with --data-dir"))
        }
        _ => failure,
    }
}

fn unheard(wanted: SocketAddr, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        return Failure::new(format!("cannot listen: {wanted} is in use; choose another with --listen"));
    }
    Failure::caused(format!("cannot listen on {wanted}"), error)
}

fn launcher_config(config: &SandboxConfig) -> Result<LauncherConfig> {
    let backend = match config.backend {
        SandboxBackend::Bubblewrap => Backend::Bubblewrap,
        SandboxBackend::UnsafeHost => Backend::UnsafeHost,
    };
    let mut launcher = LauncherConfig::new(backend, own_program()?);
    launcher.limits = settings::sandbox_limits(config);
    Ok(launcher)
}

/// This program's file: what runs inside sandboxes.
fn own_program() -> Result<PathBuf> {
    let path = std::env::current_exe().map_err(|error| Failure::caused("this program's own file", &error))?;
    // What Linux says of a file that another has replaced, as an update does.
    if path.to_string_lossy().ends_with(" (deleted)") {
        return Err(Failure::new(
            "this program's file was replaced or removed after it had been started, and sandboxes need it; start it again",
        ));
    }
    Ok(path)
}

/// The self-test of the sandbox, with a word about how it went.
async fn probe(config: LauncherConfig) -> std::result::Result<Arc<dyn Sandboxes>, String> {
    match Launcher::probe(config).await {
        Ok(launcher) => {
            tracing::info!(backend = launcher.backend_name(), "the sandbox has passed its self-test; tools can run");
            Ok(Arc::new(launcher))
        }
        Err(unavailable) => {
            tracing::error!("TOOLS CANNOT RUN, every tool call will fail until this is mended: {unavailable}");
            Err(unavailable.to_string())
        }
    }
}
