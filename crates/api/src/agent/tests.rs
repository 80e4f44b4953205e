//! Limits and updates of agents.

use super::*;
use serde_json::json;

fn create(body: Value) -> Result<AgentConfig> {
    serde_json::from_value::<CreateAgent>(body).map_err(|error| ApiError::invalid(error.to_string()))?.resolve()
}

#[test]
fn a_bare_toolset_is_resolved_in_full() {
    let config = create(json!({"name": "a", "model": "m", "tools": [{"type": "agent_toolset_20260401"}]})).unwrap();
    assert_eq!(
        serde_json::to_value(&config.tools).unwrap(),
        json!([{
            "type": "agent_toolset_20260401",
            "default_config": {"enabled": true, "permission_policy": {"type": "always_allow"}},
            "configs": [],
        }])
    );
    assert_eq!(
        serde_json::to_value(&config.model).unwrap(),
        json!({"id": "m", "effort": {"type": "high"}, "speed": "standard"})
    );
}

#[test]
fn what_is_not_there_yet_is_named() {
    let base = json!({"name": "a", "model": "m"});
    for (key, value, named) in [
        ("mcp_servers", json!([{"type": "url", "name": "x", "url": "https://x.example"}]), "mcp_servers"),
        ("skills", json!([{"type": "custom", "skill_id": "skill_1"}]), "skills"),
        ("multiagent", json!({"type": "coordinator", "agents": []}), "multiagent"),
        ("tools", json!([{"type": "custom", "name": "x"}]), "tools.0"),
        (
            "tools",
            json!([{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}}}]),
            "always_ask",
        ),
        (
            "tools",
            json!([{"type": "agent_toolset_20260401", "configs": [{"name": "web_fetch", "enabled": true}]}]),
            "web_fetch",
        ),
    ] {
        let mut body = base.clone();
        body[key] = value;
        let error = create(body).unwrap_err();
        assert!(error.message.contains(named), "{}", error.message);
    }
}

#[test]
fn a_web_tool_is_refused_when_it_would_be_on_and_taken_when_it_is_off() {
    let create = |default_config: Value, config: Value| {
        let toolset = json!({"type": "agent_toolset_20260401", "default_config": default_config, "configs": [config]});
        create(json!({"name": "a", "model": "m", "tools": [toolset]}))
    };
    for (default_config, config) in [
        (json!(null), json!({"name": "web_fetch"})),
        (json!({"enabled": true}), json!({"name": "web_fetch", "enabled": null})),
        (json!({"enabled": false}), json!({"name": "web_fetch", "enabled": true})),
    ] {
        let told = create(default_config, config).unwrap_err().message;
        assert!(told.contains("tools.0.configs.0") && told.contains("web_fetch"), "{told}");
    }
    assert!(create(json!(null), json!({"name": "web_fetch", "enabled": false})).is_ok());
    assert!(create(json!({"enabled": false}), json!({"name": "web_search"})).is_ok());
}

#[test]
fn texts_have_no_null_character() {
    for (key, value, named) in [
        ("name", json!("a\u{0}"), "name"),
        ("description", json!("\u{0}"), "description"),
        ("system", json!("a\u{0}b"), "system"),
        ("metadata", json!({"k\u{0}": "v"}), "metadata"),
        ("metadata", json!({"k": "\u{0}"}), "metadata"),
    ] {
        let mut body = json!({"name": "a", "model": "m"});
        body[key] = value;
        let told = create(body).unwrap_err().message;
        assert!(told.starts_with(named) && told.contains("U+0000"), "{told}");
    }
}

#[test]
fn too_many_tools_are_refused_while_they_are_read() {
    let told = create(json!({"name": "a", "model": "m", "tools": vec![json!({}); AGENT_TOOLS_MAX + 1]}));
    assert!(told.unwrap_err().message.contains("at most 256"));
}

#[test]
fn empty_forms_of_later_features_are_fine() {
    let body = json!({"name": "a", "model": "m", "mcp_servers": [], "skills": [], "multiagent": null});
    assert!(create(body).is_ok());
}

#[test]
fn an_update_keeps_clears_and_sets() {
    let before = create(json!({
        "name": "a", "model": {"id": "m", "effort": "low"}, "description": "d", "system": "s", "metadata": {"k": "v", "l": "w"},
    }))
    .unwrap();
    let update: UpdateAgent = serde_json::from_value(json!({
        "description": null, "system": "", "model": "m", "metadata": {"k": null, "n": "x"},
    }))
    .unwrap();
    let after = update.apply(&before).unwrap();
    assert_eq!((after.description, after.system), (None, None));
    assert_eq!(after.model.effort, Effort::Low, "the effort stays while the model does");
    assert_eq!(after.metadata.into_iter().collect::<Vec<_>>(), [("l".into(), "w".into()), ("n".into(), "x".into())]);

    let other: UpdateAgent = serde_json::from_value(json!({"model": "other"})).unwrap();
    assert_eq!(other.apply(&before).unwrap().model.effort, Effort::High);
}
