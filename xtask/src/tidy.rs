//! `cargo xtask tidy`: the rules of the house that a compiler does not know.
//!
//! Each rule is a function from a [`Tree`] to its findings, and has a test that shows it can fail. A thing that
//! a rule looks for and that is not there is a finding, never a reason to skip the rule.

use std::fmt;
use std::path::Path;

use crate::Outcome;
use crate::place::Place;

mod documents;
mod edges;
mod layout;
mod migrations;
mod scan;
mod sizes;
mod traces;
mod tree;
mod words;

pub use migrations::fingerprint;
pub use tree::Tree;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file, a file and line, or a package.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The command; it takes no arguments.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask tidy".to_owned());
    }
    let findings = check(&Tree::read(place)?);
    if findings.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!("{}\n\ntidy: {} findings", lines.join("\n"), lines.len()))
}

/// Applies every rule.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let rules: [fn(&Tree) -> Vec<Finding>; 13] = [
        edges::inner_edges,
        edges::outside_homes,
        sizes::files_and_functions,
        words::banned_code,
        words::banned_marks,
        words::module_names,
        layout::module_docs,
        layout::forgotten_tests,
        traces::machine_traces,
        traces::private_registries,
        documents::code_map,
        documents::glossary,
        documents::first_commands,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.extend(migrations::append_only(tree));
    findings
}

/// Whether any crate has an example in its documentation that rustdoc would run.
pub fn has_doc_tests(root: &Path) -> Outcome<bool> {
    let files = tree::read_files(root)?;
    Ok(files.iter().filter(|file| file.is_product_source()).any(|file| layout::has_doc_test(&file.text)))
}
