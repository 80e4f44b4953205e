//! What the person at the terminal sees of a session.
//!
//! What the agent says goes to standard output, all the rest to standard error, so that the answer can be piped.
//! Invariant: nothing that a model or a tool has written reaches the terminal with its control characters.

use crate::failure::{Failure, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;

/// Lines of a tool's result that are shown.
const RESULT_LINES_MAX: usize = 3;
/// Characters of a line that is shown in part.
const LINE_CHARS_MAX: usize = 110;

const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const RED: &str = "\x1b[31m";
const BOLD_YELLOW: &str = "\x1b[1;33m";

/// Shows a session.
pub(super) struct Screen<'w> {
    said: &'w mut (dyn Write + Send),
    told: &'w mut (dyn Write + Send),
    colours: bool,
    /// Names of the tools whose results are awaited, by the id of the call.
    calls: HashMap<String, String>,
    /// The call that was shown last: a result right below it needs no name.
    last_call: String,
}

impl<'w> Screen<'w> {
    /// What the agent says goes to `said`, the rest to `told`, with colours or without.
    pub(super) fn new(said: &'w mut (dyn Write + Send), told: &'w mut (dyn Write + Send), colours: bool) -> Self {
        Self { said, told, colours, calls: HashMap::new(), last_call: String::new() }
    }

    /// Shows what concerns a person of an event.
    pub(super) fn show(&mut self, event: &Value) -> Result<()> {
        match event["type"].as_str().unwrap_or_default() {
            "agent.message" => self.say(&texts(&event["content"])),
            "agent.tool_use" => {
                self.call(event);
                Ok(())
            }
            "agent.tool_result" => {
                self.result(event);
                Ok(())
            }
            "session.error" => {
                let error = &event["error"];
                let said = line(error["message"].as_str().unwrap_or("something failed"));
                let next = if error["retry_status"]["type"] == "retrying" { " (it will be tried again)" } else { "" };
                self.tell(RED, &format!("✖ {said}{next}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Something that must not be overlooked.
    pub(super) fn notice(&mut self, text: &str) {
        self.tell(BOLD_YELLOW, text);
    }

    /// Something that went wrong.
    pub(super) fn problem(&mut self, text: &str) {
        self.tell(RED, text);
    }

    /// Something that is good to know.
    pub(super) fn note(&mut self, text: &str) {
        self.tell(DIM, text);
    }

    /// The agent's own words. Whoever closes the pipe does not want them any more, and that ends the run.
    fn say(&mut self, text: &str) -> Result<()> {
        let text = visible(text);
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        let outcome = writeln!(self.said, "{text}\n").and_then(|()| self.said.flush());
        outcome.map_err(|error| Failure::caused("standard output", &error))
    }

    fn call(&mut self, event: &Value) {
        let name = line(event["name"].as_str().unwrap_or("?"));
        self.tell(CYAN, &format!("▸ {name}  {}", summary(&event["input"])));
        event["id"].as_str().unwrap_or_default().clone_into(&mut self.last_call);
        self.calls.insert(self.last_call.clone(), name);
    }

    fn result(&mut self, event: &Value) {
        let call = event["tool_use_id"].as_str().unwrap_or_default();
        let name = self.calls.remove(call);
        if let Some(name) = name.filter(|_| call != self.last_call) {
            self.tell(DIM, &format!("◂ {name}"));
        }
        // What was shown last is a result now, and the next one has to say whose it is.
        self.last_call.clear();
        let text = visible(&texts(&event["content"]));
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let colour = if event["is_error"] == true { RED } else { DIM };
        for shown in lines.iter().take(RESULT_LINES_MAX) {
            self.tell(colour, &format!("  {}", shortened(shown)));
        }
        match lines.len().saturating_sub(RESULT_LINES_MAX) {
            0 => {}
            1 => self.tell(DIM, "  … 1 more line"),
            more => self.tell(DIM, &format!("  … {more} more lines")),
        }
    }

    fn tell(&mut self, colour: &str, text: &str) {
        // Why ignored: if nobody reads what happens, it still happens.
        let _unread =
            if self.colours { writeln!(self.told, "{colour}{text}\x1b[0m") } else { writeln!(self.told, "{text}") };
    }
}

/// The texts of content blocks; of other blocks, what they are.
fn texts(content: &Value) -> String {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |block: &Value| match block["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("[{}]", block["type"].as_str().unwrap_or("content")),
    };
    blocks.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// The part of a tool's input that tells most, on one line.
fn summary(input: &Value) -> String {
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    let telling = text("command").or_else(|| match (text("pattern"), text("path")) {
        (Some(pattern), Some(path)) => Some(format!("{pattern}  in {path}")),
        (pattern, path) => pattern.or(path).or_else(|| text("file_path")),
    });
    line(&telling.unwrap_or_else(|| input.to_string()))
}

/// The first line, shortened.
fn line(text: &str) -> String {
    let text = visible(text);
    let mut lines = text.trim().lines();
    let first = shortened(lines.next().unwrap_or_default());
    let cut_off = lines.next().is_some() && !first.ends_with('…');
    if cut_off { format!("{first} …") } else { first }
}

fn shortened(line: &str) -> String {
    let mut chars = line.chars();
    let shown: String = chars.by_ref().take(LINE_CHARS_MAX).collect();
    if chars.next().is_some() { format!("{shown}…") } else { shown }
}

/// The text without anything that moves a cursor, changes a colour or turns the direction of writing.
pub(super) fn visible(text: &str) -> String {
    let is_harmless = |c: &char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        matches!(c, '\n' | '\t') || !(c.is_control() || turns)
    };
    text.chars().filter(is_harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(colours: bool, events: &[Value]) -> (String, String) {
        let (mut said, mut told) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut said, &mut told, colours);
        events.iter().for_each(|event| screen.show(event).unwrap());
        (String::from_utf8(said).unwrap(), String::from_utf8(told).unwrap())
    }

    #[test]
    fn a_turn_reads_well() {
        let text = |text: &str| json!([{ "type": "text", "text": text }]);
        let (said, told) = shown(
            false,
            &[
                json!({ "type": "session.status_running" }),
                json!({ "type": "agent.message", "content": text("Looking.\n") }),
                json!({ "type": "agent.tool_use", "name": "bash", "input": { "command": "grep -c error a.log\nls" } }),
                json!({ "type": "agent.tool_result", "content": text("1\n2\n3\n4\n5\n"), "is_error": false }),
                json!({ "type": "agent.tool_use", "name": "glob", "input": { "pattern": "*.rs", "path": "/w" } }),
                json!({ "type": "agent.tool_result", "content": [{ "type": "image" }], "is_error": true }),
                json!({ "type": "agent.tool_use", "name": "other", "input": { "n": 1 } }),
                json!({ "type": "session.error",
                    "error": { "message": "529", "retry_status": { "type": "retrying" } } }),
            ],
        );
        assert_eq!(said, "Looking.\n\n");
        let expected = "▸ bash  grep -c error a.log …\n  1\n  2\n  3\n  … 2 more lines\n▸ glob  *.rs  in /w\n  [image]\n\
            ▸ other  {\"n\":1}\n✖ 529 (it will be tried again)\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn results_of_calls_made_together_say_whose_they_are() {
        let call = |id: &str, name: &str| json!({ "type": "agent.tool_use", "id": id, "name": name, "input": {} });
        let result = |id: &str| {
            let content = json!([{ "type": "text", "text": id }]);
            json!({ "type": "agent.tool_result", "tool_use_id": id, "content": content })
        };
        let (_, told) = shown(
            false,
            &[call("1", "glob"), call("2", "grep"), result("2"), result("1"), call("3", "read"), result("3")],
        );
        assert_eq!(told, "▸ glob  {}\n▸ grep  {}\n  2\n◂ glob\n  1\n▸ read  {}\n  3\n");
    }

    #[test]
    fn control_characters_of_others_never_reach_the_terminal() {
        let evil = "a\x1b]0;title\x07\x1b[2Jb\r\u{9b}1mc\u{202e}d";
        let content = json!([{ "type": "text", "text": evil }]);
        let (said, told) = shown(
            true,
            &[
                json!({ "type": "agent.message", "content": content }),
                json!({ "type": "agent.tool_use", "name": evil, "input": { "command": evil } }),
                json!({ "type": "agent.tool_result", "content": content }),
                json!({ "type": "session.error", "error": { "message": evil } }),
            ],
        );
        assert_eq!(said, "a]0;title[2Jb1mcd\n\n");
        for line in told.lines() {
            assert_eq!(line.matches('\x1b').count(), 2, "only our own colour and its end: {line:?}");
            assert!(!line.contains(['\x07', '\r', '\u{9b}', '\u{202e}']), "{line:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let command = "é".repeat(500);
        let (_, told) =
            shown(false, &[json!({ "type": "agent.tool_use", "name": "bash", "input": { "command": command } })]);
        assert!(told.chars().count() < 130 && told.ends_with("…\n"), "{told}");
    }
}
