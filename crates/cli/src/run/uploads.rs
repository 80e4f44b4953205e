//! What the agent is given: files and folders of this machine, and where it will find them.

use super::client::{Client, id_of};
use crate::failure::{Failure, Result};
use daybreak_api::limits::SESSION_RESOURCES_MAX;
use reqwest::multipart::Part;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files by the path below the uploads folder at which the agent finds them.
pub(super) type Mounts = BTreeMap<String, PathBuf>;

/// What there is to upload.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) mounts: Mounts,
    /// Links that lead out of the folder in which they lie. They are not uploaded: nobody has named what is there.
    pub(super) leading_out: Vec<PathBuf>,
}

/// Finds every file of `paths`, the folders among them with all that they hold, hidden files too. A folder keeps its
/// name: `a/logs` is found as `logs/…`.
pub(super) fn find(paths: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    for path in paths {
        let problem = |error| Failure::caused(path.display(), &error);
        // `.` and `..` have a name only once they are resolved.
        let named = if path.file_name().is_some() { path.clone() } else { path.canonicalize().map_err(problem)? };
        let name = named.file_name().map(|name| text(name.as_ref())).transpose()?.unwrap_or_default();
        let metadata = std::fs::metadata(path).map_err(problem)?;
        if metadata.is_dir() {
            let root = path.canonicalize().map_err(problem)?;
            walk(path, &name, &root, &mut found)?;
        } else if metadata.is_file() {
            add(&mut found.mounts, name, path.clone())?;
        } else {
            return Err(Failure::new(format!("{}: is neither a file nor a folder", path.display())));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, mounted_at: &str, root: &Path, found: &mut Found) -> Result<()> {
    let problem = |error| Failure::caused(folder.display(), &error);
    for entry in std::fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let name = text(path.file_name().unwrap_or_default().as_ref())?;
        let mounted_at = format!("{}/{name}", mounted_at.trim_end_matches('/'));
        let is_link = std::fs::symlink_metadata(&path).map_err(problem)?.is_symlink();
        // A link may point nowhere, and then there is nothing to upload.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if is_link && !path.canonicalize().map_err(problem)?.starts_with(root) {
            found.leading_out.push(path);
        } else if metadata.is_file() {
            add(&mut found.mounts, mounted_at, path)?;
        } else if metadata.is_dir() && !is_link {
            // Links to folders are passed over: they may lead in circles.
            walk(&path, &mounted_at, root, found)?;
        }
    }
    Ok(())
}

fn add(mounts: &mut Mounts, mounted_at: String, path: PathBuf) -> Result<()> {
    if let Some(other) = mounts.get(&mounted_at) {
        let (a, b) = (other.display(), path.display());
        return Err(Failure::new(format!("{a} and {b} would both be found as {mounted_at}; rename one of them")));
    }
    mounts.insert(mounted_at, path);
    if mounts.len() > SESSION_RESOURCES_MAX {
        return Err(Failure::new(format!(
            "--file names more than {SESSION_RESOURCES_MAX} files, the most of a session"
        )));
    }
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    let readable = path.to_str().map(str::to_owned);
    readable.ok_or_else(|| Failure::new(format!("{}: the name is not UTF-8", path.display())))
}

/// What was uploaded.
#[derive(Debug, Default)]
pub(super) struct Uploaded {
    /// The resources of the session that will have the files.
    pub(super) resources: Vec<Value>,
    bytes: u64,
}

impl std::fmt::Display for Uploaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = match self.resources.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        write!(f, "uploaded {files}, {}", size(self.bytes))
    }
}

/// A number of bytes as a person says it: in tenths of the largest unit, rounded down.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| bytes >> shift > 0) {
        None => format!("{bytes} B"),
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Uploads every file.
pub(super) async fn upload(client: &Client, mounts: &Mounts) -> Result<Uploaded> {
    let mut done = Uploaded::default();
    for (mounted_at, path) in mounts {
        let part = Part::file(path).await.map_err(|error| Failure::caused(path.display(), &error))?;
        let name = mounted_at.rsplit('/').next().unwrap_or(mounted_at);
        let uploaded = client.upload(part.file_name(plain(name))).await;
        let file = uploaded.map_err(|failure| Failure::new(format!("{}: {failure}", path.display())))?;
        done.bytes = done.bytes.saturating_add(file["size_bytes"].as_u64().unwrap_or(0));
        done.resources.push(json!({ "type": "file", "file_id": id_of(&file)?, "mount_path": mounted_at }));
    }
    Ok(done)
}

/// The name without what a file's name may not hold on the server. The agent sees the real one: that is in the mount.
fn plain(name: &str) -> String {
    let is_plain = |c: char| !(c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\'));
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_keep_their_names_and_what_is_below_them() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        std::fs::create_dir_all(logs.join("old")).unwrap();
        for name in ["logs/a.log", "logs/old/b.log", "c.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(&logs, logs.join("circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", logs.join("broken")).unwrap();
        let found = find(&[logs.clone(), dir.path().join("c.txt")]).unwrap().mounts;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["c.txt", "logs/a.log", "logs/old/b.log"]);
        let dots = find(&[logs.join("old/..")]).unwrap().mounts;
        assert_eq!(dots.keys().collect::<Vec<_>>(), ["logs/a.log", "logs/old/b.log"]);
    }

    #[test]
    fn a_link_that_leads_out_of_its_folder_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        std::fs::create_dir_all(logs.join("old")).unwrap();
        std::fs::create_dir(dir.path().join("logs-of-others")).unwrap();
        for name in ["logs/.hidden", "secret", "logs-of-others/x"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        for (target, name) in [
            ("../../secret", "old/file"),
            ("../.hidden", "old/inside"),
            ("../logs-of-others", "folder"),
            ("../logs-of-others/x", "neighbour"),
        ] {
            std::os::unix::fs::symlink(target, logs.join(name)).unwrap();
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("logs", &link).unwrap();
        for root in [logs, link] {
            let mut found = find(std::slice::from_ref(&root)).unwrap();
            found.leading_out.sort();
            assert_eq!(found.leading_out, ["folder", "neighbour", "old/file"].map(|name| root.join(name)));
            let names: Vec<_> = found.mounts.keys().filter_map(|name| Some(name.split_once('/')?.1)).collect();
            assert_eq!(names, [".hidden", "old/inside"]);
        }
    }

    #[test]
    fn sizes_are_said_in_the_largest_unit() {
        for (bytes, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (3 << 20, "3.0 MiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn two_files_in_one_place_and_a_missing_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("x"), name).unwrap();
        }
        let problem = find(&[dir.path().join("a/x"), dir.path().join("b/x")]).unwrap_err().to_string();
        assert!(problem.contains("would both be found as x"), "{problem}");
        assert!(find(&[dir.path().join("none")]).is_err());
    }

    #[test]
    fn more_files_than_a_session_takes_are_refused_before_any_is_uploaded() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=SESSION_RESOURCES_MAX {
            std::fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        assert!(find(&[dir.path().to_owned()]).unwrap_err().to_string().contains("more than 500 files"));
    }
}
