//! The first API key: the operator's own, or one that is made once and kept beside the data.
//!
//! Invariant: a key that was made here is in its file, on disk, before the server accepts it. So no crash leaves a
//! server with a key that nobody knows.

use crate::Env;
use crate::failure::{Failure, Result, chain};
use crate::logging::given;
use daybreak_api::id::Kind;
use daybreak_engine::World;
use daybreak_store::Store;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Holds the operator's own key.
pub(crate) const KEY_VAR: &str = "DAYBREAK_API_KEY";
/// Where a key that was made here is kept, in the data directory.
const KEY_FILE: &str = "api-key";
const PREFIX: &str = "sk-ant-api-daybreak-";
const RANDOM_BYTES: usize = 32;
/// A longer file is not one of ours.
const KEY_FILE_BYTES_MAX: u64 = 4_096;

/// A key that opens the default workspace, and where it came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstKey {
    /// The operator gave it.
    Given(String),
    /// It was made just now.
    Made { key: String, file: PathBuf },
    /// It was made earlier.
    Kept { key: String, file: PathBuf },
    /// There are keys, and none of them is known here.
    Unknown,
}

impl FirstKey {
    /// The key, if it is known.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Given(key) | Self::Made { key, .. } | Self::Kept { key, .. } => Some(key),
            Self::Unknown => None,
        }
    }
}

/// Finds or makes the first key, and makes the store accept it.
pub(crate) async fn admit_first(store: &Store, data_dir: &Path, world: &dyn World, env: Env<'_>) -> Result<FirstKey> {
    let file = data_dir.join(KEY_FILE);
    let first = if let Some(key) = given(env, KEY_VAR) {
        let key = key.trim().to_owned();
        check(&key)?;
        FirstKey::Given(key)
    } else if let Some(key) = read(&file)? {
        FirstKey::Kept { key, file }
    } else if store.has_keys().await.map_err(|error| Failure::new(chain(&error)))? {
        FirstKey::Unknown
    } else {
        let key = generate()?;
        write(&file, &key).map_err(|error| Failure::caused(file.display(), &error))?;
        FirstKey::Made { key, file }
    };
    if let Some(key) = first.text() {
        let name = if matches!(first, FirstKey::Given(_)) { KEY_VAR } else { KEY_FILE };
        admit(store, key, name, world).await?;
    }
    Ok(first)
}

/// Makes a key that nobody has to know later, for a client within this process.
pub(crate) async fn admit_passing(store: &Store, world: &dyn World) -> Result<String> {
    let key = generate()?;
    admit(store, &key, "daybreak run", world).await?;
    Ok(key)
}

async fn admit(store: &Store, key: &str, name: &str, world: &dyn World) -> Result<()> {
    let (workspace_id, key_id) = (world.id(Kind::Workspace), world.id(Kind::ApiKey));
    let admitted = store.admit_key(key, name, workspace_id, key_id, world.now()).await;
    admitted.map_err(|error| Failure::caused("the API key cannot be stored", &error))
}

/// A key has to fit into a header.
fn check(key: &str) -> Result<()> {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Failure::new(format!("{KEY_VAR}: a key may hold only visible ASCII characters, without spaces")))
}

fn read(file: &Path) -> Result<Option<String>> {
    let mut text = String::new();
    let outcome = File::open(file).and_then(|opened| opened.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text));
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::caused(file.display(), &error)),
        Ok(_) if text.trim().is_empty() || check(text.trim()).is_err() => {
            Err(Failure::new(format!("{} does not hold a key; remove it or write one into it", file.display())))
        }
        Ok(_) => Ok(Some(text.trim().to_owned())),
    }
}

/// Writes the key where only its owner can read it: complete and on disk, or not at all.
fn write(file: &Path, key: &str) -> std::io::Result<()> {
    let part = file.with_extension("part");
    let _left_by_a_crash = std::fs::remove_file(&part);
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    writeln!(opened, "{key}")?;
    opened.sync_all()?;
    std::fs::rename(&part, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn generate() -> Result<String> {
    use std::fmt::Write as _;
    let bytes = random()?;
    Ok(bytes.iter().fold(PREFIX.to_owned(), |mut key, byte| {
        let _infallible = write!(key, "{byte:02x}");
        key
    }))
}

/// Bytes that nobody can guess, from the operating system.
fn random() -> Result<[u8; RANDOM_BYTES]> {
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; RANDOM_BYTES];
    let outcome = File::open(SOURCE).and_then(|mut source| source.read_exact(&mut bytes));
    outcome.map_err(|error| Failure::caused(SOURCE, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn made_keys_are_long_differ_and_are_kept_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (file, key) = (dir.path().join(KEY_FILE), generate().unwrap());
        assert_eq!(key.len(), PREFIX.len() + 2 * RANDOM_BYTES);
        assert_ne!(key, generate().unwrap());
        assert_eq!(read(&file).unwrap(), None);
        write(&file, &key).unwrap();
        assert_eq!(read(&file).unwrap(), Some(key));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_being_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(KEY_FILE);
        for text in ["", "\n", "two words", "schlüssel"] {
            std::fs::write(&file, text).unwrap();
            let problem = read(&file).unwrap_err().to_string();
            assert!(problem.contains("does not hold a key"), "{problem}");
        }
        assert!(check("a b").is_err() && check("local-123").is_ok());
    }
}
