//! Bounds on what a sandbox uses: memory, processes, disk.

use std::time::{Duration, Instant};

use daybreak_sandbox::Sandbox;
use serde_json::json;

use crate::world::{World, call, fails, sh};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn running_out_of_memory_costs_the_command_and_no_more() {
    let world = World::with_limits(|limits| limits.memory_bytes_max = 150 * MIB).await;
    let mut sandbox = world.open().await;
    let (_, is_error) = call(&mut sandbox, "bash", json!({ "command": "head -c 600000000 /dev/zero | tail" })).await;
    assert!(is_error);
    if !sandbox.is_alive() {
        sandbox = world.open().await;
    }
    let (text, _) = call(&mut sandbox, "bash", json!({ "restart": true })).await;
    assert_eq!(text, "bash session restarted");
    assert_eq!(sh(&mut sandbox, "echo next").await, "next");
}

#[tokio::test]
async fn files_in_memory_count_as_memory() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: without control groups only the size of /tmp bounds what is in it");
        return;
    }
    let world =
        World::with_limits(|limits| (limits.memory_bytes_max, limits.tmp_bytes_max) = (150 * MIB, 4096 * MIB)).await;
    let mut sandbox = world.open().await;
    let (_, is_error) =
        call(&mut sandbox, "bash", json!({ "command": "head -c 600000000 /dev/zero > /tmp/full" })).await;
    assert!(is_error);
}

#[tokio::test]
async fn a_fork_bomb_stays_inside_and_a_restart_clears_it() {
    let world = World::with_limits(|limits| limits.pids_max = 64).await;
    let mut sandbox = world.open().await;
    let begun = Instant::now();
    let input = json!({ "command": ":(){ :|:& };: ; sleep 1", "timeout_ms": 1500 });
    call(&mut sandbox, "bash", input).await;
    let (_, is_error) = call(&mut sandbox, "bash", json!({ "restart": true })).await;
    if is_error || !sandbox.is_alive() {
        sandbox = world.open().await;
    }
    assert_eq!(sh(&mut sandbox, "echo next").await, "next");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

async fn fill_disk(sandbox: &mut Sandbox, command: &str) -> String {
    let begun = Instant::now();
    let text = fails(sandbox, "bash", json!({ "command": command })).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    text
}

#[tokio::test]
async fn a_full_disk_stops_the_sandbox_until_files_are_deleted() {
    let world = World::with_limits(|limits| limits.disk_bytes_max = 20 * MIB).await;
    let mut sandbox = world.open().await;
    let text = fill_disk(&mut sandbox, "while :; do head -c 5000000 /dev/zero >> big; sleep 0.02; done").await;
    assert!(text.contains("disk limit exceeded: the workspace and the outputs use more than 20971520 bytes"), "{text}");
    assert!(!sandbox.is_alive());

    // Only cleaning up is possible, and afterwards the sandbox asks to be opened anew.
    let mut sandbox = world.open().await;
    let (text, is_error) = call(&mut sandbox, "bash", json!({ "command": "echo more > another" })).await;
    assert!(is_error && !text.contains("lost"), "{text}");
    let text = fails(&mut sandbox, "write", json!({ "file_path": "another", "content": "more" })).await;
    assert_eq!(text, "write: another: file too large");
    sh(&mut sandbox, "rm big").await;
    let begun = Instant::now();
    while sandbox.is_alive() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sh(&mut world.open().await, "echo more > another; cat another").await, "more");
}

#[tokio::test]
async fn many_files_and_the_outputs_count_too() {
    let world = World::with_limits(|limits| (limits.inodes_max, limits.disk_bytes_max) = (2000, 20 * MIB)).await;
    let mut sandbox = world.open().await;
    let text = fill_disk(&mut sandbox, "i=0; while :; do i=$((i+1)); : > f$i; done").await;
    assert!(text.contains("more than 2000 files"), "{text}");
    sh(&mut world.open().await, "rm -f f*").await;
    let text =
        fill_disk(&mut world.open().await, "head -c 40000000 /dev/zero > /mnt/session/outputs/big; sleep 7").await;
    assert!(text.contains("use more than 20971520 bytes"), "{text}");
}

#[tokio::test]
async fn a_background_job_fills_the_disk_no_better() {
    let world = World::with_limits(|limits| limits.disk_bytes_max = 20 * MIB).await;
    let mut sandbox = world.open().await;
    sh(&mut sandbox, "(sleep 0.3; head -c 60000000 /dev/zero > big; sleep 100) & true").await;
    let begun = Instant::now();
    while sandbox.is_alive() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = fails(&mut sandbox, "bash", json!({ "command": "true" })).await;
    assert!(text.contains("disk limit exceeded"), "{text}");
}

#[tokio::test]
async fn the_host_keeps_its_free_space() {
    let world = World::new().await;
    let mut config = crate::world::config(daybreak_sandbox::Backend::Bubblewrap);
    config.limits.host_free_bytes_min = u64::MAX;
    let refused = daybreak_sandbox::Launcher::probe(config).await.unwrap_err();
    assert!(refused.to_string().contains("disk space left"), "{refused}");
    drop(world);
}
