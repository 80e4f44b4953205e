//! What the rules look at: the text files of the repository and what Cargo says about its packages.

use std::path::Path;

use serde_json::Value;

use super::scan::Masked;
use crate::Outcome;
use crate::place::Place;

/// The repository as the rules see it.
pub struct Tree {
    /// Where the repository lies on this machine.
    pub(super) root: String,
    /// Its text files, in the order of their paths.
    pub(super) files: Vec<SourceFile>,
    /// Its packages.
    pub(super) packages: Vec<Package>,
}

/// One text file.
pub(super) struct SourceFile {
    /// Its path from the root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
}

/// One package of the workspace.
pub(super) struct Package {
    pub(super) name: String,
    /// Its directory from the root.
    pub(super) directory: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of a package's manifest.
pub(super) struct Dependency {
    pub(super) name: String,
    /// Whether it lies in this workspace.
    pub(super) is_inner: bool,
    /// Whether only tests see it.
    pub(super) is_dev: bool,
}

impl Tree {
    /// Reads the repository.
    pub fn read(place: &Place) -> Outcome<Self> {
        let packages = read_packages(&place.metadata()?, &place.root)?;
        let root = place.root.to_string_lossy().into_owned();
        Ok(Self { root, files: read_files(&place.root)?, packages })
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// All Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    #[cfg(test)]
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let root = ["/somewhere", "else"].join("/");
        Self { root, files: files.iter().map(file).collect(), packages: Vec::new() }
    }
}

impl SourceFile {
    /// Whether the file is Rust under some `src`.
    pub(super) fn is_product_source(&self) -> bool {
        let inside = self.path.starts_with("crates/") || self.path.starts_with("xtask/");
        inside && self.path.ends_with(".rs") && self.path.contains("/src/")
    }

    /// Whether the whole file is a test, by its name or place.
    pub(super) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name == "tests.rs" || name.ends_with("_tests.rs") || self.path.contains("/tests/")
    }

    pub(super) fn masked(&self) -> Masked {
        Masked::of(&self.text)
    }
}

fn read_packages(metadata: &Value, root: &Path) -> Outcome<Vec<Package>> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    packages.iter().map(|package| read_package(package, root)).collect()
}

fn read_package(package: &Value, root: &Path) -> Outcome<Package> {
    let manifest = package["manifest_path"].as_str().ok_or("a package has no manifest")?;
    let directory = Path::new(manifest).parent().and_then(|dir| dir.strip_prefix(root).ok());
    let directory = directory.ok_or_else(|| format!("{manifest} is not inside the repository"))?;
    let dependencies = package["dependencies"].as_array().ok_or("a package has no list of dependencies")?;
    let dependency = |dependency: &Value| Dependency {
        name: dependency["name"].as_str().unwrap_or_default().to_owned(),
        is_inner: dependency["path"].is_string(),
        is_dev: dependency["kind"] == "dev",
    };
    Ok(Package {
        name: package["name"].as_str().unwrap_or_default().to_owned(),
        directory: directory.to_string_lossy().into_owned(),
        dependencies: dependencies.iter().map(dependency).collect(),
    })
}

/// All text files that `.gitignore` does not name, in the order of their paths.
pub(super) fn read_files(root: &Path) -> Outcome<Vec<SourceFile>> {
    let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut files = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let problem = |e: std::io::Error| format!("{}: {e}", directory.display());
        for entry in std::fs::read_dir(&directory).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let file = entry.path();
            let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            if path == ".git" || is_ignored(&ignored, &path) {
                continue;
            }
            let kind = entry.file_type().map_err(problem)?;
            if kind.is_dir() {
                // A build directory that was put inside the repository says so itself.
                if !file.join("CACHEDIR.TAG").exists() {
                    waiting.push(file);
                }
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(std::fs::read(&file).map_err(problem)?)
            {
                files.push(SourceFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The three shapes that our `.gitignore` uses: `/path`, `name` and `*.ending`.
fn is_ignored(ignored: &[&str], path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ignored.iter().any(|pattern| {
        let pattern = pattern.trim_end_matches('/');
        match (pattern.strip_prefix('/'), pattern.strip_prefix('*')) {
            (Some(anchored), _) => path == anchored,
            (None, Some(ending)) => name.ends_with(ending),
            (None, None) => name == pattern,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_are_not_looked_at() {
        let ignored = ["/target", "__pycache__/", "*.pyc"];
        assert!(is_ignored(&ignored, "target"));
        assert!(is_ignored(&ignored, "sdk-tests/python/__pycache__"));
        assert!(is_ignored(&ignored, "sdk-tests/a.pyc"));
        assert!(!is_ignored(&ignored, "crates/target"));
        assert!(!is_ignored(&ignored, "README.md"));
    }

    #[test]
    fn packages_are_read() {
        let text = r#"{"packages": [{"name": "daybreak-store", "manifest_path": "/r/crates/store/Cargo.toml",
            "dependencies": [{"name": "daybreak-api", "path": "/r/crates/api", "kind": null},
                             {"name": "tempfile", "kind": "dev"}]}]}"#;
        let metadata = serde_json::from_str(text).expect("JSON");
        let packages = read_packages(&metadata, Path::new("/r")).expect("one package");
        assert_eq!((packages[0].name.as_str(), packages[0].directory.as_str()), ("daybreak-store", "crates/store"));
        assert!(packages[0].dependencies[0].is_inner && !packages[0].dependencies[0].is_dev);
        assert!(!packages[0].dependencies[1].is_inner && packages[0].dependencies[1].is_dev);
    }
}
