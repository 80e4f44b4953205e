//! The agent that `daybreak run` creates: out of a file, or a plain one.

use crate::failure::{Failure, Result};
use crate::models::default_model;
use daybreak_outbound::Models;
use serde_json::{Value, json};
use std::path::Path;

/// The body of POST /v1/agents. `model` goes before the file's, and one of them must be there; the plain agent gets the
/// default.
pub(super) fn definition(file: Option<&Path>, model: Option<&str>, models: &Models) -> Result<Value> {
    let mut agent = match file {
        Some(path) => read(path)?,
        None => json!({ "name": "Daybreak", "tools": [{ "type": "agent_toolset_20260401" }] }),
    };
    if let Some(model) = model {
        agent["model"] = json!(model);
    } else if agent["model"].is_null() {
        if let Some(path) = file {
            return Err(Failure::new(format!("{}: model: is missing; or give --model", path.display())));
        }
        agent["model"] = json!(default_model(models));
    }
    Ok(agent)
}

/// The id of the model that a definition names, which is text or an object with an id.
pub(super) fn model_of(agent: &Value) -> &str {
    let model = &agent["model"];
    model.as_str().or_else(|| model["id"].as_str()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Value> {
    let problem = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| problem(&error))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let agent: Value = if is_json {
        serde_json::from_str(&text).map_err(|error| problem(&error))?
    } else {
        yaml_serde::from_str(&text).map_err(|error| problem(&error))?
    };
    if agent.is_object() { Ok(agent) } else { Err(problem(&"an agent is a mapping with name, model, tools …")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybreak_outbound::ModelsConfig;

    #[test]
    fn the_flag_goes_before_the_file_and_only_the_plain_agent_has_a_default() {
        let models = Models::from_config(ModelsConfig::default(), &|_| None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let yaml = write("a.yaml", "name: A\nmodel: { id: rehearsal/build-logs }\nsystem: |\n  One.\n  Two.\n");
        let agent = definition(Some(&yaml), None, &models).unwrap();
        assert_eq!((model_of(&agent), &agent["system"]), ("rehearsal/build-logs", &json!("One.\nTwo.\n")));
        assert_eq!(model_of(&definition(Some(&yaml), Some("x/y"), &models).unwrap()), "x/y");
        let bare = write("a.json", r#"{"name": "B"}"#);
        let problem = definition(Some(&bare), None, &models).unwrap_err().to_string();
        assert!(problem.ends_with("a.json: model: is missing; or give --model"), "{problem}");
        assert_eq!(model_of(&definition(Some(&bare), Some("x/y"), &models).unwrap()), "x/y");
        let plain = definition(None, None, &models).unwrap();
        assert_eq!((model_of(&plain), &plain["name"]), ("rehearsal/echo", &json!("Daybreak")));
        for (name, text) in [("b.yaml", "- a\n"), ("c.yaml", "a: [\n"), ("d.json", "{")] {
            let path = write(name, text);
            let problem = definition(Some(&path), None, &models).unwrap_err().to_string();
            assert!(problem.contains(name), "{problem}");
        }
    }
}
