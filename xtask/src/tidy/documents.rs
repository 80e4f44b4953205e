//! What the documents promise is there: every crate on the map, every word of the glossary in the code, the two
//! commands a newcomer needs in the README.

use super::{Finding, Tree};

/// ARCHITECTURE.md has a row of a table for each package of the workspace.
pub(super) fn code_map(tree: &Tree) -> Vec<Finding> {
    const MAP: &str = "ARCHITECTURE.md";
    let Some(text) = tree.text(MAP) else {
        return vec![Finding::new(MAP, "is missing")];
    };
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with('|')).collect();
    let first_cells: Vec<&str> = rows.iter().filter_map(|row| row.split('|').nth(1)).collect();
    let has_row = |directory: &str| {
        let room = directory.trim_start_matches("crates/");
        let names = [format!("`{room}`"), format!("`{directory}`"), format!("`{directory}/`")];
        first_cells.iter().any(|cell| names.iter().any(|name| cell.contains(name)))
    };
    let missing = tree.packages.iter().map(|package| package.directory.as_str()).filter(|dir| !has_row(dir));
    missing.map(|dir| Finding::new(MAP, format!("has no row for `{dir}`"))).collect()
}

/// Each word that GLOSSARY.md explains is used in the crates, in one of the ways code writes it.
pub(super) fn glossary(tree: &Tree) -> Vec<Finding> {
    const GLOSSARY: &str = "GLOSSARY.md";
    let Some(text) = tree.text(GLOSSARY) else {
        return vec![Finding::new(GLOSSARY, "is missing")];
    };
    let words = glossary_words(text);
    if words.is_empty() {
        return vec![Finding::new(GLOSSARY, "has no table, or a table without words")];
    }
    let sources = tree.rust().filter(|file| file.path.starts_with("crates/"));
    let sources: Vec<String> = sources.map(|file| file.text.to_lowercase()).collect();
    let is_used = |word: &String| {
        let word = word.to_lowercase();
        let ways = [word.clone(), word.replace(' ', "_"), word.replace(' ', ""), word.replace(' ', "-")];
        sources.iter().any(|source| ways.iter().any(|way| source.contains(way.as_str())))
    };
    let unused = words.into_iter().filter(|word| !is_used(word));
    unused.map(|word| Finding::new(GLOSSARY, format!("`{word}` does not exist in the code"))).collect()
}

/// The first cells of all tables, without headings, markup and what stands in parentheses. `a / b` and `a, b`
/// are two words.
fn glossary_words(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_rule = |line: &str| line.starts_with('|') && line.chars().all(|c| "|-: ".contains(c));
    let mut words = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let is_heading = lines.get(number + 1).is_some_and(|next| is_rule(next));
        if is_heading || is_rule(line) {
            continue;
        }
        let cell = line.trim_start_matches('|').split('|').next().unwrap_or_default();
        let cell = cell.split('(').next().unwrap_or_default().replace(['*', '`', '_'], " ");
        let parts = cell.split(['/', ',']).map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "));
        words.extend(parts.filter(|word| !word.is_empty()));
    }
    words
}

/// README.md names what a newcomer types first.
pub(super) fn first_commands(tree: &Tree) -> Vec<Finding> {
    const README: &str = "README.md";
    let Some(text) = tree.text(README) else {
        return vec![Finding::new(README, "is missing")];
    };
    let commands = ["cargo xtask demo", "cargo xtask test"].into_iter().filter(|command| !text.contains(command));
    commands.map(|command| Finding::new(README, format!("does not mention `{command}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Package;
    use super::*;

    fn with_package(map: &str) -> Tree {
        let package = Package { name: "daybreak-api".into(), directory: "crates/api".into(), dependencies: Vec::new() };
        Tree { packages: vec![package], ..Tree::of_files(&[("ARCHITECTURE.md", map)]) }
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_is_found() {
        assert_eq!(code_map(&with_package("| `crates/api` | the wire |")), []);
        assert_eq!(code_map(&with_package("| `api` | the wire |")), []);
        assert_eq!(code_map(&with_package("The crate `api` is the wire.\n| `domain` | knows `api` |")).len(), 1);
        assert_eq!(code_map(&Tree::of_files(&[])).len(), 1);
    }

    #[test]
    fn a_word_without_code_is_found() {
        let heading = "| word | means |\n|---|---|\n";
        let check = |rows: &str| {
            let source = ("crates/a/src/b.rs", "struct MemoryStore { expected_seq: u64 } // the lease");
            glossary(&Tree::of_files(&[("GLOSSARY.md", &format!("{heading}{rows}")), source])).len()
        };
        assert_eq!(check("| **memory store** | a |\n| `expected seq` (ours) | b |\n| lease / struct | c |"), 0);
        assert_eq!(check("| lease | a |\n| epoch | b |\n| turn, step | c |"), 3);
        assert_eq!(check(""), 1);
        assert_eq!(glossary(&Tree::of_files(&[])).len(), 1);
    }

    #[test]
    fn a_readme_without_the_commands_is_found() {
        let check = |text| first_commands(&Tree::of_files(&[("README.md", text)])).len();
        assert_eq!(check("Run `cargo xtask demo`, then `cargo xtask test`."), 0);
        assert_eq!(check("Run `cargo xtask demo`."), 1);
        assert_eq!(first_commands(&Tree::of_files(&[])).len(), 1);
    }
}
