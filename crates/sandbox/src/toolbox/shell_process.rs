//! One `/bin/bash` and the pipes to it.
//!
//! Commands go to its standard input. Its output, and that of what it runs, comes through one pipe. The end of a
//! command comes through another, the control pipe, together with a random word that was given with the command: what
//! a command prints can therefore never be taken for its end.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit};

use super::CONTROL_FD;
use super::tail::Tail;
use crate::protocol::{SOCKET_VARIABLE, ShellLimits};

/// Makes the shell and what it runs the kernel's first choice when memory runs out, before the toolbox.
const OOM_SCORE: &str = "500";

const CHUNK_BYTES: usize = 64 * 1024;
/// A report is a random word and a number; more than a few of them in one go were not written by the wrapper.
const CONTROL_BYTES_MAX: usize = 4096;

pub(super) struct ShellProcess {
    process: OwnedFd,
    input: File,
    output: File,
    control: File,
    reports: Vec<u8>,
}

impl ShellProcess {
    pub(super) fn start(workdir: &Path, limits: &ShellLimits) -> io::Result<Self> {
        let (input_end, input) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (output, output_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (control, control_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        for ours in [&input, &output, &control] {
            rustix::io::ioctl_fionbio(ours, true)?;
        }
        let mut command = Command::new("/bin/bash");
        command
            .args(["--noprofile", "--norc"])
            .current_dir(workdir)
            .env_remove(SOCKET_VARIABLE)
            .env("TERM", "dumb")
            .env("PS1", "")
            .env("PS2", "")
            .stdin(Stdio::from(input_end))
            .stdout(Stdio::from(output_end.try_clone()?))
            .stderr(Stdio::from(output_end))
            .process_group(0);
        let limits = resource_limits(limits);
        let control_number = control_end.as_raw_fd();
        let prepare = move || {
            // SAFETY: both are numbers of this process; the target was reserved for this when the toolbox started.
            if unsafe { libc::dup2(control_number, CONTROL_FD) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // A write beyond the largest file size then fails, instead of ending the shell.
            // SAFETY: the disposition of one signal in this process, which is about to execute another program.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            for (resource, max) in limits.iter().flatten() {
                let limit = Rlimit { current: Some(*max), maximum: Some(*max) };
                rustix::process::setrlimit(*resource, limit)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure only makes system calls; it neither allocates nor locks.
        unsafe { command.pre_exec(prepare) };
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        // Refused only where the kernel has no such file.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero()), OOM_SCORE);
        Ok(Self {
            process: rustix::process::pidfd_open(pid, PidfdFlags::empty())?,
            input: input.into(),
            output: output.into(),
            control: control.into(),
            reports: Vec::new(),
        })
    }

    /// What to wait for: output, reports, the shell's end, and room for more input.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [self.output.as_fd(), self.control.as_fd(), self.process.as_fd(), self.input.as_fd()]
    }

    /// Writes what fits and gives the number of bytes written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.input, bytes) {
            Ok(written) => Ok(written),
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves output that is there now; `false` once there is none.
    pub(super) fn read_output(&mut self, tail: &mut Tail) -> bool {
        let mut chunk = vec![0; CHUNK_BYTES];
        match self.output.read(&mut chunk) {
            Ok(read) if read > 0 => {
                tail.push(&chunk[..read]);
                true
            }
            _ => false,
        }
    }

    /// Moves the output that was written before now. A background job may go on writing for ever, so this does not
    /// read until nothing is left.
    pub(super) fn read_output_so_far(&mut self, tail: &mut Tail) {
        let mut left = rustix::io::ioctl_fionread(&self.output).unwrap_or(0);
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let wanted = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.output.read(&mut chunk[..wanted]) {
                Ok(read) if read > 0 => {
                    tail.push(&chunk[..read]);
                    left -= read as u64;
                }
                _ => return,
            }
        }
    }

    /// The exit status reported with this word, once it is there. Other reports are dropped.
    pub(super) fn read_report(&mut self, word: &str) -> Option<i32> {
        let mut chunk = [0; 512];
        while let Ok(read @ 1..) = self.control.read(&mut chunk) {
            self.reports.extend_from_slice(&chunk[..read]);
            if self.reports.len() > CONTROL_BYTES_MAX {
                self.reports.clear();
            }
        }
        while let Some(end) = self.reports.iter().position(|byte| *byte == b'\n') {
            let report: Vec<u8> = self.reports.drain(..=end).collect();
            let report = String::from_utf8_lossy(&report);
            if let Some(status) = report.trim_end().strip_prefix(word) {
                return Some(status.trim().parse().unwrap_or(-1));
            }
        }
        None
    }
}

fn resource_limits(limits: &ShellLimits) -> [Option<(Resource, u64)>; 5] {
    [
        Some((Resource::Core, 0)),
        limits.address_space_bytes.map(|max| (Resource::As, max)),
        limits.processes.map(|max| (Resource::Nproc, max)),
        limits.open_files.map(|max| (Resource::Nofile, max)),
        limits.file_bytes.map(|max| (Resource::Fsize, max)),
    ]
}
