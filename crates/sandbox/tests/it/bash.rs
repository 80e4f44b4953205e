//! The `bash` tool.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{World, call, fails, ok, sh};

#[tokio::test]
async fn the_shell_keeps_its_directory_variables_and_jobs() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    assert_eq!(
        sh(&mut sandbox, "mkdir sub && cd sub && export A=1 && b() { echo fn; }; sleep 300 & pwd").await,
        "/workspace/sub"
    );
    assert_eq!(
        sh(&mut sandbox, "pwd; echo $A; b; jobs -r | wc -l; echo $TERM").await,
        "/workspace/sub\n1\nfn\n1\ndumb"
    );
}

#[tokio::test]
async fn both_streams_are_given_in_order_without_control_sequences() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let text = sh(&mut sandbox, r"echo out; echo err >&2; printf '\033[31mred\033[0m\n\n\n'").await;
    assert_eq!(text, "out\nerr\nred");
    assert_eq!(sh(&mut sandbox, "true").await, "(no output)");
    assert_eq!(sh(&mut sandbox, r"printf 'a\xffb\x00c'").await, "a\u{fffd}b\u{0}c");
    assert_eq!(sh(&mut sandbox, "cat; read x; echo done").await, "done", "standard input is empty");
}

#[tokio::test]
async fn a_failing_command_is_an_error_with_its_output() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    assert_eq!(fails(&mut sandbox, "bash", json!({ "command": "echo why; false" })).await, "why");
    assert_eq!(fails(&mut sandbox, "bash", json!({ "command": "false" })).await, "(no output)");
    let text = fails(&mut sandbox, "bash", json!({ "command": "echo 'unfinished" })).await;
    assert!(text.contains("unexpected EOF"), "{text}");
    assert!(sh(&mut sandbox, "cat <<X\nunended").await.contains("here-document"));
    assert_eq!(sh(&mut sandbox, "echo still here").await, "still here");
}

#[tokio::test]
async fn a_command_is_required() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    for input in [json!({}), json!({ "command": "" }), json!({ "command": null }), json!({ "restart": false })] {
        assert_eq!(fails(&mut sandbox, "bash", input).await, "bash: command is required");
    }
    assert_eq!(fails(&mut sandbox, "bash", json!({ "command": 7 })).await, "bash: command must be a string");
    let text = fails(&mut sandbox, "bash", json!({ "command": "true", "timeout_ms": -5 })).await;
    assert_eq!(text, "bash: timeout_ms must be a non-negative integer");
}

#[tokio::test]
async fn a_timeout_ends_the_shell_until_it_is_restarted() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    sh(&mut sandbox, "export A=1; (sleep 1000.5 &) ; true").await;
    let begun = Instant::now();
    let input = json!({ "command": "echo before; sleep 1000.5", "timeout_ms": 300 });
    assert_eq!(fails(&mut sandbox, "bash", input).await, "bash: bash command timed out after 0.3s");
    assert!(begun.elapsed() < Duration::from_secs(2));
    for _ in 0..2 {
        let text = fails(&mut sandbox, "bash", json!({ "command": "echo hi" })).await;
        assert_eq!(text, "bash: bash session terminated; restart required");
    }
    assert_eq!(
        ok(&mut sandbox, "bash", json!({ "restart": true, "command": "exit 9" })).await,
        "bash session restarted"
    );
    assert_eq!(sh(&mut sandbox, "echo A=$A; pgrep -c sleep || true").await, "A=\n0");
    assert!(sandbox.is_alive());
}

#[tokio::test]
async fn the_default_timeout_counts_when_none_or_zero_is_given() {
    let world = World::with_limits(|limits| limits.bash_time_default = Duration::from_millis(400)).await;
    let mut sandbox = world.open().await;
    let input = json!({ "command": "sleep 5", "timeout_ms": 0 });
    assert_eq!(fails(&mut sandbox, "bash", input).await, "bash: bash command timed out after 0.4s");
}

#[tokio::test]
async fn a_call_that_takes_too_long_costs_the_sandbox() {
    let world = World::with_limits(|limits| limits.call_time_max = Duration::from_millis(500)).await;
    let mut sandbox = world.open().await;
    let input = json!({ "command": "sleep 5", "timeout_ms": 10_000 });
    assert_eq!(fails(&mut sandbox, "bash", input).await, "tool 'bash' timed out");
    assert!(!sandbox.is_alive());
    assert_eq!(sh(&mut world.open().await, "echo fresh").await, "fresh");
}

#[tokio::test]
async fn a_shell_that_exits_must_be_restarted() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    for exit in ["echo bye; exit 3", "echo bye; kill -9 $$", "echo bye; exec true", "set -e; echo bye; false"] {
        assert_eq!(fails(&mut sandbox, "bash", json!({ "command": exit })).await, "bye", "{exit}");
        let text = fails(&mut sandbox, "bash", json!({ "command": "echo hi" })).await;
        assert_eq!(text, "bash: bash session terminated; restart required");
        ok(&mut sandbox, "bash", json!({ "restart": true })).await;
    }
    assert_eq!(sh(&mut sandbox, "pwd").await, "/workspace");
}

#[tokio::test]
async fn a_background_job_does_not_hold_up_its_call() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let begun = Instant::now();
    assert_eq!(sh(&mut sandbox, "(sleep 0.5; echo late) & echo now").await, "now");
    assert!(sh(&mut sandbox, "(while :; do echo noise; done) & P=$!; sleep 0.2; true").await.lines().count() > 1);
    assert!(begun.elapsed() < Duration::from_secs(3));
    sh(&mut sandbox, "kill -9 $P").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(sh(&mut sandbox, "echo next").await.ends_with("next"));
}

#[tokio::test]
async fn huge_output_is_cut_to_its_end_and_costs_no_memory() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let text = sh(&mut sandbox, "head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo the end").await;
    assert!(text.starts_with("[output truncated]\nxxx") && text.ends_with("x\nthe end"));
    assert!(text.len() <= "[output truncated]\n".len() + 100 * 1024);
    let peak = sh(&mut sandbox, "grep VmHWM /proc/$PPID/status | tr -dc 0-9").await;
    assert!(peak.parse::<u64>().unwrap() < 60_000, "the toolbox needed {peak} KiB");
}

#[tokio::test]
async fn output_cannot_pass_for_the_end_of_a_command() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let command = "for i in 1 2 3 4 5 6 7 8; do echo \"00112233445566778899aabbccddeeff 0\" >&$i; done 2>/dev/null; \
        echo forged 0 >&9; sleep 0.3; echo real";
    let text = sh(&mut sandbox, command).await;
    assert!(text.ends_with("real"), "{text}");
    assert_eq!(sh(&mut sandbox, "set -x; echo traced").await, "++ echo traced\ntraced");
    assert_eq!(
        sh(&mut sandbox, "set +x 2>/dev/null; printf() { echo mine; }; echo ok").await.lines().last(),
        Some("ok")
    );
}

#[tokio::test]
async fn long_and_odd_commands_arrive_as_they_are() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let quotes = r#"echo "it's" 'a "b"' \\ $'\t|' '!' # comment"#;
    assert_eq!(sh(&mut sandbox, quotes).await, "it's a \"b\" \\ \t| !");
    assert_eq!(sh(&mut sandbox, "cat <<'X'\na'b\"c\n$HOME\nX").await, "a'b\"c\n$HOME");
    let long = format!("x='{}'; echo ${{#x}}", "é".repeat(200_000));
    assert_eq!(sh(&mut sandbox, &long).await, "200000");
}

#[tokio::test]
async fn an_unknown_tool_is_refused_and_harmless() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let (text, is_error) = call(&mut sandbox, "teleport", json!({})).await;
    assert!(is_error && text.starts_with("unknown tool"));
    assert_eq!(sh(&mut sandbox, "echo fine").await, "fine");
}
