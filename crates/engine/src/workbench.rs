//! The directories of sessions and the sandboxes that are warm.
//!
//! A session's directory holds `workspace`, `outputs` and `uploads`. A [`Bench`] is a session's place while a runner
//! uses it; between turns it waits here with its sandbox still warm, so that a shell keeps its variables. Warm
//! sandboxes are few and the one that was used longest ago goes first: an idle session must not cost memory.

use crate::outputs::{self, Stamp};
use crate::tools::{Availability, Tools, to_content};
use crate::{Limits, Shared};
use daybreak_api::content::ContentBlock;
use daybreak_api::id::Id;
use daybreak_api::session::{FileResource, UPLOADS};
use daybreak_sandbox::{Mounts, SandboxPaths};
use daybreak_store::page::{Cut, Order};
use daybreak_store::sessions::SessionRow;
use daybreak_store::{Result, StoreError};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Workbench {
    availability: Availability,
    dir: PathBuf,
    warm: Mutex<HashMap<i64, (Bench, Instant)>>,
    warm_max: usize,
    warm_for: Duration,
}

/// A session's place at work.
pub(crate) struct Bench {
    mounts: Mounts,
    sandbox: Option<Box<dyn Tools>>,
    /// Whether this very sandbox's shell has been used.
    shell_used: bool,
    /// Whether a tool has run since the outputs were last collected.
    has_run: bool,
    /// What the outputs looked like when they were last collected.
    stamps: BTreeMap<String, Stamp>,
    availability: Availability,
}

impl Workbench {
    pub(crate) fn new(availability: Availability, dir: PathBuf, limits: &Limits) -> Self {
        Self {
            availability,
            dir,
            warm: Mutex::default(),
            warm_max: limits.warm_sandboxes_max,
            warm_for: Duration::from_millis(limits.warm_sandbox_idle_ms),
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.availability.known().and_then(std::result::Result::err)
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, HashMap<i64, (Bench, Instant)>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mounts(&self, session: &Id) -> Mounts {
        let dir = self.dir.join(session.as_str());
        Mounts { workspace: dir.join("workspace"), outputs: dir.join("outputs"), uploads: dir.join("uploads") }
    }

    /// Where tools of this session find their directories.
    pub(crate) fn paths(&self, session: &Id) -> SandboxPaths {
        match self.availability.known() {
            Some(Ok(sandboxes)) => sandboxes.paths(&self.mounts(session)),
            _ => SandboxPaths {
                workdir: "/workspace".into(),
                outputs: "/mnt/session/outputs".into(),
                uploads: UPLOADS.into(),
            },
        }
    }

    /// The session's place: the warm one, or a new one with everything mounted.
    pub(crate) async fn take(&self, shared: &Shared, session: &SessionRow) -> Result<Bench> {
        if let Some((bench, _)) = self.warm().remove(&session.key) {
            return Ok(bench);
        }
        let mounts = self.mounts(&session.id);
        let wanted = wanted_uploads(shared, session).await?;
        let dirs = mounts.clone();
        blocking(move || prepare(&dirs, &wanted)).await?;
        Ok(Bench {
            mounts,
            sandbox: None,
            shell_used: false,
            has_run: false,
            stamps: BTreeMap::new(),
            availability: self.availability.clone(),
        })
    }

    /// Keeps the place warm for the next turn.
    pub(crate) fn put_back(&self, session_key: i64, bench: Bench, healthy: bool) {
        if !healthy || bench.sandbox.is_none() {
            return;
        }
        let mut warm = self.warm();
        warm.insert(session_key, (bench, Instant::now()));
        while warm.len() > self.warm_max {
            let oldest = warm.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            warm.remove(&oldest);
        }
    }

    pub(crate) fn close_stale(&self) {
        self.warm().retain(|_, (_, used)| used.elapsed() < self.warm_for);
    }

    pub(crate) fn close(&self, session_key: i64) {
        self.warm().remove(&session_key);
    }

    pub(crate) fn close_all(&self) {
        self.warm().clear();
    }

    pub(crate) async fn forget(&self, session_key: i64, session: &Id) {
        self.close(session_key);
        let dir = self.dir.join(session.as_str());
        let removed = blocking(move || {
            daybreak_sandbox::remove_tree(&dir).map_err(|source| StoreError::Io { path: dir, source })
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, session = %session, "a deleted session's directory could not be removed");
        }
    }

    /// Puts a file where a running sandbox sees it. Without a directory there is nothing to do: the next
    /// [`Workbench::take`] mounts everything.
    pub(crate) async fn mount(
        &self,
        session: &Id,
        resource: &FileResource,
        blob: PathBuf,
    ) -> std::result::Result<(), String> {
        let uploads = self.mounts(session).uploads;
        let Some(below) = below_uploads(&resource.mount_path) else { return Ok(()) };
        blocking(move || if uploads.is_dir() { place(&uploads, &below, &blob) } else { Ok(()) })
            .await
            .map_err(|error| error.to_string())
    }

    pub(crate) async fn unmount(&self, session: &Id, mount_path: &str) {
        let Some(below) = below_uploads(mount_path) else { return };
        let path = self.mounts(session).uploads.join(below);
        if let Err(error) = tokio::fs::remove_file(&path).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, session = %session, "a file could not be unmounted");
        }
    }
}

impl Bench {
    pub(crate) fn has_run(&self) -> bool {
        self.has_run
    }

    /// Ends everything that runs here; files stay.
    pub(crate) fn discard_sandbox(&mut self) {
        self.sandbox = None;
        self.shell_used = false;
    }

    /// Runs a tool, in a new sandbox if there is none. `knows_shell` says that the model has used the shell before:
    /// if it was another one, the result begins with `shell_lost`.
    pub(crate) async fn call(
        &mut self,
        name: &str,
        input: &Map<String, Value>,
        knows_shell: bool,
        shell_lost: &str,
    ) -> (Vec<ContentBlock>, bool) {
        self.has_run = true;
        if self.sandbox.as_ref().is_none_or(|sandbox| !sandbox.is_alive()) {
            self.discard_sandbox();
            match self.open().await {
                Ok(sandbox) => self.sandbox = Some(sandbox),
                Err(problem) => {
                    tracing::error!(%problem, "a sandbox could not be opened");
                    return (vec![ContentBlock::text(format!("{name}: no sandbox is available: {problem}"))], true);
                }
            }
        }
        let Some(sandbox) = &mut self.sandbox else { return (Vec::new(), true) };
        let (mut content, is_error) = to_content(sandbox.call(name, input).await);
        if name == "bash" {
            if knows_shell && !self.shell_used {
                content.insert(0, ContentBlock::text(shell_lost));
            }
            self.shell_used = true;
        }
        (content, is_error)
    }

    async fn open(&self) -> std::result::Result<Box<dyn Tools>, String> {
        self.availability.get().await?.open(&self.mounts).await
    }

    /// Turns what is new in the outputs folder into files of the session.
    pub(crate) async fn collect_outputs(&mut self, shared: &Shared, session: &SessionRow) -> Result<()> {
        let root = self.mounts.outputs.clone();
        let known = std::mem::take(&mut self.stamps);
        self.stamps = outputs::collect(shared, session, root, known).await?;
        self.has_run = false;
        Ok(())
    }
}

/// The files to mount: paths below the uploads folder and their blobs.
async fn wanted_uploads(shared: &Shared, session: &SessionRow) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let all = Cut { order: Order::Asc, cursor: None, limit: u32::MAX };
    let mut wanted = BTreeMap::new();
    for row in shared.store.resources(session.key, all).await?.rows {
        let Some(below) = below_uploads(&row.resource.mount_path) else { continue };
        if let Some(file) = shared.log.file(session.workspace, &row.resource.file_id).await? {
            wanted.insert(below, shared.store.blobs().path(&file.blob));
        }
    }
    Ok(wanted)
}

/// Creates the directories and makes the uploads folder hold exactly what is wanted.
fn prepare(dirs: &Mounts, wanted: &BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    for dir in [&dirs.workspace, &dirs.outputs, &dirs.uploads] {
        std::fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.clone(), source })?;
    }
    let keep: HashSet<PathBuf> = wanted.keys().map(|below| dirs.uploads.join(below)).collect();
    remove_others(&dirs.uploads, &keep).map_err(|source| StoreError::Io { path: dirs.uploads.clone(), source })?;
    wanted.iter().try_for_each(|(below, blob)| place(&dirs.uploads, below, blob))
}

fn remove_others(dir: &Path, keep: &HashSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, keep)?;
        } else if !keep.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Copies a blob to its place, complete or not at all. A link would be cheaper and would share the blob's inode with a
/// sandbox; nothing but the store may ever touch a blob.
fn place(uploads: &Path, below: &Path, blob: &Path) -> Result<()> {
    let target = uploads.join(below);
    let failed = |source| StoreError::Io { path: target.clone(), source };
    // A copy carries its blob's time, so that an older file of the same size is not taken for it.
    let identity = |metadata: std::fs::Metadata| Ok((metadata.len(), metadata.modified()?));
    let wanted = std::fs::metadata(blob).and_then(identity).map_err(failed)?;
    if std::fs::metadata(&target).and_then(identity).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let part = uploads.with_extension("part");
    std::fs::copy(blob, &part).map_err(failed)?;
    std::fs::File::options().write(true).open(&part).and_then(|file| file.set_modified(wanted.1)).map_err(failed)?;
    std::fs::rename(&part, &target).map_err(failed)
}

fn below_uploads(mount_path: &str) -> Option<PathBuf> {
    mount_path.strip_prefix(UPLOADS).map(|below| PathBuf::from(below.trim_start_matches('/')))
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Inconsistent(error.to_string()))?
}
