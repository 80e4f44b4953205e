//! Scenarios: every condition, every placeholder, every way to be wrong.

use std::time::Duration;

use daybreak_domain::model::{ModelErrorKind, ModelReply, ModelRequest, ModelUsage, ReplyKind, Stop};
use daybreak_outbound::rehearsal::Rehearsal;
use daybreak_outbound::{Provider, Scenario};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{replied, request, results, texts, user};

/// A scenario of one rule for these conditions; everything else is answered with "no".
fn rule(when: &str, text: &str) -> Scenario {
    let yaml = format!(
        "name: t\nrules:\n  - when: {when}\n    reply:\n      - text: {}\notherwise:\n  reply:\n    - text: 'no'\n",
        json!(text)
    );
    Scenario::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn play(scenario: &Scenario, request: &ModelRequest) -> ModelReply {
    scenario.play(request).expect("a rule matches").reply
}

fn holds(when: &str, request: &ModelRequest) -> bool {
    texts(&play(&rule(when, "yes"), request)) == "yes"
}

/// A conversation: a message, two calls (glob and bash), their results, the second one as given.
fn with_results(message: &str, second: &str, is_error: bool) -> ModelRequest {
    let mut asked = request(message);
    let calls = "name: t\nrules: []\notherwise:\n  reply:\n    - tool: { name: glob, input: {} }\n    - tool: { name: bash, input: {} }\n";
    let reply = play(&Scenario::from_yaml(calls).unwrap(), &asked);
    asked.messages.push(replied(&reply));
    asked
        .messages
        .push(results(&[("toolu_rehearsal_01_0", "a.log\nb.log", false), ("toolu_rehearsal_01_1", second, is_error)]));
    asked
}

fn input_of(reply: &ModelReply) -> Value {
    let input = reply.blocks.iter().find_map(|block| match &block.kind {
        ReplyKind::ToolUse { input, .. } => Some(input.clone().unwrap()),
        _ => None,
    });
    Value::Object(input.expect("a tool is called"))
}

#[test]
fn every_condition_holds_when_it_should_and_not_otherwise() {
    let mut first = request("Analyse the logs");
    first.system = Some("You are an analyst.".to_owned());
    let then = with_results("Analyse the logs", "error: boom", true);
    let fine = with_results("Analyse the logs", "all good", false);
    let mut again = with_results("Analyse the logs", "all good", false);
    again.messages.push(replied(&play(&rule("{ turn: 2 }", "done"), &again)));
    again.messages.push(user("thanks"));

    for (when, in_first, in_then, in_fine, in_again) in [
        ("{ message: '(?i)analyse' }", true, true, true, false),
        ("{ message: thanks }", false, false, false, true),
        ("{ result: 'boom' }", false, true, false, false),
        ("{ result: 'b\\.log\\nall' }", false, false, true, false),
        ("{ result_is_error: true }", false, true, false, false),
        ("{ result_is_error: false }", false, false, true, false),
        ("{ tool: bash }", false, true, true, false),
        ("{ tool: glob }", false, false, false, false),
        ("{ seen: ['a\\.log', logs] }", false, true, true, true),
        ("{ seen: ['a\\.log', boom] }", false, true, false, false),
        ("{ after_message: true }", true, false, false, true),
        ("{ after_message: false }", false, true, true, false),
        ("{ turn: 1 }", true, false, false, false),
        ("{ turn: 2..3 }", false, true, true, true),
        ("{ turn: '3..' }", false, false, false, true),
        ("{ turn: '..2' }", true, true, true, false),
        ("{ round: 1 }", true, false, false, true),
        ("{ round: 2 }", false, true, true, false),
        ("{ agent: ^Test }", true, true, true, true),
        ("{ agent: Other }", false, false, false, false),
        ("{ system: analyst }", true, false, false, false),
        ("{ tool: bash, result: boom, turn: 2 }", false, true, false, false),
        ("{ tool: bash, result: boom, turn: 3 }", false, false, false, false),
    ] {
        let found = (holds(when, &first), holds(when, &then), holds(when, &fine), holds(when, &again));
        assert_eq!(found, (in_first, in_then, in_fine, in_again), "{when}");
    }
}

#[test]
fn a_message_that_comes_with_results_is_the_newest_thing() {
    let mut both = with_results("go", "fine", false);
    both.messages.push(user("stop it"));
    for when in ["{ message: stop, after_message: true }", "{ tool: bash, message: stop }", "{ round: 1, turn: 2 }"] {
        assert!(holds(when, &both), "{when}");
    }
}

#[test]
fn every_placeholder_is_filled_in() {
    let asked = with_results("read v1.2 of core", "12 error: x\n13 error: y\n14 fine", false);
    let filled = |when: &str, text: &str| texts(&play(&rule(when, text), &asked));
    for (text, expected) in [
        ("{{message}}|{{turn}}|{{round}}|{{agent}}", "read v1.2 of core|2|2|Tester"),
        ("{{result}}", "a.log\nb.log\n12 error: x\n13 error: y\n14 fine"),
        ("{{find:error: (\\w)}}", "x"),
        ("{{find:^\\d+ fine}}", "14 fine"),
        ("{{find:of (core)}}", "core"),
        ("{{count:error}} {{count:^\\d+}} {{count:core}}", "2 3 0"),
        ("{{count:\\d{2}}}", "3"),
        ("{{lines:^\\d+ error}}", "12 error: x\n13 error: y"),
        ("{{lines:nothing}}.", "."),
        ("\\{{message}} { {x} }} {{turn}}", "{{message}} { {x} }} 2"),
    ] {
        assert_eq!(filled("{ turn: 2 }", text), expected, "{text}");
    }
    let groups = "{ agent: '^(T)', message: '(?P<what>v\\S+) of (x)?', result: '(\\d+) fine' }";
    assert_eq!(filled(groups, "{{1}} {{what}} [{{2}}] {{3}} {{4}}"), "v1.2 v1.2 [] 14 T");
    assert_eq!(filled("{ message: 'of (.*)' }", "{{ 1 }}{{message}}"), "coreread v1.2 of core");
}

#[test]
fn what_a_placeholder_inserts_is_not_read_again() {
    assert_eq!(texts(&play(&rule("{ turn: 1 }", "{{message}}"), &request("{{agent}} \\{{"))), "{{agent}} \\{{");
}

#[test]
fn a_tool_input_is_filled_in_however_deep() {
    let scenario = Scenario::from_yaml(
        r"
name: t
rules:
  - when: { message: '(?P<dir>/\S+)' }
    reply:
      - thinking: about {{dir}}
      - tool:
          name: b{{turn}}
          input:
            command: ls {{dir}}
            deep: [1, -2, 2.5, true, null, '{{dir}}', { x: 'n{{turn}}' }]
      - tool: { name: other, input: {} }
",
    )
    .unwrap();
    let reply = play(&scenario, &request("look at /a/b"));
    assert_eq!(input_of(&reply), json!({"command": "ls /a/b", "deep": [1, -2, 2.5, true, null, "/a/b", {"x": "n1"}]}));
    assert_eq!(reply.stop, Stop::ToolUse);
    let raw: Vec<&str> = reply.blocks.iter().map(|block| block.raw.get()).collect();
    assert_eq!(
        raw,
        [
            r#"{"type":"thinking","thinking":"about /a/b","signature":"rehearsal"}"#,
            r#"{"type":"tool_use","id":"toolu_rehearsal_01_1","name":"b1","input":{"command":"ls /a/b","deep":[1,-2,2.5,true,null,"/a/b",{"x":"n1"}]}}"#,
            r#"{"type":"tool_use","id":"toolu_rehearsal_01_2","name":"other","input":{}}"#,
        ]
    );
    let again = play(&scenario, &request("look at /a/b"));
    assert_eq!(again.blocks[1].raw.get(), raw[1], "the same request, the same answer");
}

#[test]
fn usage_and_stop_are_estimated_or_given() {
    let reply = play(&rule("{ turn: 1 }", "hello"), &request("12345678"));
    assert_eq!(reply.stop, Stop::EndTurn);
    let message = r#"{"type":"text","text":"12345678"}"#.len().div_ceil(4) as u64;
    let written = r#"{"type":"text","text":"hello"}"#.len().div_ceil(4) as u64;
    assert_eq!(reply.usage, ModelUsage { input_tokens: message, output_tokens: written, ..ModelUsage::default() });

    let given = |extra: &str| {
        let yaml = format!("name: t\nrules: []\notherwise:\n  reply: [{{ text: x }}]\n  {extra}\n");
        play(&Scenario::from_yaml(&yaml).unwrap(), &request("x"))
    };
    let usage = given("usage: { input_tokens: 5, cache_read_input_tokens: 7 }").usage;
    assert_eq!(usage, ModelUsage { input_tokens: 5, cache_read_input_tokens: 7, ..ModelUsage::default() });
    for (word, stop) in [
        ("end_turn", Stop::EndTurn),
        ("tool_use", Stop::ToolUse),
        ("max_tokens", Stop::MaxTokens),
        ("pause", Stop::Pause),
        ("refusal", Stop::Refusal { category: None, explanation: None }),
        ("{ refusal: { category: cyber } }", Stop::Refusal { category: Some("cyber".to_owned()), explanation: None }),
    ] {
        assert_eq!(given(&format!("stop: {word}")).stop, stop);
    }
}

#[test]
fn a_request_that_no_rule_matches_is_an_error_that_says_where_it_stands() {
    let scenario = Scenario::from_yaml("name: t\nrules:\n  - when: { turn: 9 }\n    reply: [{ text: x }]\n").unwrap();
    let error = scenario.play(&with_results("go on", "the output", false)).unwrap_err();
    assert_eq!((error.kind, error.retryable), (ModelErrorKind::RequestFailed, false));
    assert_eq!(
        error.message,
        "rehearsal \"t\" has no rule for turn 2 (round 2); the last message is \"go on\"; bash has just answered \
         \"a.log\\nb.log\\nthe output\""
    );
    let error = rule("{ turn: 1 }", "{{find:absent}}").play(&request("x")).unwrap_err();
    assert_eq!(error.message, "rehearsal \"t\" cannot answer turn 1 by rules[0]: `{{find:absent}}` finds nothing");
    assert!(!error.retryable);
}

#[test]
fn a_bad_file_is_an_error_when_it_is_loaded() {
    let reply = "reply: [{ text: x }]";
    for (yaml, expected) in [
        (format!("name: t\nrules:\n  - when: {{ turn: 1 }}\n    {reply}\n    color: red\n"), "unknown field `color`"),
        (format!("name: t\nrules:\n  - when: {{ mesage: x }}\n    {reply}\n"), "unknown field `mesage`"),
        (format!("name: t\nrules:\n  - when: {{ message: '(' }}\n    {reply}\n"), "bad pattern"),
        (format!("name: t\nrules:\n  - when: {{ turn: 0 }}\n    {reply}\n"), "a number from 1 or a range"),
        (format!("name: t\nrules:\n  - when: {{ turn: '4..2' }}\n    {reply}\n"), "a number from 1 or a range"),
        (format!("name: t\nrules:\n  - when: {{}}\n    {reply}\n"), "rules[0].when: at least one condition"),
        (format!("name: t\nrules:\n  - {reply}\n"), "missing field `when`"),
        (
            format!("name: t\nrules:\n  - when: {{ after_message: true, tool: x }}\n    {reply}\n"),
            "rules[0].when: `after_message",
        ),
        (
            format!("name: t\nrules:\n  - when: {{ message: '(?P<turn>x)' }}\n    {reply}\n"),
            "may not be called \"turn\"",
        ),
        (
            format!("name: t\nrules:\n  - when: {{ message: '(?P<a>x)', agent: '(?P<a>x)' }}\n    {reply}\n"),
            "two groups",
        ),
        ("name: t\nrules:\n  - when: { turn: 1 }\n".to_owned(), "rules[0]: `reply` or `fail` is needed"),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: x, thinking: y }]\n".to_owned(),
            "reply[0]: exactly one",
        ),
        ("name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{}]\n".to_owned(), "reply[0]: exactly one"),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: '{{who}}' }]\n".to_owned(),
            "`{{who}}` is neither",
        ),
        (
            "name: t\nrules:\n  - when: { message: '(x)' }\n    reply: [{ text: '{{2}}' }]\n".to_owned(),
            "the conditions have 1 groups",
        ),
        ("name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: '{{0}}' }]\n".to_owned(), "numbered from 1"),
        ("name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: '{{}}' }]\n".to_owned(), "names nothing"),
        ("name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: 'a {{turn' }]\n".to_owned(), "is never closed"),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: '{{find:(}}' }]\n".to_owned(),
            "bad pattern in `{{find:",
        ),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ text: '{{seek:x}}' }]\n".to_owned(),
            "is not find, count or lines",
        ),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ tool: { name: x, input: [1] } }]\n".to_owned(),
            "must be a mapping",
        ),
        (
            "name: t\nrules:\n  - when: { turn: 1 }\n    reply: [{ tool: { name: x, input: { a: 1, a: 2 } } }]\n"
                .to_owned(),
            "given twice",
        ),
        (
            format!("name: t\nrules: []\notherwise:\n  {reply}\n  fail: {{ status: 500 }}\n"),
            "otherwise: `fail` without `times`",
        ),
        (
            "name: t\nrules: []\notherwise:\n  fail: { status: 500, times: 1 }\n".to_owned(),
            "`fail` with `times` needs a `reply`",
        ),
        ("name: t\nrules: []\notherwise:\n  fail: { status: 200 }\n".to_owned(), "fail.status: 200"),
        (format!("name: t\nrules: []\notherwise:\n  {reply}\n  delay_ms: 3600001\n"), "delay_ms: at most"),
        (format!("name: t\nrules: []\notherwise:\n  {reply}\n  stop: never\n"), "expected end_turn"),
        ("name: t\nrules: []\n".to_owned(), "at least one rule"),
        (format!("name: T T\nrules: []\notherwise:\n  {reply}\n"), "name: \"T T\" must be"),
        ("name: t\nname: u\nrules: []\n".to_owned(), "duplicate"),
        ("name: t\nrules: 7\n".to_owned(), "invalid type"),
        ("name: [\n".to_owned(), "line "),
        ("x".repeat(1024 * 1024 + 1), "1048576 bytes"),
    ] {
        let error = Scenario::from_yaml(&yaml).expect_err(&yaml).to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    let error =
        Scenario::from_yaml("name: t\nrules:\n  - when:\n      turn: 1\n      mesage: x\n    reply: []\n").unwrap_err();
    assert!(error.to_string().contains("line 5"), "{error}");
    let error = Scenario::from_yaml("name: t\nrules:\n  - when: { turn: 1 }\n    reply:\n      - text: '{{turn'\n")
        .unwrap_err();
    assert!(error.to_string().contains("line 5"), "{error}");
}

#[tokio::test]
async fn the_first_calls_fail_and_later_ones_do_not() {
    let yaml = "name: t\nrules:\n  - when: { message: x }\n    fail: { status: 429, retry_after_ms: 40, times: 2, message: slow down }\n    \
                reply: [{ text: there }]\notherwise:\n  fail: { status: 402 }\n";
    let provider = Rehearsal::new([Scenario::from_yaml(yaml).unwrap()]);
    let mut asked = request("x");
    asked.model = "t".to_owned();
    for _ in 0..2 {
        let error = provider.call(&asked).await.unwrap_err();
        assert_eq!((error.kind, error.retryable, error.retry_after_ms), (ModelErrorKind::RateLimited, true, Some(40)));
        assert_eq!(error.message, "slow down");
    }
    for _ in 0..2 {
        assert_eq!(texts(&provider.call(&asked).await.unwrap()), "there");
    }
    asked.messages = vec![user("y")];
    for _ in 0..3 {
        let error = provider.call(&asked).await.unwrap_err();
        assert_eq!((error.kind, error.retryable), (ModelErrorKind::Billing, false));
    }
    asked.model = "absent".to_owned();
    assert!(provider.call(&asked).await.unwrap_err().message.contains("no scenario \"absent\""));
}

#[tokio::test]
async fn a_call_takes_as_long_as_it_says_and_can_be_cancelled() {
    let yaml = "name: t\nrules: []\notherwise:\n  delay_ms: 150\n  reply: [{ text: x }]\n";
    let provider = Rehearsal::new([Scenario::from_yaml(yaml).unwrap()]);
    let mut asked = request("x");
    asked.model = "t".to_owned();
    let before = Instant::now();
    provider.call(&asked).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(150));
    assert!(tokio::time::timeout(Duration::from_millis(20), provider.call(&asked)).await.is_err());
}
