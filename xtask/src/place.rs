//! Where we are: the repository, the build directory, and the environment this program was started with.
//!
//! The environment is read once, in `main`, and travels in [`Place`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Outcome, child};

/// The repository and the environment.
pub struct Place {
    /// The directory that holds the workspace's `Cargo.toml`.
    pub root: PathBuf,
    env: BTreeMap<String, String>,
}

impl Place {
    /// Finds the repository from the directory Cargo names, or else from the current one.
    pub fn find(env: impl Iterator<Item = (OsString, OsString)>) -> Outcome<Self> {
        let env: BTreeMap<String, String> =
            env.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let named = env.get("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = std::env::current_dir().map_err(|e| format!("the current directory cannot be read: {e}"))?;
        for start in named.iter().chain([&here]) {
            let holds_xtask = |dir: &&Path| dir.join("xtask/Cargo.toml").is_file();
            if let Some(root) = start.ancestors().find(holds_xtask) {
                return Ok(Self { root: root.to_path_buf(), env });
            }
        }
        Err("this is not inside a clone of the repository".to_owned())
    }

    /// A variable of the environment, when it is set and not empty.
    pub fn env_var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The names of all variables of the environment.
    pub fn env_var_names(&self) -> impl Iterator<Item = &str> {
        self.env.keys().map(String::as_str)
    }

    /// The file that would be started for `program`.
    pub fn which(&self, program: &str) -> Option<PathBuf> {
        let path = self.env_var("PATH")?;
        std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
    }

    /// What Cargo says about the workspace's own packages.
    pub fn metadata(&self) -> Outcome<Value> {
        let mut cargo = child::cargo(self, &["metadata", "--no-deps", "--format-version", "1"]);
        let output = cargo.output().map_err(|e| format!("cargo cannot be started: {e}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata cannot be read: {e}"))
    }

    /// The build directory; it follows `CARGO_TARGET_DIR` and Cargo's configuration.
    pub fn target(&self) -> Outcome<PathBuf> {
        let metadata = self.metadata()?;
        let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
        Ok(PathBuf::from(target))
    }
}
