//! What a sandbox sees of the host's file system.
//!
//! Invariant: the directories of one sandbox do not contain one another. If one did, the inside could prepare, in the
//! outer one, what it later finds mounted as the inner one.

use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::{Access, Root};

/// Where the workspace appears inside.
pub(crate) const WORKSPACE: &str = "/workspace";
/// Where the outputs appear inside.
pub(crate) const OUTPUTS: &str = "/mnt/session/outputs";
/// Where the uploads appear inside.
pub(crate) const UPLOADS: &str = "/mnt/session/uploads";
/// Room for temporary files; not a mount of the host.
pub(crate) const TMP: &str = "/tmp";

/// The host's directories that one sandbox is given. All must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// Becomes `/workspace`, the working directory; writable.
    pub workspace: PathBuf,
    /// Becomes `/mnt/session/outputs`; writable.
    pub outputs: PathBuf,
    /// Becomes `/mnt/session/uploads`; read-only inside. Files added to it on the host appear at once.
    pub uploads: PathBuf,
}

/// Where tools find the directories of a sandbox; what the model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPaths {
    /// The working directory.
    pub workdir: PathBuf,
    /// Where results for the user go.
    pub outputs: PathBuf,
    /// Where the user's files are.
    pub uploads: PathBuf,
}

/// One directory of the host and the place where it appears.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) access: Access,
}

impl Mounts {
    /// The mounts with their sources made canonical; refuses what is missing, is not a directory, or overlaps.
    pub(crate) fn binds(&self) -> Result<Vec<Bind>, (PathBuf, io::Error)> {
        let wanted = [
            (&self.workspace, WORKSPACE, Access::ReadWrite),
            (&self.outputs, OUTPUTS, Access::ReadWrite),
            (&self.uploads, UPLOADS, Access::ReadOnly),
        ];
        let mut binds: Vec<Bind> = Vec::with_capacity(wanted.len());
        for (source, target, access) in wanted {
            let source = canonical_directory(source).map_err(|error| (source.clone(), error))?;
            if binds.iter().any(|other| overlaps(&other.source, &source)) {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "overlaps another mount of the same sandbox");
                return Err((source, error));
            }
            binds.push(Bind { source, target: PathBuf::from(target), access });
        }
        Ok(binds)
    }
}

/// The directories that the file tools accept, with the working directory first. `isolated` says whether the binds
/// appear at their targets or are the host's own paths.
pub(crate) fn roots(binds: &[Bind], isolated: bool) -> Vec<Root> {
    let mut roots: Vec<Root> = binds
        .iter()
        .map(|bind| Root { path: if isolated { &bind.target } else { &bind.source }.clone(), access: bind.access })
        .collect();
    roots.push(Root { path: PathBuf::from(TMP), access: Access::ReadWrite });
    roots
}

fn canonical_directory(path: &Path) -> io::Result<PathBuf> {
    // A symlink in the last place would let whoever owns it choose the mount.
    if !std::fs::symlink_metadata(path)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    path.canonicalize()
}

fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_missing_and_symlinked_sources_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "a/inner"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(directory.path().join("c"), directory.path().join("link")).unwrap();
        let mounts = |outputs: &str| Mounts {
            workspace: directory.path().join("a"),
            outputs: directory.path().join(outputs),
            uploads: directory.path().join("c"),
        };
        assert_eq!(mounts("b").binds().unwrap().len(), 3);
        assert!(mounts("a/inner").binds().unwrap_err().1.to_string().contains("overlaps"));
        assert_eq!(mounts("missing").binds().unwrap_err().1.kind(), io::ErrorKind::NotFound);
        assert_eq!(mounts("link").binds().unwrap_err().1.kind(), io::ErrorKind::NotADirectory);
    }
}
