//! `cargo xtask bench [ARGS]`: builds what users get, and measures it. The arguments are the measuring
//! program's own; `cargo xtask bench --help` asks it.

use crate::place::Place;
use crate::setup::{self, Purpose};
use crate::{Outcome, child};

/// The command.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    setup::ensure(place, Purpose::Run)?;
    let release = place.target()?.join("release");
    let packages = ["-p", "daybreak", "--bin", "daybreak", "-p", "daybreak-testkit", "--bin", "daybreak-bench"];
    child::run(child::cargo(place, &["build", "--release", "--locked"]).args(packages))?;
    let bench = release.join("daybreak-bench");
    let mut command = child::program(place, &bench.to_string_lossy());
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    child::run(command.args(arguments).env("DAYBREAK_BIN", release.join("daybreak")))
}
