//! The `write` tool.

use std::io::{self, Write as _};

use rustix::fs::OFlags;

use super::error::ToolError;
use super::input::Input;
use super::roots::{Place, Roots};

pub(super) fn write(roots: &Roots, input: &Input<'_>, file_bytes_max: u64) -> Result<String, ToolError> {
    let path = input.required_text("file_path")?;
    let content = input.required_text("content")?;
    let place = roots.writable_place("write", path)?;
    let written = place.create_parents().and_then(|()| replace(&place, content.as_bytes(), file_bytes_max));
    written.map_err(|error| ToolError::file("write", path, &error))?;
    Ok(format!("wrote {} bytes to {path}", content.len()))
}

/// Replaces a file's content, keeping the file and its mode.
pub(super) fn replace(place: &Place<'_>, content: &[u8], file_bytes_max: u64) -> io::Result<()> {
    if content.len() as u64 > file_bytes_max {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    if place.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    let mut file = place.open(OFlags::WRONLY | OFlags::CREATE)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    file.set_len(0)?;
    file.write_all(content)
}
