//! Which model id goes where.

use daybreak_outbound::rehearsal::Rehearsal;
use daybreak_outbound::{ConfigError, Models, ModelsConfig, Secret};

use crate::{request, texts};

const KEY: &str = "sk-ant-very-secret";

fn models(toml: &str, env: &[(&str, &str)]) -> Result<Models, ConfigError> {
    let config: ModelsConfig = toml::from_str(toml).expect("the file is well formed");
    Models::from_config(config, &|name| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn refusal(models: &Models, id: &str) -> String {
    models.resolve(id).expect_err(id).to_string()
}

fn ids(models: &Models) -> Vec<String> {
    models.list().into_iter().map(|entry| entry.id).collect()
}

#[test]
fn without_configuration_only_rehearsals_can_be_used() {
    let models = models("", &[]).unwrap();
    assert_eq!(ids(&models), ["rehearsal/build-logs", "rehearsal/echo"]);
    for entry in models.list() {
        assert!(entry.display_name.starts_with("Rehearsal ") && entry.display_name.contains("no model"), "{entry:?}");
    }
    let route = models.resolve("rehearsal/echo").unwrap();
    assert_eq!((route.provider_name.as_str(), route.upstream.as_str()), ("rehearsal", "echo"));
    assert_eq!(
        refusal(&models, "claude-opus-5-5"),
        "model \"claude-opus-5-5\" cannot be used: the provider anthropic has no key; set ANTHROPIC_API_KEY or \
         providers.anthropic in the configuration. Models that can be used: rehearsal/build-logs, rehearsal/echo"
    );
    assert!(refusal(&models, "anthropic/claude-x").contains("has no key"));
    assert!(refusal(&models, "rehearsal/absent").contains("there is no scenario \"absent\""));
    for (id, vendor) in [
        ("gpt-6", "OpenAI"),
        ("o5-mini", "OpenAI"),
        ("openai/x", "OpenAI"),
        ("gemini-4", "Gemini"),
        ("google/x", "Gemini"),
    ] {
        assert!(refusal(&models, id).contains(&format!("the provider {vendor} is not available yet")), "{id}");
    }
    for id in ["", "/", "x/", "orca", "llama-4", &"x".repeat(10_000)] {
        assert!(refusal(&models, id).contains("no configured model has this name"), "{id}");
    }
}

#[test]
fn with_a_key_in_the_environment_nothing_needs_configuring() {
    let models = models("", &[("ANTHROPIC_API_KEY", KEY)]).unwrap();
    for (id, upstream, output, context) in [
        ("claude-opus-5-5", "claude-opus-5-5", 128_000, Some(1_000_000)),
        ("anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", 64_000, Some(200_000)),
        ("claude-of-tomorrow", "claude-of-tomorrow", 32_000, None),
    ] {
        let route = models.resolve(id).unwrap();
        assert_eq!((route.provider_name.as_str(), route.upstream.as_str()), ("anthropic", upstream));
        assert_eq!((route.max_output_tokens, route.context_window_tokens), (output, context), "{id}");
    }
    let listed = models.list();
    assert_eq!(listed[0].id, "claude-haiku-5-5");
    assert_eq!(
        (listed[0].line, listed[0].max_tokens, listed[0].max_input_tokens),
        (Some("haiku"), Some(128_000), Some(1_000_000))
    );
    assert!(!format!("{models:?}{:?}", models.resolve("claude-opus-5-5")).contains(KEY));
    assert!(refusal(&models, "anthropic/").contains("must be followed by a model's"));
    let empty = self::models("", &[("ANTHROPIC_API_KEY", " ")]).unwrap();
    assert!(empty.resolve("claude-opus-5-5").is_err());
}

#[test]
fn the_table_of_the_operator_comes_first() {
    let toml = r#"
        [models."house-model"]
        provider = "anthropic"
        upstream = "claude-opus-5-5"
        display_name = "The house's"
        context_window = 150_000
        max_output_tokens = 8_000
        price = { input = 4.0, output = 20.0, cache_read = 0.4 }

        [models."claude-sonnet-5-5"]
        provider = "rehearsal"
        upstream = "echo"

        [providers.anthropic]
        base_url = "http://127.0.0.1:1"
        api_key_env = "HOUSE_KEY"
    "#;
    let models = models(toml, &[("HOUSE_KEY", KEY)]).unwrap();
    let route = models.resolve("house-model").unwrap();
    assert_eq!(
        (route.upstream.as_str(), route.max_output_tokens, route.context_window_tokens),
        ("claude-opus-5-5", 8_000, Some(150_000))
    );
    assert_eq!(route.price.unwrap().cache_read, Some(0.4));
    assert_eq!(models.resolve("claude-sonnet-5-5").unwrap().provider_name, "rehearsal");
    let listed = models.list();
    assert_eq!((listed[1].id.as_str(), listed[1].display_name.as_str()), ("house-model", "The house's"));
    assert_eq!((listed[1].max_tokens, listed[1].line), (Some(8_000), Some("opus")));
    assert_eq!(listed[0].display_name, "claude-sonnet-5-5 (rehearsal, no model)");
    assert_eq!(listed.iter().filter(|entry| entry.id == "claude-sonnet-5-5").count(), 1);

    let without_key = self::models(toml, &[]).unwrap();
    assert!(refusal(&without_key, "house-model").contains("has no key"));
    assert!(!ids(&without_key).contains(&"house-model".to_owned()));
}

#[test]
fn a_configuration_that_cannot_be_right_is_refused() {
    for (toml, expected) in [
        ("[models.x]\nprovider = \"acme\"", "models.\"x\": provider \"acme\" is not one of anthropic, rehearsal"),
        ("[models.x]\nprovider = \"rehearsal\"", "models.\"x\": there is no scenario \"x\""),
        ("[models.x]\nprovider = \"anthropic\"\nmax_output_tokens = 0", "must be at least 1"),
        ("[models.x]\nprovider = \"anthropic\"\nprice = { input = -1.0, output = 1.0 }", "a price must be"),
        ("[providers.anthropic]\napi_key = \"a\"\napi_key_env = \"B\"", "give one of api_key and api_key_env"),
        ("[providers.anthropic]\napi_key = \"a\"\nbase_url = \"nowhere\"", "the base URL of Anthropic"),
        ("[providers.rehearsal]\nscenario_dirs = [\"/nonexistent/dir\"]", "/nonexistent/dir: "),
    ] {
        let error = models(toml, &[]).expect_err(toml).to_string();
        assert!(error.contains(expected), "{error}");
    }
    for toml in
        ["[models.x]\nprovider = \"anthropic\"\nfoo = 1", "[providers.openai]\n", "[providers.anthropic]\nkey = \"x\""]
    {
        assert!(toml::from_str::<ModelsConfig>(toml).is_err(), "{toml}");
    }
    let config: ModelsConfig = toml::from_str(&format!("[providers.anthropic]\napi_key = \"{KEY}\"")).unwrap();
    assert!(!format!("{config:?} {:?}", Secret::new(KEY)).contains(KEY));
}

#[tokio::test]
async fn scenarios_are_found_in_directories() {
    let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scenario =
        |name: &str, text: &str| format!("name: {name}\nrules: []\notherwise:\n  reply: [{{ text: {text} }}]\n");
    std::fs::write(near.path().join("mine.yaml"), scenario("mine", "near")).unwrap();
    std::fs::write(far.path().join("mine.yaml"), scenario("mine", "far")).unwrap();
    std::fs::write(far.path().join("echo.yaml"), scenario("echo", "mine")).unwrap();
    std::fs::write(far.path().join("notes.txt"), "not a scenario").unwrap();
    let toml = format!("[providers.rehearsal]\nscenario_dirs = [{:?}, {:?}]", near.path(), far.path());
    let found = models(&toml, &[]).unwrap();
    assert_eq!(ids(&found), ["rehearsal/build-logs", "rehearsal/echo", "rehearsal/mine"]);
    for (id, text) in [("rehearsal/mine", "near"), ("rehearsal/echo", "mine")] {
        let route = found.resolve(id).unwrap();
        let mut asked = request("x");
        asked.model = route.upstream;
        assert_eq!(texts(&route.provider.call(&asked).await.unwrap()), text);
    }

    std::fs::write(far.path().join("other.yaml"), scenario("another", "x")).unwrap();
    let error = models(&toml, &[]).unwrap_err().to_string();
    assert!(error.ends_with("other.yaml: name: \"another\" is not the file's name"), "{error}");
    std::fs::write(far.path().join("other.yaml"), "name: other\nrulez: []\n").unwrap();
    let error = models(&toml, &[]).unwrap_err().to_string();
    assert!(error.contains("other.yaml: ") && error.contains("rulez"), "{error}");
}

#[tokio::test]
async fn a_provider_of_ones_own_can_be_registered() {
    let mut models = models("", &[]).unwrap();
    assert!(models.resolve("test/x").is_err());
    models.register("test", std::sync::Arc::new(Rehearsal::default()));
    let route = models.resolve("test/some/model").unwrap();
    assert_eq!((route.provider_name.as_str(), route.upstream.as_str()), ("test", "some/model"));
    assert!(route.provider.call(&request("x")).await.is_err());
}
