//! One scripted session, and a crash right before and right after every commit it makes.

use crate::audit::{check, full, spec, steps_left, until_idle};
use daybreak_testkit::client::{Client, Unanswered, text};
use daybreak_testkit::server::{Server, Spec};
use std::collections::BTreeMap;
use std::path::Path;

/// The scripted client. What it was promised is remembered here, outside the server.
#[derive(Default)]
struct Script {
    session: Option<String>,
    said: Vec<String>,
    /// Steps whose message was acknowledged.
    steps: usize,
}

/// Messages of the script, each of which makes two tool calls.
fn steps() -> usize {
    if full() { 12 } else { 2 }
}

impl Script {
    /// Goes on from wherever the last server died.
    async fn go_on(&mut self, client: &Client, server: &mut Server) -> Result<(), Unanswered> {
        let session = match &self.session {
            Some(session) => session.clone(),
            None => client.create_session("rehearsal/crash").await?,
        };
        self.session = Some(session.clone());
        while self.steps < steps() {
            until_idle(client, server, &session).await?;
            let words = format!("step {}", self.steps);
            // An unanswered message may have been taken all the same: look before saying it again.
            let heard = client
                .events(&session)
                .await?
                .into_iter()
                .find(|event| event["type"] == "user.message" && event["content"][0]["text"] == words.as_str());
            let id = match heard {
                Some(event) => text(&event["id"]),
                None => client.say(&session, &words).await?,
            };
            self.said.push(id);
            self.steps += 1;
        }
        until_idle(client, server, &session).await
    }
}

/// Plays the script against servers that may die, until it is through; then checks everything. True when the fuse
/// blew: which writes share a commit is a matter of timing, so the last commits of a run may not exist in another.
async fn play(spec: &Spec, crash_at: &str) -> bool {
    let mut script = Script::default();
    let mut blew = true;
    let mut fuse = spec.clone();
    fuse.env.push(("DAYBREAK_CRASH_AT".to_owned(), crash_at.to_owned()));
    if let Some(mut server) = Server::start(&fuse).await {
        let client = Client::new(&server.url);
        blew = script.go_on(&client, &mut server).await.is_err();
    }
    let mut server = Server::start(spec).await.expect("a restart after a crash");
    let client = Client::new(&server.url);
    script.go_on(&client, &mut server).await.expect("no crash without a fuse");
    let session = script.session.expect("a session");
    let events = client.events(&session).await.expect("a list");
    check(&events, &script.said);
    let steps = steps_left(&client, &session).await.expect("the output");
    let folder = spec.data_dir.join("sessions").join(&session).join("outputs/steps");
    let on_disk = std::fs::read_to_string(folder).unwrap_or_default();
    let listed: u32 = steps.values().sum();
    assert_eq!(on_disk.lines().count(), listed as usize, "{crash_at}: what was left is not what is listed");
    let run: BTreeMap<_, _> = steps.into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(run.is_empty(), "{crash_at}: steps that ran more than once: {run:?}");
    blew
}

async fn count_commits(dir: &Path) -> u64 {
    let mut counting = spec(dir);
    let file = dir.join("commits");
    counting.env.push(("DAYBREAK_COMMITS_FILE".to_owned(), file.to_string_lossy().into_owned()));
    let mut server = Server::start(&counting).await.expect("a server");
    let client = Client::new(&server.url);
    Script::default().go_on(&client, &mut server).await.expect("a script without crashes");
    std::fs::read_to_string(file).expect("a count").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_or_after_any_commit_loses_nothing_and_repeats_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let commits = count_commits(dir.path()).await;
    assert!(commits >= 12, "the script has become trivial: {commits} commits");
    let points: Vec<String> = (1..=commits).flat_map(|n| [format!("before:{n}"), format!("after:{n}")]).collect();
    let mut blown = 0;
    let mut running = tokio::task::JoinSet::new();
    for point in &points {
        if running.len() == 2 {
            blown += usize::from(running.join_next().await.expect("one runs").expect("it holds"));
        }
        let (point, root) = (point.clone(), dir.path().join(point.replace(':', "-")));
        running.spawn(async move {
            std::fs::create_dir_all(&root).expect("a directory");
            play(&spec(&root), &point).await
        });
    }
    while let Some(outcome) = running.join_next().await {
        blown += usize::from(outcome.expect("it holds"));
    }
    assert!(blown * 10 >= points.len() * 9, "only {blown} of {} fuses blew", points.len());
    println!("crash matrix: {commits} commits, {blown} crashes, 0 violations");
}
