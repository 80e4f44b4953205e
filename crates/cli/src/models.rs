//! `daybreak models`, and what the other commands ask about models.

use crate::Env;
use crate::args::ModelsArgs;
use crate::failure::{Failure, Result};
use crate::logging::given;
use crate::settings;
use daybreak_outbound::{Models, ModelsConfig};
use daybreak_server::SCENARIOS_VAR;
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

/// The models of a configuration.
pub(crate) fn load(config: ModelsConfig, env: Env<'_>) -> Result<Models> {
    // Why before: what reads these folders does not know which setting names them.
    let dirs = &config.providers.rehearsal.scenario_dirs;
    let of_variable = usize::from(given(env, SCENARIOS_VAR).is_some());
    for (position, dir) in dirs.iter().enumerate() {
        // The variable's folder goes before those of the file.
        let setting = if position < of_variable { SCENARIOS_VAR } else { "providers.rehearsal.scenario_dirs" };
        let readable = std::fs::read_dir(dir);
        readable.map_err(|error| Failure::caused(format!("{setting}: {}", dir.display()), &error))?;
    }
    Models::from_config(config, env).map_err(|error| Failure::new(error.to_string()))
}

/// Prints every model that can be used here.
pub(crate) fn list(args: &ModelsArgs, env: Env<'_>) -> Result<ExitCode> {
    let config = settings::from_file(args.config.as_deref(), env)?;
    let models = load(config.models, env)?;
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
    use daybreak_server::Config;

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

    #[test]
    fn a_folder_of_scenarios_that_cannot_be_read_is_told_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        let readable = dir.path().to_str().unwrap().to_owned();
        let problem = |variable: Option<&str>| {
            let env = |name: &str| variable.filter(|_| name == SCENARIOS_VAR).map(str::to_owned);
            load(Config::load(Some(&file), &env).unwrap().models, &env).unwrap_err().to_string()
        };
        std::fs::write(&file, "").unwrap();
        let said = problem(Some("/none/a"));
        assert!(said.starts_with("DAYBREAK_SCENARIOS: /none/a: "), "{said}");
        std::fs::write(&file, "[providers.rehearsal]\nscenario_dirs = [\"/none/b\"]\n").unwrap();
        for variable in [None, Some(readable.as_str())] {
            let said = problem(variable);
            assert!(said.starts_with("providers.rehearsal.scenario_dirs: /none/b: "), "{said}");
        }
    }
}
