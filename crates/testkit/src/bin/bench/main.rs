//! Benchmarks: what Daybreak adds to the model's time, beside the machine's own floor.
//!
//! The cast: [`daybreak`] is the server that is measured, a process of its own; [`fake_model`] stands behind it and
//! answers at once; [`http`] is the client; `rows` measure, `floor` measures what the machine gives without
//! Daybreak, and [`figures`] says what every figure means and should be.
//!
//! The law: a figure and its floor come from the same run, with the same client, on the same disk. Each repetition
//! measures everything once, on a new server with an empty data directory; what is told is the median.

mod clock;
mod daybreak;
mod fake_model;
mod figures;
mod floor;
mod http;
mod results;
mod rows;

use daybreak::Daybreak;
use fake_model::FakeModel;
use results::Results;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const REPETITIONS: usize = 5;
/// A row that takes longer hangs.
const ROW_TIME_MAX: Duration = Duration::from_secs(60);

/// What was asked for.
struct Plan {
    rows: Vec<String>,
    json: bool,
    repetitions: usize,
    program: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [floor, dir] = &arguments[..]
        && floor == floor::server::ARGUMENT
    {
        floor::server::serve(Path::new(dir)).await;
        return ExitCode::SUCCESS;
    }
    let plan = match Plan::read(&arguments) {
        Ok(plan) => plan,
        Err(told) => {
            eprintln!("{told}");
            return ExitCode::from(2);
        }
    };
    let results = measure(&plan).await;
    if plan.json {
        println!("{:#}", results.json());
    } else {
        print!("{}", results.table());
    }
    ExitCode::SUCCESS
}

impl Plan {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let known = figures::rows();
        let usage = format!("usage: cargo xtask bench [ROW…] [--json] [--repetitions N]\nrows: {}", known.join(" "));
        let mut plan = Self { rows: Vec::new(), json: false, repetitions: REPETITIONS, program: PathBuf::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let row = argument.to_uppercase();
            match argument.as_str() {
                "--json" => plan.json = true,
                "--repetitions" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    plan.repetitions = number.filter(|number| *number > 0).ok_or(&usage)?;
                }
                _ if known.contains(&row.as_str()) => plan.rows.push(row),
                _ => return Err(usage),
            }
        }
        plan.program = program().ok_or("DAYBREAK_BIN must name the program to measure; `cargo xtask bench` sets it")?;
        Ok(plan)
    }

    fn wants(&self, rows: &[&str]) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| rows.contains(&row.as_str()))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is main: the environment is read here")]
fn program() -> Option<PathBuf> {
    std::env::var_os("DAYBREAK_BIN").map(PathBuf::from)
}

async fn measure(plan: &Plan) -> Results {
    let mut results = Results::default();
    eprintln!("machine: {}", results::machine());
    let model = FakeModel::start().await;
    // Beside the program and not in /tmp, which may be memory: a sync must be one.
    let beside = plan.program.parent().expect("the program lies in a directory");
    for repetition in 1..=plan.repetitions {
        eprintln!("repetition {repetition} of {}", plan.repetitions);
        let dir = tempfile::tempdir_in(beside).expect("a directory");
        within_time("floors", floor::measure(dir.path(), &mut results)).await;
        within_time("rows", measure_rows(plan, dir.path(), model.clone(), &mut results)).await;
    }
    results
}

async fn measure_rows(plan: &Plan, dir: &Path, model: FakeModel, results: &mut Results) {
    let (daybreak, start_ms) = Daybreak::start(&plan.program, dir, model).await;
    rows::rest::idle(&daybreak, &plan.program, start_ms, results).await;
    if plan.wants(&["T1", "T2", "T3"]) {
        within_time("T1 T2 T3", rows::turn::latencies(&daybreak, results)).await;
    }
    if plan.wants(&["T4"]) {
        within_time("T4", rows::tool::gaps(&daybreak, results)).await;
    }
    if plan.wants(&["T5"]) {
        within_time("T5", rows::load::turns(&daybreak, results)).await;
    }
    if plan.wants(&["S1"]) {
        within_time("S1", rows::accept::sessions(&daybreak, results)).await;
    }
    // The last one: its sessions never end.
    if plan.wants(&["E1"]) {
        within_time("E1", rows::accept::events(&daybreak, results)).await;
    }
}

async fn within_time(what: &str, row: impl Future<Output = ()>) {
    assert!(tokio::time::timeout(ROW_TIME_MAX, row).await.is_ok(), "{what} did not end in {ROW_TIME_MAX:?}");
}
