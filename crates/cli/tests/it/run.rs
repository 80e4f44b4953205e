//! `daybreak run`.

use crate::program::{Folder, Running, told};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

const NOTICE: &str = "This is a rehearsal";

/// Runs with the scenarios of the folder `scenarios`.
fn with_scenarios(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    command.env("DAYBREAK_SCENARIOS", folder.path("scenarios"));
    command
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_task_is_done_and_nothing_of_it_is_left() {
    let folder = Folder::new();
    let (code, said, told) = folder.run(&["run", "--model", "rehearsal/echo", "hello there"]);
    assert_eq!((code, said.as_str()), (0, "Rehearsal: you said \"hello there\".\n\n"), "{told}");
    assert_eq!(told.matches(NOTICE).count(), 2, "before and after: {told}");
    assert!(told.contains("✔ Done") && told.contains("written (estimated).") && told.contains("no files"), "{told}");
    assert!(!told.contains('\x1b'), "no colours where there is no terminal");
    assert!(folder.left_in_tmp().is_empty() && !folder.path("outputs").exists());
}

#[test]
fn files_go_in_and_come_out() {
    let folder = Folder::new();
    folder.write("in/a.txt", "first");
    folder.write("in/deep/b.txt", "second");
    folder.write("c d.txt", "third");
    folder.write("in/.hidden", "fourth");
    std::os::unix::fs::symlink("../c d.txt", folder.path("in/link")).unwrap();
    let task = "run: cd /mnt/session/uploads; cat in/a.txt in/deep/b.txt 'c d.txt'; \
        cd ../outputs; mkdir sub; printf one > x.txt; printf two > sub/x.txt";
    let arguments =
        ["run", "--model", "rehearsal/echo", "--file", "in", "--file", "c d.txt", "--outputs", "results", task];
    let (code, said, told) = folder.run(&arguments);
    assert!(code == 0 && said.contains("firstsecondthird"), "{code} {said} {told}");
    assert!(told.contains("▸ bash  cd /mnt/session/uploads") && told.contains("2 files in results"), "{told}");
    assert!(told.contains("skipped in/link: the link leads out") && told.contains("uploaded 4 files, 22 B"), "{told}");
    let mut found = [text_of(&folder.path("results/x.txt")), text_of(&folder.path("results/x-2.txt"))];
    found.sort();
    assert_eq!(found, ["one", "two"]);

    let (code, _, told) = folder.run(&["run", "--model", "rehearsal/echo", "run: touch /mnt/session/outputs/y"]);
    assert_eq!(code, 0, "{told}");
    let session = std::fs::read_dir(folder.path("outputs")).unwrap().next().unwrap().unwrap();
    assert!(session.file_name().to_str().unwrap().starts_with("sesn_") && session.path().join("y").exists());
}

#[test]
fn what_an_agent_prints_does_not_reach_the_terminal_as_it_is() {
    let folder = Folder::new();
    let (code, said, told) = folder.run(&["run", "--model", "rehearsal/echo", r"run: printf '\033[2Jx\007\r'"]);
    assert_eq!(code, 0, "{told}");
    assert!(!said.contains(['\x1b', '\x07', '\r']) && !told.contains(['\x1b', '\x07', '\r']), "{said:?} {told:?}");
}

#[test]
fn a_task_that_is_not_done_is_a_failure() {
    let folder = Folder::new();
    let scenario = "name: moods\nrules:\n\
        - when: { message: broken }\n  fail: { status: 400, message: not today }\n\
        - when: { message: refuse }\n  stop: { refusal: { category: cyber, explanation: I would rather not } }\n  \
        reply: [{ text: 'No.' }]\n\
        otherwise: { reply: [{ text: 'Yes.' }] }\n";
    folder.write("scenarios/moods.yaml", scenario);
    for (task, expected, part) in
        [("broken", 1, "not today"), ("refuse", 1, "I would rather not"), ("something else", 0, "✔ Done")]
    {
        let output = with_scenarios(&folder, &["run", "--model", "rehearsal/moods", task]).output().unwrap();
        let (code, said, told) = told(&output);
        assert!(code == expected && told.contains(part), "{task}: {code} {said} {told}");
        assert_eq!(told.contains("✖ Not done"), expected == 1, "{told}");
    }
    assert!(folder.left_in_tmp().is_empty());
}

#[test]
fn an_agent_comes_from_a_file() {
    let folder = Folder::new();
    folder.write("scenarios/name.yaml", "name: name\nrules: []\notherwise: { reply: [{ text: 'I am {{agent}}.' }] }\n");
    folder.write("agent.yaml", "name: Ada\nmodel: rehearsal/name\nsystem: |\n  Be brief.\n");
    folder.write("agent.json", r#"{ "name": "Bob", "model": { "id": "rehearsal/name" } }"#);
    for (file, name) in [("agent.yaml", "Ada"), ("agent.json", "Bob")] {
        let (code, said, told) = told(&with_scenarios(&folder, &["run", "--agent", file, "who?"]).output().unwrap());
        assert!(code == 0 && said == format!("I am {name}.\n\n"), "{code} {said} {told}");
        assert!(told.contains(NOTICE), "{told}");
    }
    let arguments = ["run", "--agent", "agent.yaml", "--model", "rehearsal/echo", "hello"];
    assert!(folder.run(&arguments).1.contains("you said"), "the flag goes before the file");
    let (code, _, said) = told(&with_scenarios(&folder, &["run", "--model", "gpt-9", "hello"]).output().unwrap());
    assert!(code == 1 && said.contains("gpt-9") && said.contains("rehearsal/name"), "{code} {said}");
    for (text, part) in [("model: rehearsal/echo\nmode: strict\n", "mode"), ("", "model: is missing; or give --model")]
    {
        folder.write("agent.yaml", &format!("name: Ada\n{text}"));
        let (code, _, said) = folder.run(&["run", "--agent", "agent.yaml", "hello"]);
        assert!(code == 1 && said.starts_with(&format!("daybreak: agent.yaml: {part}")), "{code} {said}");
        assert_eq!(said.lines().count(), 1, "nothing was begun: {said}");
    }
    assert!(folder.left_in_tmp().is_empty());
}

#[test]
fn an_outputs_folder_that_cannot_be_is_refused_before_anything_is_done() {
    let folder = Folder::new();
    folder.write("taken", "");
    let (code, said, told) = folder.run(&["run", "--model", "rehearsal/echo", "--outputs", "taken", "hello"]);
    assert!(code == 1 && said.is_empty() && told.starts_with("daybreak: taken: "), "{code} {said} {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(folder.left_in_tmp().is_empty());
}

#[test]
fn what_cannot_be_fetched_is_kept() {
    let folder = Folder::new();
    folder.write("outputs", "a file where the folder should be");
    let (code, _, told) = folder.run(&["run", "--model", "rehearsal/echo", "run: touch /mnt/session/outputs/y"]);
    let left = folder.left_in_tmp();
    assert!(code == 1 && left.len() == 1, "{code} {told}");
    assert!(told.contains(&format!("is kept: daybreak serve --data-dir {}\n", left[0].display())), "{told}");
    assert!(left[0].join("api-key").exists(), "it can be served");
}

#[test]
fn ctrl_c_stops_the_agent_and_cleans_up() {
    let folder = Folder::new();
    let task = "run: touch /mnt/session/outputs/begun; sleep 600";
    let arguments = ["run", "--model", "rehearsal/echo", "--outputs", "results", task];
    let run = Running::start(&mut folder.command(&arguments));
    run.wait_for("▸ bash");
    run.signal(Signal::INT);
    let (code, said) = run.wait();
    assert!(code == 130 && said.contains("✖ Interrupted after"), "{code} {said}");
    assert!(folder.left_in_tmp().is_empty());
}

#[tokio::test]
async fn a_data_directory_of_ones_own_stays_and_can_be_served() {
    let folder = Folder::new();
    let (code, _, told) = folder.run(&["run", "--data-dir", "data", "--model", "rehearsal/echo", "hello"]);
    assert!(code == 0 && told.contains("is kept in "), "{code} {told}");
    let (code, _, told) = folder.run(&["run", "--data-dir", "data", "--model", "rehearsal/echo", "again"]);
    assert_eq!(code, 0, "{told}");
    let server = folder.serve(&[], &[]);
    let key = text_of(&folder.path("data/api-key"));
    let (status, sessions) = server.get("/v1/sessions", key.trim()).await;
    assert_eq!((status, sessions["data"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(server.stop().0, 0);

    let (code, _, told) = folder.run(&["run", "--keep", "--model", "rehearsal/echo", "hello"]);
    assert_eq!((code, folder.left_in_tmp().len()), (0, 1), "{told}");
}

#[tokio::test]
async fn a_data_directory_whose_key_is_not_known_can_be_used_all_the_same() {
    let folder = Folder::new();
    let key = ("DAYBREAK_API_KEY", "sk-test-b1946ac92492d234");
    assert_eq!(folder.serve(&[], &[key]).stop().0, 0);
    let (code, _, told) = folder.run(&["run", "--data-dir", "data", "--model", "rehearsal/echo", "hello"]);
    assert_eq!(code, 0, "{told}");
    let server = folder.serve(&[], &[]);
    assert_eq!(server.get("/v1/sessions", key.1).await.1["data"].as_array().map(Vec::len), Some(1));
}
