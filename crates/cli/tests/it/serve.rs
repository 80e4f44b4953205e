//! `daybreak serve`.

use crate::program::{Folder, Running, mode, told};
use rustix::process::Signal;
use serde_json::Value;
use std::os::fd::AsRawFd as _;

const KEY: (&str, &str) = ("DAYBREAK_API_KEY", "sk-test-b1946ac92492d234");

#[tokio::test]
async fn a_key_is_made_and_shown_once_and_kept_for_its_owner() {
    let folder = Folder::new();
    let server = folder.serve(&[], &[]);
    let file = folder.path("data/api-key");
    let key = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(key.starts_with("sk-ant-api-daybreak-") && key.len() >= 20 + 43, "{key}");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(server.get("/v1/models", &key).await.0, 200);
    assert_eq!(server.get("/v1/models", "sk-ant-api-daybreak-0").await.0, 401);
    let (code, said) = server.stop();
    assert!(code == 0 && said.contains(&key) && said.contains("data/api-key"), "{code} {said}");

    let server = folder.serve(&[], &[]);
    assert_eq!(server.get("/v1/models", &key).await.0, 200);
    let (_, said) = server.stop();
    assert!(said.contains("the one in ") && said.contains("data/api-key") && !said.contains(&key), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
}

#[tokio::test]
async fn the_operators_own_key_is_used_and_kept_nowhere() {
    let folder = Folder::new();
    let server = folder.serve(&[], &[KEY]);
    assert_eq!(server.get("/v1/models", KEY.1).await.0, 200);
    let (code, said) = server.stop();
    assert!(code == 0 && said.contains("the one in DAYBREAK_API_KEY") && !said.contains(KEY.1), "{code} {said}");
    assert!(!folder.path("data/api-key").exists());

    let server = folder.serve(&[], &[]);
    assert_eq!(server.get("/v1/models", KEY.1).await.0, 200, "a key that was given once stays good");
    assert!(server.stop().1.contains("those given at earlier starts"));

    let (code, _, said) = told(&folder.command(&["serve"]).env(KEY.0, "two words").output().unwrap());
    assert!(code == 1 && said.contains("DAYBREAK_API_KEY") && !said.contains("two words"), "{code} {said}");
}

#[test]
fn the_greeting_says_what_this_server_is() {
    let folder = Folder::new();
    let said = folder.serve(&[], &[KEY]).stop().1;
    for part in [
        "serves http://127.0.0.1:",
        "/data\n",
        "NO MODEL KEY FOUND",
        "rehearsal/echo",
        "bubblewrap",
        "no network in this version",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("WARNING") && !said.contains("127.0.0.1:0\n"), "{said}");
}

#[test]
fn what_is_dangerous_is_warned_of() {
    let folder = Folder::new();
    let server = folder.serve(&["--sandbox", "unsafe-host"], &[KEY]);
    server.running.wait_for("without a sandbox (unsafe-host)");
    assert_eq!(server.stop().0, 0);
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--data-dir", "data"];
    let server = Running::start(folder.command(&arguments).env("DAYBREAK_SANDBOX", "unsafe-host"));
    server.wait_for("without a sandbox (unsafe-host)");
    server.wait_for("can be reached from other machines");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, 0);
}

#[test]
fn a_log_of_json_is_json_from_the_first_line_to_the_last() {
    let folder = Folder::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--log-format", "json"];
    let server = Running::start(&mut folder.command(&arguments));
    server.wait_for("Daybreak serves");
    server.signal(Signal::TERM);
    let (code, said) = server.wait();
    assert_eq!(code, 0);
    for line in said.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(message["message"].is_string() && message["level"].is_string(), "{line}");
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let folder = Folder::new();
    let server = folder.serve(&[], &[]);
    let (code, _, said) = folder.run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
    assert!(code == 1 && said.contains("data is in use by another daybreak process"), "{code} {said}");
    let (code, _, said) = folder.run(&["run", "--data-dir", "data", "hello"]);
    assert!(code == 1 && said.contains("data is in use by another daybreak process"), "{code} {said}");
    assert!(said.contains("; talk to that server, or choose another with --data-dir"), "{said}");
    let (code, _, said) = folder.run(&["serve", "--listen", server.address(), "--data-dir", "other"]);
    let expected = format!("{} is in use; choose another with --listen", server.address());
    assert!(code == 1 && said.contains(&expected), "{code} {said}");
    assert!(!folder.path("other/api-key").exists(), "a server that never served has made no key");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_can() {
    let folder = Folder::new();
    folder.write("bad.toml", "listen = \"127.0.0.1:0\"\n\n[sandbox]\nbackend = \"docker\"\n");
    folder.write("model.toml", "[models.x]\nprovider = \"nobody\"\n");
    for (arguments, expected, part) in [
        (["serve", "--sandbox", "docker"], 2, "unsafe-host"),
        (["serve", "--listen", "foo"], 2, "`foo` is not an address and port, such as"),
        (["serve", "--config", "none.toml"], 1, "none.toml: cannot be read"),
        (["serve", "--config", "bad.toml"], 1, "bad.toml, line 4"),
        (["serve", "--config", "model.toml"], 1, "nobody"),
        (["models", "--config", "bad.toml"], 1, "bad.toml, line 4"),
        (["run", "--agent", "none.yaml"], 2, "TASK"),
    ] {
        let (code, _, said) = folder.run(&arguments);
        assert!(code == expected && said.contains(part), "{arguments:?}: {code} {said}");
    }
    for (name, value) in [("DAYBREAK_LISTEN", "here"), ("DAYBREAK_SANDBOX", "docker"), ("DAYBREAK_LOG", "a=b=c")] {
        let (code, _, said) = told(&folder.command(&["serve"]).env(name, value).output().unwrap());
        assert!(code == 1 && said.contains(name) && said.contains(value), "{name}: {code} {said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing was made before the refusal: {left:?}");
}

#[tokio::test]
async fn it_stops_cleanly_while_a_tool_runs() {
    let folder = Folder::new();
    let config = folder.write("daybreak.toml", "shutdown_grace_s = 1\n");
    let server = folder.serve(&["--config", config.to_str().unwrap()], &[KEY]);
    let session = server.session(KEY.1, "run: sleep 600").await;
    server.wait_for_event(KEY.1, &session, "agent.tool_use").await;
    let (code, said) = server.stop();
    assert!(code == 0 && said.contains("stopped") && !said.contains("panicked"), "{code} {said}");

    let server = folder.serve(&[], &[KEY]);
    server.wait_for_event(KEY.1, &session, "session.status_idle").await;
    assert_eq!(server.stop().0, 0);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    folder.write("daybreak.toml", "shutdown_grace_s = 3600\n");
    let server = folder.serve(&[], &[KEY]);
    let session = server.session(KEY.1, "run: sleep 600").await;
    server.wait_for_event(KEY.1, &session, "agent.tool_use").await;
    server.running.signal(Signal::INT);
    server.running.wait_for("a second signal ends this at once");
    server.running.signal(Signal::TERM);
    assert_eq!(server.running.wait().0, 143);
}

#[test]
fn a_program_whose_file_is_gone_says_so() {
    let folder = Folder::new();
    let copy = folder.path("daybreak-of-yesterday");
    std::fs::copy(env!("CARGO_BIN_EXE_daybreak"), &copy).unwrap();
    let file = std::fs::File::open(&copy).unwrap();
    std::fs::remove_file(&copy).unwrap();
    let program = format!("/proc/self/fd/{}", file.as_raw_fd());
    let (code, _, said) = told(&folder.command_of(program, &["serve", "--listen", "127.0.0.1:0"]).output().unwrap());
    assert!(code == 1 && said.contains("replaced or removed"), "{code} {said}");
}

#[test]
fn models_are_listed() {
    let folder = Folder::new();
    let (code, listed, said) = folder.run(&["models"]);
    assert!(code == 0 && listed.contains("rehearsal/echo") && said.contains("ANTHROPIC_API_KEY"), "{listed} {said}");
    let (_, listed, said) = told(&folder.command(&["models"]).env("ANTHROPIC_API_KEY", "k").output().unwrap());
    assert!(listed.contains("claude-opus-5-5") && said.is_empty(), "{listed} {said}");
}
