//! What an operator may write, and what is told of what they may not.

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

#[test]
fn nothing_needs_configuring() {
    let config = Config::load(None, &no_env).unwrap();
    assert_eq!(config.server, ServerConfig::default());
    assert_eq!(config.engine, EngineConfig::default());
    assert_eq!(config.sandbox, SandboxConfig::default());
    assert_eq!(config.data_dir, Path::new(DATA_DIR_DEFAULT));
    assert!(config.models.models.is_empty());
}

#[test]
fn the_environment_adds_scenarios_before_those_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daybreak.toml");
    let text = "data_dir = \"d\"\n[providers.rehearsal]\nscenario_dirs = [\"/a\", \"b\"]\n";
    std::fs::write(&path, text).unwrap();
    let env = |name: &str| (name == SCENARIOS_VAR).then(|| "/mine".to_owned());
    let config = Config::load(Some(&path), &env).unwrap();
    let expected = [PathBuf::from("/mine"), PathBuf::from("/a"), dir.path().join("b")];
    assert_eq!(config.models.providers.rehearsal.scenario_dirs, expected);
    assert_eq!(config.data_dir, dir.path().join("d"));
}

#[test]
fn a_problem_names_its_line() {
    for (text, told) in [
        ("listen = \"127.0.0.1:1\"\nlisden = 1\n", "line 2: unknown field `lisden`"),
        ("[engine]\nbackoff_ms_max = 10\n\nbackoff_ms_min = 20\n", "line 4: engine.backoff_ms_min: 20 is out of range"),
        ("[sandbox]\nbackend = \"docker\"\n", "line 2: unknown variant `docker`"),
        ("\n[engine\n", "line 2"),
        ("[models.\"x\"]\nupstream = \"y\"\n", "line 1: missing field `provider`"),
    ] {
        let problem = Config::parse(text, Path::new("")).unwrap_err().to_string();
        assert!(problem.contains(told), "{problem}");
    }
}

#[test]
fn no_problem_repeats_a_key() {
    for text in [
        "[providers]\nanthropic = \"sk-ant-secret\"\n",
        "[providers.anthropic]\napi_key = \"sk-ant-secret\n",
        "[providers.anthropic]\napi_key = \"sk-ant-secret\"\nwrong = 1\n",
        "[engine]\ntool_rounds_max = \"sk-ant-secret\"\n",
    ] {
        let problem = Config::parse(text, Path::new("")).unwrap_err();
        assert!(!problem.to_string().contains("secret"), "{problem}");
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
    }
}
