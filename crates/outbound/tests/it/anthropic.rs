//! Calls of the Messages API, and everything that can go wrong with them.

use std::time::Duration;

use daybreak_domain::model::{ModelError, ModelErrorKind, ModelReply, ReplyKind, Stop};
use daybreak_outbound::anthropic::{Anthropic, CallLimits};
use daybreak_outbound::{Provider, Secret};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake_api::{FakeApi, Step, chunked, frames, refusal, stream_head};
use crate::{replied, request, results, texts, user};

const KEY: &str = "sk-test-0123456789";

fn quick() -> CallLimits {
    CallLimits {
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(300),
        total: Duration::from_secs(20),
        response_bytes_max: 16 * 1024 * 1024,
    }
}

fn anthropic(url: &str) -> Anthropic {
    Anthropic::new(url, &Secret::new(KEY), quick()).unwrap()
}

async fn call_with(script: Vec<Step>) -> Result<ModelReply, ModelError> {
    let api = FakeApi::start(vec![script]).await;
    anthropic(&api.url).call(&request("hello")).await
}

async fn failure_of(script: Vec<Step>) -> ModelError {
    call_with(script).await.expect_err("the call fails")
}

fn body_of(bytes: Vec<u8>) -> Vec<Step> {
    vec![stream_head(), Step::Send(bytes)]
}

/// Thinking with a signature, redacted thinking, text in two pieces, and a tool call in three.
fn full_reply() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
            "usage": {"input_tokens": 7, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Überlegen: \"日本\""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCg+/=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "b64+/="}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "I will "}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "look. ✓"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "toolu_A", "name": "bash", "input": {}}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{\"command\":  \"ls"}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": " -l\", \"n\": 1e2}"}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 41}}),
        json!({"type": "message_stop"}),
    ]
}

const RAW: [&str; 4] = [
    r#"{"type":"thinking","thinking":"Überlegen: \"日本\"","signature":"EqQBCg+/=="}"#,
    r#"{"type":"redacted_thinking","data":"b64+/="}"#,
    r#"{"type":"text","text":"I will look. ✓"}"#,
    r#"{"type":"tool_use","id":"toolu_A","name":"bash","input":{"command":  "ls -l", "n": 1e2}}"#,
];

fn assert_full(reply: &ModelReply) {
    let raw: Vec<&str> = reply.blocks.iter().map(|block| block.raw.get()).collect();
    assert_eq!(raw, RAW);
    assert_eq!(reply.stop, Stop::ToolUse);
    let usage = reply.usage;
    let counts =
        (usage.input_tokens, usage.output_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens);
    assert_eq!(counts, (7, 41, 3, 2));
    assert_eq!(texts(reply), "I will look. ✓");
}

#[tokio::test]
async fn a_reply_comes_back_byte_for_byte_in_the_next_call() {
    let api = FakeApi::start(vec![body_of(frames(&full_reply()))]).await;
    let provider = anthropic(&api.url);
    let mut conversation = request("What is here?");
    let reply = provider.call(&conversation).await.unwrap();
    assert_full(&reply);

    conversation.messages.push(replied(&reply));
    conversation.messages.push(results(&[("toolu_A", "total 0", false)]));
    conversation.messages.push(user("And hurry."));
    provider.call(&conversation).await.unwrap();

    let asked = api.asked();
    assert_eq!(asked.len(), 2);
    let head = asked[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1"), "{head}");
    for header in ["x-api-key: sk-test-0123456789", "anthropic-version: 2023-06-01", "content-type: application/json"] {
        assert!(head.contains(header), "{head}");
    }
    let replayed = format!(r#"{{"role":"assistant","content":[{}]}}"#, RAW.join(","));
    assert!(asked[1].body.contains(&replayed), "{}", asked[1].body);
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(body["stream"], json!(true));
    assert_eq!(body["messages"][2]["content"][0]["type"], "tool_result");
    assert_eq!(body["messages"][2]["content"][1]["text"], "And hurry.");
}

#[tokio::test]
async fn a_reply_is_the_same_wherever_the_stream_is_split() {
    let stream = frames(&full_reply());
    let mut scripts: Vec<Vec<Step>> =
        (0..=stream.len()).map(|at| chunked(&[&stream[..at], &stream[at..]], true)).collect();
    let calls = scripts.len();
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    scripts.push(chunked(&bytes, true));
    let api = FakeApi::start(scripts).await;
    let provider = anthropic(&api.url);
    for at in 0..=calls {
        let reply = provider.call(&request("hello")).await;
        assert_full(&reply.unwrap_or_else(|error| panic!("split at byte {at}: {error}")));
    }
}

#[tokio::test]
async fn a_reply_may_be_empty_or_a_refusal() {
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 0}}});
    let stop = json!({"type": "message_stop"});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    let empty = call_with(body_of(frames(&[start.clone(), end, stop.clone()]))).await.unwrap();
    assert!(empty.blocks.is_empty() && empty.stop == Stop::EndTurn);

    let details = json!({"type": "refusal", "category": "bio", "explanation": null});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
    let refused = call_with(body_of(frames(&[start, end, stop]))).await.unwrap();
    assert_eq!(refused.stop, Stop::Refusal { category: Some("bio".to_owned()), explanation: None });
}

#[tokio::test]
async fn a_stream_without_its_end_is_a_failed_request_that_may_be_repeated() {
    let data = full_reply();
    for kept in 0..data.len() {
        let stream = frames(&data[..kept]);
        for script in [body_of(stream.clone()), chunked(&[&stream], true), chunked(&[&stream], false)] {
            let error = failure_of(script).await;
            assert_eq!((error.kind, error.retryable), (ModelErrorKind::RequestFailed, true), "{kept} frames: {error}");
        }
    }
}

#[tokio::test]
async fn an_error_within_the_stream_has_its_kind() {
    use ModelErrorKind::{Billing, Overloaded, RateLimited, RequestFailed};
    for (kind, expected, retryable) in [
        ("overloaded_error", Overloaded, true),
        ("rate_limit_error", RateLimited, true),
        ("api_error", RequestFailed, true),
        ("timeout_error", RequestFailed, true),
        ("billing_error", Billing, false),
        ("invalid_request_error", RequestFailed, false),
    ] {
        let mut data = full_reply();
        data.truncate(4);
        data.push(json!({"type": "error", "error": {"type": kind, "message": format!("because, {KEY}")}}));
        let error = failure_of(body_of(frames(&data))).await;
        assert_eq!((error.kind, error.retryable), (expected, retryable), "{error}");
        assert!(error.message.contains(kind) && error.message.contains("because, [key]"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_call_has_its_kind_and_its_wait() {
    use ModelErrorKind::{Billing, Overloaded, RateLimited, RequestFailed};
    let body =
        json!({"type": "error", "error": {"type": "some_error", "message": format!("bad key {KEY}")}}).to_string();
    for (status, headers, kind, retryable, wait) in [
        ("429 Too Many Requests", "retry-after: 3\r\n", RateLimited, true, Some(3_000)),
        ("429 Too Many Requests", "retry-after: 3\r\nretry-after-ms: 1250\r\n", RateLimited, true, Some(1_250)),
        ("529 Overloaded", "", Overloaded, true, None),
        ("503 Service Unavailable", "", Overloaded, true, None),
        ("500 Internal Server Error", "", RequestFailed, true, None),
        ("502 Bad Gateway", "", RequestFailed, true, None),
        ("504 Gateway Timeout", "", RequestFailed, true, None),
        ("400 Bad Request", "retry-after: 3\r\n", RequestFailed, false, None),
        ("401 Unauthorized", "", RequestFailed, false, None),
        ("402 Payment Required", "", Billing, false, None),
        ("403 Forbidden", "", RequestFailed, false, None),
        ("404 Not Found", "", RequestFailed, false, None),
        ("413 Content Too Large", "", RequestFailed, false, None),
        ("302 Found", "location: http://127.0.0.1:1/\r\n", RequestFailed, false, None),
    ] {
        let error = failure_of(refusal(status, headers, &body)).await;
        assert_eq!((error.kind, error.retryable, error.retry_after_ms), (kind, retryable, wait), "{status}");
        assert!(error.message.contains("bad key [key]") && !error.message.contains(KEY), "{error}");
    }
    let endless = "x".repeat(4 * 1024 * 1024);
    let error = failure_of(refusal("500 Internal Server Error", "", &endless)).await;
    assert_eq!(error.message, "Anthropic answered 500");
}

#[tokio::test]
async fn nobody_there_is_a_failed_request_that_may_be_repeated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = anthropic(&url).call(&request("hello")).await.unwrap_err();
    assert_eq!((error.kind, error.retryable), (ModelErrorKind::RequestFailed, true));
    assert!(error.message.starts_with("cannot connect to Anthropic: ") && !error.message.contains(KEY), "{error}");

    let api = FakeApi::start(vec![vec![]]).await;
    let error = anthropic(&api.url).call(&request("hello")).await.unwrap_err();
    assert!(error.retryable, "closed before a word was said: {error}");
    let tls = anthropic(&api.url.replace("http://", "https://")).call(&request("hello")).await.unwrap_err();
    assert!(tls.retryable, "the TLS handshake is cut off: {tls}");
}

#[tokio::test]
async fn silence_ends_a_call() {
    for script in [
        vec![Step::Hang],
        vec![stream_head(), Step::Hang],
        vec![stream_head(), Step::Send(frames(&full_reply()[..5])), Step::Hang],
    ] {
        let before = Instant::now();
        let error = failure_of(script).await;
        assert_eq!((error.kind, error.retryable), (ModelErrorKind::RequestFailed, true));
        assert_eq!(error.message, "Anthropic sent nothing for 300 ms");
        assert!(before.elapsed() < Duration::from_secs(5));
    }
    let api = FakeApi::start(vec![vec![stream_head(), Step::Hang]]).await;
    let limits = CallLimits { total: Duration::from_millis(100), ..quick() };
    let error = Anthropic::new(&api.url, &Secret::new(KEY), limits).unwrap().call(&request("hello")).await.unwrap_err();
    assert_eq!(error.message, "the reply of Anthropic was not complete after 100 ms");
}

#[tokio::test]
async fn dropping_a_call_cancels_it() {
    let api = FakeApi::start(vec![vec![stream_head(), Step::Hang]]).await;
    let provider = anthropic(&api.url);
    let asked = request("hello");
    assert!(tokio::time::timeout(Duration::from_millis(50), provider.call(&asked)).await.is_err());
}

#[tokio::test]
async fn garbage_is_an_error() {
    let start = String::from_utf8(frames(&full_reply()[..1])).unwrap();
    for garbage in [
        b"\x00\x01\x02\xff\xfe".to_vec(),
        b"data: not json\n\n".to_vec(),
        b"data: {\"type\": 7}\n\n".to_vec(),
        b"data: []\n\n".to_vec(),
        b"event: error\ndata: oops\n\n".to_vec(),
        format!("{start}event: x\ndata: \u{0}\n\n").into_bytes(),
        [start.as_bytes(), b"data: \"\xc3\x28\"\n\n"].concat(),
        format!("{start}{start}").into_bytes(),
        "data: {\"type\":\"content_block_delta\",\"index\":99999999999999999999}\n\n".as_bytes().to_vec(),
        format!("data: {}\n\n", "[".repeat(100_000)).into_bytes(),
    ] {
        let error = failure_of(body_of(garbage)).await;
        assert_eq!(error.kind, ModelErrorKind::RequestFailed);
        assert!(error.retryable, "{error}");
    }
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>hello</html>".to_vec();
    let error = failure_of(vec![Step::Send(page)]).await;
    assert!(!error.retryable && error.message.contains("text/html"), "{error}");
    let error = failure_of(vec![Step::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())]).await;
    assert!(error.retryable, "{error}");
}

#[tokio::test]
async fn a_huge_tool_input_is_bounded_and_a_huge_reply_refused() {
    let mut data = full_reply();
    let piece = json!({"type": "content_block_delta", "index": 3,
        "delta": {"type": "input_json_delta", "partial_json": "x".repeat(1024 * 1024)}});
    data.splice(15..16, std::iter::repeat_n(piece, 10));
    let reply = call_with(body_of(frames(&data))).await.unwrap();
    let ReplyKind::ToolUse { input, .. } = &reply.blocks[3].kind else { panic!("not a tool call") };
    assert_eq!(input.as_ref().unwrap_err(), "the input is larger than 4194304 bytes");
    assert_eq!(reply.blocks[3].raw.get(), r#"{"type":"tool_use","id":"toolu_A","name":"bash","input":{}}"#);

    let text = json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "x".repeat(1024 * 1024)}});
    let mut data = full_reply();
    data.splice(9..10, std::iter::repeat_n(text, 20));
    let error = failure_of(body_of(frames(&data))).await;
    assert_eq!(error.message, "the reply of Anthropic is larger than 16777216 bytes");
    assert!(!error.retryable);
}
