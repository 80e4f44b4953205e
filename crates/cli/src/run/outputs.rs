//! What the agent has left, copied to a folder of this machine.
//!
//! Invariant: nothing outside the folder is touched and nothing in it is overwritten, whatever the agent has called
//! its files.

use super::client::{Client, id_of};
use crate::failure::{Failure, Result};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Of a name that is longer, the middle is left out. File systems take 255.
const NAME_BYTES_MAX: usize = 200;
/// Files of one name in one folder.
const SAME_NAME_MAX: u32 = 10_000;
/// The name of the file that shows that a folder can be written.
const PROBE: &str = ".daybreak-probe";

/// Makes the folder and puts a file into it for a moment: a folder that cannot be written is better known before the
/// work than after it.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::caused(folder.display(), &error))?;
    let (_, path) = create(folder, PROBE)?;
    std::fs::remove_file(&path).map_err(|error| Failure::caused(path.display(), &error))
}

/// Downloads every file that the session has left, and returns where they are now.
pub(super) async fn fetch(client: &Client, session: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let files = client.outputs(session).await?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    std::fs::create_dir_all(folder).map_err(|error| Failure::caused(folder.display(), &error))?;
    let mut fetched = Vec::with_capacity(files.len());
    for file in &files {
        fetched.push(download(client, file, folder).await?);
    }
    Ok(fetched)
}

async fn download(client: &Client, file: &Value, folder: &Path) -> Result<PathBuf> {
    let mut content = client.content(&id_of(file)?).await?;
    let (mut copy, path) = create(folder, &safe_name(file["filename"].as_str().unwrap_or_default()))?;
    let outcome = loop {
        match content.chunk().await {
            Ok(Some(bytes)) => {
                if let Err(error) = copy.write_all(&bytes) {
                    break Err(Failure::caused(path.display(), &error));
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(Failure::caused(path.display(), &error)),
        }
    };
    if outcome.is_err() {
        // Half a file would be taken for a whole one.
        let _gone = std::fs::remove_file(&path);
    }
    outcome.map(|()| path)
}

/// Creates a file that was not there, under the name or the name with a number.
fn create(folder: &Path, name: &str) -> Result<(File, PathBuf)> {
    for number in 1..=SAME_NAME_MAX {
        let path = folder.join(numbered(name, number));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::caused(path.display(), &error)),
        }
    }
    Err(Failure::new(format!("{}: there are too many files called {name}", folder.display())))
}

fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, extension))) if !stem.is_empty() => format!("{stem}-{number}.{extension}"),
        _ => format!("{name}-{number}"),
    }
}

/// A name that stays in its folder and that a terminal can show.
fn safe_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    match name.as_str() {
        "" | "." | ".." => "unnamed".to_owned(),
        _ if name.len() > NAME_BYTES_MAX => shortened(&name),
        _ => name,
    }
}

/// The beginning and the end: what a name is about, and its extension.
fn shortened(name: &str) -> String {
    let half = NAME_BYTES_MAX / 2;
    let head = (0..=half).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    let tail = (name.len() - half + 1..=name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(name.len());
    format!("{}_{}", &name[..head], &name[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_folder() {
        for (given, safe) in [
            ("report.md", "report.md"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("..", "unnamed"),
            (".", "unnamed"),
            ("", "unnamed"),
            ("a/", "unnamed"),
            ("..\\x", "x"),
            ("a\u{1b}[2J\nb\0", "a_[2J_b_"),
            (".bashrc", ".bashrc"),
        ] {
            assert_eq!(safe_name(given), safe, "{given:?}");
        }
        let long = safe_name(&format!("{}.md", "é".repeat(127)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(".md"), "{long}");
    }

    #[test]
    fn a_prepared_folder_holds_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        prepare(&folder).unwrap();
        assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
        std::fs::write(folder.join(PROBE), "mine").unwrap();
        prepare(&folder).unwrap();
        assert_eq!(std::fs::read_to_string(folder.join(PROBE)).unwrap(), "mine");
        let file = folder.join(PROBE);
        assert!(prepare(&file).unwrap_err().to_string().starts_with(&file.display().to_string()));
    }

    #[test]
    fn what_is_there_is_never_overwritten_nor_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("a.tar.gz")).unwrap();
        let names: Vec<String> = ["a.tar.gz", "a.tar.gz", ".x", ".x", "plain", "plain"]
            .iter()
            .map(|name| create(&folder, name).unwrap().1.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.tar-2.gz", "a.tar-3.gz", ".x", ".x-2", "plain", "plain-2"]);
        assert!(!outside.exists());
    }
}
