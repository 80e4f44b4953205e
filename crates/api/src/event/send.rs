//! What a client may send, checked before anything is stored.

use crate::content::{ContentBlock, Source};
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
    pub events: Vec<Value>,
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
pub fn parse_send(events: Vec<Value>) -> Result<Vec<ClientEvent>> {
    if events.is_empty() || events.len() > SEND_EVENTS_MAX {
        return Err(ApiError::invalid(format!("events: 1 to {SEND_EVENTS_MAX} events are allowed")));
    }
    events.into_iter().enumerate().map(|(index, event)| parse(&format!("events.{index}"), event)).collect()
}

/// Checks the events that a session starts with: messages only.
pub fn parse_initial(events: Vec<Value>) -> Result<Vec<ClientEvent>> {
    if events.len() > INITIAL_EVENTS_MAX {
        return Err(ApiError::invalid(format!(
            "initial_events: {} events, at most {INITIAL_EVENTS_MAX} are allowed",
            events.len()
        )));
    }
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
            ContentBlock::Image { source: Source::Base64 { media_type, .. } }
                if !IMAGE_TYPES.contains(&media_type.as_str()) =>
            {
                return Err(ApiError::invalid(format!(
                    "{at}.source.media_type: `{media_type}` is not one of {}",
                    IMAGE_TYPES.join(", ")
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_send_is_all_or_nothing_and_names_the_culprit() {
        let good = json!({"type": "user.message", "content": [{"type": "text", "text": "hi"}]});
        assert_eq!(parse_send(vec![good.clone(), json!({"type": "user.interrupt"})]).unwrap().len(), 2);
        for (bad, named) in [
            (json!({"type": "user.message", "content": []}), "events.1.content"),
            (json!({"type": "user.message"}), "content"),
            (json!({"type": "user.message", "content": [{"type": "redacted"}]}), "redacted"),
            (json!({"type": "agent.message", "content": []}), "agent.message"),
            (json!({"type": "user.define_outcome"}), "outcomes"),
            (json!({"type": "system.message", "content": []}), "system messages"),
            (json!({}), "events.1.type"),
        ] {
            let error = parse_send(vec![good.clone(), bad]).unwrap_err();
            assert!(error.message.contains(named), "{}", error.message);
        }
        assert!(parse_send(Vec::new()).is_err());
    }

    #[test]
    fn only_messages_start_a_session() {
        assert!(parse_initial(vec![json!({"type": "user.interrupt"})]).is_err());
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": "hi"}]});
        assert_eq!(parse_initial(vec![message.clone(); INITIAL_EVENTS_MAX]).unwrap().len(), INITIAL_EVENTS_MAX);
        assert!(parse_initial(vec![message; INITIAL_EVENTS_MAX + 1]).is_err());
    }
}
