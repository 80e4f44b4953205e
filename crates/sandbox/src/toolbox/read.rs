//! The `read` tool.

use std::io::{self, BufRead as _, BufReader, Read as _};

use base64::Engine as _;
use rustix::fs::OFlags;

use super::error::ToolError;
use super::input::Input;
use super::roots::{Place, Roots};
use crate::output::OutputBlock;

/// Largest text that is read as a whole, or selected by a range.
pub(super) const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// Largest image, such that its base64 form is at most 5 MiB.
const IMAGE_BYTES_MAX: u64 = 5 * 1024 * 1024 / 4 * 3;
const PDF_BYTES_MAX: u64 = 20 * 1024 * 1024;

const PDF: &str = "application/pdf";

/// Lines to read, counted from 0, without the last; `end` is `None` for the rest of the file.
struct Range {
    given: [i64; 2],
    start: u64,
    end: Option<u64>,
}

pub(super) fn read(roots: &Roots, input: &Input<'_>) -> Result<OutputBlock, ToolError> {
    let path = input.required_text("file_path")?;
    let range = input.integers("view_range")?.filter(|range| !range.is_empty());
    let place = roots.place("read", path)?;
    let range = range.map(Range::new).transpose()?;
    let metadata = place.metadata().map_err(|error| ToolError::file("read", path, &error))?;
    if !metadata.is_file() {
        return Err(ToolError::new(format!("read: {path}: not a regular file")));
    }
    if let Some(media_type) = media_type(&place) {
        if range.is_some() {
            return Err(ToolError::new("read: view_range is not supported for image/PDF files"));
        }
        return read_media(&place, path, metadata.len(), media_type);
    }
    let text = match (range, metadata.len() > TEXT_BYTES_MAX) {
        (None, true) => Err(ToolError::new(format!(
            "read: {path} is {} bytes, exceeds {TEXT_BYTES_MAX}-byte limit. Use the view_range parameter to read \
             specific line ranges, e.g. view_range: [1, 500].",
            metadata.len()
        ))),
        (None, false) => read_whole(&place, path),
        (Some(range), false) => Ok(range.of(&read_whole(&place, path)?)),
        (Some(range), true) => read_range(&place, path, &range),
    }?;
    Ok(OutputBlock::Text(text))
}

impl Range {
    fn new(given: Vec<i64>) -> Result<Self, ToolError> {
        let Ok(given) = <[i64; 2]>::try_from(given) else {
            return Err(ToolError::new("read: view_range must be [start_line, end_line]"));
        };
        let start = u64::try_from(given[0].saturating_sub(1)).unwrap_or(0);
        Ok(Self { given, start, end: u64::try_from(given[1]).ok().filter(|end| *end > 0) })
    }

    fn of(&self, text: &str) -> String {
        let skipped = usize::try_from(self.start).unwrap_or(usize::MAX);
        let lines = text.split('\n').skip(skipped);
        let count =
            self.end.map_or(usize::MAX, |end| usize::try_from(end.saturating_sub(self.start)).unwrap_or(usize::MAX));
        lines.take(count).collect::<Vec<_>>().join("\n")
    }

    fn too_long(&self, path: &str) -> ToolError {
        if self.end.is_some_and(|end| end.saturating_sub(self.start) == 1) {
            return ToolError::new(format!(
                "read: line {} of {path} alone exceeds {TEXT_BYTES_MAX}-byte limit. The read tool cannot return part \
                 of a line, so view_range cannot narrow this further.",
                self.start + 1
            ));
        }
        let [start, end] = self.given;
        ToolError::new(format!(
            "read: view_range [{start}, {end}] of {path} exceeds {TEXT_BYTES_MAX}-byte limit. Narrow the view_range to \
             read a smaller portion."
        ))
    }
}

fn read_whole(place: &Place<'_>, path: &str) -> Result<String, ToolError> {
    let failed = |error| ToolError::file("read", path, &error);
    let file = place.open(OFlags::RDONLY).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    utf8(bytes, path)
}

/// Reads the lines of a range from a file of any size, holding no more than the limit.
fn read_range(place: &Place<'_>, path: &str, range: &Range) -> Result<String, ToolError> {
    let failed = |error: io::Error| ToolError::file("read", path, &error);
    let mut reader = BufReader::with_capacity(64 * 1024, place.open(OFlags::RDONLY).map_err(failed)?);
    let mut selected = Vec::new();
    let mut line = 0;
    while range.end.is_none_or(|end| line < end) {
        let chunk = reader.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let taken = newline.map_or(chunk.len(), |at| at + 1);
        if line >= range.start {
            let is_last = newline.is_some() && range.end.is_some_and(|end| line + 1 >= end);
            selected.extend_from_slice(&chunk[..taken - usize::from(is_last)]);
            if selected.len() as u64 > TEXT_BYTES_MAX {
                return Err(range.too_long(path));
            }
        }
        line += u64::from(newline.is_some());
        reader.consume(taken);
    }
    utf8(selected, path)
}

fn read_media(place: &Place<'_>, path: &str, len: u64, media_type: &str) -> Result<OutputBlock, ToolError> {
    let failed = |error| ToolError::file("read", path, &error);
    let max = if media_type == PDF { PDF_BYTES_MAX } else { IMAGE_BYTES_MAX };
    if len > max {
        return Err(ToolError::new(format!(
            "read: {path} is {len} bytes, exceeds {max}-byte limit for image/PDF files."
        )));
    }
    let mut bytes = Vec::new();
    place.open(OFlags::RDONLY).map_err(failed)?.take(max).read_to_end(&mut bytes).map_err(failed)?;
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    let media_type = media_type.to_owned();
    Ok(if media_type == PDF {
        OutputBlock::Document { media_type, base64 }
    } else {
        OutputBlock::Image { media_type, base64 }
    })
}

fn media_type(place: &Place<'_>) -> Option<&'static str> {
    let extension = place.path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        "pdf" => Some(PDF),
        _ => None,
    }
}

fn utf8(bytes: Vec<u8>, path: &str) -> Result<String, ToolError> {
    String::from_utf8(bytes).map_err(|_| {
        ToolError::new(format!(
            "read: {path}: not valid UTF-8 text (binary files are only supported for image/PDF extensions)"
        ))
    })
}
