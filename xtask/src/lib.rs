//! The developer's commands. `cargo xtask` without arguments lists them.
//!
//! Each command is one module with one `run`. They share [`place`] (where the repository is, what the
//! environment says) and [`child`] (how another program is started). Invariant: the only dependency is
//! `serde_json`, so that a newcomer's first command starts within seconds.

use std::ffi::OsString;

pub mod bench;
pub mod child;
pub mod demo;
pub mod place;
pub mod setup;
pub mod tally;
pub mod test;
pub mod tidy;
pub mod torture;

/// What a command answers: nothing, or a message for the person who called it.
pub type Outcome<T = ()> = Result<T, String>;

const HELP: &str = "\
The developer's commands:

  cargo xtask demo [-- ARGS]       build Daybreak and let an agent write a report about some build logs
  cargo xtask test                 everything that must pass before a change is merged
           [--only STEP] [--list] [--verbose]
  cargo xtask tidy                 only the rules about the source: sizes, edges, words, documents
  cargo xtask torture [SUITE]      the tests whose name contains SUITE (crash, kill, escape …) at full counts
  cargo xtask bench [ARGS]         measure a release build
  cargo xtask setup [--for test]   install what the machine is missing; the others call it themselves
";

/// Runs one command, given the arguments after `cargo xtask` and the environment.
pub fn run(arguments: &[String], env: impl Iterator<Item = (OsString, OsString)>) -> Outcome {
    let place = place::Place::find(env)?;
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match command.as_str() {
        "setup" => setup::run(&place, rest),
        "demo" => demo::run(&place, rest),
        "test" => test::run(&place, rest),
        "tidy" => tidy::run(&place, rest),
        "torture" => torture::run(&place, rest),
        "bench" => bench::run(&place, rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{HELP}")),
    }
}
