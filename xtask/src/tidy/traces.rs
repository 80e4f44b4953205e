//! Nothing in the repository knows the machine it was written on.
//!
//! The patterns are put together from parts, so that this file does not contain what it looks for.

use super::{Finding, Tree};

/// Where only one machine has things, in parts.
const PATHS: &[&[&str]] = &[
    &["/work", "/main"],
    &["/work", "/shared"],
    &["/tmp", "/target"],
    &["/tmp", "/sdkvenv"],
    &["/tmp", "/bash_jobs"],
    &["/root", "/.cargo"],
    &["/root", "/.rustup"],
    &["/root", "/.pyenv"],
];

/// Settings that make a package manager ask somewhere else, in parts, with the files that they would stand in.
const REGISTRIES: &[(&str, &[&str])] = &[
    ("config.toml", &["replace", "-with"]),
    ("config.toml", &["[regis", "tries"]),
    ("config.toml", &["[sou", "rce."]),
    ("requirements.txt", &["--index", "-url"]),
    ("requirements.txt", &["--extra-index", "-url"]),
    ("requirements.txt", &["--trusted", "-host"]),
    ("requirements.txt", &["--find", "-links"]),
    ("pyproject.toml", &["index", "-url"]),
    (".npmrc", &["regis", "try"]),
];

const CARGO_REGISTRY: &[&str] = &["registry+https://github.com/rust-lang/", "crates", ".io-index"];
const NPM_REGISTRY: &[&str] = &["https://registry.", "npmjs", ".org/"];

/// No file names a directory of one machine, nor the directory in which this clone lies.
pub(super) fn machine_traces(tree: &Tree) -> Vec<Finding> {
    let mut patterns: Vec<String> = PATHS.iter().map(|parts| parts.concat()).collect();
    let depth = tree.root.matches('/').count();
    if depth > 1 {
        patterns.push(tree.root.clone());
    }
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            for pattern in patterns.iter().filter(|pattern| line.contains(pattern.as_str())) {
                let place = format!("{}:{}", file.path, number + 1);
                findings.push(Finding::new(place, format!("`{pattern}` exists on one machine only")));
            }
        }
    }
    findings
}

/// Packages come from where everybody gets them.
pub(super) fn private_registries(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (cargo, npm) = (CARGO_REGISTRY.concat(), NPM_REGISTRY.concat());
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        let is_private = |line: &str| match name {
            "Cargo.lock" => line.starts_with("source = ") && !line.contains(&cargo),
            "package-lock.json" => line.contains("\"resolved\": \"http") && !line.contains(&npm),
            _ => REGISTRIES.iter().any(|(file, parts)| name == *file && line.contains(&parts.concat())),
        };
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| is_private(line)) {
            let place = format!("{}:{}", file.path, number + 1);
            findings.push(Finding::new(place, format!("`{}` is not the public registry", line.trim())));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found() {
        let check = |text: &str| machine_traces(&Tree::of_files(&[("docs/a.md", text)])).len();
        assert_eq!(check("the agent works in /workspace and /mnt/session/uploads"), 0);
        for parts in PATHS {
            assert_eq!(check(&format!("see {}/x", parts.concat())), 1);
        }
        assert_eq!(check(&["in /somewhere", "/else/Cargo.toml"].concat()), 1);
    }

    #[test]
    fn a_private_registry_is_found() {
        let check = |name: &str, text: &str| private_registries(&Tree::of_files(&[(name, text)])).len();
        assert_eq!(check("Cargo.lock", &format!("source = \"{}\"", CARGO_REGISTRY.concat())), 0);
        assert_eq!(check("Cargo.lock", "source = \"registry+https://mirror.example/index\""), 1);
        assert_eq!(check("Cargo.lock", "source = \"git+https://git.example/x\""), 1);
        assert_eq!(check("console/package-lock.json", &format!("\"resolved\": \"{}a\"", NPM_REGISTRY.concat())), 0);
        assert_eq!(check("console/package-lock.json", "\"resolved\": \"https://mirror.example/a\""), 1);
        for (name, parts) in REGISTRIES {
            assert_eq!(check(&format!("some/{name}"), &parts.concat()), 1);
            assert_eq!(check("docs/a.md", &parts.concat()), 0);
        }
    }
}
