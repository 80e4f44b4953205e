//! What the agent is given: files and folders of this machine, and where it will find them.

use super::client::Client;
use crate::failure::{Failure, Result};
use daybreak_api::limits::SESSION_RESOURCES_MAX;
use reqwest::multipart::Part;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files by the path below the uploads folder at which the agent finds them.
pub(super) type Mounts = BTreeMap<String, PathBuf>;

/// Finds every file of `paths`, the folders among them with all that they hold. A folder keeps its name: `a/logs` is
/// found as `logs/…`.
pub(super) fn find(paths: &[PathBuf]) -> Result<Mounts> {
    let mut mounts = Mounts::new();
    for path in paths {
        let problem = |error| Failure::caused(path.display(), &error);
        // `.` and `..` have a name only once they are resolved.
        let named = if path.file_name().is_some() { path.clone() } else { path.canonicalize().map_err(problem)? };
        let name = named.file_name().map(|name| text(name.as_ref())).transpose()?.unwrap_or_default();
        let metadata = std::fs::metadata(path).map_err(problem)?;
        if metadata.is_dir() {
            walk(path, &name, &mut mounts)?;
        } else if metadata.is_file() {
            add(&mut mounts, name, path.clone())?;
        } else {
            return Err(Failure::new(format!("{}: is neither a file nor a folder", path.display())));
        }
    }
    Ok(mounts)
}

fn walk(folder: &Path, mounted_at: &str, mounts: &mut Mounts) -> Result<()> {
    let problem = |error| Failure::caused(folder.display(), &error);
    for entry in std::fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let name = text(path.file_name().unwrap_or_default().as_ref())?;
        let mounted_at = format!("{}/{name}", mounted_at.trim_end_matches('/'));
        let is_link = std::fs::symlink_metadata(&path).map_err(problem)?.is_symlink();
        // A link may point nowhere, and then there is nothing to upload.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            add(mounts, mounted_at, path)?;
        } else if metadata.is_dir() && !is_link {
            // Links to folders are passed over: they may lead in circles.
            walk(&path, &mounted_at, mounts)?;
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

/// Uploads every file, and returns the resources of the session that will have them.
pub(super) async fn upload(client: &Client, mounts: &Mounts) -> Result<Vec<Value>> {
    let mut resources = Vec::with_capacity(mounts.len());
    for (mounted_at, path) in mounts {
        let part = Part::file(path).await.map_err(|error| Failure::caused(path.display(), &error))?;
        let name = mounted_at.rsplit('/').next().unwrap_or(mounted_at);
        let uploaded = client.upload(part.file_name(plain(name))).await;
        let file_id = uploaded.map_err(|failure| Failure::new(format!("{}: {failure}", path.display())))?;
        resources.push(json!({ "type": "file", "file_id": file_id, "mount_path": mounted_at }));
    }
    Ok(resources)
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
        let found = find(&[logs.clone(), dir.path().join("c.txt")]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["c.txt", "logs/a.log", "logs/old/b.log"]);
        let dots = find(&[logs.join("old/..")]).unwrap();
        assert_eq!(dots.keys().collect::<Vec<_>>(), ["logs/a.log", "logs/old/b.log"]);
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
