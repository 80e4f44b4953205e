//! `daybreak models`, and what the other commands ask about models.

use crate::Env;
use crate::args::ModelsArgs;
use crate::failure::{Failure, Result};
use crate::settings;
use daybreak_outbound::Models;
use std::io::Write as _;
use std::process::ExitCode;

/// What is used when nobody says which, and there is no real model: it has an answer to everything.
const LAST_RESORT: &str = "rehearsal/echo";

/// Whether a model id is a rehearsal's, under whatever name.
pub(crate) fn is_rehearsal(models: &Models, id: &str) -> bool {
    models.resolve(id).is_ok_and(|route| route.provider_name == "rehearsal")
}

/// The model for an agent that names none: the first real one.
pub(crate) fn default_model(models: &Models) -> String {
    let ids = models.list().into_iter().map(|entry| entry.id);
    ids.into_iter().find(|id| !is_rehearsal(models, id)).unwrap_or_else(|| LAST_RESORT.to_owned())
}

/// Prints every model that can be used here.
pub(crate) fn list(args: &ModelsArgs, env: Env<'_>) -> Result<ExitCode> {
    let config = settings::from_file(args.config.as_deref(), env)?;
    let models = Models::from_config(config.models, env).map_err(|error| Failure::new(error.to_string()))?;
    let entries = models.list();
    let width = entries.iter().map(|entry| entry.id.chars().count()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for entry in &entries {
        // Why ignored: whoever closes the pipe has read enough.
        let _enough = writeln!(out, "{:width$}  {}", entry.id, entry.display_name);
    }
    if entries.iter().all(|entry| is_rehearsal(&models, &entry.id)) {
        eprintln!("No model key was found, so these are rehearsals only. For real models set ANTHROPIC_API_KEY.");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybreak_outbound::ModelsConfig;

    #[test]
    fn a_real_model_goes_before_a_rehearsal() {
        daybreak_outbound::install_tls();
        let keyed = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "x".to_owned());
        let models = Models::from_config(ModelsConfig::default(), &keyed).unwrap();
        assert!(default_model(&models).starts_with("claude-"));
        assert!(is_rehearsal(&models, "rehearsal/echo") && !is_rehearsal(&models, "claude-opus-5-5"));
        let models = Models::from_config(ModelsConfig::default(), &|_| None).unwrap();
        assert_eq!(default_model(&models), "rehearsal/echo");
    }
}
