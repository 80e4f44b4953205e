//! Migrations are append-only: one that was merged is never edited, because somebody's database has run it.
//!
//! `crates/store/migrations/hashes.txt` holds a line `HASH NAME` for each. The hash guards against an honest
//! mistake, not against an attacker, so it is FNV-1a with 64 bits.

use super::{Finding, Tree};

const FOLDER: &str = "crates/store/migrations/";
const STORE: &str = "crates/store/src/";

/// Each migration is in the list with its hash, and the numbers have no gap.
pub(super) fn append_only(tree: &Tree) -> Vec<Finding> {
    let migrations: Vec<(&str, &str)> = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with(".sql"))
        .filter_map(|file| Some((file.path.strip_prefix(FOLDER)?, file.text.as_str())))
        .collect();
    let has_store = tree.files.iter().any(|file| file.path.starts_with(STORE));
    if migrations.is_empty() {
        let missing = has_store.then(|| Finding::new(FOLDER, "has no migrations"));
        return missing.into_iter().collect();
    }
    let list = format!("{FOLDER}hashes.txt");
    let Some(text) = tree.text(&list) else {
        let lines: Vec<String> = migrations.iter().map(|(name, text)| entry(name, text)).collect();
        return vec![Finding::new(&list, format!("is missing; its lines are:\n{}", lines.join("\n")))];
    };
    let mut findings = Vec::new();
    for (index, (name, text)) in migrations.iter().enumerate() {
        if !name.starts_with(&format!("{:04}_", index + 1)) {
            findings.push(Finding::new(format!("{FOLDER}{name}"), format!("the next number is {:04}", index + 1)));
        }
        findings.extend(compare(&list, name, text, tree.text(&list).unwrap_or_default()));
    }
    let names = text.lines().filter_map(|line| Some(line.split_once(' ')?.1));
    let gone = names.filter(|name| !migrations.iter().any(|(known, _)| known == name));
    findings.extend(gone.map(|name| Finding::new(&list, format!("{name} was merged and is gone; put it back"))));
    findings
}

fn compare(list: &str, name: &str, text: &str, known: &str) -> Option<Finding> {
    let wanted = entry(name, text);
    let line = known.lines().find(|line| line.ends_with(&format!(" {name}")));
    match line {
        Some(line) if line == wanted => None,
        Some(_) => Some(Finding::new(format!("{FOLDER}{name}"), "was edited after it was merged; write a new one")),
        None => Some(Finding::new(list, format!("has no line for a new migration; append:\n{wanted}"))),
    }
}

fn entry(name: &str, text: &str) -> String {
    format!("{} {name}", fingerprint(text.as_bytes()))
}

/// FNV-1a with 64 bits, in hexadecimal digits.
pub fn fingerprint(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "crates/store/migrations/0001_first.sql";
    const HASHES: &str = "crates/store/migrations/hashes.txt";

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(b""), "cbf29ce484222325");
        assert_eq!(fingerprint(b"a"), "af63dc4c8601ec8c");
        assert_eq!(fingerprint(b"foobar"), "85944171f73967e8");
    }

    #[test]
    fn an_edited_a_new_and_a_removed_migration_are_found() {
        let list = format!("{}\n", entry("0001_first.sql", "CREATE"));
        let check = |files: &[(&str, &str)]| append_only(&Tree::of_files(files)).len();
        assert_eq!(check(&[(ONE, "CREATE"), (HASHES, &list)]), 0);
        assert_eq!(check(&[(ONE, "CREATE "), (HASHES, &list)]), 1);
        assert_eq!(check(&[(ONE, "CREATE"), (HASHES, "")]), 1);
        assert_eq!(check(&[(ONE, "CREATE")]), 1);
        let gone = format!("{list}{}\n", entry("0002_second.sql", "ALTER"));
        assert_eq!(check(&[(ONE, "CREATE"), (HASHES, &gone)]), 1);
    }

    #[test]
    fn a_gap_in_the_numbers_is_found() {
        let list = format!("{}\n", entry("0002_second.sql", "ALTER"));
        let files = [("crates/store/migrations/0002_second.sql", "ALTER"), (HASHES, list.as_str())];
        assert_eq!(append_only(&Tree::of_files(&files)).len(), 1);
    }

    #[test]
    fn a_store_without_migrations_is_found() {
        assert_eq!(append_only(&Tree::of_files(&[("crates/store/src/lib.rs", "")])).len(), 1);
    }
}
