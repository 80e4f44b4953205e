//! How many tests ran, read from the closing lines of nextest, `cargo test` and pytest.
//!
//! Invariant: only closing lines count. A suite that printed none has run nothing, and running nothing is
//! never a success.

use std::fmt;

/// Who ran the tests, and so which lines are to be believed. A test may print what looks like another runner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// One closing line for everything.
    Nextest,
    /// One closing line for each test binary.
    Cargo,
    /// One closing line for everything.
    Pytest,
}

/// Counts of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that held.
    pub passed: u64,
    /// Tests that did not, for whatever reason.
    pub failed: u64,
    /// Tests that exist and were not run.
    pub skipped: u64,
}

impl Tally {
    /// Adds up the runner's closing lines among `lines`.
    pub fn read(runner: Runner, lines: &[String]) -> Self {
        closing_lines(runner, lines).into_iter().fold(Self::default(), |sum, (_, tally)| sum.plus(tally))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// The line with which a whole run closes.
    pub fn closing_line(self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }

    /// Tests that ran to an end.
    pub fn executed(self) -> u64 {
        self.passed + self.failed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.closing_line())?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

/// The lines with which the runner closed, and what they say.
pub fn closing_lines(runner: Runner, lines: &[String]) -> Vec<(&str, Tally)> {
    let read = |line: &str| match runner {
        Runner::Nextest => read_nextest(line),
        Runner::Cargo => read_cargo(line),
        Runner::Pytest => read_pytest(line),
    };
    let mut closing: Vec<(&str, Tally)> =
        lines.iter().map(|line| line.trim()).filter_map(|line| Some((line, read(line)?))).collect();
    if runner != Runner::Cargo {
        closing.drain(..closing.len().saturating_sub(1));
    }
    closing
}

fn read_nextest(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("Summary [")?.split_once(" run: ")?;
    Some(count(without_parentheses(counts).split(',')))
}

fn read_cargo(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?;
    let counts = counts.strip_prefix("ok. ").or_else(|| counts.strip_prefix("FAILED. "))?;
    Some(count(counts.split(';')))
}

fn read_pytest(line: &str) -> Option<Tally> {
    let (counts, time) = line.trim_matches('=').trim().rsplit_once(" in ")?;
    let seconds = time.split_whitespace().next()?.strip_suffix('s')?;
    seconds.parse::<f64>().ok()?;
    let is_closing = counts == "no tests ran" || counts.split(',').all(|part| split_count(part).is_some());
    is_closing.then(|| count(counts.split(',')))
}

fn count<'a>(parts: impl Iterator<Item = &'a str>) -> Tally {
    let mut tally = Tally::default();
    for (number, what) in parts.filter_map(split_count) {
        match what {
            "passed" => tally.passed += number,
            "failed" | "timed out" | "exec failed" | "error" | "errors" => tally.failed += number,
            "skipped" | "ignored" => tally.skipped += number,
            _ => {}
        }
    }
    tally
}

fn split_count(part: &str) -> Option<(u64, &str)> {
    let (number, what) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, what.trim()))
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let keep = |c: &char| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    };
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runner: Runner, text: &str) -> Tally {
        Tally::read(runner, &text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn nextest_is_understood() {
        let line = "     Summary [   0.005s] 12 tests run: 12 passed, 0 skipped";
        assert_eq!(read(Runner::Nextest, line), tally(12, 0, 0));
        let line = "     Summary [  9.000s] 12 tests run: 8 passed (2 slow, 1 flaky), 3 failed, 1 timed out, 4 skipped";
        assert_eq!(read(Runner::Nextest, line), tally(8, 4, 4));
        let line = "     Summary [  9.000s] 5/12 tests run: 4 passed, 1 failed, 0 skipped";
        assert_eq!(read(Runner::Nextest, line), tally(4, 1, 0));
    }

    #[test]
    fn cargo_test_is_understood_and_summed() {
        let text = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.02s";
        assert_eq!(read(Runner::Cargo, text), tally(4, 2, 1));
    }

    #[test]
    fn pytest_is_understood() {
        assert_eq!(read(Runner::Pytest, "48 passed in 1.23s"), tally(48, 0, 0));
        let line = "==== 1 failed, 47 passed, 2 skipped, 3 warnings in 72.31s (0:01:12) ====";
        assert_eq!(read(Runner::Pytest, line), tally(47, 1, 2));
        assert_eq!(read(Runner::Pytest, "2 passed, 1 error in 0.10s"), tally(2, 1, 0));
    }

    #[test]
    fn what_a_test_prints_about_another_runner_is_not_counted() {
        let text = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
            9 passed in 1.00s\n     Summary [   0.005s] 2 tests run: 1 passed, 1 failed, 0 skipped";
        assert_eq!(read(Runner::Nextest, text), tally(1, 1, 0));
    }

    #[test]
    fn what_is_not_a_closing_line_counts_nothing() {
        for runner in [Runner::Nextest, Runner::Cargo, Runner::Pytest] {
            assert_eq!(read(runner, ""), tally(0, 0, 0));
            assert_eq!(
                read(runner, "no tests ran in 0.01s\n3 passed yesterday\nFinished `dev` in 1.02s"),
                tally(0, 0, 0)
            );
        }
    }
}
