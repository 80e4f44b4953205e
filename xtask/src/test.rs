//! `cargo xtask test`: everything that must pass, cheapest failure first, one line per step.
//!
//! A failing step stops the run and says how to run only it. The suites are counted from their own closing
//! lines, and a suite that ran nothing, or skipped something, has failed: a skipped test guards nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::{Show, Watched};
use crate::place::Place;
use crate::setup::{self, Purpose};
use crate::tally::{Runner, Tally, closing_lines};
use crate::{Outcome, child, tidy};

/// The arguments with which Cargo builds what the suites need. Why all targets at once: the features of
/// dependencies are then the same in each step, so nothing is compiled twice.
pub const BUILD: &[&str] = &["build", "--workspace", "--all-targets", "--locked"];

const PYTHON_TESTS: &str = "sdk-tests/python";
const USAGE: &str = "usage: cargo xtask test [--only STEP] [--list] [--verbose]";
const TAIL_LINES_MAX: usize = 200;

/// One step: its name, what it does in a few words, and the doing.
struct Step(&'static str, &'static str, fn(&Gate) -> Result<Report, Failure>);

const STEPS: &[Step] = &[
    Step("fmt", "the source is formatted", fmt),
    Step("lock", "Cargo.lock fits the manifests", lock),
    Step("tidy", "the rules of the house", tidy_step),
    Step("clippy", "the linter is content", clippy),
    Step("build", "everything compiles", build),
    Step("test", "the Rust tests", tests),
    Step("doctest", "the examples in the documentation", doctest),
    Step("rustdoc", "the documentation builds", rustdoc),
    Step("sdk", "the vendor's Python SDK against the built server", sdk),
];

/// What a step needs to know.
struct Gate<'a> {
    place: &'a Place,
    target: PathBuf,
    show: Show,
}

/// What a step that passed has to say.
#[derive(Default)]
struct Report {
    tally: Option<Tally>,
    note: Option<&'static str>,
    closing: Vec<String>,
}

/// Why a step did not pass, and what its suite counted nevertheless.
struct Failure {
    message: String,
    tally: Tally,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, tally: Tally::default() }
    }
}

/// The command.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    let Some(wish) = Wish::read(arguments)? else {
        for Step(name, what, _) in STEPS {
            println!("{name:<9}{what}");
        }
        return Ok(());
    };
    let steps: Vec<&Step> = STEPS.iter().filter(|step| wish.only.is_none_or(|only| step.0 == only)).collect();
    if steps.is_empty() {
        return Err(format!("there is no such step; `cargo xtask test --list` names them\n{USAGE}"));
    }
    setup::ensure(place, Purpose::Test)?;
    let show = if wish.verbose { Show::All } else { Show::Latest };
    perform(&Gate { place, target: place.target()?, show }, &steps)
}

struct Wish<'a> {
    only: Option<&'a str>,
    verbose: bool,
}

impl<'a> Wish<'a> {
    /// `None` when only the list of steps is wanted.
    fn read(arguments: &'a [String]) -> Outcome<Option<Self>> {
        let mut wish = Wish { only: None, verbose: false };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--list" => return Ok(None),
                "--verbose" | "-v" => wish.verbose = true,
                "--only" => wish.only = Some(arguments.next().ok_or(USAGE)?),
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(Some(wish))
    }
}

fn perform(gate: &Gate, steps: &[&Step]) -> Outcome {
    let total = child::stopwatch();
    let mut sum = Tally::default();
    let mut closing = Vec::new();
    for Step(name, what, act) in steps.iter().copied() {
        let elapsed = child::stopwatch();
        let report = act(gate).and_then(|report| refuse_hollow(name, report));
        let seconds = elapsed().as_secs_f64();
        match report {
            Ok(report) => {
                let note = report.tally.map(|tally| tally.to_string());
                let note = note.as_deref().or(report.note).unwrap_or(what);
                println!("{name:<9}ok    {seconds:>7.1} s   {note}");
                sum = sum.plus(report.tally.unwrap_or_default());
                closing.extend(report.closing);
            }
            Err(Failure { message, tally }) => {
                println!("{name:<9}FAILED{seconds:>7.1} s   {what}\n\n{message}\n");
                let again = format!("Only this step again:  cargo xtask test --only {name}");
                let sum = sum.plus(tally);
                return Err(if sum.executed() > 0 { format!("{again}\n\n{}", sum.closing_line()) } else { again });
            }
        }
    }
    println!("{:<9}ok    {:>7.1} s", "total", total().as_secs_f64());
    if sum.executed() > 0 {
        println!("\n{}\n\n{}", closing.join("\n"), sum.closing_line());
    } else if steps.len() == STEPS.len() {
        return Err("not a single test ran".to_owned());
    }
    Ok(())
}

/// A suite must have run something and skipped nothing.
fn refuse_hollow(step: &str, report: Report) -> Result<Report, Failure> {
    let message = match report.tally {
        Some(tally) if tally.executed() == 0 => format!("`{step}` ran no test at all"),
        Some(tally) if tally.skipped > 0 => {
            format!("`{step}` skipped tests; a skipped test guards nothing")
        }
        _ => return Ok(report),
    };
    Err(Failure { message, tally: report.tally.unwrap_or_default() })
}

impl Gate<'_> {
    /// Runs a command and keeps its output.
    fn watch(&self, step: &str, command: &mut Command, show: Show) -> Outcome<(PathBuf, Watched)> {
        let log = self.target.join("xtask").join(format!("{step}.log"));
        let watched = child::watch(command, &log, show)?;
        Ok((log, watched))
    }

    /// Runs a command to success, or fails with the end of its output.
    fn must(&self, step: &str, command: &mut Command, show: Show) -> Outcome {
        let (log, watched) = self.watch(step, command, show)?;
        if watched.success { Ok(()) } else { Err(complaint(command, &log, &watched, show)) }
    }

    fn cargo(&self, step: &str, arguments: &[&str]) -> Result<Report, Failure> {
        self.must(step, &mut child::cargo(self.place, arguments), self.show)?;
        Ok(Report::default())
    }

    /// Runs a suite and counts it.
    fn suite(&self, step: &str, runner: Runner, command: &mut Command) -> Result<Report, Failure> {
        let (log, watched) = self.watch(step, command, self.show)?;
        let tally = Tally::read(runner, &watched.lines);
        if !watched.success {
            return Err(Failure { message: complaint(command, &log, &watched, self.show), tally });
        }
        let closing = closing_lines(runner, &watched.lines).into_iter().map(|(line, _)| format!("{step}: {line}"));
        Ok(Report { tally: Some(tally), note: None, closing: closing.collect() })
    }
}

/// The end of the output, when nobody has seen it yet, and where the rest is.
fn complaint(command: &Command, log: &Path, watched: &Watched, show: Show) -> String {
    let tail = watched.lines.len().saturating_sub(TAIL_LINES_MAX);
    let seen = if show == Show::All { String::new() } else { watched.lines[tail..].join("\n") + "\n\n" };
    format!("{seen}`{}` failed; its whole output is in {}", child::shown(command), log.display())
}

fn fmt(gate: &Gate) -> Result<Report, Failure> {
    gate.cargo("fmt", &["fmt", "--all", "--check"])
}

fn lock(gate: &Gate) -> Result<Report, Failure> {
    let mut command = child::cargo(gate.place, &["metadata", "--locked", "--format-version", "1"]);
    gate.must("lock", &mut command, Show::Nothing)?;
    Ok(Report::default())
}

fn tidy_step(gate: &Gate) -> Result<Report, Failure> {
    tidy::run(gate.place, &[])?;
    Ok(Report::default())
}

fn clippy(gate: &Gate) -> Result<Report, Failure> {
    gate.cargo("clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

fn build(gate: &Gate) -> Result<Report, Failure> {
    gate.cargo("build", BUILD)
}

fn tests(gate: &Gate) -> Result<Report, Failure> {
    gate.cargo("build", BUILD)?;
    let (runner, arguments): (_, &[&str]) = if has_nextest(gate.place) {
        let nextest = &["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--failure-output", "final"];
        (Runner::Nextest, nextest)
    } else {
        (Runner::Cargo, &["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"])
    };
    let mut command = child::cargo(gate.place, arguments);
    gate.suite("test", runner, command.env("DAYBREAK_BIN", binary(gate.place)?))
}

fn doctest(gate: &Gate) -> Result<Report, Failure> {
    if !tidy::has_doc_tests(&gate.place.root)? {
        return Ok(Report { note: Some("there are no examples to run"), ..Report::default() });
    }
    gate.suite("doctest", Runner::Cargo, &mut child::cargo(gate.place, &["test", "--doc", "--workspace", "--locked"]))
}

fn rustdoc(gate: &Gate) -> Result<Report, Failure> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    let mut command = child::cargo(gate.place, &arguments);
    let flags = [gate.place.env_var("RUSTDOCFLAGS").unwrap_or_default(), "-D warnings"].join(" ");
    gate.must("rustdoc", command.env("RUSTDOCFLAGS", flags.trim()), gate.show)?;
    Ok(Report::default())
}

fn sdk(gate: &Gate) -> Result<Report, Failure> {
    gate.cargo("build", BUILD)?;
    let python = ensure_sdk_venv(gate)?;
    let mut pytest = child::program(gate.place, &python.to_string_lossy());
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", PYTHON_TESTS]);
    pytest.env("PYTHONDONTWRITEBYTECODE", "1").env("DAYBREAK_BIN", binary(gate.place)?);
    gate.suite("sdk", Runner::Pytest, &mut pytest)
}

/// The Python of a virtual environment that holds what the requirements name. The hash of the requirements is
/// written last, so an interrupted installation is repeated.
fn ensure_sdk_venv(gate: &Gate) -> Result<PathBuf, Failure> {
    let requirements = gate.place.root.join(PYTHON_TESTS).join("requirements.txt");
    let text = std::fs::read_to_string(&requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let hash = tidy::fingerprint(text.as_bytes());
    let venv = gate.target.join("sdk-venv");
    let python = venv.join("bin/python");
    let mark = venv.join("requirements.hash");
    if python.exists() && std::fs::read_to_string(&mark).is_ok_and(|known| known == hash) {
        return Ok(python);
    }
    let program = |path: &Path| child::program(gate.place, &path.to_string_lossy());
    gate.must("venv", program(Path::new("python3")).args(["-m", "venv", "--clear"]).arg(&venv), gate.show)?;
    let pip = ["-m", "pip", "install", "--disable-pip-version-check", "-r"];
    gate.must("pip", program(&python).args(pip).arg(&requirements), gate.show)?;
    std::fs::write(&mark, hash).map_err(|e| format!("{}: {e}", mark.display()))?;
    Ok(python)
}

/// Whether nextest is installed; it runs the tests of all crates side by side.
pub fn has_nextest(place: &Place) -> bool {
    child::succeeds(&mut child::cargo(place, &["nextest", "--version"]))
}

/// The `daybreak` that [`BUILD`] makes.
pub fn binary(place: &Place) -> Outcome<PathBuf> {
    Ok(place.target()?.join("debug/daybreak"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read() {
        let arguments = words("--only clippy --verbose");
        let wish = Wish::read(&arguments).expect("known options").expect("not a list");
        assert_eq!((wish.only, wish.verbose), (Some("clippy"), true));
        assert!(Wish::read(&words("--list")).expect("known option").is_none());
        assert!(Wish::read(&words("--only")).is_err());
        assert!(Wish::read(&words("--fast")).is_err());
    }

    #[test]
    fn a_suite_that_ran_nothing_or_skipped_something_has_failed() {
        let report =
            |passed, skipped| Report { tally: Some(Tally { passed, failed: 0, skipped }), ..Report::default() };
        assert!(refuse_hollow("test", report(3, 0)).is_ok());
        assert!(refuse_hollow("test", report(0, 0)).is_err());
        assert!(refuse_hollow("test", report(3, 1)).is_err());
        assert!(refuse_hollow("fmt", Report::default()).is_ok());
    }
}
