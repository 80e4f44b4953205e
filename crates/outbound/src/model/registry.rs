//! Which model id goes to which provider.
//!
//! In this order: the operator's table; an explicit `provider/name`; then names whose vendor is plain
//! (`claude-…`). What cannot be served is refused with a text that lists what can.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::anthropic::{Anthropic, CallLimits, PUBLIC_BASE_URL};
use super::catalogue::{self, OUTPUT_TOKENS_DEFAULT};
use super::config::{AnthropicConfig, ModelConfig};
use super::rehearsal::{BUILT_IN, Rehearsal};
use crate::{ConfigError, ModelsConfig, Price, Provider, Scenario, Secret};

const ANTHROPIC: &str = "anthropic";
const REHEARSAL: &str = "rehearsal";

/// Vendors that are spoken of but cannot be called yet: how their ids begin, and their names.
const LATER: [(&str, &str); 6] = [
    ("openai/", "OpenAI"),
    ("gpt-", "OpenAI"),
    ("o<digit>", "OpenAI"),
    ("gemini/", "Gemini"),
    ("google/", "Gemini"),
    ("gemini-", "Gemini"),
];

/// Every model that this server can call.
pub struct Models {
    configured: BTreeMap<String, ModelConfig>,
    providers: BTreeMap<String, Arc<dyn Provider>>,
    /// Scenarios that can be rehearsed: name and description.
    scenarios: BTreeMap<String, Option<String>>,
}

/// Where the calls of one model id go.
#[derive(Clone)]
pub struct Route {
    /// Who performs the call.
    pub provider: Arc<dyn Provider>,
    /// The provider's name: `anthropic`, `rehearsal`, or a registered one.
    pub provider_name: String,
    /// The provider's own name of the model, for `ModelRequest::model`.
    pub upstream: String,
    /// What to ask for in `ModelRequest::max_tokens`, in tokens.
    pub max_output_tokens: u32,
    /// How much the model reads at once, in tokens, if known.
    pub context_window_tokens: Option<u64>,
    /// List price, if configured.
    pub price: Option<Price>,
}

/// A model as listed by `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// The id to use.
    pub id: String,
    /// Name for people. A rehearsal's says that it is one.
    pub display_name: String,
    /// When the model was released, in microseconds since the epoch; 0 if unknown.
    pub created_at_us: i64,
    /// The vendor's line of models, such as `opus`.
    pub line: Option<&'static str>,
    /// How much the model reads at once, in tokens.
    pub max_input_tokens: Option<u64>,
    /// How much the model may write in one reply, in tokens.
    pub max_tokens: Option<u32>,
}

/// A model id that no provider can serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model {id:?} cannot be used: {reason}. Models that can be used: {}", available.join(", "))]
pub struct UnknownModel {
    /// The id asked for, shortened if it is long.
    pub id: String,
    /// Why it cannot be served.
    pub reason: String,
    /// What can be used instead.
    pub available: Vec<String>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({}/{}, {} tokens)", self.provider_name, self.upstream, self.max_output_tokens)
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.list().iter().map(|entry| &entry.id)).finish()
    }
}

impl Models {
    /// Builds the table from the configuration and the environment (`env` answers for one variable name).
    /// Scenario directories are read here, once.
    ///
    /// # Errors
    /// A configuration that contradicts itself or names an unknown provider, an unusable address or key, or a
    /// scenario file that cannot be played. No error repeats a key.
    pub fn from_config(config: ModelsConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut providers: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
        if let Some(anthropic) = anthropic(&config.providers.anthropic, env)? {
            providers.insert(ANTHROPIC.to_owned(), Arc::new(anthropic));
        }
        let scenarios = scenarios(&config.providers.rehearsal.scenario_dirs)?;
        let described = |scenario: &Scenario| (scenario.name().to_owned(), scenario.description().map(str::to_owned));
        let listed = scenarios.values().map(described).collect();
        providers.insert(REHEARSAL.to_owned(), Arc::new(Rehearsal::new(scenarios.into_values())));
        let models = Self { configured: config.models, providers, scenarios: listed };
        for (id, model) in &models.configured {
            models.check(id, model).map_err(|why| ConfigError(format!("models.{id:?}: {why}")))?;
        }
        Ok(models)
    }

    /// Adds a provider of one's own: every `name/…` id goes to it, with `…` as the upstream name. It replaces an
    /// earlier one of the same name.
    pub fn register(&mut self, name: &str, provider: Arc<dyn Provider>) {
        self.providers.insert(name.to_owned(), provider);
    }

    /// Finds who serves a model id.
    ///
    /// # Errors
    /// [`UnknownModel`], whose text lists what can be used.
    pub fn resolve(&self, id: &str) -> Result<Route, UnknownModel> {
        self.route(id).map_err(|reason| UnknownModel {
            id: id.chars().take(100).collect(),
            reason,
            available: self.list().into_iter().map(|entry| entry.id).collect(),
        })
    }

    /// What `GET /v1/models` lists: configured models first, then those known without configuration, newest
    /// first, then rehearsals. Only what can be called now.
    pub fn list(&self) -> Vec<ModelEntry> {
        let configured = self.configured.iter().filter(|(_, model)| self.providers.contains_key(&model.provider));
        let configured = configured.map(|(id, model)| configured_entry(id, model));
        let known =
            catalogue::ANTHROPIC.iter().filter(|_| self.providers.contains_key(ANTHROPIC)).map(catalogue::Known::entry);
        let rehearsals = self.scenarios.iter().map(|(name, description)| rehearsal_entry(name, description.as_deref()));
        let unconfigured = known.chain(rehearsals).filter(|entry| !self.configured.contains_key(&entry.id));
        configured.chain(unconfigured).collect()
    }

    fn route(&self, id: &str) -> Result<Route, String> {
        if let Some(model) = self.configured.get(id) {
            let mut route = self.provided(&model.provider, model.upstream.as_deref().unwrap_or(id))?;
            route.max_output_tokens = model.max_output_tokens.unwrap_or(route.max_output_tokens);
            route.context_window_tokens = model.context_window.or(route.context_window_tokens);
            route.price = model.price;
            return Ok(route);
        }
        if let Some((provider, upstream)) = id.split_once('/')
            && (provider == ANTHROPIC || self.providers.contains_key(provider))
        {
            return self.provided(provider, upstream);
        }
        if id.starts_with("claude-") {
            return self.provided(ANTHROPIC, id);
        }
        let digit = id.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let later = LATER.iter().find(|(start, _)| id.starts_with(start) || (*start == "o<digit>" && digit));
        Err(match later {
            Some((_, vendor)) => format!("the provider {vendor} is not available yet"),
            None => "no configured model has this name, and no provider is known by it".to_owned(),
        })
    }

    /// A route by provider and upstream name, with what is known about the model.
    fn provided(&self, provider_name: &str, upstream: &str) -> Result<Route, String> {
        let Some(provider) = self.providers.get(provider_name) else {
            return Err(format!(
                "the provider {provider_name} has no key; set ANTHROPIC_API_KEY or providers.anthropic in the configuration"
            ));
        };
        if upstream.is_empty() {
            return Err("the provider's name must be followed by a model's".to_owned());
        }
        if provider_name == REHEARSAL && !self.scenarios.contains_key(upstream) {
            return Err(format!("there is no scenario {:?}", upstream.chars().take(100).collect::<String>()));
        }
        let known = if provider_name == ANTHROPIC { catalogue::anthropic(upstream) } else { None };
        Ok(Route {
            provider: Arc::clone(provider),
            provider_name: provider_name.to_owned(),
            upstream: upstream.to_owned(),
            max_output_tokens: known.map_or(OUTPUT_TOKENS_DEFAULT, |known| known.max_output_tokens),
            context_window_tokens: known.map(|known| known.context_window),
            price: None,
        })
    }

    /// What is wrong with an entry of the operator's table. A missing key is not: it may be meant for another
    /// machine, and the model is not listed then.
    fn check(&self, id: &str, model: &ModelConfig) -> Result<(), String> {
        if id.is_empty() {
            return Err("the name is empty".to_owned());
        }
        match model.provider.as_str() {
            ANTHROPIC => {}
            REHEARSAL => self.provided(REHEARSAL, model.upstream.as_deref().unwrap_or(id)).map(|_| ())?,
            other => return Err(format!("provider {other:?} is not one of {ANTHROPIC}, {REHEARSAL}")),
        }
        if model.context_window == Some(0) || model.max_output_tokens == Some(0) {
            return Err("context_window and max_output_tokens must be at least 1".to_owned());
        }
        let prices =
            model.price.map(|price| [Some(price.input), Some(price.output), price.cache_write, price.cache_read]);
        if prices.into_iter().flatten().flatten().any(|price| !price.is_finite() || price < 0.0) {
            return Err("a price must be a number of dollars from 0".to_owned());
        }
        Ok(())
    }
}

fn configured_entry(id: &str, model: &ModelConfig) -> ModelEntry {
    let upstream = model.upstream.as_deref().unwrap_or(id);
    let known =
        if model.provider == ANTHROPIC { catalogue::anthropic(upstream).map(catalogue::Known::entry) } else { None };
    let name = model.display_name.clone().unwrap_or_else(|| id.to_owned());
    let display_name = if model.provider == REHEARSAL { format!("{name} (rehearsal, no model)") } else { name };
    ModelEntry {
        id: id.to_owned(),
        display_name,
        created_at_us: known.as_ref().map_or(0, |known| known.created_at_us),
        line: known.as_ref().and_then(|known| known.line),
        max_input_tokens: model.context_window.or(known.as_ref().and_then(|known| known.max_input_tokens)),
        max_tokens: model.max_output_tokens.or(known.as_ref().and_then(|known| known.max_tokens)),
    }
}

fn rehearsal_entry(name: &str, description: Option<&str>) -> ModelEntry {
    let what = description.map(|text| format!(": {text}")).unwrap_or_default();
    ModelEntry {
        id: format!("{REHEARSAL}/{name}"),
        display_name: format!("Rehearsal {name}, no model{what}"),
        created_at_us: 0,
        line: None,
        max_input_tokens: None,
        max_tokens: None,
    }
}

/// The provider, if there is a key for it.
fn anthropic(config: &AnthropicConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Anthropic>, ConfigError> {
    let from_env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let key = match (&config.api_key, &config.api_key_env) {
        (Some(_), Some(_)) => {
            return Err(ConfigError("providers.anthropic: give one of api_key and api_key_env".to_owned()));
        }
        (Some(key), None) => Some(key.clone()),
        (None, Some(name)) => from_env(name).map(Secret::new),
        (None, None) => from_env("ANTHROPIC_API_KEY").map(Secret::new),
    };
    let Some(key) = key else { return Ok(None) };
    let base_url = config.base_url.clone().or_else(|| from_env("ANTHROPIC_BASE_URL"));
    Anthropic::new(base_url.as_deref().unwrap_or(PUBLIC_BASE_URL), &key, CallLimits::default()).map(Some)
}

/// The scenarios of the directories and those built in, by name.
fn scenarios(dirs: &[impl AsRef<Path>]) -> Result<BTreeMap<String, Scenario>, ConfigError> {
    let mut found = BTreeMap::new();
    for (name, text) in BUILT_IN {
        let scenario =
            Scenario::from_yaml(text).map_err(|error| ConfigError(format!("built-in scenario {name}: {error}")))?;
        found.insert(name.to_owned(), scenario);
    }
    // Why backwards: an earlier directory hides what a later one has.
    for dir in dirs.iter().rev() {
        found.extend(scenarios_in(dir.as_ref())?);
    }
    Ok(found)
}

fn scenarios_in(dir: &Path) -> Result<BTreeMap<String, Scenario>, ConfigError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| ConfigError(format!("{}: {why}", path.display()));
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, &error))? {
        let path = entry.map_err(|error| failed(dir, &error))?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let scenario = Scenario::from_yaml(&text).map_err(|error| failed(&path, &error))?;
        if path.file_stem().is_none_or(|stem| stem != scenario.name()) {
            return Err(failed(&path, &format_args!("name: {:?} is not the file's name", scenario.name())));
        }
        found.insert(scenario.name().to_owned(), scenario);
    }
    Ok(found)
}
