//! The `grep` tool. It does not use a `rg` of the host: the same search everywhere is worth more than its speed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use ignore::WalkBuilder;

use super::deadline::Deadline;
use super::error::ToolError;
use super::glob::{NO_MATCHES, search_root};
use super::input::Input;
use super::roots::Roots;

const OUTPUT_BYTES_MAX: usize = 100 * 1024;
const LINE_BYTES_MAX: usize = 2000;
const FILES_MAX: usize = 50_000;
const TIME_MAX: Duration = Duration::from_secs(30);
/// A zero byte in this much of a file makes it binary.
const BINARY_PROBE_BYTES: u64 = 512;
/// A file with a longer line than this is left at that line.
const LINE_BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
const SKIPPED_DIRECTORIES: [&str; 2] = [".git", "node_modules"];

pub(super) fn grep(roots: &Roots, input: &Input<'_>) -> Result<String, ToolError> {
    let pattern = input.required_text("pattern")?;
    let root = search_root(roots, input, "grep")?;
    let matcher = RegexMatcherBuilder::new()
        .multi_line(true)
        .crlf(true)
        .build(pattern)
        .map_err(|error| ToolError::new(format!("grep: invalid regex: {error}")))?;
    let mut searcher = SearcherBuilder::new()
        .line_number(true)
        .line_terminator(LineTerminator::crlf())
        .binary_detection(BinaryDetection::none())
        .heap_limit(Some(LINE_BUFFER_BYTES_MAX))
        .build();
    let mut hits = Hits { text: String::new(), deadline: Deadline::after(TIME_MAX), stopped: None };
    for path in files(&root).take(FILES_MAX) {
        hits.search(&mut searcher, &matcher, path);
        match hits.stopped {
            None => {}
            Some(Stopped::OutOfTime) => {
                return Err(ToolError::new(format!("grep: timed out after {}s", TIME_MAX.as_secs())));
            }
            Some(Stopped::Full) => {
                hits.text.push_str(&format!("[output truncated at {OUTPUT_BYTES_MAX} bytes]"));
                return Ok(hits.text);
            }
        }
    }
    if hits.text.is_empty() {
        return Ok(NO_MATCHES.to_owned());
    }
    hits.text.pop();
    Ok(hits.text)
}

/// The file itself, or the regular files below a directory.
fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let mut builder = WalkBuilder::new(root);
    builder.standard_filters(false).follow_links(false).sort_by_file_name(Ord::cmp);
    builder.filter_entry(|entry| {
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        let skipped = entry.file_name().to_str().is_some_and(|name| SKIPPED_DIRECTORIES.contains(&name));
        entry.depth() == 0 || !is_directory || !skipped
    });
    let regular = |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_file());
    builder.build().flatten().filter(regular).map(ignore::DirEntry::into_path)
}

#[derive(Clone, Copy)]
enum Stopped {
    Full,
    OutOfTime,
}

struct Hits {
    text: String,
    deadline: Deadline,
    stopped: Option<Stopped>,
}

impl Hits {
    /// Files that cannot be read are left out.
    fn search(&mut self, searcher: &mut Searcher, matcher: &RegexMatcher, path: PathBuf) {
        let Ok(Some(file)) = open_text(&path) else { return };
        let sink = FileHits { path: path.to_string_lossy().into_owned(), hits: self };
        let _ = searcher.search_reader(matcher, file, sink);
        if self.stopped.is_none() && self.deadline.has_passed() {
            self.stopped = Some(Stopped::OutOfTime);
        }
    }
}

fn open_text(path: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut start = Vec::new();
    (&file).take(BINARY_PROBE_BYTES).read_to_end(&mut start)?;
    if start.contains(&0) {
        return Ok(None);
    }
    file.rewind()?;
    Ok(Some(file))
}

struct FileHits<'a> {
    path: String,
    hits: &'a mut Hits,
}

impl Sink for FileHits<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if self.hits.deadline.has_passed() {
            self.hits.stopped = Some(Stopped::OutOfTime);
            return Ok(false);
        }
        if found.bytes().len() > LINE_BYTES_MAX {
            return Ok(true);
        }
        let line = String::from_utf8_lossy(found.bytes());
        let number = found.line_number().unwrap_or_default();
        let hit = format!("{}:{number}:{}\n", self.path, line.trim_end_matches(['\r', '\n']));
        if self.hits.text.len() + hit.len() > OUTPUT_BYTES_MAX {
            self.hits.stopped = Some(Stopped::Full);
            return Ok(false);
        }
        self.hits.text.push_str(&hit);
        Ok(true)
    }
}
