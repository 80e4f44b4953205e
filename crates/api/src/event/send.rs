//! What a client may send, checked before anything is stored.

use crate::bounded::Bounded;
use crate::content::{ContentBlock, IMAGE_TYPES, Source};
use crate::error::{ApiError, Result};
use crate::event::EventBody;
use crate::id::{Id, Kind};
use crate::limits::{INITIAL_EVENTS_MAX, INITIAL_FILE_DOCUMENTS_MAX, SEND_EVENTS_MAX};
use serde::Deserialize;
use serde_json::Value;

/// `POST /v1/sessions/{session_id}/events`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendEvents {
    /// The events, each checked by its own type.
    pub events: Bounded<Value, SEND_EVENTS_MAX>,
}

/// An event as sent: it has no id yet.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// `user.message`
    Message {
        /// What it says.
        content: Vec<ContentBlock>,
    },
    /// `user.interrupt`
    Interrupt {
        /// The thread to stop.
        session_thread_id: Option<Id>,
    },
}

impl ClientEvent {
    /// The event's body in the log.
    pub fn into_body(self) -> EventBody {
        match self {
            Self::Message { content } => EventBody::UserMessage { content },
            Self::Interrupt { session_thread_id } => EventBody::UserInterrupt { session_thread_id },
        }
    }

    /// The files that the event refers to.
    pub fn file_ids(&self) -> impl Iterator<Item = &str> {
        let content = match self {
            Self::Message { content } => content.as_slice(),
            Self::Interrupt { .. } => &[],
        };
        content.iter().filter_map(|block| match block {
            ContentBlock::Image { source: Source::File { file_id } }
            | ContentBlock::Document { source: Source::File { file_id }, .. } => Some(file_id.as_str()),
            _ => None,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageParam {
    #[serde(rename = "type")]
    _kind: String,
    content: Vec<ContentBlock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterruptParam {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    session_thread_id: Option<String>,
}

/// Checks the events of a send. All of them are good, or none is taken.
pub fn parse_send(events: Bounded<Value, SEND_EVENTS_MAX>) -> Result<Vec<ClientEvent>> {
    let events = events.into_vec();
    if events.is_empty() {
        return Err(ApiError::invalid(format!("events: 1 to {SEND_EVENTS_MAX} events are allowed")));
    }
    events.into_iter().enumerate().map(|(index, event)| parse(&format!("events.{index}"), event)).collect()
}

/// Checks the events that a session starts with: messages only.
pub fn parse_initial(events: Bounded<Value, INITIAL_EVENTS_MAX>) -> Result<Vec<ClientEvent>> {
    let events = events.into_vec();
    let mut parsed = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let at = format!("initial_events.{index}");
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "user.message" | "user.define_outcome") {
            return Err(ApiError::invalid(format!("{at}.type: `{kind}` cannot start a session; user.message can")));
        }
        parsed.push(parse(&at, event)?);
    }
    let documents = parsed.iter().flat_map(ClientEvent::file_ids).count();
    if documents > INITIAL_FILE_DOCUMENTS_MAX {
        return Err(ApiError::invalid(format!(
            "initial_events: {documents} documents from files, at most {INITIAL_FILE_DOCUMENTS_MAX} are allowed"
        )));
    }
    Ok(parsed)
}

fn parse(at: &str, event: Value) -> Result<ClientEvent> {
    match event.get("type").and_then(Value::as_str) {
        Some("user.message") => {
            let MessageParam { content, .. } = read(at, event)?;
            check_content(&format!("{at}.content"), &content)?;
            Ok(ClientEvent::Message { content })
        }
        Some("user.interrupt") => {
            let InterruptParam { session_thread_id, .. } = read(at, event)?;
            let session_thread_id = session_thread_id
                .map(|id| Id::parse(Kind::Thread, &id).ok_or_else(|| ApiError::not_found("Thread", &id)))
                .transpose()?;
            Ok(ClientEvent::Interrupt { session_thread_id })
        }
        Some(kind) => Err(match later_feature(kind) {
            Some(feature) => ApiError::not_available(&format!("{at}.type"), &format!("`{kind}`: {feature}")),
            None => ApiError::invalid(format!(
                "{at}.type: `{kind}` is not an event that a client sends; user.message and user.interrupt are"
            )),
        }),
        None => Err(ApiError::invalid(format!("{at}.type: an event needs a type"))),
    }
}

fn later_feature(kind: &str) -> Option<&'static str> {
    match kind {
        "user.tool_confirmation" => Some("tool confirmations are"),
        "user.custom_tool_result" => Some("custom tools are"),
        "user.tool_result" => Some("self-hosted environments are"),
        "user.define_outcome" => Some("outcomes are"),
        "system.message" => Some("system messages are"),
        _ => None,
    }
}

fn read<T: serde::de::DeserializeOwned>(at: &str, event: Value) -> Result<T> {
    serde_json::from_value(event).map_err(|error| ApiError::invalid(format!("{at}: {error}")))
}

fn check_content(at: &str, content: &[ContentBlock]) -> Result<()> {
    if content.is_empty() {
        return Err(ApiError::invalid(format!("{at}: a message needs at least one block")));
    }
    for (index, block) in content.iter().enumerate() {
        let at = format!("{at}.{index}");
        match block {
            ContentBlock::Text { text } if text.is_empty() => {
                return Err(ApiError::invalid(format!("{at}.text: must not be empty")));
            }
            ContentBlock::Image { source: Source::Text { .. } } => {
                return Err(ApiError::invalid(format!("{at}.source: an image cannot have a text source")));
            }
            ContentBlock::Text { .. } => {}
            ContentBlock::Image { source } => check_source(&format!("{at}.source"), source, &IMAGE_TYPES)?,
            ContentBlock::Document { source, .. } => check_source(&format!("{at}.source"), source, &DOCUMENT_TYPES)?,
        }
    }
    Ok(())
}

const DOCUMENT_TYPES: [&str; 1] = ["application/pdf"];

/// Refuses what no provider takes. Why here: once it is in the log, every request of the session would hold it and fail.
fn check_source(at: &str, source: &Source, types: &[&str]) -> Result<()> {
    match source {
        Source::Base64 { media_type, data } => {
            check_media_type(at, media_type, types)?;
            if !is_base64(data) {
                return Err(ApiError::invalid(format!("{at}.data: expected bytes in standard base64, with padding")));
            }
        }
        Source::Text { media_type, .. } => check_media_type(at, media_type, &["text/plain"])?,
        Source::Url { url } => {
            let is_web =
                ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
            if !is_web || url.chars().any(|char| char.is_whitespace() || char.is_control()) {
                return Err(ApiError::invalid(format!(
                    "{at}.url: expected an address that starts with https:// or http:// and has no spaces"
                )));
            }
        }
        Source::File { .. } => {}
    }
    Ok(())
}

fn check_media_type(at: &str, given: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&given) {
        return Ok(());
    }
    let (given, allowed): (String, _) = (given.chars().take(100).collect(), allowed.join(", "));
    Err(ApiError::invalid(format!("{at}.media_type: `{given}` is not one of {allowed}")))
}

/// Whether the text is bytes, at least one, in standard base64 as an encoder writes it: padded, and without stray bits
/// in the last letter.
fn is_base64(text: &str) -> bool {
    let letters = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text).as_bytes();
    let Some(last) = letters.last().copied().and_then(six_bits) else { return false };
    // Two letters beyond the groups of four carry one byte and four bits more, three carry two bytes and two bits.
    let (padding, stray_bits) = match letters.len() % 4 {
        0 => (0, 0),
        2 => (2, 0b1111),
        3 => (1, 0b11),
        _ => return false,
    };
    text.len() - letters.len() == padding
        && last & stray_bits == 0
        && letters.iter().all(|letter| six_bits(*letter).is_some())
}

const fn six_bits(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn send(events: &Value) -> Result<Vec<ClientEvent>> {
        parse_send(serde_json::from_value(events.clone()).unwrap())
    }

    #[test]
    fn a_send_is_all_or_nothing_and_names_the_culprit() {
        let good = json!({"type": "user.message", "content": [{"type": "text", "text": "hi"}]});
        assert_eq!(send(&json!([good, {"type": "user.interrupt"}])).unwrap().len(), 2);
        for (bad, named) in [
            (json!({"type": "user.message", "content": []}), "events.1.content"),
            (json!({"type": "user.message"}), "content"),
            (json!({"type": "user.message", "content": [{"type": "redacted"}]}), "redacted"),
            (json!({"type": "agent.message", "content": []}), "agent.message"),
            (json!({"type": "user.define_outcome"}), "outcomes"),
            (json!({"type": "system.message", "content": []}), "system messages"),
            (json!({}), "events.1.type"),
        ] {
            let error = send(&json!([good, bad])).unwrap_err();
            assert!(error.message.contains(named), "{}", error.message);
        }
        assert!(send(&json!([])).is_err());
    }

    #[test]
    fn too_many_events_are_refused_while_they_are_read() {
        let read =
            |count| serde_json::from_str::<SendEvents>(&format!(r#"{{"events": [{}[]]}}"#, "[],".repeat(count - 1)));
        assert!(read(SEND_EVENTS_MAX).is_ok());
        assert!(read(SEND_EVENTS_MAX + 1).unwrap_err().to_string().contains("at most 1000"));
    }

    #[test]
    fn a_source_that_a_provider_must_refuse_is_refused_with_its_path() {
        let sent = |kind: &str, source: &Value| {
            let content = json!([{"type": "text", "text": "Look:"}, {"type": kind, "source": source}]);
            send(&json!([{"type": "user.message", "content": content}]))
        };
        let base64 = |media_type: &str, data: &str| json!({"type": "base64", "media_type": media_type, "data": data});
        let text = |media_type: &str| json!({"type": "text", "media_type": media_type, "data": "a,b"});
        let url = |url: &str| json!({"type": "url", "url": url});
        for (kind, good) in [
            ("image", base64("image/png", "iVBORw==")),
            ("image", url("https://example.com/a.png?b=%20")),
            ("document", base64("application/pdf", "JVBERi0=")),
            ("document", text("text/plain")),
            ("document", url("http://example.com/")),
        ] {
            assert!(sent(kind, &good).is_ok(), "{kind} {good}");
        }
        for (kind, bad, field) in [
            ("image", base64("application/pdf", "JVBERi0="), "media_type"),
            ("image", base64("image/png", "not base64"), "data"),
            ("image", text("text/plain"), ""),
            ("image", url("ftp://example.com/a.png"), "url"),
            ("document", base64("image/png", "iVBORw=="), "media_type"),
            ("document", base64("application/pdf", ""), "data"),
            ("document", text("text/csv"), "media_type"),
            ("document", url("example.com"), "url"),
            ("document", url("https://"), "url"),
            ("document", url("https://example.com/a b"), "url"),
            ("document", url("https://example.com/\u{0}"), "url"),
        ] {
            let told = sent(kind, &bad).unwrap_err().message;
            let path = format!("events.0.content.1.source.{field}");
            assert!(told.starts_with(path.trim_end_matches('.')), "{told}");
        }
    }

    #[test]
    fn base64_is_what_an_encoder_writes() {
        for good in ["AA==", "AAA=", "AAAA", "+/+/", "AAAAAQ==", "AAAAAAE="] {
            assert!(is_base64(good), "{good}");
        }
        for bad in [
            "", "=", "==", "A", "A=", "AA", "AA=", "AAA", "A===", "AA===", "AAAA=", "AAAA==", "AB==", "AAB=", "A=AA",
            "AA==AAAA",
        ] {
            assert!(!is_base64(bad), "{bad}");
        }
        for bad in ["AA A", "AAA\n", "AA-_", "AAA\u{e9}", " AAA"] {
            assert!(!is_base64(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_messages_start_a_session() {
        let read = |events: Vec<Value>| serde_json::from_value::<Bounded<_, INITIAL_EVENTS_MAX>>(json!(events));
        assert!(parse_initial(read(vec![json!({"type": "user.interrupt"})]).unwrap()).is_err());
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": "hi"}]});
        let most = read(vec![message.clone(); INITIAL_EVENTS_MAX]).unwrap();
        assert_eq!(parse_initial(most).unwrap().len(), INITIAL_EVENTS_MAX);
        assert!(read(vec![message; INITIAL_EVENTS_MAX + 1]).is_err());
    }
}
