//! Messages for the operator, on standard error.

use crate::Env;
use crate::args::LogFormat;
use crate::failure::{Failure, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How long somebody waited for a connection to the database tells an operator nothing.
const QUIET: &str = "sqlx::pool=error";
const FILTER_VARS: [&str; 2] = ["DAYBREAK_LOG", "RUST_LOG"];

/// Starts to log what the environment asks for, else everything from `level` up.
pub(crate) fn start(format: LogFormat, level: &str, env: Env<'_>) -> Result<()> {
    let filter = filter(level, env)?;
    let colours = std::io::stderr().is_terminal() && given(env, "NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Why ignored: in a process that logs already, a second start changes nothing.
    let _started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn filter(level: &str, env: Env<'_>) -> Result<EnvFilter> {
    match FILTER_VARS.iter().find_map(|name| Some((name, given(env, name)?))) {
        None => Ok(EnvFilter::new(format!("{level},{QUIET}"))),
        // Why without its causes: unlike the errors of our own, this one repeats what it was caused by.
        Some((name, text)) => {
            EnvFilter::try_new(&text).map_err(|error| Failure::new(format!("{name}={text}: {error}")))
        }
    }
}

/// A variable that is set and not blank.
pub(crate) fn given(env: Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

    #[test]
    fn the_pool_is_quiet_unless_it_is_asked_for() {
        let hears = |env: Env<'_>| {
            let layer = tracing_subscriber::fmt::layer().with_filter(filter("info", env).unwrap());
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                let pool = tracing::enabled!(target: "sqlx::pool::acquire", tracing::Level::WARN);
                (pool, tracing::enabled!(target: "sqlx::query", tracing::Level::INFO))
            })
        };
        assert_eq!(hears(&|_| None), (false, true));
        assert_eq!(hears(&|name| (name == "DAYBREAK_LOG").then(|| "info".to_owned())), (true, true));
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_said_once() {
        for text in ["foo=bar=baz", "a=loud"] {
            let problem = filter("info", &|_| Some(text.to_owned())).unwrap_err().to_string();
            assert!(problem.starts_with(&format!("DAYBREAK_LOG={text}: ")), "{problem}");
            let said: Vec<_> = problem.split(": ").collect();
            assert!(said.iter().enumerate().all(|(at, part)| !said[..at].contains(part)), "{problem}");
        }
    }
}
