//! Who may know whom. A new edge, or a second home for an outside crate, takes a short ADR and a line here.

use super::tree::{Dependency, Package};
use super::{Finding, Tree};

const API: &str = "daybreak-api";
const DOMAIN: &str = "daybreak-domain";
const STORE: &str = "daybreak-store";
const OUTBOUND: &str = "daybreak-outbound";
const SANDBOX: &str = "daybreak-sandbox";
const ENGINE: &str = "daybreak-engine";
const SERVER: &str = "daybreak-server";
const CLI: &str = "daybreak";
const TESTKIT: &str = "daybreak-testkit";
const XTASK: &str = "xtask";

/// `cli → server → engine → {store, outbound, sandbox} → domain → api`: each package with those to its right.
/// The testkit is seen by tests only, so it may see everybody.
const EDGES: &[(&str, &[&str])] = &[
    (API, &[]),
    (DOMAIN, &[API]),
    (STORE, &[DOMAIN, API]),
    (OUTBOUND, &[DOMAIN, API]),
    (SANDBOX, &[DOMAIN, API]),
    (ENGINE, &[STORE, OUTBOUND, SANDBOX, DOMAIN, API]),
    (SERVER, &[ENGINE, STORE, OUTBOUND, SANDBOX, DOMAIN, API]),
    (CLI, &[SERVER, ENGINE, STORE, OUTBOUND, SANDBOX, DOMAIN, API]),
    (TESTKIT, &[CLI, SERVER, ENGINE, STORE, OUTBOUND, SANDBOX, DOMAIN, API]),
    (XTASK, &[]),
];

/// Outside crates with the only packages that may name them. Tests and the testkit may use what they like.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &[SERVER]),
    ("tower", &[SERVER]),
    ("tower-http", &[SERVER]),
    ("hyper", &[SERVER]),
    ("sqlx", &[STORE]),
    ("libsqlite3-sys", &[STORE]),
    ("reqwest", &[OUTBOUND, CLI]),
    ("rustls", &[OUTBOUND, CLI]),
    ("seccompiler", &[SANDBOX]),
    ("libc", &[SANDBOX]),
    ("nix", &[SANDBOX]),
    ("rustix", &[SANDBOX, STORE, ENGINE]),
    ("clap", &[CLI]),
    ("tokio", &[STORE, OUTBOUND, SANDBOX, ENGINE, SERVER, CLI]),
    ("tokio-util", &[STORE, OUTBOUND, SANDBOX, ENGINE, SERVER, CLI]),
];

/// Packages of the workspace know only those to their right; the testkit is known to tests only.
pub(super) fn inner_edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tree.packages.is_empty() {
        findings.push(Finding::new("Cargo.toml", "the workspace has no packages"));
    }
    for package in &tree.packages {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(&package.directory, "is not in the table of allowed edges"));
            continue;
        };
        let is_forbidden = |dependency: &&Dependency| {
            let is_testkit_in_tests = dependency.name == TESTKIT && dependency.is_dev;
            dependency.is_inner && !is_testkit_in_tests && !allowed.contains(&dependency.name.as_str())
        };
        for dependency in package.dependencies.iter().filter(is_forbidden) {
            let message = format!("must not depend on {}; arrows go down only", dependency.name);
            findings.push(Finding::new(&package.directory, message));
        }
    }
    findings
}

/// An outside crate is named only where it is at home.
pub(super) fn outside_homes(tree: &Tree) -> Vec<Finding> {
    let products = tree.packages.iter().filter(|package| package.name != TESTKIT);
    products.flat_map(strangers).collect()
}

fn strangers(package: &Package) -> Vec<Finding> {
    let is_seen = |dependency: &&Dependency| !dependency.is_inner && !dependency.is_dev;
    let mut findings = Vec::new();
    for dependency in package.dependencies.iter().filter(is_seen) {
        let home = HOMES.iter().find(|(name, _)| *name == dependency.name).map(|(_, homes)| *homes);
        let is_welcome = match package.name.as_str() {
            XTASK => dependency.name == "serde_json",
            name => home.is_none_or(|homes| homes.contains(&name)),
        };
        if !is_welcome {
            let homes = home.unwrap_or_default().join(", ");
            let message = format!("must not depend on {}; its home is elsewhere ({homes})", dependency.name);
            findings.push(Finding::new(&package.directory, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(package: &str, dependency: &str, is_dev: bool) -> Tree {
        let is_inner = dependency.starts_with("daybreak");
        let dependencies = vec![Dependency { name: dependency.to_owned(), is_inner, is_dev }];
        let packages = vec![Package { name: package.to_owned(), directory: "crates/x".to_owned(), dependencies }];
        Tree { packages, ..Tree::of_files(&[]) }
    }

    #[test]
    fn an_arrow_the_other_way_is_found() {
        assert_eq!(inner_edges(&tree(SERVER, STORE, false)), []);
        assert_eq!(inner_edges(&tree(CLI, API, false)), []);
        assert_eq!(inner_edges(&tree(STORE, ENGINE, false)).len(), 1);
        assert_eq!(inner_edges(&tree(STORE, SANDBOX, false)).len(), 1);
        assert_eq!(inner_edges(&tree(STORE, ENGINE, true)).len(), 1);
        assert_eq!(inner_edges(&tree(API, DOMAIN, false)).len(), 1);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert_eq!(inner_edges(&tree(ENGINE, TESTKIT, true)), []);
        assert_eq!(inner_edges(&tree(ENGINE, TESTKIT, false)).len(), 1);
    }

    #[test]
    fn an_unknown_package_and_an_empty_workspace_are_found() {
        assert_eq!(inner_edges(&tree("daybreak-misc", API, false)).len(), 1);
        assert_eq!(inner_edges(&Tree::of_files(&[])).len(), 1);
    }

    #[test]
    fn an_outside_crate_away_from_home_is_found() {
        assert_eq!(outside_homes(&tree(SERVER, "axum", false)), []);
        assert_eq!(outside_homes(&tree(ENGINE, "axum", false)).len(), 1);
        assert_eq!(outside_homes(&tree(SERVER, "sqlx", false)).len(), 1);
        assert_eq!(outside_homes(&tree(DOMAIN, "tokio", false)).len(), 1);
        assert_eq!(outside_homes(&tree(SERVER, "reqwest", true)), []);
        assert_eq!(outside_homes(&tree(XTASK, "serde_json", false)), []);
        assert_eq!(outside_homes(&tree(XTASK, "tempfile", false)).len(), 1);
    }
}
