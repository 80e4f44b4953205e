//! What is sent to the Messages API.

use daybreak_api::content::{ContentBlock, Source};
use daybreak_domain::model::{Block, Message, ModelRequest, ReplyBlock, ReplyKind, Role, ToolSpec};
use daybreak_outbound::anthropic::{Anthropic, CallLimits};
use daybreak_outbound::{Provider, Secret};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, refusal};
use crate::{request, results, user};

async fn sent(request: &ModelRequest) -> Value {
    let api = FakeApi::start(vec![refusal("400 Bad Request", "", "{}")]).await;
    let provider = Anthropic::new(&api.url, &Secret::new("k"), CallLimits::default()).unwrap();
    provider.call(request).await.unwrap_err();
    serde_json::from_str(&api.asked()[0].body).unwrap()
}

fn assistant(raw: &str, kind: ReplyKind) -> Message {
    let block = ReplyBlock { kind, raw: RawValue::from_string(raw.to_owned()).unwrap() };
    Message { role: Role::Assistant, content: vec![Block::Reply(block)] }
}

fn call(id: &str) -> Message {
    assistant(
        &format!(r#"{{"type":"tool_use","id":"{id}","name":"bash","input":{{}}}}"#),
        ReplyKind::ToolUse { id: id.to_owned(), name: "bash".to_owned(), input: Ok(serde_json::Map::new()) },
    )
}

#[tokio::test]
async fn the_smallest_request() {
    assert_eq!(
        sent(&request("hello")).await,
        json!({
            "model": "claude-opus-5-5",
            "max_tokens": 1000,
            "stream": true,
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}},
            ]}],
        })
    );
}

#[tokio::test]
async fn a_request_with_everything() {
    let mark = json!({"type": "ephemeral"});
    let mut asked = request("first");
    asked.system = Some("Be brief.".to_owned());
    let schema =
        json!({"type": "object", "properties": {"command": {"type": "string"}}, "additionalProperties": false});
    asked.tools =
        vec![ToolSpec { name: "bash".to_owned(), description: "Runs it.".to_owned(), input_schema: schema.clone() }];
    asked.effort = Some("xhigh".to_owned());
    let image = Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let document = Source::Text { media_type: "text/plain".to_owned(), data: "body".to_owned() };
    asked.messages[0].content.extend([
        Block::Content(ContentBlock::Image { source: image.clone() }),
        Block::Content(ContentBlock::Document { source: document, title: Some("T".to_owned()), context: None }),
        Block::Content(ContentBlock::Image { source: Source::Url { url: "https://example.com/x.png".to_owned() } }),
    ]);
    let picture = Block::ToolResult {
        tool_use_id: "toolu_2".to_owned(),
        content: vec![ContentBlock::text("seen"), ContentBlock::Image { source: image }],
        is_error: true,
    };
    asked.messages.extend([call("toolu_1"), results(&[("toolu_1", "ok", false)]), call("toolu_2")]);
    asked.messages.push(Message { role: Role::User, content: vec![picture] });
    let body = sent(&asked).await;

    assert_eq!(body["system"], json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]));
    assert_eq!(body["tools"], json!([{"name": "bash", "description": "Runs it.", "input_schema": schema}]));
    assert_eq!(body["output_config"], json!({"effort": "xhigh"}));
    assert_eq!(body.get("thinking"), None);
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "first"},
                image,
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "body"}, "title": "T"},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "ok"}], "cache_control": mark},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_2", "name": "bash", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "seen"}, image],
                 "is_error": true, "cache_control": mark},
            ]},
        ])
    );
}

#[tokio::test]
async fn neighbours_are_merged_results_come_first_and_blanks_are_left_out() {
    let mut asked = request("one");
    asked.system = Some("  \n".to_owned());
    asked.messages.push(user(" \n"));
    asked.messages.push(Message { role: Role::Assistant, content: Vec::new() });
    asked.messages.push(user("two"));
    asked.messages.push(call("a"));
    asked.messages.push(assistant(r#"{"type":"text","text":""}"#, ReplyKind::Text { text: String::new() }));
    asked.messages.push(call("b"));
    asked.messages.push(user("meanwhile"));
    asked.messages.push(results(&[("a", "", false), ("b", "B", false)]));
    let body = sent(&asked).await;
    assert_eq!(body.get("system"), None);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "one"},
                {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "bash", "input": {}},
                {"type": "tool_use", "id": "b", "name": "bash", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a"},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "B"}]},
                {"type": "text", "text": "meanwhile", "cache_control": {"type": "ephemeral"}},
            ]},
        ])
    );
}

#[tokio::test]
async fn thinking_is_asked_for_only_where_it_is_off_by_default() {
    for (model, effort, thinking) in [
        ("claude-opus-4-6", Some("high"), json!({"type": "adaptive"})),
        ("claude-sonnet-4-6", Some("low"), json!({"type": "adaptive"})),
        ("claude-opus-4-6", None, Value::Null),
        ("claude-opus-5-5", Some("high"), Value::Null),
        ("claude-haiku-4-5-20251001", Some("high"), Value::Null),
    ] {
        let mut asked = request("x");
        asked.model = model.to_owned();
        asked.effort = effort.map(str::to_owned);
        assert_eq!(sent(&asked).await["thinking"], thinking, "{model} {effort:?}");
    }
}

#[tokio::test]
async fn tools_without_a_system_prompt_are_cached_too() {
    let mut asked = request("x");
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        input_schema: json!({"type": "object"}),
    };
    asked.tools = vec![tool("a"), tool("b")];
    let body = sent(&asked).await;
    assert_eq!(body["tools"][0], json!({"name": "a", "input_schema": {"type": "object"}}));
    assert_eq!(body["tools"][1]["cache_control"], json!({"type": "ephemeral"}));
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_refused_before_anything_is_sent() {
    let provider = Anthropic::new("http://127.0.0.1:9", &Secret::new("k"), CallLimits::default()).unwrap();
    let file = ContentBlock::Image { source: Source::File { file_id: "file_1".to_owned() } };
    let mut misplaced = call("a");
    misplaced.role = Role::User;
    let mut result = results(&[("a", "x", false)]);
    result.role = Role::Assistant;
    for (messages, why) in [
        (vec![], "the conversation is empty"),
        (vec![user("  ")], "the conversation is empty"),
        (vec![Message { role: Role::User, content: vec![Block::Content(file)] }], "a file has not been read in"),
        (vec![user("x"), misplaced], "a user message holds a block of a reply"),
        (vec![user("x"), result], "the model's own message holds the result of a tool"),
    ] {
        let mut asked = request("x");
        asked.messages = messages;
        let error = provider.call(&asked).await.unwrap_err();
        assert_eq!(error.message, format!("the request cannot be sent to Anthropic: {why}"));
        assert!(!error.retryable);
    }
}
