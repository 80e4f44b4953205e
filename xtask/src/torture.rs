//! `cargo xtask torture [SUITE]`: the suites of `cargo xtask test` at full counts. Without SUITE all of them.
//!
//! The suites themselves read `DAYBREAK_TORTURE=full`. They run one after the other and uncaptured, because
//! their figures are the result; the last ones are kept in `docs/reliability.md`.

use crate::child::Show;
use crate::place::Place;
use crate::setup::{self, Purpose};
use crate::tally::{Runner, Tally};
use crate::{Outcome, child, test};

/// The command.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    if arguments.len() > 1 || arguments.iter().any(|argument| argument.starts_with('-')) {
        return Err("usage: cargo xtask torture [SUITE]   (SUITE is a part of the tests' names)".to_owned());
    }
    setup::ensure(place, Purpose::Test)?;
    child::run(&mut child::cargo(place, test::BUILD))?;
    let elapsed = child::stopwatch();
    let (runner, mut command) = if test::has_nextest(place) {
        let mut nextest = child::cargo(place, &["nextest", "run"]);
        nextest.args(["--workspace", "--locked", "--no-fail-fast", "--no-capture"]).args(arguments);
        (Runner::Nextest, nextest)
    } else {
        let mut cargo = child::cargo(place, &["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]);
        cargo.args(arguments).args(["--", "--nocapture", "--test-threads=1"]);
        (Runner::Cargo, cargo)
    };
    command.env("DAYBREAK_TORTURE", "full").env("DAYBREAK_BIN", test::binary(place)?);
    let log = place.target()?.join("xtask/torture.log");
    let watched = child::watch(&mut command, &log, Show::All)?;
    let tally = Tally::read(runner, &watched.lines);
    println!("\nfull counts, {:.0} s, {}", elapsed().as_secs_f64(), tally.closing_line());
    match (watched.success, tally.executed()) {
        (_, 0) => Err("no test has that in its name".to_owned()),
        (true, _) => Ok(()),
        (false, _) => Err(format!("the whole output is in {}", log.display())),
    }
}
