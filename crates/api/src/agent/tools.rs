//! The tools of an agent: which there are, which are on, and who must be asked.

use crate::error::{ApiError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A built-in tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolName {
    /// A persistent shell.
    Bash,
    /// Reads a file.
    Read,
    /// Writes a file.
    Write,
    /// Replaces text in a file.
    Edit,
    /// Finds files by name.
    Glob,
    /// Finds lines by pattern.
    Grep,
    /// Reads a page of the web.
    WebFetch,
    /// Searches the web.
    WebSearch,
}

impl ToolName {
    /// The tools that run in the sandbox, in the order in which they are offered.
    pub const IN_SANDBOX: [Self; 6] = [Self::Bash, Self::Read, Self::Write, Self::Edit, Self::Glob, Self::Grep];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Read => "read",
            Self::Write => "write",
            Self::Edit => "edit",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::WebFetch => "web_fetch",
            Self::WebSearch => "web_search",
        }
    }

    /// Whether the server does not have the tool yet.
    pub const fn is_later(self) -> bool {
        matches!(self, Self::WebFetch | Self::WebSearch)
    }
}

/// Who must be asked before a tool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PermissionPolicy {
    /// Nobody.
    #[default]
    AlwaysAllow,
}

/// An entry of an agent's `tools`, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Tool {
    /// The built-in tools.
    #[serde(rename = "agent_toolset_20260401")]
    AgentToolset {
        /// What holds for a tool without a config of its own.
        default_config: ToolDefaults,
        /// The tools that have one.
        configs: Vec<ToolConfig>,
    },
}

/// What holds for a tool without a config of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDefaults {
    /// Whether the tool is offered.
    pub enabled: bool,
    /// Who must be asked.
    pub permission_policy: PermissionPolicy,
}

/// The config of one built-in tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolConfig {
    /// Equal to `name`.
    #[serde(rename = "type")]
    pub kind: ToolName,
    /// Which tool.
    pub name: ToolName,
    /// Whether the tool is offered.
    pub enabled: bool,
    /// Who must be asked.
    pub permission_policy: PermissionPolicy,
}

impl Tool {
    /// How many tools the entry stands for.
    pub fn count(&self) -> usize {
        ToolName::IN_SANDBOX.iter().filter(|name| self.offers(**name)).count()
    }

    /// Whether the entry offers a tool to the model.
    pub fn offers(&self, name: ToolName) -> bool {
        let Self::AgentToolset { default_config, configs } = self;
        let own = configs.iter().find(|config| config.name == name);
        own.map_or(default_config.enabled, |config| config.enabled) && !name.is_later()
    }
}

/// An entry of `tools` in a request. Its type decides what else it may hold, so it is read in two steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct ToolParam(Value);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolsetParam {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    default_config: Option<DefaultsParam>,
    #[serde(default)]
    configs: Option<Vec<ConfigParam>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultsParam {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    permission_policy: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ConfigParam {
    name: ToolName,
    #[serde(rename = "type", default)]
    kind: Option<ToolName>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    permission_policy: Option<Value>,
    #[serde(flatten)]
    other: serde_json::Map<String, Value>,
}

/// Resolves the `tools` of a request.
pub(super) fn resolve(params: Vec<ToolParam>) -> Result<Vec<Tool>> {
    let mut tools = Vec::with_capacity(params.len());
    for (index, ToolParam(value)) in params.into_iter().enumerate() {
        let at = format!("tools.{index}");
        match value.get("type").and_then(Value::as_str) {
            Some("agent_toolset_20260401") if tools.is_empty() => tools.push(resolve_toolset(&at, value)?),
            Some("agent_toolset_20260401") => {
                return Err(ApiError::invalid(format!("{at}: at most one agent_toolset_20260401 is allowed")));
            }
            Some("custom") => return Err(ApiError::not_available(&at, "custom tools are")),
            Some("mcp_toolset") => return Err(ApiError::not_available(&at, "MCP toolsets are")),
            Some(other) => {
                return Err(ApiError::invalid(format!(
                    "{at}.type: unknown tool type `{other}`; agent_toolset_20260401 is available"
                )));
            }
            None => return Err(ApiError::invalid(format!("{at}.type: a tool needs a type"))),
        }
    }
    Ok(tools)
}

fn resolve_toolset(at: &str, value: Value) -> Result<Tool> {
    let param: ToolsetParam =
        serde_json::from_value(value).map_err(|error| ApiError::invalid(format!("{at}: {error}")))?;
    let mut defaults = ToolDefaults { enabled: true, permission_policy: PermissionPolicy::AlwaysAllow };
    if let Some(given) = param.default_config {
        defaults.enabled = given.enabled.unwrap_or(true);
        defaults.permission_policy = policy(&format!("{at}.default_config"), given.permission_policy, defaults)?;
    }
    let mut configs: Vec<ToolConfig> = Vec::new();
    for (index, given) in param.configs.unwrap_or_default().into_iter().enumerate() {
        let config = resolve_config(&format!("{at}.configs.{index}"), given, defaults)?;
        if configs.iter().any(|before| before.name == config.name) {
            let name = config.name.as_str();
            return Err(ApiError::invalid(format!("{at}.configs.{index}.name: `{name}` is configured twice")));
        }
        configs.push(config);
    }
    Ok(Tool::AgentToolset { default_config: defaults, configs })
}

fn resolve_config(at: &str, given: ConfigParam, defaults: ToolDefaults) -> Result<ToolConfig> {
    let name = given.name;
    if given.kind.is_some_and(|kind| kind != name) {
        return Err(ApiError::invalid(format!("{at}.type: must equal the name, `{}`", name.as_str())));
    }
    if let Some((key, _)) = given.other.iter().find(|(_, value)| !value.is_null()) {
        if name.is_later() {
            return Err(ApiError::not_available(&format!("{at}.{key}"), "the web tools are"));
        }
        return Err(ApiError::invalid(format!("{at}.{key}: extra inputs are not permitted")));
    }
    let enabled = given.enabled.unwrap_or(defaults.enabled);
    if name.is_later() && enabled {
        return Err(ApiError::not_available(at, &format!("the tool {} is", name.as_str())));
    }
    Ok(ToolConfig { kind: name, name, enabled, permission_policy: policy(at, given.permission_policy, defaults)? })
}

fn policy(at: &str, given: Option<Value>, defaults: ToolDefaults) -> Result<PermissionPolicy> {
    let at = format!("{at}.permission_policy");
    let Some(given) = given else { return Ok(defaults.permission_policy) };
    match given.get("type").and_then(Value::as_str) {
        Some("always_allow") => Ok(PermissionPolicy::AlwaysAllow),
        Some(word @ ("always_ask" | "auto")) => Err(ApiError::not_available(&at, &format!("the policy `{word}` is"))),
        _ => Err(ApiError::invalid(format!("{at}: expected {{\"type\": \"always_allow\"}}"))),
    }
}
