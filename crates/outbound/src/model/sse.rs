//! Frames of a `text/event-stream` body, put together from bytes that arrive in arbitrary pieces.
//!
//! Only what model providers use: `event` and `data`. Comments, `id` and `retry` are skipped. An unfinished
//! frame at the end of the body is dropped, as the format demands.

/// One frame: its name and its data lines joined by newlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The `event` field; empty when the frame has none.
    pub(crate) name: String,
    /// The `data` field.
    pub(crate) data: String,
}

/// A body that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Turns bytes into frames. The bytes held back are at most those of one frame; whoever feeds it bounds the
/// body as a whole.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    /// The last byte was a carriage return, so that a newline right behind it ends no second line.
    after_return: bool,
    /// A line has been read. Only the first may start with a byte order mark.
    begun: bool,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl Frames {
    /// Takes the next piece of the body and gives the frames that it completes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, NotUtf8> {
        let mut complete = Vec::new();
        if self.after_return && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        if !bytes.is_empty() {
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&bytes[..end]);
            let returned = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if returned {
                match bytes.first() {
                    Some(b'\n') => bytes = &bytes[1..],
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            complete.extend(self.end_line()?);
        }
        self.line.extend_from_slice(bytes);
        Ok(complete)
    }

    /// Understands the line that was just completed; an empty one completes the frame.
    fn end_line(&mut self) -> Result<Option<Frame>, NotUtf8> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&bytes).map_err(|_| NotUtf8)?;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return Ok(self.data.take().map(|data| Frame { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, data: &str) -> Frame {
        Frame { name: name.to_owned(), data: data.to_owned() }
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Frame>, NotUtf8> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(frames.push(piece)?);
        }
        Ok(all)
    }

    const BODY: &str = "\u{feff}event: one\ndata: {\"a\":1}\n\n: a comment\nid: 7\nretry: 5\nevent: two\r\ndata: Grüße\r\n\
                        data: 日本 \r\n\r\n\ndata:tight\rdata\r\revent: nothing\n\nevent: open\ndata: never finished";

    fn expected() -> Vec<Frame> {
        vec![frame("one", "{\"a\":1}"), frame("two", "Grüße\n日本 "), frame("", "tight\n")]
    }

    #[test]
    fn frames_are_the_same_wherever_the_body_is_split() {
        let body = BODY.as_bytes();
        assert_eq!(read(&[body]), Ok(expected()));
        for at in 0..=body.len() {
            assert_eq!(read(&[&body[..at], &body[at..]]), Ok(expected()), "split at byte {at}");
            assert_eq!(read(&[&body[..at], &[], &body[at..]]), Ok(expected()), "split with a pause at byte {at}");
        }
        let single: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(read(&single), Ok(expected()));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error() {
        assert_eq!(read(&[b"data: \xff\xfe\n\n"]), Err(NotUtf8));
        assert_eq!(read(&[b"data: \xe6\x97", b"\n\n"]), Err(NotUtf8), "a character cut off by the end of its line");
    }

    #[test]
    fn a_frame_without_data_is_no_frame() {
        assert_eq!(read(&[b"event: ping\n\n\n\n"]), Ok(Vec::new()));
        assert_eq!(read(&[b"data\n\n"]), Ok(vec![frame("", "")]));
    }
}
