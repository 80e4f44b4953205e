//! `cargo xtask demo`: from a clone to a report that an agent wrote, in one command.
//!
//! With an `ANTHROPIC_API_KEY` a real model works. Without one a rehearsal plays the model's part: a file of
//! rules, not a model, and the demo says so before and after. `-- --model NAME` chooses another one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place::Place;
use crate::setup::{self, Purpose};
use crate::{Outcome, child};

const AGENT: &str = "demo/agent.yaml";
const LOGS: &str = "demo/logs";
const REHEARSAL: &str = "rehearsal/build-logs";
const MODEL: &str = "claude-opus-5-5";
const TASK: &str = "Analyse the build logs in /mnt/session/uploads/logs and write a report.";
const REPORT_LINES_SHOWN: usize = 20;

/// The same with the official SDK. A test runs this file as it stands.
const SNIPPET: &str = include_str!("snippet.py");

/// The command: `demo [-- ARGS]`, where ARGS go to `daybreak run`.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    let extra = match arguments.split_first() {
        None => &[],
        Some((dashes, extra)) if dashes == "--" => extra,
        Some(_) => return Err("usage: cargo xtask demo [-- ARGS for `daybreak run`]".to_owned()),
    };
    setup::ensure(place, Purpose::Run)?;
    let target = place.target()?;
    if !target.join("debug/daybreak").exists() {
        println!("Building Daybreak. The first time this takes a few minutes.");
    }
    child::run(&mut child::cargo(place, &["build", "-p", "daybreak", "--locked"]))?;

    let demo = target.join("demo");
    let outputs = demo.join("outputs");
    empty(&outputs)?;
    let cast = Cast::choose(extra, place.env_var("ANTHROPIC_API_KEY").is_some());
    println!("\n{}\n", cast.introduction());

    let mut command = child::program(place, &target.join("debug/daybreak").to_string_lossy());
    command.args(["run", "--agent", AGENT, "--file", LOGS, "--outputs"]).arg(&outputs);
    command.arg("--data-dir").arg(demo.join("data"));
    match cast {
        Cast::Rehearsal => command.args(["--model", REHEARSAL]),
        Cast::Model => command.args(["--model", MODEL]),
        Cast::Chosen => &mut command,
    };
    command.args(extra).arg(TASK);
    child::run(&mut command).map_err(|_| "The agent did not finish its task; what it said is above.".to_owned())?;
    let report = find_report(&outputs)?;
    println!("\n{}", conclusion(&report, &target, cast)?);
    Ok(())
}

/// Who plays the model's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    Rehearsal,
    Model,
    /// Whom the caller named.
    Chosen,
}

impl Cast {
    fn choose(extra: &[String], has_key: bool) -> Self {
        if extra.iter().any(|argument| argument == "--model" || argument.starts_with("--model=")) {
            Self::Chosen
        } else if has_key {
            Self::Model
        } else {
            Self::Rehearsal
        }
    }

    fn introduction(self) -> String {
        match self {
            Self::Rehearsal => format!(
                "There is no ANTHROPIC_API_KEY, so no model is called. What follows is a rehearsal: {REHEARSAL} plays\n\
                 the model's part by rules. The server, the sandbox and the tools are real, and it costs nothing."
            ),
            Self::Model => format!("{MODEL} does the work, with your ANTHROPIC_API_KEY. This costs a little money."),
            Self::Chosen => "The model that you named does the work.".to_owned(),
        }
    }
}

fn conclusion(report: &Path, target: &Path, cast: Cast) -> Outcome<String> {
    let text = fs::read_to_string(report).map_err(|e| format!("{}: {e}", report.display()))?;
    let shown: Vec<String> = text.lines().take(REPORT_LINES_SHOWN).map(|line| format!("    {line}")).collect();
    let more = text.lines().count().saturating_sub(REPORT_LINES_SHOWN);
    let more = if more > 0 { format!("\n    … and {more} more lines") } else { String::new() };
    let by_rules =
        if cast == Cast::Rehearsal { ", written by the rules of a rehearsal and not by a model" } else { "" };
    let code: Vec<String> = SNIPPET.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect();
    Ok(format!(
        "The report is {}{by_rules}. It begins:\n\n{}{more}\n\n\
         The same from Python. Start a server and let the official SDK talk to it:\n\n\
         \x20   export DAYBREAK_API_KEY=local-$RANDOM$RANDOM$RANDOM\n\
         \x20   {} serve &\n\
         \x20   pip install anthropic==2.11.0\n\n{}",
        report.display(),
        shown.join("\n"),
        target.join("debug/daybreak").display(),
        code.join("\n"),
    ))
}

/// An empty directory, so that what is found in it later is of this run.
fn empty(directory: &Path) -> Outcome {
    let problem = |e: std::io::Error| format!("{}: {e}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(problem)?;
    }
    fs::create_dir_all(directory).map_err(problem)
}

/// The report: `report.md`, or else the first Markdown file.
fn find_report(outputs: &Path) -> Outcome<PathBuf> {
    let entries = fs::read_dir(outputs).map_err(|e| format!("{}: {e}", outputs.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|file| (!file.ends_with("report.md"), file.clone()));
    let report = files.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "md"));
    report.ok_or_else(|| format!("The agent ended without a report in {}.", outputs.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_is_called_one() {
        let chosen = ["--model".to_owned(), "local/qwen".to_owned()];
        assert_eq!(Cast::choose(&[], false), Cast::Rehearsal);
        assert_eq!(Cast::choose(&[], true), Cast::Model);
        assert_eq!(Cast::choose(&chosen, true), Cast::Chosen);
        assert!(Cast::Rehearsal.introduction().contains("no model is called"));
        assert!(!Cast::Model.introduction().contains("rehearsal"));
    }

    #[test]
    fn the_report_is_found_and_shown_in_part() {
        let outputs = std::env::temp_dir().join(format!("xtask-demo-{}", std::process::id()));
        empty(&outputs).expect("the directory is ours");
        assert!(find_report(&outputs).is_err());
        for (name, text) in [("a.md", "other"), ("report.md", "line\n".repeat(25).as_str()), ("b.csv", "")] {
            fs::write(outputs.join(name), text).expect("the directory is ours");
        }
        let report = find_report(&outputs).expect("a report");
        let text = conclusion(&report, Path::new("target"), Cast::Rehearsal).expect("the report can be read");
        assert!(report.ends_with("report.md"));
        assert!(text.contains("… and 5 more lines") && text.contains("not by a model"));
        assert!(text.contains("target/debug/daybreak serve &") && text.contains("        if event.type in"));
        fs::remove_dir_all(&outputs).expect("the directory is ours");
    }
}
