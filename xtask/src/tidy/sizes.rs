//! How long a file and a function may be. What is longer stands in `xtask/tidy-allow.txt` with its length, and
//! that list only shrinks: an entry that is no longer needed, or that could be lower, is a finding too.

use super::scan::functions;
use super::{Finding, Tree};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const ALLOWED: &str = "xtask/tidy-allow.txt";

/// Something that is too long, as a line of the list names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Long {
    /// `file PATH` or `fn PATH NAME`.
    key: String,
    lines: usize,
}

/// Files and functions, tests left out.
pub(super) fn files_and_functions(tree: &Tree) -> Vec<Finding> {
    let Some(list) = tree.text(ALLOWED) else {
        return vec![Finding::new(ALLOWED, "is missing; it may be empty")];
    };
    let (allowed, mut findings) = read_list(list);
    let found = too_long(tree);
    for Long { key, lines } in &found {
        match allowed.iter().find(|entry| entry.key == *key).map(|entry| entry.lines) {
            Some(known) if known == *lines => {}
            Some(known) if known > *lines => {
                let message = format!("`{key}` shrank from {known} to {lines} lines; write that down");
                findings.push(Finding::new(ALLOWED, message));
            }
            _ => {
                let max = format!("{FILE_LINES_MAX} for a file, {FUNCTION_LINES_MAX} for a function");
                findings.push(Finding::new(key, format!("has {lines} lines; the most are {max}")));
            }
        }
    }
    for entry in allowed.iter().filter(|entry| !found.iter().any(|long| long.key == entry.key)) {
        findings.push(Finding::new(ALLOWED, format!("`{}` is not too long any more; remove the entry", entry.key)));
    }
    findings
}

fn read_list(list: &str) -> (Vec<Long>, Vec<Finding>) {
    let mut allowed = Vec::new();
    let mut findings = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.rsplit_once(' ').map(|(key, lines)| (key, lines.parse())) {
            Some((key, Ok(lines))) => allowed.push(Long { key: key.to_owned(), lines }),
            _ => findings.push(Finding::new(ALLOWED, format!("`{line}` is no entry; the head of the file shows two"))),
        }
    }
    (allowed, findings)
}

fn too_long(tree: &Tree) -> Vec<Long> {
    let mut found: Vec<Long> = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let masked = file.masked();
        let lines = masked.product_lines();
        if lines > FILE_LINES_MAX {
            found.push(Long { key: format!("file {}", file.path), lines });
        }
        for function in functions(&masked.product_code()) {
            if function.lines > FUNCTION_LINES_MAX {
                let key = format!("fn {} {}", file.path, function.name);
                found.push(Long { key, lines: function.lines });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, source: &str) -> Vec<Finding> {
        files_and_functions(&Tree::of_files(&[(ALLOWED, list), ("crates/a/src/b.rs", source)]))
    }

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "a();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_function_is_found() {
        assert_eq!(check("", &function(70)), []);
        assert_eq!(check("", &function(71)).len(), 1);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let short = "use a;\n".repeat(600);
        assert_eq!(check("", &short), []);
        assert_eq!(check("", &format!("{short}use b;\n")).len(), 1);
        assert_eq!(check("", &format!("{short}#[cfg(test)] mod tests {{\n{}}}", function(90))), []);
    }

    #[test]
    fn the_list_only_shrinks() {
        let long = function(80);
        assert_eq!(check("# why\nfn crates/a/src/b.rs long 80\n", &long), []);
        assert_eq!(check("fn crates/a/src/b.rs long 79", &long).len(), 1);
        assert_eq!(check("fn crates/a/src/b.rs long 81", &long).len(), 1);
        assert_eq!(check("fn crates/a/src/b.rs long 80", "").len(), 1);
        assert_eq!(check("all of them", "").len(), 1);
    }

    #[test]
    fn a_missing_list_is_found() {
        assert_eq!(files_and_functions(&Tree::of_files(&[])).len(), 1);
    }
}
