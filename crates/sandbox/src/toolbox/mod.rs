//! The program that runs inside a sandbox: it owns the persistent shell and serves the six tools.
//!
//! It reads one request at a time from its socket and answers each. It ends when the socket closes, and takes
//! everything that it started with it.
//!
//! Laws:
//! - The commands it runs are not its friends. They get none of its descriptors, and it is not dumpable, so that they
//!   cannot reach the socket through `/proc` either, although they run as the same user.
//! - It adopts the orphans of its commands, so that everything that runs can be found below it.

mod deadline;
mod descendants;
mod edit;
mod error;
mod glob;
mod grep;
mod input;
mod lines;
mod read;
mod roots;
mod shell;
mod shell_process;
mod tail;
mod write;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::process::ExitCode;

use rustix::process::DumpableBehavior;

use self::error::ToolError;
use self::input::Input;
use self::lines::Lines;
use self::roots::Roots;
use self::shell::Shell;
use crate::output::{OutputBlock, ToolOutput};
use crate::protocol::{self, Ready, Request, Response, SOCKET_VARIABLE, Setup, TEXT_BYTES_MAX};

/// The descriptor on which the shell reports that a command has ended; below 10, because the shell uses those above.
const CONTROL_FD: RawFd = 9;

/// What an output without text says.
const NO_OUTPUT: &str = "(no output)";

/// Serves until the socket closes. To be called first thing in a process of its own, before any thread is started.
#[must_use]
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "toolbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let socket = take_socket()?;
    close_all_but(&socket)?;
    let _reserved = reserve_control_fd()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    descendants::adopt_orphans()?;

    let mut lines = Lines::new(socket.try_clone()?);
    let mut answers = File::from(socket);
    let Some(setup) = lines.next()? else { return Ok(()) };
    let setup: Setup = serde_json::from_slice(&setup)?;
    let mut toolbox = match Toolbox::new(setup) {
        Ok(toolbox) => toolbox,
        Err(error) => {
            let problem = Some(format!("the working directory or a root cannot be opened: {error}"));
            return answers.write_all(&protocol::line(&Ready { problem })?);
        }
    };
    answers.write_all(&protocol::line(&Ready { problem: None })?)?;
    loop {
        toolbox.shell.attend_until_readable(&lines)?;
        let Some(line) = lines.next()? else { break };
        let request: Request = serde_json::from_slice(&line)?;
        let output = toolbox.run(&request, &lines);
        answers.write_all(&protocol::line(&Response { id: request.id, output })?)?;
    }
    descendants::kill_all();
    Ok(())
}

struct Toolbox {
    roots: Roots,
    shell: Shell,
    file_bytes_max: u64,
}

impl Toolbox {
    fn new(setup: Setup) -> io::Result<Self> {
        std::env::set_current_dir(&setup.workdir)?;
        let roots = Roots::open(&setup.workdir, &setup.roots)?;
        let file_bytes_max = setup.shell_limits.file_bytes.unwrap_or(u64::MAX);
        let shell = Shell::new(setup.workdir, setup.shell_limits, setup.bash_ms_default)?;
        Ok(Self { roots, shell, file_bytes_max })
    }

    fn run(&mut self, request: &Request, lines: &Lines) -> ToolOutput {
        let input = Input::new(&request.tool, &request.input);
        let result = match request.tool.as_str() {
            "bash" => self.shell.bash(&input, lines).map(OutputBlock::Text),
            "read" => read::read(&self.roots, &input),
            "write" => write::write(&self.roots, &input, self.file_bytes_max).map(OutputBlock::Text),
            "edit" => edit::edit(&self.roots, &input, self.file_bytes_max).map(OutputBlock::Text),
            "glob" => glob::glob(&self.roots, &input).map(OutputBlock::Text),
            "grep" => grep::grep(&self.roots, &input).map(OutputBlock::Text),
            name => Err(ToolError::new(format!("unknown tool '{name}'"))),
        };
        let (block, is_error) = match result {
            Ok(block) => (block, false),
            Err(error) => (OutputBlock::Text(error.into_text()), true),
        };
        let block = match block {
            OutputBlock::Text(text) if text.is_empty() => OutputBlock::Text(NO_OUTPUT.to_owned()),
            // Only a refusal that repeats an absurd path is as long as this.
            OutputBlock::Text(mut text) => {
                text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
                OutputBlock::Text(text)
            }
            block => block,
        };
        ToolOutput { content: vec![block], is_error }
    }
}

/// Takes the inherited socket and moves it to where the shell will not look for a descriptor.
#[expect(clippy::disallowed_methods, reason = "the environment is how a program learns what it inherited")]
fn take_socket() -> io::Result<OwnedFd> {
    let number = std::env::var(SOCKET_VARIABLE).ok().and_then(|number| number.parse::<RawFd>().ok());
    let number = number.filter(|number| *number > 2).ok_or_else(|| io::Error::other("there is no socket"))?;
    // SAFETY: the launcher passes the number of a descriptor that it left open for this program, and nothing else in
    // this program knows that number.
    let inherited = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(&inherited, CONTROL_FD + 1)?)
}

/// The launcher leaves nothing else open; this is the second lock on that door.
fn close_all_but(socket: &OwnedFd) -> io::Result<()> {
    let number = socket.as_raw_fd().cast_unsigned();
    for (first, last) in [(3, number - 1), (number + 1, libc::c_uint::MAX)] {
        // SAFETY: at this point the program has opened nothing but the socket, which the ranges leave out.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Occupies the number, so that nothing the standard library opens can be there when the shell's end is put there.
fn reserve_control_fd() -> io::Result<OwnedFd> {
    let null = File::open("/dev/null")?;
    Ok(rustix::io::fcntl_dupfd_cloexec(&null, CONTROL_FD)?)
}
