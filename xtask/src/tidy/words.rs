//! Words that do not belong: switched-off lints and tests, unfinished code, notes to oneself, names that say
//! nothing.

use super::tree::SourceFile;
use super::{Finding, Tree};

/// What must not stand in code, with what to do instead.
const CODE: &[(&str, &str)] = &[
    ("#[allow(", "use #[expect(…, reason = \"…\")]"),
    ("#![allow(", "use #[expect(…, reason = \"…\")]"),
    ("#[ignore", "a test is run or removed"),
    ("todo!", "finish it, or leave the feature out"),
    ("unimplemented!", "finish it, or leave the feature out"),
];

/// Notes to oneself; an issue is the place for them.
const MARKS: &[&str] = &["FIXME", "XXX", "TODO", "HACK"];

/// Names that say nothing about what is inside.
const NAMES: &[&str] = &["core", "common", "utils", "util", "helpers", "helper", "manager", "misc"];

/// Code that switches a lint or a test off, or says that it is not finished.
pub(super) fn banned_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let code = file.masked().code;
        for (number, line) in code.lines().enumerate() {
            let line: String = line.split_whitespace().collect();
            for (word, instead) in CODE.iter().filter(|(word, _)| line.contains(word)) {
                findings.push(at(file, number, &format!("`{word}` is banned: {instead}")));
            }
        }
    }
    findings
}

/// Comments that promise something for later.
pub(super) fn banned_marks(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let comments = file.masked().comments;
        for (number, line) in comments.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric());
            for mark in words.filter(|word| MARKS.contains(word)) {
                findings.push(at(file, number, &format!("`{mark}` is banned: do it, or open an issue")));
            }
        }
    }
    findings
}

/// Files, directories and modules with a name that says nothing.
pub(super) fn module_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let stem = file.path.trim_end_matches(".rs");
        for name in stem.split('/').filter(|name| NAMES.contains(name)) {
            findings.push(Finding::new(&file.path, format!("`{name}` says nothing about what is inside")));
        }
        let code = file.masked().code;
        for (number, line) in code.lines().enumerate() {
            let inline = line.split_once("mod ").filter(|(_, rest)| rest.contains('{'));
            let name = inline.map(|(_, rest)| rest.trim_end_matches(['{', '}', ' ']).trim());
            if let Some(name) = name.filter(|name| NAMES.contains(name)) {
                findings.push(at(file, number, &format!("`{name}` says nothing about what is inside")));
            }
        }
    }
    findings
}

fn at(file: &SourceFile, line_index: usize, message: &str) -> Finding {
    Finding::new(format!("{}:{}", file.path, line_index + 1), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Tree {
        Tree::of_files(&[("crates/a/src/b.rs", text)])
    }

    #[test]
    fn switched_off_lints_and_tests_are_found() {
        assert_eq!(banned_code(&source("#[expect(dead_code, reason = \"#[allow(\")]\nfn f() {} // todo!()")), []);
        assert_eq!(banned_code(&source("#[allow(dead_code)]")).len(), 1);
        assert_eq!(banned_code(&source("#![ allow(dead_code)]")).len(), 1);
        assert_eq!(banned_code(&source("#[test]\n#[ignore = \"slow\"]\nfn f() {}"))[0].place, "crates/a/src/b.rs:2");
        assert_eq!(banned_code(&source("fn f() { todo!() }")).len(), 1);
        assert_eq!(banned_code(&source("fn f() { unimplemented!() }")).len(), 1);
    }

    #[test]
    fn notes_to_oneself_are_found() {
        assert_eq!(banned_marks(&source("// XXXL shirts\nlet a = \"TODO\";")), []);
        for mark in MARKS {
            assert_eq!(banned_marks(&source(&format!("/// {mark}: later"))).len(), 1);
        }
    }

    #[test]
    fn empty_names_are_found() {
        assert_eq!(module_names(&source("use core::fmt;\nmod manager_of_none {}")), []);
        assert_eq!(module_names(&source("mod helpers { }")).len(), 1);
        assert_eq!(module_names(&Tree::of_files(&[("crates/a/src/utils.rs", "")])).len(), 1);
        assert_eq!(module_names(&Tree::of_files(&[("crates/core/src/lib.rs", "")])).len(), 1);
        assert_eq!(module_names(&Tree::of_files(&[("crates/a/src/misc/x.rs", "")])).len(), 1);
    }
}
