//! The `glob` tool.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::GlobBuilder;
use ignore::WalkBuilder;

use super::error::ToolError;
use super::input::Input;
use super::roots::{Roots, canonicalize};

const ENTRIES_MAX: usize = 50_000;
const RESULTS_MAX: usize = 200;
/// Below this depth a path is too long to be opened by name anyway.
const DEPTH_MAX: usize = 2048;
/// What a search without a result says.
pub(super) const NO_MATCHES: &str = "no matches";

pub(super) fn glob(roots: &Roots, input: &Input<'_>) -> Result<String, ToolError> {
    let pattern = input.required_text("pattern")?;
    if Path::new(pattern).is_absolute() {
        return Err(ToolError::new(
            "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)",
        ));
    }
    if pattern.split('/').any(|part| part == "..") {
        return Err(ToolError::new("glob: '..' is not permitted in the pattern"));
    }
    let root = search_root(roots, input, "glob")?;
    let plain = pattern.trim_start_matches("./").trim_end_matches('/');
    let matcher = GlobBuilder::new(plain)
        .literal_separator(true)
        .build()
        .map_err(|error| ToolError::new(format!("glob: {error}")))?
        .compile_matcher();

    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in walk(&root).take(ENTRIES_MAX) {
        let path = entry.path();
        let Ok(relative) = path.strip_prefix(&root) else { continue };
        if !matcher.is_match(relative) {
            continue;
        }
        // A link that leads out of the searched directory is not shown.
        let stays = !entry.path_is_symlink() || canonicalize(path).is_ok_and(|target| target.starts_with(&root));
        if stays {
            let modified = path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((modified, path.to_path_buf()));
        }
    }
    if found.is_empty() {
        return Ok(NO_MATCHES.to_owned());
    }
    found.sort_by(|(a_time, a), (b_time, b)| b_time.cmp(a_time).then_with(|| a.cmp(b)));
    let lines: Vec<_> = found.iter().take(RESULTS_MAX).map(|(_, path)| path.to_string_lossy()).collect();
    Ok(lines.join("\n"))
}

/// Where `glob` and `grep` search: the given path, or the working directory.
pub(super) fn search_root(roots: &Roots, input: &Input<'_>, tool: &str) -> Result<PathBuf, ToolError> {
    let Some(path) = input.text("path")?.filter(|path| !path.is_empty()) else {
        return Ok(roots.workdir().to_path_buf());
    };
    let place = roots.place(tool, path)?;
    place.metadata().map_err(|error| ToolError::file(tool, path, &error))?;
    Ok(place.path)
}

/// Everything below a directory, hidden and ignored files included, in a stable order, following no links.
pub(super) fn walk(root: &Path) -> impl Iterator<Item = ignore::DirEntry> {
    let mut builder = WalkBuilder::new(root);
    builder.standard_filters(false).follow_links(false).sort_by_file_name(Ord::cmp);
    builder.filter_entry(|entry| entry.depth() < DEPTH_MAX);
    builder.build().flatten().filter(|entry| entry.depth() > 0)
}
