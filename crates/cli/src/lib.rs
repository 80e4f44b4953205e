//! The commands of `daybreak`.
//!
//! The cast: `args` is what may be typed; `settings` puts flags, environment and file together; an
//! `instance::Instance` is a whole server in this process, and both `serve` and `run` start it the same way.
//! `run` then talks to it over HTTP like any other client: it has no other door.
//!
//! Always true: the environment is read here and passed on as a function. Nothing below asks for it.

mod args;
mod failure;
mod greeting;
mod instance;
mod key;
mod logging;
mod models;
mod run;
mod serve;
mod settings;
mod stop;

use args::{Args, Command};
use clap::Parser;
use daybreak_store::CommitHook;
use failure::{Failure, Result};
use std::process::ExitCode;
use std::time::Duration;

/// How long blocking work may hold up the end of the process.
const RUNTIME_END_MAX: Duration = Duration::from_secs(1);

/// What a test may put into the program.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Called before and after every commit.
    pub on_commit: Option<CommitHook>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("on_commit", &self.on_commit.is_some()).finish()
    }
}

/// Answers for one variable of the environment.
type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The program: reads arguments and environment, does what they say, and tells how it went.
pub fn main_with(hooks: Hooks) -> ExitCode {
    let args = Args::parse();
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let env = |name: &str| std::env::var(name).ok();
    match execute(args.command, hooks, &env) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("daybreak: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, hooks: Hooks, env: Env<'_>) -> Result<ExitCode> {
    if let Command::Models(args) = command {
        return models::list(&args, env);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::caused("the asynchronous runtime cannot be started", &error))?;
    let outcome = match command {
        Command::Serve(args) => {
            logging::start(args.place.log_format, "info", env)?;
            runtime.block_on(serve::serve(args, hooks, env))
        }
        Command::Run(args) => {
            logging::start(args.place.log_format, "warn", env)?;
            runtime.block_on(run::run(args, hooks, env))
        }
        Command::Models(_) => Ok(ExitCode::SUCCESS),
    };
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    outcome
}
