//! One block of a reply while it is being streamed.
//!
//! Which deltas a block takes does not depend on its type: a type that this version does not know is put
//! together like the known ones, and replayed like them.

use daybreak_domain::model::{ModelError, ReplyBlock, ReplyKind};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::failure::broken;

/// How large the input of one tool call may be, in bytes. Far more than a model can write in one reply.
pub(super) const TOOL_INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The members of a JSON object, in their order, each as it was written.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

/// A block between its start and its end.
#[derive(Default)]
pub(super) struct OpenBlock {
    kind: String,
    members: Members,
    text: Option<String>,
    thinking: Option<String>,
    input: Option<String>,
    citations: Vec<Box<RawValue>>,
}

/// A piece of a block.
#[derive(serde::Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "citations_delta")]
    Citations { citation: Value },
    /// Of a kind that this version does not know. Nothing can be done with it.
    #[serde(other)]
    Unknown,
}

impl OpenBlock {
    /// Begins a block from the `content_block` of its start.
    pub(super) fn start(content_block: &RawValue) -> Result<Self, ModelError> {
        let members: Members =
            serde_json::from_str(content_block.get()).map_err(|_| broken("a block is not a JSON object"))?;
        let kind = members.text("type").ok_or_else(|| broken("a block has no type"))?;
        Ok(Self { kind, members, text: None, thinking: None, input: None, citations: Vec::new() })
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, delta: Delta) -> Result<(), ModelError> {
        match delta {
            Delta::Text { text } => self.text.get_or_insert_default().push_str(&text),
            Delta::Thinking { thinking } => self.thinking.get_or_insert_default().push_str(&thinking),
            // Why replaced: a signature comes whole, and half of one is worth nothing.
            Delta::Signature { signature } => self.members.set("signature", raw(&signature)?),
            Delta::InputJson { partial_json } => {
                let input = self.input.get_or_insert_default();
                // Why no error: the other blocks of the reply are fine, and the model can be told. What goes beyond
                // is dropped as soon as the end can tell that something did.
                if input.len() <= TOOL_INPUT_BYTES_MAX {
                    input.push_str(&partial_json);
                }
            }
            Delta::Citations { citation } => self.citations.push(raw(&citation)?),
            Delta::Unknown => {}
        }
        Ok(())
    }

    /// Ends the block.
    pub(super) fn finish(mut self) -> Result<ReplyBlock, ModelError> {
        for (name, added) in [("text", self.text.take()), ("thinking", self.thinking.take())] {
            if let Some(added) = added {
                let whole = self.members.text(name).unwrap_or_default() + &added;
                self.members.set(name, raw(&whole)?);
            }
        }
        if !self.citations.is_empty() {
            let mut all: Vec<Box<RawValue>> =
                self.members.get("citations").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
            all.append(&mut self.citations);
            self.members.set("citations", raw(&all)?);
        }
        let kind = match self.kind.as_str() {
            "text" => ReplyKind::Text { text: self.members.text("text").unwrap_or_default() },
            "thinking" | "redacted_thinking" => ReplyKind::Thinking,
            "tool_use" => self.finish_tool_use()?,
            _ => {
                if let Some(input) = self.input.take().and_then(|input| RawValue::from_string(input).ok()) {
                    self.members.set("input", input);
                }
                ReplyKind::Other
            }
        };
        Ok(ReplyBlock { kind, raw: raw(&self.members)? })
    }

    /// Reads the input of a tool call. One that cannot be read is replayed as an empty object, because the API
    /// takes nothing but objects there.
    fn finish_tool_use(&mut self) -> Result<ReplyKind, ModelError> {
        let id = self.members.text("id").ok_or_else(|| broken("a tool call has no id"))?;
        let name = self.members.text("name").ok_or_else(|| broken("a tool call has no name"))?;
        let written = match self.input.take().filter(|input| !input.trim().is_empty()) {
            Some(streamed) => streamed,
            None => self.members.get("input").map_or("{}", RawValue::get).to_owned(),
        };
        let input = object(&written);
        let replayed =
            if input.is_ok() { RawValue::from_string(written) } else { RawValue::from_string("{}".to_owned()) };
        self.members.set("input", replayed.map_err(|_| broken("the input of a tool call is not JSON"))?);
        Ok(ReplyKind::ToolUse { id, name, input })
    }
}

/// The input of a tool call, or why it is none. The reason does not repeat the input.
fn object(written: &str) -> Result<Map<String, Value>, String> {
    if written.len() > TOOL_INPUT_BYTES_MAX {
        return Err(format!("the input is larger than {TOOL_INPUT_BYTES_MAX} bytes"));
    }
    let found = match serde_json::from_str(written) {
        Ok(Value::Object(input)) => return Ok(input),
        Ok(Value::Null) => "null",
        Ok(Value::Bool(_)) => "a boolean",
        Ok(Value::Number(_)) => "a number",
        Ok(Value::String(_)) => "a string",
        Ok(Value::Array(_)) => "an array",
        Err(error) => return Err(format!("the input is not JSON: {error}")),
    };
    Err(format!("the input is {found}, not an object"))
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, ModelError> {
    to_raw_value(value).map_err(|_| broken("a block cannot be kept"))
}

impl Members {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| &**value)
    }

    /// A member that is a string.
    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Replaces a member where it stands, or adds it at the end.
    fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
