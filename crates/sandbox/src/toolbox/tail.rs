//! A command's output: its last part, cleaned.

/// How much of a command's output is kept.
pub(super) const OUTPUT_BYTES_MAX: usize = 100 * 1024;

const TRUNCATED: &str = "[output truncated]\n";

/// Keeps the last bytes of a stream of any length.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Tail {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Cut seldom: moving the rest costs as much as it is long.
        if self.bytes.len() > 2 * OUTPUT_BYTES_MAX {
            self.cut();
        }
    }

    /// The text as the model sees it, leaving the tail empty.
    pub(super) fn take_text(&mut self) -> String {
        self.cut();
        let tail = std::mem::take(self);
        let mut bytes = tail.bytes.as_slice();
        if tail.truncated {
            // The cut may have left the end of a character.
            let whole = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            bytes = &bytes[whole..];
        }
        let text = String::from_utf8_lossy(&without_ansi(bytes)).into_owned();
        let text = text.trim_end_matches('\n');
        if tail.truncated { format!("{TRUNCATED}{text}") } else { text.to_owned() }
    }

    fn cut(&mut self) {
        if self.bytes.len() > OUTPUT_BYTES_MAX {
            self.bytes.drain(..self.bytes.len() - OUTPUT_BYTES_MAX);
            self.truncated = true;
        }
    }
}

/// Removes control sequences: `ESC [`, parameters, intermediates, one final byte.
fn without_ansi(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match sequence_length(&bytes[at..]) {
            Some(length) => at += length,
            None => {
                kept.push(bytes[at]);
                at += 1;
            }
        }
    }
    kept
}

fn sequence_length(bytes: &[u8]) -> Option<usize> {
    let body = bytes.strip_prefix(b"\x1b[")?;
    let parameters = body.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b'?')).count();
    let intermediates = body[parameters..].iter().take_while(|byte| matches!(byte, b' '..=b'/')).count();
    let last = body.get(parameters + intermediates)?;
    matches!(last, b'@'..=b'~').then_some(2 + parameters + intermediates + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut tail = Tail::default();
        tail.push(bytes);
        tail.take_text()
    }

    #[test]
    fn control_sequences_and_trailing_newlines_are_removed() {
        assert_eq!(text(b"\x1b[1;31mred\x1b[0m\x1b[?25l!\n\n"), "red!");
        assert_eq!(text(b"\x1b[ not one\x1b"), "\x1b[ not one\x1b".replace("\x1b[ n", ""));
        assert_eq!(text(b"\x1b["), "\x1b[");
        assert_eq!(text(b"\xff\xfe ok"), "\u{fffd}\u{fffd} ok");
    }

    #[test]
    fn only_the_end_of_a_long_stream_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..10_000 {
            tail.push(&[b'a'; 100]);
        }
        tail.push("é end".as_bytes());
        assert!(tail.bytes.len() <= 3 * OUTPUT_BYTES_MAX);
        let text = tail.take_text();
        assert!(text.starts_with("[output truncated]\naaa") && text.ends_with("é end"));
        assert_eq!(text.len(), "[output truncated]\n".len() + OUTPUT_BYTES_MAX);
        assert_eq!(tail.take_text(), "");
    }

    #[test]
    fn a_cut_inside_a_character_leaves_no_debris() {
        let mut long = "é".repeat(OUTPUT_BYTES_MAX);
        long.push('x');
        assert!(text(long.as_bytes()).starts_with("[output truncated]\né"));
    }
}
