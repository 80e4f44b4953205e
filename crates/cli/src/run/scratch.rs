//! The data directory of one run: the caller's, or a temporary one that goes when the run ends.

use crate::Env;
use crate::failure::{Failure, Result};
use crate::logging::given;
use crate::settings::absolute;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Names tried for a temporary directory.
const NAMES_MAX: u32 = 1_000;

/// A data directory.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    /// Whether it goes when this is dropped.
    pub(super) is_passing: bool,
}

impl Scratch {
    /// The caller's directory, or a temporary one.
    pub(super) fn new(wanted: Option<&Path>, keep: bool, env: Env<'_>) -> Result<Self> {
        if let Some(path) = wanted {
            return Ok(Self { path: absolute(path)?, is_passing: false });
        }
        let parent = absolute(Path::new(&given(env, "TMPDIR").unwrap_or_else(|| "/tmp".to_owned())))?;
        let process = std::process::id();
        for number in 0..NAMES_MAX {
            let path = parent.join(format!("daybreak-run-{process}-{number}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, is_passing: !keep }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::caused(path.display(), &error)),
            }
        }
        Err(Failure::new(format!("{}: no temporary directory can be made there", parent.display())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_passing {
            remove(&self.path);
        }
    }
}

/// Removes a directory in which an agent has worked, or says that it could not.
pub(super) fn remove(path: &Path) {
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
    fn the_callers_directory_stays() {
        let dir = tempfile::tempdir().unwrap();
        drop(Scratch::new(Some(dir.path()), false, &|_| None).unwrap());
        assert!(dir.path().exists());
    }
}
