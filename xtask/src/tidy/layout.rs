//! How a file opens, and which test files are really part of a test binary.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Each source file opens with what it is about.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_product_source()) {
        let first = file.text.lines().next().unwrap_or_default();
        let says = first.strip_prefix("//!").map(str::trim);
        if says.is_none_or(|words| words.is_empty() || words == "placeholder") {
            findings.push(Finding::new(&file.path, "does not open with `//!` and what it is about"));
        }
    }
    findings
}

/// Each file and directory in `tests/it` is a `mod` of its `main.rs`; otherwise its tests never run.
pub(super) fn forgotten_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for file in tree.rust() {
        let Some((before, inside)) = file.path.split_once("/tests/it/") else {
            continue;
        };
        let name = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        if name == "main" || !seen.insert((before, name)) {
            continue;
        }
        let main = format!("{before}/tests/it/main.rs");
        let code = tree.rust().find(|file| file.path == main).map(|file| file.masked().code);
        let is_listed = code.is_some_and(|code| code.lines().any(|line| line.trim() == format!("mod {name};")));
        if !is_listed {
            findings
                .push(Finding::new(&file.path, format!("`mod {name};` is missing in {main}, so its tests never run")));
        }
    }
    findings
}

/// Whether the source has an example that rustdoc would run: a fence in a doc comment that is not marked as
/// something else.
pub(super) fn has_doc_test(source: &str) -> bool {
    let mut is_open = false;
    for line in source.lines().map(str::trim_start) {
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            is_open = false;
            continue;
        };
        let Some(info) = text.trim().strip_prefix("```") else {
            continue;
        };
        let is_rust = |word: &str| matches!(word, "" | "rust" | "no_run" | "should_panic" | "compile_fail");
        if !is_open && info.split(',').map(str::trim).all(is_rust) {
            return true;
        }
        is_open = !is_open;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_opening_words_is_found() {
        let docs = |text| module_docs(&Tree::of_files(&[("crates/a/src/b.rs", text)])).len();
        assert_eq!(docs("//! The cast.\n"), 0);
        assert_eq!(docs("use a;\n//! Late.\n"), 1);
        assert_eq!(docs("//! placeholder\n"), 1);
        assert_eq!(docs("//!\n"), 1);
        assert_eq!(docs(""), 1);
    }

    #[test]
    fn a_forgotten_test_file_is_found() {
        let tests = |main| {
            let (a, b) = ("crates/a/tests/it/agents.rs", "crates/a/tests/it/crash/mod.rs");
            forgotten_tests(&Tree::of_files(&[(a, ""), (b, ""), ("crates/a/tests/it/main.rs", main)])).len()
        };
        assert_eq!(tests("mod agents;\nmod crash;\n"), 0);
        assert_eq!(tests("mod agents;\n// mod crash;\n"), 1);
        assert_eq!(tests(""), 2);
        assert_eq!(forgotten_tests(&Tree::of_files(&[("crates/a/tests/it/agents.rs", "")])).len(), 1);
    }

    #[test]
    fn examples_in_documentation_are_noticed() {
        assert!(has_doc_test("/// Adds.\n/// ```\n/// add(1);\n/// ```\n"));
        assert!(has_doc_test("//! ```no_run\n//! add(1);\n//! ```\n"));
        assert!(!has_doc_test("//! ```text\n//! a picture\n//! ```\nfn f() {}"));
        assert!(!has_doc_test("let a = \"```\";"));
    }
}
