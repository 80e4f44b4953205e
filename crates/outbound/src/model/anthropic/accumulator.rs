//! The reply, put together from the frames of its stream.
//!
//! It is fed one frame at a time and does no I/O, so that it can be tested with any sequence of frames, and so
//! that whoever shows a reply while it is being written can listen in where the frames are fed.
//!
//! Order, enforced: `message_start`, then blocks (start, deltas, stop; numbered from 0 in the order of their starts),
//! then `message_delta`, then `message_stop`. Frames of unknown types may stand anywhere and are skipped. The API
//! sends one block after the other; servers that only speak its language let blocks overlap, and that is taken too.

use daybreak_domain::model::{ModelError, ModelReply, ModelUsage, ReplyBlock, ReplyKind, Stop};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Delta, OpenBlock};
use super::failure::{WireError, broken, framed};
use crate::model::sse::Frame;

/// How many blocks a reply may have.
const REPLY_BLOCKS_MAX: usize = 10_000;

/// Whether more frames are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The reply is not complete.
    More,
    /// The reply is complete. Later frames mean nothing.
    Done,
}

/// A reply in the making.
#[derive(Default)]
pub(super) struct Accumulator {
    started: bool,
    blocks: Vec<Slot>,
    stop: Option<MessageDelta>,
    usage: ModelUsage,
}

/// A block of the reply.
enum Slot {
    Open(OpenBlock),
    Closed(ReplyBlock),
}

/// The data of a frame, whatever its type.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: String,
    index: Option<usize>,
    message: Option<StartedMessage>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    usage: Option<WireUsage>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct StartedMessage {
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct MessageDelta {
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
}

#[derive(Default, Deserialize)]
struct StopDetails {
    category: Option<String>,
    explanation: Option<String>,
}

impl Accumulator {
    /// Takes the next frame.
    ///
    /// # Errors
    /// An `error` frame, or a frame that does not belong where it stands. The reply is lost then.
    pub(super) fn take(&mut self, frame: &Frame) -> Result<Progress, ModelError> {
        let data: Data<'_> = serde_json::from_str(&frame.data).map_err(|_| match frame.name.as_str() {
            "error" => framed(&WireError::default()),
            _ => broken("a frame is not what the API describes"),
        })?;
        match data.kind.as_str() {
            "message_start" => self.start(data.message)?,
            "content_block_start" => self.start_block(data.index, data.content_block)?,
            "content_block_delta" => self.add(data.index, data.delta)?,
            "content_block_stop" => self.stop_block(data.index)?,
            "message_delta" => self.stop_message(data.delta, data.usage)?,
            "message_stop" if self.stop.is_some() => return Ok(Progress::Done),
            "message_stop" => return Err(out_of_order()),
            "error" => return Err(framed(&data.error.unwrap_or_default())),
            _ => {}
        }
        Ok(Progress::More)
    }

    /// The complete reply.
    ///
    /// # Errors
    /// A reply that is not complete, or two tool calls with one id: their results could not be told apart.
    pub(super) fn finish(self) -> Result<ModelReply, ModelError> {
        let stop = self.stop.ok_or_else(|| broken("the reply has no end"))?;
        let closed = self.blocks.into_iter().map(|slot| match slot {
            Slot::Closed(block) => Ok(block),
            Slot::Open(_) => Err(out_of_order()),
        });
        let blocks = closed.collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<&str> = blocks.iter().filter_map(tool_use_id).collect();
        let calls = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < calls {
            return Err(broken("two tool calls have the same id"));
        }
        Ok(ModelReply { stop: stop.meaning(calls > 0)?, blocks, usage: self.usage })
    }

    fn start(&mut self, message: Option<StartedMessage>) -> Result<(), ModelError> {
        if std::mem::replace(&mut self.started, true) {
            return Err(out_of_order());
        }
        if let Some(usage) = message.and_then(|message| message.usage) {
            self.count(&usage);
        }
        Ok(())
    }

    fn start_block(&mut self, index: Option<usize>, block: Option<&RawValue>) -> Result<(), ModelError> {
        let in_order = self.started && self.stop.is_none() && index == Some(self.blocks.len());
        let block = block.filter(|_| in_order).ok_or_else(out_of_order)?;
        if self.blocks.len() >= REPLY_BLOCKS_MAX {
            return Err(broken("the reply has too many blocks"));
        }
        self.blocks.push(Slot::Open(OpenBlock::start(block)?));
        Ok(())
    }

    fn add(&mut self, index: Option<usize>, delta: Option<&RawValue>) -> Result<(), ModelError> {
        let (Some(Slot::Open(open)), Some(delta)) = (self.slot(index), delta) else {
            return Err(out_of_order());
        };
        let delta: Delta =
            serde_json::from_str(delta.get()).map_err(|_| broken("a delta is not what the API describes"))?;
        open.add(delta)
    }

    fn stop_block(&mut self, index: Option<usize>) -> Result<(), ModelError> {
        let Some(slot @ Slot::Open(_)) = self.slot(index) else { return Err(out_of_order()) };
        if let Slot::Open(open) = slot {
            *slot = Slot::Closed(std::mem::take(open).finish()?);
        }
        Ok(())
    }

    fn slot(&mut self, index: Option<usize>) -> Option<&mut Slot> {
        self.blocks.get_mut(index?)
    }

    fn stop_message(&mut self, delta: Option<&RawValue>, usage: Option<WireUsage>) -> Result<(), ModelError> {
        let all_closed = self.blocks.iter().all(|slot| matches!(slot, Slot::Closed(_)));
        let delta = delta.filter(|_| self.started && all_closed).ok_or_else(out_of_order)?;
        let delta: MessageDelta =
            serde_json::from_str(delta.get()).map_err(|_| broken("a delta is not what the API describes"))?;
        // Why a second one is taken: the API speaks of one or more; the last word counts.
        if delta.stop_reason.is_some() || self.stop.is_none() {
            self.stop = Some(delta);
        }
        if let Some(usage) = usage {
            self.count(&usage);
        }
        Ok(())
    }

    /// Counts are cumulative: a later one replaces an earlier one.
    fn count(&mut self, usage: &WireUsage) {
        let counts = [
            (&mut self.usage.input_tokens, usage.input_tokens),
            (&mut self.usage.output_tokens, usage.output_tokens),
            (&mut self.usage.cache_creation_input_tokens, usage.cache_creation_input_tokens),
            (&mut self.usage.cache_read_input_tokens, usage.cache_read_input_tokens),
        ];
        for (count, counted) in counts {
            *count = counted.unwrap_or(*count);
        }
    }
}

impl MessageDelta {
    fn meaning(self, calls_tools: bool) -> Result<Stop, ModelError> {
        let reason = self.stop_reason.ok_or_else(|| broken("the reply does not say why it stopped"))?;
        Ok(match reason.as_str() {
            "end_turn" | "stop_sequence" => Stop::EndTurn,
            "tool_use" => Stop::ToolUse,
            // Why alike: in both cases the reply is cut off where it stands.
            "max_tokens" | "model_context_window_exceeded" => Stop::MaxTokens,
            "refusal" => {
                let StopDetails { category, explanation } = self.stop_details.unwrap_or_default();
                Stop::Refusal { category, explanation }
            }
            "pause_turn" => Stop::Pause,
            // Why not an error: the reply is complete, and what it asks for can be seen in it.
            _ if calls_tools => Stop::ToolUse,
            _ => Stop::EndTurn,
        })
    }
}

fn tool_use_id(block: &ReplyBlock) -> Option<&str> {
    match &block.kind {
        ReplyKind::ToolUse { id, .. } => Some(id),
        _ => None,
    }
}

fn out_of_order() -> ModelError {
    broken("a frame stands where it does not belong")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::block::TOOL_INPUT_BYTES_MAX;
    use super::*;

    fn reply(frames: &[Value]) -> Result<ModelReply, ModelError> {
        let mut reply = Accumulator::default();
        for data in frames {
            let frame = Frame { name: data["type"].as_str().unwrap_or_default().to_owned(), data: data.to_string() };
            if reply.take(&frame)? == Progress::Done {
                return reply.finish();
            }
        }
        Err(broken("the test's stream has no end"))
    }

    fn start() -> Value {
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 12, "output_tokens": 1}}})
    }

    fn block(index: usize, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn delta(index: usize, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    fn stop(index: usize) -> Value {
        json!({"type": "content_block_stop", "index": index})
    }

    fn end(reason: &str) -> [Value; 2] {
        [
            json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 30}}),
            json!({"type": "message_stop"}),
        ]
    }

    fn of_blocks(middle: Vec<Value>, reason: &str) -> Result<ModelReply, ModelError> {
        let mut frames = vec![start()];
        frames.extend(middle);
        frames.extend(end(reason));
        reply(&frames)
    }

    fn tool_call(pieces: &[&str]) -> ReplyBlock {
        let mut frames = vec![block(0, json!({"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}))];
        frames.extend(pieces.iter().map(|piece| delta(0, json!({"type": "input_json_delta", "partial_json": piece}))));
        frames.push(stop(0));
        of_blocks(frames, "tool_use").expect("the reply is complete").blocks.remove(0)
    }

    fn input(block: &ReplyBlock) -> Result<Value, String> {
        match &block.kind {
            ReplyKind::ToolUse { input, .. } => input.clone().map(Value::Object),
            other => panic!("not a tool call: {other:?}"),
        }
    }

    #[test]
    fn the_input_of_a_tool_call_is_kept_as_it_was_written() {
        let call = tool_call(&["", "{\"command\": \"l", "s\",  \"n\":1.0", "0, \"u\": \"\\u00e9\" }"]);
        let written = r#"{"command": "ls",  "n":1.00, "u": "\u00e9" }"#;
        assert_eq!(input(&call), Ok(json!({"command": "ls", "n": 1.0, "u": "é"})));
        assert_eq!(call.raw.get(), format!(r#"{{"type":"tool_use","id":"toolu_1","name":"bash","input":{written}}}"#));
    }

    #[test]
    fn an_input_that_is_no_object_is_a_reason_and_replays_as_an_empty_one() {
        for (written, reason) in [
            ("[1]", "the input is an array, not an object"),
            ("\"secret text\"", "the input is a string, not an object"),
            ("null", "the input is null, not an object"),
            ("{\"a\": ", "the input is not JSON: EOF while parsing a value at line 1 column 6"),
            ("{} {}", "the input is not JSON: trailing characters at line 1 column 4"),
        ] {
            let call = tool_call(&[written]);
            assert_eq!(input(&call), Err(reason.to_owned()));
            let raw: Value = serde_json::from_str(call.raw.get()).unwrap();
            assert_eq!(raw["input"], json!({}), "{written}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(input(&tool_call(&[&deep])).unwrap_err().contains("recursion limit"));
        assert_eq!(input(&tool_call(&[])), Ok(json!({})));
        assert_eq!(input(&tool_call(&["  "])), Ok(json!({})));
    }

    #[test]
    fn an_input_without_end_is_cut_off() {
        let piece = "é".repeat(1024 * 1024);
        let mut pieces = vec!["{\"a\":\""];
        pieces.extend(std::iter::repeat_n(piece.as_str(), 5));
        pieces.push("\"}");
        let call = tool_call(&pieces);
        assert_eq!(input(&call), Err(format!("the input is larger than {TOOL_INPUT_BYTES_MAX} bytes")));
        assert!(call.raw.get().len() < 200);
    }

    #[test]
    fn blocks_of_any_type_are_put_together_for_replay() {
        let reply = of_blocks(
            vec![
                block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
                delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
                delta(0, json!({"type": "thinking_delta", "thinking": "…"})),
                delta(0, json!({"type": "signature_delta", "signature": "Sig=="})),
                stop(0),
                block(1, json!({"type": "redacted_thinking", "data": "opaque"})),
                stop(1),
                json!({"type": "ping"}),
                json!({"type": "something_new", "index": 7}),
                block(2, json!({"type": "text", "text": "", "citations": [{"n": 1}]})),
                delta(2, json!({"type": "text_delta", "text": "Hello"})),
                delta(2, json!({"type": "citations_delta", "citation": {"n": 2}})),
                delta(2, json!({"type": "delta_of_tomorrow", "x": 1})),
                stop(2),
                block(3, json!({"type": "hologram", "z": 1.50, "a": {"deep": [null]}})),
                stop(3),
                block(4, json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})),
                delta(4, json!({"type": "input_json_delta", "partial_json": "{\"query\": \"x\"}"})),
                stop(4),
            ],
            "end_turn",
        )
        .unwrap();
        let raws: Vec<&str> = reply.blocks.iter().map(|block| block.raw.get()).collect();
        assert_eq!(
            raws,
            [
                r#"{"type":"thinking","thinking":"Hm…","signature":"Sig=="}"#,
                r#"{"type":"redacted_thinking","data":"opaque"}"#,
                r#"{"type":"text","text":"Hello","citations":[{"n":1},{"n":2}]}"#,
                r#"{"type":"hologram","z":1.5,"a":{"deep":[null]}}"#,
                r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query": "x"}}"#,
            ]
        );
        let kinds: Vec<&ReplyKind> = reply.blocks.iter().map(|block| &block.kind).collect();
        let text = ReplyKind::Text { text: "Hello".to_owned() };
        assert_eq!(kinds, [&ReplyKind::Thinking, &ReplyKind::Thinking, &text, &ReplyKind::Other, &ReplyKind::Other]);
    }

    #[test]
    fn blocks_may_overlap() {
        let call =
            |index: usize| block(index, json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": "bash"}));
        let input = |index, piece: &str| delta(index, json!({"type": "input_json_delta", "partial_json": piece}));
        let frames =
            vec![call(0), input(0, "{\"a\""), call(1), input(1, "{\"b\":2}"), input(0, ":1}"), stop(1), stop(0)];
        let reply = of_blocks(frames, "tool_use").unwrap();
        let raws: Vec<&str> = reply.blocks.iter().map(|block| block.raw.get()).collect();
        assert_eq!(
            raws,
            [
                r#"{"type":"tool_use","id":"toolu_0","name":"bash","input":{"a":1}}"#,
                r#"{"type":"tool_use","id":"toolu_1","name":"bash","input":{"b":2}}"#,
            ]
        );
    }

    #[test]
    fn every_reason_to_stop_has_a_meaning() {
        let refusal = || Stop::Refusal { category: None, explanation: None };
        for (reason, stop) in [
            ("end_turn", Stop::EndTurn),
            ("stop_sequence", Stop::EndTurn),
            ("tool_use", Stop::ToolUse),
            ("max_tokens", Stop::MaxTokens),
            ("model_context_window_exceeded", Stop::MaxTokens),
            ("pause_turn", Stop::Pause),
            ("refusal", refusal()),
            ("a_reason_of_tomorrow", Stop::EndTurn),
        ] {
            assert_eq!(of_blocks(vec![], reason).unwrap().stop, stop, "{reason}");
        }
        let details = json!({"type": "refusal", "category": "cyber", "explanation": "No."});
        let refused = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
        let reply = reply(&[start(), refused, json!({"type": "message_stop"})]).unwrap();
        assert_eq!(
            reply.stop,
            Stop::Refusal { category: Some("cyber".to_owned()), explanation: Some("No.".to_owned()) }
        );
    }

    #[test]
    fn later_counts_replace_earlier_ones() {
        let reply = of_blocks(vec![], "end_turn").unwrap();
        assert_eq!(reply.usage, ModelUsage { input_tokens: 12, output_tokens: 30, ..ModelUsage::default() });
        assert!(reply.blocks.is_empty());
    }

    #[test]
    fn frames_out_of_order_are_an_error() {
        let text = || block(0, json!({"type": "text", "text": ""}));
        let hello = || delta(0, json!({"type": "text_delta", "text": "x"}));
        let [over, done] = end("end_turn");
        for (what, frames) in [
            ("started twice", vec![start(), start()]),
            ("a block before the start", vec![text()]),
            ("a block that is not the next", vec![start(), block(1, json!({"type": "text", "text": ""}))]),
            ("two blocks open", vec![start(), text(), text()]),
            ("a delta without block", vec![start(), hello()]),
            ("a delta of another block", vec![start(), text(), delta(1, json!({"type": "text_delta", "text": "x"}))]),
            ("a block stopped twice", vec![start(), text(), stop(0), stop(0)]),
            ("the end within a block", vec![start(), text(), over.clone()]),
            ("a block after the end", vec![start(), over.clone(), text()]),
            ("no reason to stop", vec![start(), done.clone()]),
            ("the end of nothing", vec![over.clone(), done.clone()]),
            ("a block that is no object", vec![start(), block(0, json!([]))]),
            ("a block without type", vec![start(), block(0, json!({"text": ""}))]),
            ("a call without id", vec![start(), block(0, json!({"type": "tool_use", "name": "x"})), stop(0)]),
            (
                "usage that is no number",
                vec![json!({"type": "message_start", "message": {"usage": {"input_tokens": -1}}})],
            ),
            ("no type", vec![json!({"index": 0})]),
            ("no object", vec![json!("message_start")]),
        ] {
            let error = reply(&frames).expect_err(what);
            assert!(error.retryable && !error.message.contains("test's stream"), "{what}: {error}");
        }
    }

    #[test]
    fn no_damage_to_a_stream_is_worse_than_an_error() {
        let mut frames = vec![start(), block(0, json!({"type": "text", "text": ""}))];
        frames.extend([delta(0, json!({"type": "text_delta", "text": "hi"})), stop(0)]);
        frames.push(block(1, json!({"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}})));
        frames.extend([delta(1, json!({"type": "input_json_delta", "partial_json": "{\"a\":[1]}"})), stop(1)]);
        frames.extend(end("tool_use"));
        for at in 0..frames.len() {
            let (mut missing, mut doubled, mut swapped) = (frames.clone(), frames.clone(), frames.clone());
            missing.remove(at);
            doubled.insert(at, frames[at].clone());
            swapped.swap(at, (at + 1) % frames.len());
            for damaged in [missing, doubled, swapped] {
                assert_sound(reply(&damaged));
            }
            let data = frames[at].to_string();
            for byte in 0..data.len() {
                for other in [b'"', b'{', b'0', b'\\', b'x'] {
                    let mut damaged = data.clone().into_bytes();
                    damaged[byte] = other;
                    let mut reply = Accumulator::default();
                    let _ = frames[..at].iter().try_for_each(|frame| take(&mut reply, frame.to_string()).map(drop));
                    let _ = take(&mut reply, String::from_utf8(damaged).unwrap());
                    let _ = frames[at + 1..].iter().try_for_each(|frame| take(&mut reply, frame.to_string()).map(drop));
                    assert_sound(reply.finish());
                }
            }
        }
    }

    fn take(reply: &mut Accumulator, data: String) -> Result<Progress, ModelError> {
        reply.take(&Frame { name: String::new(), data })
    }

    /// Whatever is kept of a reply can be sent back.
    fn assert_sound(reply: Result<ModelReply, ModelError>) {
        for block in reply.into_iter().flat_map(|reply| reply.blocks) {
            assert!(serde_json::from_str::<Value>(block.raw.get()).is_ok_and(|raw| raw.is_object()));
        }
    }

    #[test]
    fn two_calls_with_one_id_are_an_error() {
        let call = |index| block(index, json!({"type": "tool_use", "id": "same", "name": "x", "input": {}}));
        assert!(of_blocks(vec![call(0), stop(0), call(1), stop(1)], "tool_use").is_err());
    }
}
