//! How sandboxes begin and end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daybreak_sandbox::{Backend, Config, Launcher, Mounts, SandboxError};
use serde_json::json;

use crate::HELPER_ARGS;
use crate::world::{World, config, fails, ok, processes_with, sh};

/// Between fork and exec a process does not have its arguments yet.
async fn wait_for(marker: &str, count: usize) {
    let begun = Instant::now();
    while processes_with(marker).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(20), "processes do not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_until_gone(marker: &str) -> Duration {
    let begun = Instant::now();
    while !processes_with(marker).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(2), "processes survive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn dropping_a_call_interrupts_it_and_all_it_started() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let marker = format!("7{:09}", std::process::id());
    let command = format!("setsid nohup sleep {marker} & (sleep {marker} & disown); sleep {marker}");
    let input = json!({ "command": command });
    let running = sandbox.call("bash", input.as_object().unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(400), running).await.is_err());
    wait_until_gone(&marker).await;
    assert!(!sandbox.is_alive());
    let text = fails(&mut sandbox, "bash", json!({ "command": "true" })).await;
    assert!(text.contains("the sandbox was lost (it was interrupted)"), "{text}");
}

#[tokio::test]
async fn no_process_outlives_its_sandbox() {
    let world = World::new().await;
    for close in [true, false] {
        let mut sandbox = world.open().await;
        let marker = format!("8{:08}{}", std::process::id(), u8::from(close));
        sh(&mut sandbox, &format!("setsid -f nohup sleep {marker}; (sleep {marker} &); sleep {marker} & true")).await;
        wait_for(&marker, 3).await;
        if close {
            sandbox.close().await
        } else {
            drop(sandbox)
        }
        let took = wait_until_gone(&marker).await;
        assert!(!close || took < Duration::from_millis(50), "closing waits for the end");
    }
}

/// A server that is in the middle of a call when it is killed.
pub(crate) fn serve_until_killed(marker: &str) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        let command = format!("setsid -f nohup sleep {marker}; sleep {marker}");
        sh(&mut world.open().await, &command).await;
        panic!("the command does not end");
    })
}

#[tokio::test]
async fn no_process_outlives_a_server_that_is_killed() {
    let world = World::new().await;
    let marker = format!("5{:09}", std::process::id());
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .args(HELPER_ARGS)
        .args(["__server", &marker])
        .env("TMPDIR", &world.mounts.outputs)
        .spawn()
        .unwrap();
    let sleeping = format!("sleep\0{marker}");
    wait_for(&sleeping, 2).await;
    server.kill().unwrap();
    server.wait().unwrap();
    wait_until_gone(&sleeping).await;
}

#[tokio::test]
async fn a_sandbox_that_is_not_waited_for_leaves_nothing() {
    let world = World::new().await;
    let source = world.mounts.workspace.display().to_string();
    for pause_ms in [0, 1, 3, 6, 10] {
        let opening = world.launcher.open(&world.mounts);
        let _ = tokio::time::timeout(Duration::from_millis(pause_ms), opening).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mounted =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|m| m.contains(&source));
    assert_eq!(processes_with("__toolbox").iter().filter(|pid| mounted(pid)).count(), 0);
}

#[tokio::test]
async fn short_calls_do_not_put_off_the_measuring_of_the_disk() {
    let world = World::with_limits(|limits| limits.disk_bytes_max = 10 << 20).await;
    let mut sandbox = world.open().await;
    let begun = Instant::now();
    let input = json!({ "command": "head -c 1000000 /dev/zero >> big; sleep 0.05" });
    while sandbox.is_alive() {
        let _ = sandbox.call("bash", input.as_object().unwrap()).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn files_stay_and_the_shell_does_not() {
    let world = World::new().await;
    let mut first = world.open().await;
    sh(&mut first, "A=1; echo kept > file; echo gone > /tmp/file").await;
    first.close().await;
    let mut second = world.open().await;
    assert_eq!(sh(&mut second, "echo A=$A; cat file; ls /tmp").await, "A=\nkept");
}

#[tokio::test]
async fn two_sandboxes_do_not_meet() {
    let (one, two) = (World::new().await, World::new().await);
    let (mut a, mut b) = (one.open().await, two.open().await);
    sh(&mut a, "echo secret > /workspace/f; echo secret > /tmp/f; sleep 321 & true").await;
    let begun = Instant::now();
    let input = json!({ "command": "sleep 0.5; echo done" });
    let both = tokio::join!(ok(&mut a, "bash", input.clone()), ok(&mut b, "bash", input));
    assert_eq!(both, ("done".to_owned(), "done".to_owned()));
    assert!(begun.elapsed() < Duration::from_millis(950), "calls of two sandboxes run side by side");
    assert_eq!(sh(&mut b, "ls /workspace /tmp; pgrep -c sleep || true").await, "/tmp:\n\n/workspace:\n0");
}

#[tokio::test]
async fn uploads_appear_while_the_sandbox_runs() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    assert_eq!(sh(&mut sandbox, "ls /mnt/session/uploads").await, "(no output)");
    std::fs::write(world.mounts.uploads.join("late.txt"), "late").unwrap();
    assert_eq!(sh(&mut sandbox, "cat /mnt/session/uploads/late.txt").await, "late");
}

#[tokio::test]
async fn a_machine_that_cannot_is_told_what_to_do() {
    let missing = Launcher::probe(Config::new(Backend::Bubblewrap, "/nonexistent/daybreak")).await.unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/daybreak"), "{missing}");
    let mut deaf = config(Backend::Bubblewrap);
    deaf.helper = "/bin/false".into();
    assert!(Launcher::probe(deaf).await.unwrap_err().to_string().contains("did not answer"));
}

#[tokio::test]
async fn a_helper_that_talks_nonsense_is_not_believed() {
    let mut liar = config(Backend::Bubblewrap);
    liar.helper = "/bin/bash".into();
    liar.helper_args = vec!["-c".into(), "head -c 50000000 /dev/zero >&$DAYBREAK_TOOLBOX_SOCKET; sleep 9".into()];
    let begun = Instant::now();
    assert!(Launcher::probe(liar).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_cannot_be_mounted_is_said() {
    let world = World::new().await;
    let mounts = Mounts { outputs: world.workspace("inner"), ..world.mounts.clone() };
    assert!(
        matches!(world.launcher.open(&mounts).await, Err(SandboxError::Mount { path, .. }) if path == mounts.outputs)
    );
}

#[tokio::test]
async fn no_control_group_is_left() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let marker = format!("6{:09}", std::process::id());
    sh(&mut sandbox, &format!("sleep {marker} & true")).await;
    wait_for(&marker, 1).await;
    let process = processes_with(&marker)[0];
    let own = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let groups: Vec<PathBuf> = own.lines().filter_map(control_group).collect();
    assert!(groups.iter().all(|group| group.is_dir()));
    sandbox.close().await;
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
}

/// The directory of a sandbox's group, if this line of `/proc/<pid>/cgroup` names one.
fn control_group(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controller, path) = (parts.next()?, parts.next()?);
    path.contains("daybreak-sandbox-").then(|| Path::new("/sys/fs/cgroup").join(controller).join(&path[1..]))
}

#[tokio::test]
async fn opening_and_calling_is_fast() {
    let probing = Instant::now();
    let world = World::new().await;
    let probing = probing.elapsed();
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let mut sandbox = world.open().await;
        sh(&mut sandbox, "true").await;
        cold.push(begun.elapsed());
        for _ in 0..10 {
            let begun = Instant::now();
            sh(&mut sandbox, "true").await;
            warm.push(begun.elapsed());
        }
    }
    cold.sort();
    warm.sort();
    println!("probe {probing:?}, open and first bash {:?}, warm bash {:?} (medians)", cold[5], warm[50]);
    assert!(cold[5] < Duration::from_secs(1) && warm[50] < Duration::from_millis(200));
}

#[tokio::test]
async fn without_a_sandbox_the_tools_work_on_the_real_paths() {
    let world = World::with_backend(Backend::UnsafeHost, |_| {}).await;
    let paths = world.launcher.paths(&world.mounts);
    assert_eq!((world.launcher.backend_name(), &paths.workdir), ("unsafe_host", &world.mounts.workspace));
    let mut sandbox = world.open().await;
    let output = paths.outputs.join("o").display().to_string();
    ok(&mut sandbox, "write", json!({ "file_path": output, "content": "x" })).await;
    let upload = paths.uploads.join("u").display().to_string();
    let refused = fails(&mut sandbox, "write", json!({ "file_path": upload, "content": "x" })).await;
    assert!(refused.contains("is inside read-only directory"), "{refused}");
    assert_eq!(sh(&mut sandbox, "pwd; env | grep -c ^CARGO || true").await, format!("{}\n0", paths.workdir.display()));
    let marker = format!("9{:09}", std::process::id());
    sh(&mut sandbox, &format!("setsid -f sleep {marker}; sleep {marker} & true")).await;
    let input = json!({ "command": format!("sleep {marker}") });
    let running = sandbox.call("bash", input.as_object().unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(300), running).await.is_err());
    wait_until_gone(&marker).await;
}
