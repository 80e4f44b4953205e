//! The data directory of one run: the caller's, or a temporary one that goes when the run ends.

use crate::Env;
use crate::failure::{Failure, Result};
use crate::logging::given;
use crate::settings::absolute;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Names tried for a temporary directory.
const NAMES_MAX: u32 = 1_000;

/// A data directory.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    /// Whether it goes when this is dropped. Shared with [`Scratch::remover`].
    is_passing: Arc<AtomicBool>,
}

impl Scratch {
    /// The caller's directory, or a temporary one.
    pub(super) fn new(wanted: Option<&Path>, keep: bool, env: Env<'_>) -> Result<Self> {
        if let Some(path) = wanted {
            return Ok(Self::at(absolute(path)?, false));
        }
        let parent = absolute(Path::new(&given(env, "TMPDIR").unwrap_or_else(|| "/tmp".to_owned())))?;
        let process = std::process::id();
        for number in 0..NAMES_MAX {
            let path = parent.join(format!("daybreak-run-{process}-{number}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self::at(path, !keep)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::caused(path.display(), &error)),
            }
        }
        Err(Failure::new(format!("{}: no temporary directory can be made there", parent.display())))
    }

    fn at(path: PathBuf, is_passing: bool) -> Self {
        Self { path, is_passing: Arc::new(AtomicBool::new(is_passing)) }
    }

    /// Whether it goes when this is dropped.
    pub(super) fn is_passing(&self) -> bool {
        self.is_passing.load(Ordering::SeqCst)
    }

    /// It stays, even if the process ends by [`Scratch::remover`].
    pub(super) fn keep(&self) {
        self.is_passing.store(false, Ordering::SeqCst);
    }

    /// What to do when the process ends without dropping this.
    pub(super) fn remover(&self) -> impl FnOnce() + Send + 'static {
        let (path, is_passing) = (self.path.clone(), Arc::clone(&self.is_passing));
        move || {
            if is_passing.load(Ordering::SeqCst) {
                remove(&path);
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_passing() {
            remove(&self.path);
        }
    }
}

/// Removes a directory in which an agent has worked, or says that it could not.
fn remove(path: &Path) {
    if let Err(error) = daybreak_sandbox::remove_tree(path) {
        eprintln!("daybreak: {} could not be removed: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_temporary_directory_is_private_and_goes_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "TMPDIR").then(|| dir.path().to_str().unwrap().to_owned());
        let scratch = Scratch::new(None, false, &env).unwrap();
        let other = Scratch::new(None, true, &env).unwrap();
        assert_ne!(scratch.path, other.path);
        assert_eq!(std::fs::metadata(&scratch.path).unwrap().permissions().mode() & 0o777, 0o700);
        let locked = scratch.path.join("a/b");
        std::fs::create_dir_all(&locked).unwrap();
        std::fs::write(locked.join("c"), "x").unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        let (gone, kept) = (scratch.path.clone(), other.path.clone());
        drop((scratch, other));
        assert!(!gone.exists() && kept.exists());
    }

    #[test]
    fn what_shall_be_kept_stays_however_the_process_ends() {
        let dir = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "TMPDIR").then(|| dir.path().to_str().unwrap().to_owned());
        let (kept, passing) = (Scratch::new(None, false, &env).unwrap(), Scratch::new(None, false, &env).unwrap());
        let (end, other_end) = (kept.remover(), passing.remover());
        kept.keep();
        end();
        other_end();
        assert!(kept.path.exists() && !passing.path.exists());
        passing.keep();
    }

    #[test]
    fn the_callers_directory_stays() {
        let dir = tempfile::tempdir().unwrap();
        drop(Scratch::new(Some(dir.path()), false, &|_| None).unwrap());
        assert!(dir.path().exists());
    }
}
