//! Which paths the file tools may touch.
//!
//! A path is made canonical first (`.` and `..` are removed as text, then every symlink is followed, also a dangling
//! last one) and must then lie in a root. What is opened is that canonical path, beneath its root and with symlinks
//! refused: a link that is put in place after the check leads to an error, not out of the root.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::error::{ToolError, reason};
use crate::protocol::{Access, Root};

const SYMLINK_HOPS_MAX: u32 = 40;

struct OpenRoot {
    path: PathBuf,
    access: Access,
    directory: OwnedFd,
}

pub(super) struct Roots {
    workdir: PathBuf,
    roots: Vec<OpenRoot>,
}

/// A canonical path in one of the roots.
pub(super) struct Place<'a> {
    pub(super) path: PathBuf,
    root: &'a OpenRoot,
}

impl Roots {
    pub(super) fn open(workdir: &Path, roots: &[Root]) -> io::Result<Self> {
        let open = |root: &Root| {
            let path = root.path.canonicalize()?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::open(&path, flags, Mode::empty())?;
            Ok(OpenRoot { path, access: root.access, directory })
        };
        let mut roots: Vec<OpenRoot> = roots.iter().map(open).collect::<io::Result<_>>()?;
        // Where one root lies in another, the inner one decides.
        roots.sort_by_key(|root| std::cmp::Reverse(root.path.components().count()));
        Ok(Self { workdir: workdir.canonicalize()?, roots })
    }

    pub(super) fn workdir(&self) -> &Path {
        &self.workdir
    }

    /// The place that a path given by the model names.
    pub(super) fn place(&self, tool: &str, path: &str) -> Result<Place<'_>, ToolError> {
        if path.contains('\0') {
            return Err(ToolError::new(format!("{tool}: path {path:?} contains a zero byte")));
        }
        let canonical = canonicalize(&self.workdir.join(path))
            .map_err(|error| ToolError::new(format!("{tool}: path '{path}': {}", reason(&error))))?;
        match self.roots.iter().find(|root| canonical.starts_with(&root.path)) {
            Some(root) => Ok(Place { path: canonical, root }),
            None => Err(ToolError::new(format!(
                "{tool}: path '{path}' is outside the session's working directory and its other permitted directories"
            ))),
        }
    }

    /// The place, if it may be changed.
    pub(super) fn writable_place(&self, tool: &str, path: &str) -> Result<Place<'_>, ToolError> {
        let place = self.place(tool, path)?;
        if place.root.access == Access::ReadOnly {
            let root = place.root.path.display();
            return Err(ToolError::new(format!("{tool}: {path} is inside read-only directory {root}")));
        }
        Ok(place)
    }
}

impl Place<'_> {
    /// What is there now, without opening it.
    pub(super) fn metadata(&self) -> io::Result<fs::Metadata> {
        fs::File::from(self.open_beneath(self.relative(), OFlags::PATH, Mode::empty())?).metadata()
    }

    /// Opens the file. Never waits, as for the other end of a named pipe.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<fs::File> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o644) } else { Mode::empty() };
        Ok(self.open_beneath(self.relative(), flags | OFlags::NONBLOCK, mode)?.into())
    }

    /// Makes the directories above, from the root downwards.
    pub(super) fn create_parents(&self) -> io::Result<()> {
        let Some(parents) = self.relative().parent() else { return Ok(()) };
        let mut above = PathBuf::new();
        for name in parents.components() {
            let directory = self.open_beneath(&above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            match rustix::fs::mkdirat(&directory, name.as_os_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            above.push(name);
        }
        Ok(())
    }

    fn relative(&self) -> &Path {
        self.path.strip_prefix(&self.root.path).unwrap_or(Path::new(""))
    }

    fn open_beneath(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.root.directory, relative, flags | OFlags::CLOEXEC, mode, resolve)?)
    }
}

/// Follows every symlink; names at the end that do not exist yet are kept as they are.
pub(super) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    let mut existing = without_dots(path);
    let mut missing: Vec<OsString> = Vec::new();
    let mut hops = 0;
    loop {
        let unresolved = match existing.canonicalize() {
            Ok(canonical) => return Ok(missing.iter().rev().fold(canonical, |path, name| path.join(name))),
            Err(error) if is_missing(&error) => error,
            Err(error) => return Err(error),
        };
        match fs::symlink_metadata(&existing) {
            Err(error) if is_missing(&error) => {
                let (Some(name), Some(parent)) = (existing.file_name(), existing.parent()) else {
                    return Err(unresolved);
                };
                missing.push(name.to_owned());
                existing = parent.to_path_buf();
                continue;
            }
            Err(error) => return Err(error),
            Ok(metadata) if !metadata.is_symlink() => return Err(unresolved),
            Ok(_) => {}
        }
        hops += 1;
        if hops > SYMLINK_HOPS_MAX {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let parent = existing.parent().unwrap_or(Path::new("/")).canonicalize()?;
        let target = parent.join(fs::read_link(&existing)?);
        existing = without_dots(&missing.iter().rev().fold(target, |path, name| path.join(name)));
        missing.clear();
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            component => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn dangling_links_are_followed_and_loops_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().canonicalize().unwrap().join(name);
        symlink("missing/new", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/etc", at("away")).unwrap();
        assert_eq!(canonicalize(&at("dangling")).unwrap(), at("missing/new"));
        assert_eq!(canonicalize(&at("a/../b/./c")).unwrap(), at("b/c"));
        assert_eq!(canonicalize(&at("away/new/file")).unwrap(), Path::new("/etc/new/file"));
        assert_eq!(canonicalize(&at("loop")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(canonicalize(Path::new("/../..")).unwrap(), Path::new("/"));
    }
}
