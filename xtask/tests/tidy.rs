//! The rules of the house hold for this repository. The same code as `cargo xtask tidy`.

use xtask::place::Place;
use xtask::tidy::{Tree, check};

#[test]
fn the_repository_is_tidy() {
    let place = Place::find(std::env::vars_os()).expect("the tests run inside the repository");
    let tree = Tree::read(&place).expect("the repository can be read");
    let findings: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}\n\n{} findings", findings.join("\n"), findings.len());
}
