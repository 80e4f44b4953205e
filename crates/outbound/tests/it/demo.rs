//! The scenarios that are built in, played to their end with real tools over the real logs of the demonstration.

use std::path::{Path, PathBuf};
use std::process::Command;

use daybreak_domain::model::{ModelReply, ModelRequest, ReplyKind, Stop};
use daybreak_outbound::{Models, ModelsConfig};
use serde_json::Value;

use crate::{replied, request, results, texts, user};

/// A stand-in for the sandbox: the tools, on a directory that plays the part of the mount points.
struct Desk {
    root: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["uploads/logs", "outputs", "workspace"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    fn logs(&self) -> PathBuf {
        self.root.path().join("uploads/logs")
    }

    fn inside(&self, text: &str) -> String {
        let root = self.root.path().to_str().unwrap();
        text.replace("/mnt/session", root).replace("/workspace", &format!("{root}/workspace"))
    }

    fn run(&self, tool: &str, input: &Value) -> (String, bool) {
        let member = |name: &str| self.inside(input[name].as_str().unwrap_or_default());
        match tool {
            "bash" => self.shell(&member("command")),
            "glob" => {
                let (listed, _) = self.shell(&format!("ls -d '{}'/{} 2>/dev/null", member("path"), member("pattern")));
                (if listed.is_empty() { "no matches".to_owned() } else { listed.trim_end().to_owned() }, false)
            }
            "grep" => (self.shell(&format!("grep -rnE '{}' '{}'", member("pattern"), member("path"))).0, false),
            "read" => match std::fs::read_to_string(member("file_path")) {
                Ok(text) => (text, false),
                Err(error) => (error.to_string(), true),
            },
            "write" => {
                std::fs::write(member("file_path"), member("content")).unwrap();
                ("wrote it".to_owned(), false)
            }
            other => (format!("there is no tool {other}"), true),
        }
    }

    fn shell(&self, command: &str) -> (String, bool) {
        let output = Command::new("bash").args(["-c", command]).current_dir(self.root.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), !output.status.success())
    }
}

/// What came of a session.
struct Session {
    last: ModelReply,
    replies: usize,
    calls: usize,
    /// What the agent said, all of it.
    said: String,
}

/// Lets the scenario and the tools talk until the scenario is done.
async fn session(model: &str, desk: &Desk, message: &str) -> Session {
    converse(model, desk, &mut request(message)).await
}

/// The same, with a conversation that has begun already and goes on.
async fn converse(model: &str, desk: &Desk, asked: &mut ModelRequest) -> Session {
    let models = Models::from_config(ModelsConfig::default(), &|_| None).unwrap();
    let route = models.resolve(model).unwrap();
    asked.model = route.upstream;
    let (mut calls, mut said) = (0, String::new());
    for replies in 1..20 {
        let reply = route.provider.call(asked).await.unwrap_or_else(|error| panic!("reply {replies}: {error}"));
        said.push_str(&texts(&reply));
        if reply.stop != Stop::ToolUse {
            asked.messages.push(replied(&reply));
            return Session { last: reply, replies, calls, said };
        }
        asked.messages.push(replied(&reply));
        let mut done = Vec::new();
        for block in &reply.blocks {
            if let ReplyKind::ToolUse { id, name, input } = &block.kind {
                let (text, is_error) = desk.run(name, &Value::Object(input.clone().unwrap()));
                done.push((id.clone(), text, is_error));
            }
        }
        calls += done.len();
        let done: Vec<(&str, &str, bool)> =
            done.iter().map(|(id, text, failed)| (id.as_str(), text.as_str(), *failed)).collect();
        asked.messages.push(results(&done));
    }
    panic!("the scenario does not come to an end");
}

const TASK: &str = "Analyse the build logs in /mnt/session/uploads/logs and write a report.";

fn demo_logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/logs")
}

#[tokio::test]
async fn the_demonstration_reports_rightly_on_its_logs() {
    let desk = Desk::new();
    let mut logs = 0;
    for entry in std::fs::read_dir(demo_logs()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, desk.logs().join(path.file_name().unwrap())).unwrap();
        logs += 1;
    }
    assert_eq!(logs, 12);
    let session = session("rehearsal/build-logs", &desk, TASK).await;
    assert_eq!((session.replies, session.calls), (7, 8));
    let closing = texts(&session.last);
    assert!(closing.starts_with("I analysed 12 logs: 9 failed, 1 passed with warnings, 2 passed."), "{closing}");
    assert!(closing.contains("it has 12 of the 12 logs and a section for each of the 9 failures"), "{closing}");
    assert!(closing.contains("This was a rehearsal: no model was called"), "{closing}");
    assert!(session.said.starts_with("This is a rehearsal"), "{}", session.said);
    assert!(session.said.contains("There are 12 logs, and npm-dashboard-install.log has"), "{}", session.said);
    assert_eq!(closing.lines().filter(|line| line.starts_with("- ")).count(), 9, "{closing}");
    assert!(closing.contains("\n- cargo-orders-build.log: error[E0308]: mismatched types\n"), "{closing}");

    let report = std::fs::read_to_string(desk.root.path().join("outputs/report.md")).unwrap();
    // Judged by hand, log by log: what failed, on which line it says so first, and why.
    for (log, line, cause) in [
        ("cargo-orders-build", "(line 3): `error[E0308]: mismatched types`", "another type"),
        ("cargo-retry-test", "(line 9): `test tests::reads_the_header ... FAILED`", "A test panics: assertion"),
        ("npm-dashboard-install", "(line 3): `ERESOLVE", "peer react@\"17.0.2\" from react-test-renderer@17.0.2"),
        ("npm-ratelimit-test", "(line 8): `✖ a bucket never holds more than its size", "601 !== 1"),
        ("npm-storefront-build", "(line 6): `src/checkout.ts(9,33): error TS2345", "type checker"),
        (
            "pip-crawler-install",
            "(line 11): `ERROR: Cannot install",
            "requests 2.31.0 depends on urllib3<3 and >=1.21.1",
        ),
        ("pip-fastsum-wheel", "(line 22): `src/fastsum.c:2:10: fatal error: fastsum_config.h", "header"),
        ("pip-ledger-test", "(line 15): `AssertionError: assert 0.30000000000000004", "assertion"),
        (
            "pip-thumbnailer-build",
            "(line 12): `configuration error: 'project.dependencies' must be array`",
            "project file",
        ),
    ] {
        let section =
            report.split("### ").find(|section| section.starts_with(log)).unwrap_or_else(|| panic!("no section {log}"));
        assert!(section.contains(line) && section.contains(cause), "{section}");
        assert!(section.contains("- Suggested fix: "), "{section}");
    }
    for row in [
        "| cargo-slug-release.log | passed with warnings | 5 warnings |",
        "| npm-feature-flags.log | passed | |",
        "| pip-textwrapper-test.log | passed | |",
    ] {
        assert!(report.contains(row), "{report}");
    }
    assert!(report.contains("Written in a rehearsal"), "{report}");
}

#[tokio::test]
async fn the_demonstration_goes_by_what_is_there() {
    let desk = Desk::new();
    let nothing = session("rehearsal/build-logs", &desk, TASK).await;
    assert!(texts(&nothing.last).contains("there are no *.log files"), "{}", nothing.said);

    let odd = "tool `x` | y\nerror: cannot find $HOME \"here\" '$(echo bad)'\n";
    std::fs::write(desk.logs().join("odd name.log"), odd).unwrap();
    std::fs::write(desk.logs().join("empty.log"), "").unwrap();
    // Colours, time stamps, carriage returns, bytes that are no UTF-8, and a line that would be cut within a character.
    let coloured = format!(
        "2026-01-02T03:04:05.678Z Compiling\r\n2026-01-02T03:04:06Z \u{1b}[31m\u{1b}[1merror\u{1b}[0m: a{}\r\n",
        "é".repeat(300)
    );
    std::fs::write(desk.logs().join("coloured.log"), [coloured.as_bytes(), b"caf\xe9\n"].concat()).unwrap();
    let session = session("rehearsal/build-logs", &desk, TASK).await;
    let summary = "I analysed 3 logs: 2 failed, 0 passed with warnings, 1 passed.";
    assert!(texts(&session.last).starts_with(summary), "{}", session.said);
    let report = std::fs::read_to_string(desk.root.path().join("outputs/report.md")).unwrap();
    assert!(report.contains("- Error (line 2): `error: cannot find $HOME \"here\" '$(echo bad)'`"), "{report}");
    assert!(report.contains("- Error (line 2): `error: aééé"), "{report}");
}

#[tokio::test]
async fn the_demonstration_can_be_asked_twice() {
    let desk = Desk::new();
    std::fs::write(desk.logs().join("one.log"), "error: one\n").unwrap();
    let mut asked = request(TASK);
    let first = texts(&converse("rehearsal/build-logs", &desk, &mut asked).await.last);
    assert!(first.starts_with("I analysed 1 logs: 1 failed"), "{first}");
    std::fs::write(desk.logs().join("one.log"), "all is well\n").unwrap();
    std::fs::write(desk.logs().join("two.log"), "error: two\n").unwrap();
    asked.messages.push(user(&format!("Again: {TASK}")));
    let second = texts(&converse("rehearsal/build-logs", &desk, &mut asked).await.last);
    assert!(second.starts_with("I analysed 2 logs: 1 failed, 0 passed with warnings, 1 passed."), "{second}");
    assert!(second.contains("- two.log: error: two\n") && !second.contains("one.log"), "{second}");
}

#[tokio::test]
async fn the_demonstration_says_what_it_is_when_asked_for_something_else() {
    let session = session("rehearsal/build-logs", &Desk::new(), "Write a poem.").await;
    assert!(session.said.contains("This is a rehearsal of one task, and no model is listening."), "{}", session.said);
}

#[tokio::test]
async fn the_echo_answers_and_runs() {
    let desk = Desk::new();
    for (message, expected) in [
        ("good morning", "Rehearsal: you said \"good morning\"."),
        ("run: printf 'a\\nb'", "Rehearsal: running it.Rehearsal: the command answered this.\n\na\nb"),
        ("run: echo no >&2; false", "Rehearsal: running it.Rehearsal: the command failed.\n\nno\n"),
    ] {
        assert_eq!(session("rehearsal/echo", &desk, message).await.said, expected);
    }
}

#[test]
fn no_log_names_the_machine_it_was_made_on() {
    for entry in std::fs::read_dir(demo_logs()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in ["/root", "/home", "/tmp", "http://", "https://", "\u{1b}"] {
            assert!(!text.contains(bad), "{} holds {bad:?}", path.display());
        }
    }
}
