//! The `edit` tool.

use std::io::Read as _;

use rustix::fs::OFlags;

use super::error::ToolError;
use super::input::Input;
use super::read::TEXT_BYTES_MAX;
use super::roots::Roots;
use super::write::replace;

/// Replacing every one of a short text's occurrences by a long one can multiply a file's size.
const RESULT_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn edit(roots: &Roots, input: &Input<'_>, file_bytes_max: u64) -> Result<String, ToolError> {
    let path = input.required_text("file_path")?;
    let old = input.required_text("old_string")?;
    let new = input.required_text("new_string")?;
    let replace_all = input.flag("replace_all")?;
    let place = roots.writable_place("edit", path)?;
    let failed = |error| ToolError::file("edit", path, &error);

    let metadata = place.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(ToolError::new(format!("edit: {path}: not a regular file")));
    }
    if metadata.len() > TEXT_BYTES_MAX {
        return Err(ToolError::new(format!(
            "edit: {path} is {} bytes, exceeds {TEXT_BYTES_MAX}-byte limit. The edit tool loads the whole file and \
             cannot modify a file this large.",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    let file = place.open(OFlags::RDONLY).map_err(failed)?;
    file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| ToolError::new(format!("edit: {path}: not valid UTF-8 text (cannot edit binary files)")))?;

    let found = text.matches(old).count();
    if found == 0 {
        return Err(ToolError::new(format!("edit: old_string not found in {path}")));
    }
    if !replace_all && found > 1 {
        return Err(ToolError::new(format!("edit: old_string appears {found} times in {path} (must be unique)")));
    }
    let result_bytes = (text.len() as u64).saturating_add((found as u64).saturating_mul(new.len() as u64));
    if result_bytes > RESULT_BYTES_MAX {
        return Err(ToolError::new(format!("edit: {path}: the result would exceed {RESULT_BYTES_MAX} bytes")));
    }
    replace(&place, text.replace(old, new).as_bytes(), file_bytes_max).map_err(failed)?;
    Ok(format!("edited {path} ({found} replacement(s))"))
}
