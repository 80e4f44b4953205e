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
use daybreak_sandbox::{Mounts, SandboxPaths, remove_tree};
use daybreak_store::log::Lease;
use daybreak_store::page::{Cut, Order};
use daybreak_store::sessions::SessionRow;
use daybreak_store::{Result, Store, StoreError};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Workbench {
    availability: Availability,
    dir: PathBuf,
    /// One at a time changes the uploads folder of a session.
    uploads: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
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
    /// What the outputs looked like when they were last collected.
    pub(crate) stamps: BTreeMap<String, Stamp>,
    availability: Availability,
}

impl Workbench {
    pub(crate) fn new(availability: Availability, dir: PathBuf, limits: &Limits) -> Self {
        Self {
            availability,
            dir,
            uploads: Mutex::default(),
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

    async fn uploads_turn(&self, session: &Id) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(session.as_str()).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(session.to_string(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }

    /// Where a file is copied to before it is complete.
    fn part(&self, unique: uuid::Uuid) -> PathBuf {
        self.dir.join(format!("{unique}.part"))
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
        let turn = self.uploads_turn(&session.id).await;
        let wanted = wanted_uploads(shared, session).await?;
        let (dirs, part) = (mounts.clone(), self.part(shared.world.unique()));
        // The turn goes with the work: an interrupt may drop this future, and the copying goes on without it.
        blocking(move || {
            let _turn = turn;
            prepare(&dirs, &wanted, &part)
        })
        .await?;
        Ok(Bench {
            mounts,
            sandbox: None,
            shell_used: false,
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
        let removed = blocking(move || remove_tree(&dir).map_err(|source| StoreError::Io { path: dir, source }));
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
        unique: uuid::Uuid,
    ) -> std::result::Result<(), String> {
        let uploads = self.mounts(session).uploads;
        let Some(below) = below_uploads(&resource.mount_path) else { return Ok(()) };
        let turn = self.uploads_turn(session).await;
        let part = self.part(unique);
        let placed = blocking(move || {
            let _turn = turn;
            if uploads.is_dir() { place(&uploads, &below, &blob, &part) } else { Ok(()) }
        });
        placed.await.map_err(|error| error.to_string())
    }

    pub(crate) async fn unmount(&self, session: &Id, mount_path: &str) {
        let Some(below) = below_uploads(mount_path) else { return };
        let uploads = self.mounts(session).uploads;
        let turn = self.uploads_turn(session).await;
        let removed = blocking(move || {
            let _turn = turn;
            remove_file(&uploads, &below).map_err(|source| StoreError::Io { path: uploads.join(&below), source })
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, session = %session, "a file could not be unmounted");
        }
    }

    /// The outputs of a session that have changed since they looked like `known` become files.
    pub(crate) async fn collect(
        &self,
        shared: &Shared,
        lease: &Lease,
        known: BTreeMap<String, Stamp>,
    ) -> Result<BTreeMap<String, Stamp>> {
        outputs::collect(shared, lease, self.mounts(&lease.session_id).outputs, known).await
    }

    /// The names of everything that lies among the sessions' directories.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Removes, of these, the directories of sessions that were deleted by a server that died before it could, and the
    /// copies that it had begun. The names must be from before the first runner: a copy under way looks the same.
    pub(crate) async fn sweep(&self, store: &Store, names: Vec<String>) {
        let Ok(existing) = store.existing_sessions(&names).await else { return };
        let leftovers: Vec<PathBuf> =
            names.iter().filter(|name| !existing.contains(name)).map(|name| self.dir.join(name)).collect();
        let removed = blocking(move || {
            for leftover in leftovers {
                let gone = if leftover.is_dir() { remove_tree(&leftover) } else { std::fs::remove_file(&leftover) };
                gone.map_err(|source| StoreError::Io { path: leftover, source })?;
            }
            Ok(())
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "the directory of a deleted session could not be removed");
        }
    }
}

impl Bench {
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
fn prepare(dirs: &Mounts, wanted: &BTreeMap<PathBuf, PathBuf>, part: &Path) -> Result<()> {
    for dir in [&dirs.workspace, &dirs.outputs, &dirs.uploads] {
        std::fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.clone(), source })?;
    }
    let keep: HashSet<PathBuf> = wanted.keys().map(|below| dirs.uploads.join(below)).collect();
    remove_others(&dirs.uploads, &keep).map_err(|source| StoreError::Io { path: dirs.uploads.clone(), source })?;
    wanted.iter().try_for_each(|(below, blob)| place(&dirs.uploads, below, blob, part))
}

fn remove_others(dir: &Path, keep: &HashSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, keep)?;
            // Only an empty one goes.
            let _still_needed = std::fs::remove_dir(&path);
        } else if !keep.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Copies a blob to its place, complete or not at all. A link would be cheaper and would share the blob's inode with a
/// sandbox; nothing but the store may ever touch a blob.
fn place(uploads: &Path, below: &Path, blob: &Path, part: &Path) -> Result<()> {
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
    std::fs::copy(blob, part).map_err(failed)?;
    std::fs::File::options().write(true).open(part).and_then(|file| file.set_modified(wanted.1)).map_err(failed)?;
    std::fs::rename(part, &target).map_err(failed)
}

/// Removes a mounted file and the folders that only it had needed.
fn remove_file(uploads: &Path, below: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(uploads.join(below)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folders = below.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    for folder in folders {
        if std::fs::remove_dir(uploads.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

fn below_uploads(mount_path: &str) -> Option<PathBuf> {
    mount_path.strip_prefix(UPLOADS).map(|below| PathBuf::from(below.trim_start_matches('/')))
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Inconsistent(error.to_string()))?
}
