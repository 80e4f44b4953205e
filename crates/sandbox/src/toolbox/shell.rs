//! The `bash` tool: one shell that lives from call to call.
//!
//! A shell is started with the first command. It ends by `restart`, by a command that takes too long, or by its own
//! doing (`exit`); after the last two, calls are refused until one asks for a restart.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::deadline::Deadline;
use super::descendants;
use super::error::ToolError;
use super::input::Input;
use super::lines::Lines;
use super::shell_process::ShellProcess;
use super::tail::Tail;
use crate::protocol::ShellLimits;

/// How often a shell that nobody talks to is looked after: orphans that have ended are collected then.
const ATTEND_PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

enum State {
    NotStarted,
    Running(ShellProcess),
    Terminated,
}

pub(super) struct Shell {
    state: State,
    workdir: PathBuf,
    limits: ShellLimits,
    ms_default: u64,
    random: File,
    /// Output that no command has been given yet, for example of background jobs.
    tail: Tail,
}

/// How a command ended.
enum End {
    Status(i32),
    ShellGone,
    TimedOut,
    ServerGone,
}

impl Shell {
    pub(super) fn new(workdir: PathBuf, limits: ShellLimits, ms_default: u64) -> io::Result<Self> {
        let random = File::open("/dev/urandom")?;
        Ok(Self { state: State::NotStarted, workdir, limits, ms_default, random, tail: Tail::default() })
    }

    pub(super) fn bash(&mut self, input: &Input<'_>, server: &Lines) -> Result<String, ToolError> {
        if input.flag("restart")? {
            self.end();
            self.start()?;
            return Ok("bash session restarted".to_owned());
        }
        let command = input.text("command")?.unwrap_or_default();
        if command.is_empty() {
            return Err(ToolError::new("bash: command is required"));
        }
        let ms = input.count("timeout_ms")?.filter(|ms| *ms > 0).unwrap_or(self.ms_default);
        match self.state {
            State::Terminated => return Err(ToolError::new("bash: bash session terminated; restart required")),
            State::NotStarted => self.start()?,
            State::Running(_) => {}
        }
        let end = self.execute(command, Duration::from_millis(ms), server).map_err(|error| internal(&error))?;
        if !matches!(end, End::Status(_)) {
            self.end();
        }
        match end {
            End::Status(0) => Ok(self.tail.take_text()),
            End::Status(_) | End::ShellGone => Err(ToolError::new(self.tail.take_text())),
            End::TimedOut => {
                self.tail = Tail::default();
                Err(ToolError::new(format!("bash: bash command timed out after {}s", seconds(ms))))
            }
            // Nobody is left to read an answer.
            End::ServerGone => std::process::exit(0),
        }
    }

    /// Waits for the server, meanwhile collecting the output of background jobs, so that they never have to wait.
    pub(super) fn attend_until_readable(&mut self, server: &Lines) -> io::Result<()> {
        loop {
            let State::Running(process) = &mut self.state else {
                poll(&mut [PollFd::new(server, PollFlags::IN)], None)?;
                return Ok(());
            };
            let [output, _, ended, _] = process.descriptors();
            let mut waited = [
                server_poll(server),
                PollFd::from_borrowed_fd(output, PollFlags::IN),
                PollFd::from_borrowed_fd(ended, PollFlags::IN),
            ];
            poll(&mut waited, Some(&ATTEND_PAUSE))?;
            let [server_ready, output_ready, has_ended] = waited.map(|fd| !fd.revents().is_empty());
            if output_ready {
                process.read_output(&mut self.tail);
            }
            descendants::reap();
            if has_ended {
                self.state = State::Terminated;
            }
            if server_ready {
                return Ok(());
            }
        }
    }

    fn start(&mut self) -> Result<(), ToolError> {
        let process = ShellProcess::start(&self.workdir, &self.limits).map_err(|error| internal(&error))?;
        self.state = State::Running(process);
        // What is left was said by the shell before.
        self.tail = Tail::default();
        Ok(())
    }

    /// Ends the shell and everything that it started.
    fn end(&mut self) {
        self.state = State::Terminated;
        descendants::kill_all();
    }

    fn execute(&mut self, command: &str, time: Duration, server: &Lines) -> io::Result<End> {
        let word = self.random_word()?;
        let State::Running(process) = &mut self.state else { return Ok(End::ShellGone) };
        let script = script(command, &word);
        let mut unsent = script.as_bytes();
        let deadline = Deadline::after(time);
        loop {
            let Some(left) = deadline.left() else { return Ok(End::TimedOut) };
            let [output, control, ended, input] = process.descriptors();
            let mut waited = [
                server_poll(server),
                PollFd::from_borrowed_fd(output, PollFlags::IN),
                PollFd::from_borrowed_fd(control, PollFlags::IN),
                PollFd::from_borrowed_fd(ended, PollFlags::IN),
                PollFd::from_borrowed_fd(input, PollFlags::OUT),
            ];
            // Without anything to send, an input with room would end every wait at once.
            let watched = if unsent.is_empty() { 4 } else { 5 };
            poll(&mut waited[..watched], Some(&timespec(left)))?;
            let [server_gone, has_output, has_report, has_ended, has_room] = waited.map(|fd| !fd.revents().is_empty());
            if server_gone {
                return Ok(End::ServerGone);
            }
            if has_room && !unsent.is_empty() {
                // A shell that has ended is noticed below.
                let written = process.write(unsent).unwrap_or(unsent.len());
                unsent = &unsent[written..];
            }
            if has_output {
                process.read_output(&mut self.tail);
            }
            if has_report && let Some(status) = process.read_report(&word) {
                process.read_output_so_far(&mut self.tail);
                return Ok(End::Status(status));
            }
            if has_ended {
                process.read_output_so_far(&mut self.tail);
                return Ok(End::ShellGone);
            }
            descendants::reap();
        }
    }

    fn random_word(&mut self) -> io::Result<String> {
        let mut bytes = [0; 16];
        self.random.read_exact(&mut bytes)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What the shell reads: the command as one quoted word, so that an unfinished quote or here-document is an error of
/// the command and not the loss of what follows; then the report. `set -x` does not show the report. Both are one line,
/// which is parsed before the command runs: after a command that could not be parsed, bash misreads the next line.
fn script(command: &str, word: &str) -> String {
    let fd = super::CONTROL_FD;
    let quoted = command.replace('\0', "").replace('\'', r"'\''");
    format!("eval '{quoted}' </dev/null {fd}>&-; {{ builtin printf '%s %d\\n' {word} \"$?\" >&{fd}; }} 2>/dev/null\n")
}

/// The server sends nothing while it waits, so all that can come is its end.
fn server_poll(server: &Lines) -> PollFd<'_> {
    PollFd::new(server, PollFlags::IN)
}

fn poll(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<()> {
    match rustix::event::poll(fds, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

fn seconds(ms: u64) -> String {
    (ms as f64 / 1000.0).to_string()
}

fn internal(error: &io::Error) -> ToolError {
    ToolError::new(format!("bash: the shell cannot be run: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_a_fraction_only_when_they_need_one() {
        assert_eq!((seconds(120_000), seconds(1500), seconds(50)), ("120".into(), "1.5".into(), "0.05".into()));
    }

    #[test]
    fn a_command_is_one_quoted_word() {
        assert!(script("echo 'a' \"b", "w").starts_with("eval 'echo '\\''a'\\'' \"b' </dev/null 9>&-; {"));
    }
}
