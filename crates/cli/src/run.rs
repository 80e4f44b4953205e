//! `daybreak run`: one task, from the agent's creation to its files in a folder.
//!
//! The cast: an [`Instance`] serves on a port that nobody else knows of; [`client::Client`] is its only caller and uses
//! nothing but the API; [`follow::Follower`] reads the session's stream and [`screen::Screen`] shows it;
//! [`uploads`] and [`outputs`] carry files in and out; [`scratch::Scratch`] is where all of it is kept meanwhile.

mod agent;
mod client;
mod follow;
mod outputs;
mod scratch;
mod screen;
mod uploads;

use crate::Env;
use crate::Hooks;
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::instance::Instance;
use crate::key;
use crate::logging::given;
use crate::models::is_rehearsal;
use crate::settings;
use crate::stop::{Signals, Told};
use client::{Client, id_of};
use daybreak_outbound::REHEARSAL_NOTICE;
use daybreak_server::{Config, SandboxBackend};
use follow::Follower;
use scratch::Scratch;
use screen::{Screen, visible};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long an interrupted session may take to come to rest.
const INTERRUPT_MAX: Duration = Duration::from_secs(10);
/// How long whatever is under way at the end may take. The session is at rest then, so it is nearly always nothing.
const STOP_GRACE: Duration = Duration::from_secs(2);
const FAILED: u8 = 1;
const OUTPUTS: &str = "outputs";
const TITLE_CHARS_MAX: usize = 80;

/// Does the task. The exit code says whether the agent has ended it.
pub(crate) async fn run(args: RunArgs, hooks: Hooks, env: Env<'_>) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    if args.task.trim().is_empty() {
        return Err(Failure::new("the task is empty; say what the agent shall do"));
    }
    let found = uploads::find(&args.files)?;
    let mut config = settings::load(&args.place, env)?;
    if let Some(folder) = &args.outputs {
        outputs::prepare(folder)?;
    }
    let scratch = Scratch::new(args.data_dir.as_deref(), args.keep, env)?;
    config.data_dir.clone_from(&scratch.path);
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.server.shutdown_grace_s = STOP_GRACE.as_secs();

    let instance = Instance::start(&config, hooks, env).await?;
    let outcome = perform(&args, &config, &instance, &scratch, found, signals, env).await;
    let stopped = instance.stop(STOP_GRACE).await;
    let code = outcome?;
    stopped?;
    Ok(code.into())
}

async fn perform(
    args: &RunArgs,
    config: &Config,
    instance: &Instance,
    scratch: &Scratch,
    found: uploads::Found,
    mut signals: Signals,
    env: Env<'_>,
) -> Result<u8> {
    let client = Client::new(instance.address, &key(instance).await?)?;
    let definition = agent::definition(args.agent.as_deref(), args.model.as_deref(), instance.models())?;
    let is_rehearsal = is_rehearsal(instance.models(), agent::model_of(&definition));
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    let mut screen = Screen::new(&mut stdout, &mut stderr, wants_colours(env));

    let begun = Instant::now();
    let session = tokio::select! {
        session = create(&client, &definition, args, &found, &mut screen) => session?,
        told = signals.next() => return Ok(told.exit_code()),
    };
    introduce(&mut screen, &definition, config.sandbox.backend, is_rehearsal);
    let mut follower = Follower::new(&client, &session);
    let told = tokio::select! {
        end = until_end(&mut follower, &mut screen) => Err(end?),
        told = signals.next() => Ok(told),
    };
    signals.end_at_next(scratch.remover());
    let end = match told {
        Ok(told) => interrupt(&client, &session, told, &mut follower, &mut screen).await?,
        Err(end) => end,
    };
    let folder = args.outputs.clone().unwrap_or_else(|| Path::new(OUTPUTS).join(&session));
    let files = outputs::fetch(&client, &session, &folder).await.map_err(|failure| unfetched(&failure, scratch))?;
    let summary = Summary { end: &end, took: begun.elapsed(), files: &files, folder: &folder, is_rehearsal };
    summary.show(&mut screen, &client.get(&format!("/v1/sessions/{session}")).await?);
    if !scratch.is_passing() {
        screen.note(&format!("The session {session} is kept in {}.", scratch.path.display()));
    }
    Ok(end.code())
}

/// The agent's work is not thrown away because its copy failed.
fn unfetched(failure: &Failure, scratch: &Scratch) -> Failure {
    scratch.keep();
    let kept = scratch.path.display();
    Failure::new(format!("{failure}; the session with its files is kept: daybreak serve --data-dir {kept}"))
}

/// The server's first key, or one of our own if that is not known here.
async fn key(instance: &Instance) -> Result<String> {
    match instance.key.text() {
        Some(key) => Ok(key.to_owned()),
        None => key::admit_passing(instance.engine.store(), instance.engine.world()).await,
    }
}

fn wants_colours(env: Env<'_>) -> bool {
    let is_dumb = given(env, "TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && given(env, "NO_COLOR").is_none() && !is_dumb
}

fn introduce(screen: &mut Screen<'_>, definition: &Value, backend: SandboxBackend, is_rehearsal: bool) {
    let name = visible(definition["name"].as_str().unwrap_or_default());
    let model = visible(agent::model_of(definition));
    let place = match backend {
        SandboxBackend::Bubblewrap => "tools run in a sandbox without a network",
        SandboxBackend::UnsafeHost => "tools run on this host",
    };
    screen.note(&format!("{name} works with {model}; {place}."));
    if backend == SandboxBackend::UnsafeHost {
        screen.notice("WARNING: without a sandbox (unsafe-host), tools can do everything that you can.");
    }
    if is_rehearsal {
        screen.notice(REHEARSAL_NOTICE);
    }
    screen.note("");
}

/// Creates everything that the session needs, and the session with the task as its first event.
async fn create(
    client: &Client,
    definition: &Value,
    args: &RunArgs,
    found: &uploads::Found,
    screen: &mut Screen<'_>,
) -> Result<String> {
    let agent = id_of(&client.create_agent(definition, args.agent.as_deref()).await?)?;
    let environment = id_of(&client.post("/v1/environments", &json!({ "name": "daybreak run" })).await?)?;
    for link in &found.leading_out {
        screen.notice(&format!("skipped {}: the link leads out of its folder", visible(&link.to_string_lossy())));
    }
    let uploaded = uploads::upload(client, &found.mounts).await?;
    if !args.files.is_empty() {
        screen.note(&uploaded.to_string());
    }
    let task = &args.task;
    let title: String = task.lines().next().unwrap_or_default().chars().take(TITLE_CHARS_MAX).collect();
    let message = json!({ "type": "user.message", "content": [{ "type": "text", "text": task }] });
    let session = json!({
        "agent": agent,
        "environment_id": environment,
        "title": title,
        "resources": uploaded.resources,
        "initial_events": [message],
    });
    id_of(&client.post("/v1/sessions", &session).await?)
}

/// How a session came to rest.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The agent says that it is done.
    Done,
    /// It is not done; why.
    Failed(String),
    /// Somebody wanted it to stop.
    Interrupted(Told),
}

impl End {
    fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed(_) => FAILED,
            Self::Interrupted(told) => told.exit_code(),
        }
    }

    /// The end that an event means, if any.
    fn of(event: &Value) -> Option<Self> {
        let failed = |why: &str| Some(Self::Failed(why.to_owned()));
        match event["type"].as_str()? {
            "session.status_terminated" => failed("the session was terminated"),
            "session.deleted" => failed("the session was deleted"),
            "session.status_idle" => match event["stop_reason"]["type"].as_str().unwrap_or_default() {
                "end_turn" => Some(Self::Done),
                "retries_exhausted" => failed("the model could not be reached, or a limit was hit; it was given up"),
                "refusal" => {
                    let explanation = event["stop_details"]["explanation"].as_str().unwrap_or("it does not say why");
                    Some(Self::Failed(format!("the model declined the task: {}", visible(explanation))))
                }
                "requires_action" => failed("the agent waits for an answer that this command cannot give"),
                other => Some(Self::Failed(format!("it stopped with {}", visible(other)))),
            },
            _ => None,
        }
    }
}

/// Shows the session until it rests. Nothing is lost when this is dropped before it is ready.
async fn until_end(follower: &mut Follower<'_>, screen: &mut Screen<'_>) -> Result<End> {
    loop {
        let event = follower.next().await?;
        screen.show(&event)?;
        if let Some(end) = End::of(&event) {
            return Ok(end);
        }
    }
}

/// Stops the session, and waits a moment for it to rest.
async fn interrupt(
    client: &Client,
    session: &str,
    told: Told,
    follower: &mut Follower<'_>,
    screen: &mut Screen<'_>,
) -> Result<End> {
    screen.notice("Stopping; once more ends this at once.");
    client.send(session, json!({ "type": "user.interrupt" })).await?;
    if tokio::time::timeout(INTERRUPT_MAX, until_end(follower, screen)).await.is_err() {
        screen.problem("The session did not come to rest in time.");
    }
    Ok(End::Interrupted(told))
}

/// What is said at the end.
struct Summary<'s> {
    end: &'s End,
    took: Duration,
    files: &'s [PathBuf],
    folder: &'s Path,
    is_rehearsal: bool,
}

impl Summary<'_> {
    fn show(&self, screen: &mut Screen<'_>, session: &Value) {
        let took = format!("{:.1} s", self.took.as_secs_f64());
        let tokens = tokens(&session["usage"], self.is_rehearsal);
        match self.end {
            End::Done => screen.note(&format!("✔ Done in {took}; {tokens}.")),
            End::Failed(why) => {
                screen.problem(&format!("✖ Not done, after {took}: {why}."));
                screen.note(&format!("{tokens}."));
            }
            End::Interrupted(_) => {
                screen.problem(&format!("✖ Interrupted after {took}; {tokens}."));
            }
        }
        if self.files.is_empty() {
            screen.note("It left no files.");
        } else {
            let count = self.files.len();
            let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
            screen.note(&format!("It left {files} in {}:", self.folder.display()));
            for file in self.files {
                screen.note(&format!("  {}", file.display()));
            }
        }
        if self.is_rehearsal {
            screen.notice(REHEARSAL_NOTICE);
        }
    }
}

/// What the session has used. A rehearsal calls no model, so nobody has counted its tokens.
fn tokens(usage: &Value, is_rehearsal: bool) -> String {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let created = &usage["cache_creation"];
    let read = count(&usage["input_tokens"])
        + count(&usage["cache_read_input_tokens"])
        + count(&created["ephemeral_5m_input_tokens"])
        + count(&created["ephemeral_1h_input_tokens"]);
    let estimated = if is_rehearsal { " (estimated)" } else { "" };
    format!("{read} tokens read, {} written{estimated}", count(&usage["output_tokens"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_that_has_ended_its_turn_is_done() {
        let idle = |reason: &str| json!({ "type": "session.status_idle", "stop_reason": { "type": reason } });
        assert_eq!(End::of(&idle("end_turn")), Some(End::Done));
        for reason in ["retries_exhausted", "refusal", "requires_action", "something_new"] {
            assert_eq!(End::of(&idle(reason)).map(|end| end.code()), Some(FAILED), "{reason}");
        }
        let terminated = json!({ "type": "session.status_terminated" });
        assert_eq!(End::of(&terminated).map(|end| end.code()), Some(FAILED));
        assert_eq!(End::of(&json!({ "type": "session.thread_status_idle" })), None);
        assert_eq!((End::Interrupted(Told::Interrupt).code(), End::Interrupted(Told::Terminate).code()), (130, 143));
    }

    #[test]
    fn every_token_counts() {
        let usage = json!({ "input_tokens": 1, "cache_read_input_tokens": 20, "output_tokens": 4,
            "cache_creation": { "ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0 } });
        assert_eq!(tokens(&usage, false), "321 tokens read, 4 written");
        assert_eq!(tokens(&usage, true), "321 tokens read, 4 written (estimated)");
    }
}
