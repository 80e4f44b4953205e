//! Messages for the operator, on standard error.

use crate::Env;
use crate::args::LogFormat;
use crate::failure::{Failure, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

const FILTER_VARS: [&str; 2] = ["DAYBREAK_LOG", "RUST_LOG"];

/// Starts to log what the environment asks for, else everything from `level` up.
pub(crate) fn start(format: LogFormat, level: &str, env: Env<'_>) -> Result<()> {
    let asked = FILTER_VARS.iter().find_map(|name| Some((name, given(env, name)?)));
    let filter = match asked {
        None => EnvFilter::new(level),
        Some((name, text)) => {
            EnvFilter::try_new(&text).map_err(|error| Failure::caused(format!("{name}={text}"), &error))?
        }
    };
    let colours = std::io::stderr().is_terminal() && given(env, "NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Why ignored: in a process that logs already, a second start changes nothing.
    let _started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// A variable that is set and not blank.
pub(crate) fn given(env: Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}
