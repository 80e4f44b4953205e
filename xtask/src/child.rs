//! How another program is started, and how its output is shown.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::place::Place;

/// A program with the caller's environment, started in the repository's root.
///
/// Why variables are removed: Cargo describes *this* package to us in them, and build scripts that watch such a
/// variable would run again, with everything behind them, each time somebody changes between `cargo xtask` and
/// plain `cargo`.
pub fn program(place: &Place, name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(&place.root);
    for variable in place.env_var_names().filter(|name| is_cargos_own(name)) {
        command.env_remove(variable);
    }
    command
}

/// The Cargo that started us, with arguments.
pub fn cargo(place: &Place, arguments: &[&str]) -> Command {
    let mut command = program(place, place.env_var("CARGO").unwrap_or("cargo"));
    command.args(arguments);
    command
}

fn is_cargos_own(variable: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 4] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    PREFIXES.iter().any(|prefix| variable.starts_with(prefix)) || NAMES.contains(&variable)
}

/// Runs the command with our own input and output; fails when it fails.
pub fn run(command: &mut Command) -> Outcome {
    let shown = shown(command);
    let status = command.status().map_err(|e| format!("`{shown}` cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Whether the command succeeds; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Measures from now on.
pub fn stopwatch() -> impl Fn() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a person wants to know how long it took")]
    let start = Instant::now();
    move || start.elapsed()
}

/// How much of a program's output a person sees while it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Everything.
    All,
    /// On a terminal the latest line, which vanishes at the end; elsewhere nothing.
    Latest,
    /// Nothing.
    Nothing,
}

/// What a watched program left behind.
pub struct Watched {
    /// Whether it exited with success.
    pub success: bool,
    /// All lines of its standard output and standard error as they came, without colours.
    pub lines: Vec<String>,
}

/// Runs the command, keeps its output in the file `log`, and shows as much as wanted.
pub fn watch(command: &mut Command, log: &Path, show: Show) -> Outcome<Watched> {
    let name = shown(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("`{name}` cannot be started: {e}"))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        forward(output, sender.clone());
    }
    if let Some(output) = child.stderr.take() {
        forward(output, sender);
    }
    let lines = record(&receiver, log, show).map_err(|e| format!("{} cannot be written: {e}", log.display()))?;
    let status = child.wait().map_err(|e| format!("`{name}` was lost: {e}"))?;
    Ok(Watched { success: status.success(), lines })
}

fn forward(output: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
}

fn record(receiver: &mpsc::Receiver<String>, log: &Path, show: Show) -> io::Result<Vec<String>> {
    if let Some(directory) = log.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = File::create(log)?;
    let mut terminal = io::stdout();
    let live = show == Show::Latest && terminal.is_terminal();
    let elapsed = stopwatch();
    let mut lines = Vec::new();
    for line in receiver {
        let plain = without_colours(&line);
        writeln!(file, "{plain}")?;
        if show == Show::All {
            writeln!(terminal, "{line}")?;
        } else if live {
            let latest: String = plain.trim().chars().take(70).collect();
            write!(terminal, "\r\x1b[2K  {:>4} s  {latest}", elapsed().as_secs())?;
            terminal.flush()?;
        }
        lines.push(plain);
    }
    if live {
        write!(terminal, "\r\x1b[2K")?;
        terminal.flush()?;
    }
    Ok(lines)
}

/// The text without its escape sequences for colours.
pub fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\x1b[") {
        plain.push_str(&rest[..start]);
        let sequence = &rest[start + 2..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |at| at + 1);
        rest = &sequence[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_removed_and_words_stay() {
        assert_eq!(without_colours("\x1b[1m\x1b[32m  2 passed\x1b[0m, 0 failed"), "  2 passed, 0 failed");
        assert_eq!(without_colours("plain"), "plain");
        assert_eq!(without_colours("cut off \x1b[3"), "cut off ");
    }

    #[test]
    fn variables_that_describe_this_package_do_not_reach_children() {
        assert!(is_cargos_own("CARGO_MANIFEST_DIR"));
        assert!(is_cargos_own("CARGO_PKG_VERSION"));
        assert!(!is_cargos_own("CARGO_TARGET_DIR"));
        assert!(!is_cargos_own("CARGO_HOME"));
        assert!(!is_cargos_own("RUSTFLAGS"));
    }

    #[test]
    fn both_outputs_are_recorded_and_failure_is_noticed() {
        let directory = std::env::temp_dir().join(format!("xtask-watch-{}", std::process::id()));
        let log = directory.join("step.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let watched = watch(&mut command, &log, Show::Nothing).expect("sh can be started");
        let mut lines = watched.lines;
        lines.sort();
        assert!(!watched.success);
        assert_eq!(lines, ["err", "out"]);
        assert!(std::fs::read_to_string(&log).expect("the log is there").contains("out"));
        std::fs::remove_dir_all(&directory).expect("the directory is ours");
    }
}
