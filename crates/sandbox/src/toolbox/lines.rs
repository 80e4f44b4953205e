//! The requests, line by line.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::LINE_BYTES_MAX;

const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct Lines {
    socket: File,
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket: File::from(socket), buffer: Vec::new() }
    }

    /// The next line, waited for; `None` once the server has closed.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            searched = self.buffer.len();
            if searched > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
            }
            self.buffer.resize(searched + CHUNK_BYTES, 0);
            let read = self.socket.read(&mut self.buffer[searched..])?;
            self.buffer.truncate(searched + read);
            if read == 0 {
                return Ok(None);
            }
        }
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
