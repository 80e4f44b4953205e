//! Agents: a model, a system prompt and tools, in numbered versions.
//!
//! [`AgentConfig`] is what a version holds: always complete, always resolved. A request changes a copy of it
//! and [`AgentConfig::validate`] judges the result, so that create and update obey the same rules.

use crate::bounded::Bounded;
use crate::error::{ApiError, Result};
use crate::id::Id;
use crate::limits::{AGENT_DESCRIPTION_CHARS_MAX, AGENT_NAME_CHARS_MAX, AGENT_SYSTEM_CHARS_MAX, AGENT_TOOLS_MAX};
use crate::metadata::{self, Metadata, MetadataPatch};
use crate::patch::Patch;
use crate::text_or::TextOr;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod tools;
pub use tools::{PermissionPolicy, Tool, ToolConfig, ToolDefaults, ToolName, ToolParam};

/// What one version of an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// Name.
    pub name: String,
    /// Description, for people.
    pub description: Option<String>,
    /// System prompt.
    pub system: Option<String>,
    /// The model, resolved.
    pub model: ModelConfig,
    /// Tools, resolved.
    pub tools: Vec<Tool>,
    /// Always empty until MCP is available.
    pub mcp_servers: Vec<Value>,
    /// Always empty until skills are available.
    pub skills: Vec<Value>,
    /// Always `null` until delegation is available.
    pub multiagent: Option<Value>,
    /// Always the service account.
    pub execution_identity: ExecutionIdentity,
    /// The client's own pairs.
    pub metadata: Metadata,
}

/// The principal that an agent runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExecutionIdentity {
    /// The server's own.
    #[default]
    ServiceAccount,
}

/// A model and how to use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The model's id.
    pub id: String,
    /// How hard it thinks.
    pub effort: Effort,
    /// Always `standard`.
    pub speed: Speed,
}

/// How hard a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Effort {
    /// Least.
    Low,
    /// Some.
    Medium,
    /// The default of every model here.
    #[default]
    High,
    /// More.
    Xhigh,
    /// Most.
    Max,
}

impl Effort {
    /// The wire's word, unless it is the default: a model may not know the parameter at all.
    pub const fn asked_for(self) -> Option<&'static str> {
        match self {
            Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            Self::High => None,
            Self::Xhigh => Some("xhigh"),
            Self::Max => Some("max"),
        }
    }
}

/// How fast tokens come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// As usual.
    #[default]
    Standard,
}

/// A model in a request: its id, or its id with settings.
pub type ModelParam = TextOr<ModelObject>;

/// A model with settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelObject {
    id: String,
    #[serde(default)]
    effort: Option<EffortParam>,
    #[serde(default)]
    inference_geo: Option<String>,
    #[serde(default)]
    speed: Option<String>,
}

/// An effort in a request: a word, or an object with the word as its type.
pub type EffortParam = TextOr<Effort>;

impl EffortParam {
    fn resolve(self) -> Result<Effort> {
        let word = match self {
            Self::Object(effort) => return Ok(effort),
            Self::Text(word) => word,
        };
        serde_json::from_value(serde_json::json!({ "type": word })).map_err(|_| {
            ApiError::invalid(format!("model.effort: `{word}` is not one of low, medium, high, xhigh, max"))
        })
    }
}

impl ModelParam {
    /// Fills in the defaults. `before` is the model that an update replaces: its effort stays if the id does.
    pub fn resolve(self, before: Option<&ModelConfig>) -> Result<ModelConfig> {
        let object = match self {
            Self::Text(id) => ModelObject { id, effort: None, inference_geo: None, speed: None },
            Self::Object(object) => object,
        };
        if object.id.is_empty() {
            return Err(ApiError::invalid("model: a model id must not be empty"));
        }
        if object.inference_geo.is_some() {
            return Err(ApiError::not_available("model.inference_geo", "choosing a region is"));
        }
        if let Some(speed) = object.speed.filter(|speed| speed != "standard") {
            return Err(ApiError::invalid(format!("model.speed: `{speed}` is not available; `standard` is")));
        }
        let kept = before.filter(|before| before.id == object.id).map(|before| before.effort);
        let effort = match object.effort {
            Some(effort) => effort.resolve()?,
            None => kept.unwrap_or_default(),
        };
        Ok(ModelConfig { id: object.id, effort, speed: Speed::Standard })
    }
}

/// `POST /v1/agents`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAgent {
    name: String,
    model: ModelParam,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    tools: Option<Bounded<ToolParam, AGENT_TOOLS_MAX>>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    mcp_servers: Option<Vec<Value>>,
    #[serde(default)]
    skills: Option<Vec<Value>>,
    #[serde(default)]
    multiagent: Option<Value>,
    #[serde(default)]
    execution_identity: Option<Value>,
}

/// `POST /v1/agents/{agent_id}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateAgent {
    /// The version that the client believes to be current.
    #[serde(default)]
    pub version: Option<i64>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model: Option<ModelParam>,
    #[serde(default)]
    description: Patch<String>,
    #[serde(default)]
    system: Patch<String>,
    #[serde(default)]
    tools: Patch<Bounded<ToolParam, AGENT_TOOLS_MAX>>,
    #[serde(default)]
    metadata: Patch<MetadataPatch>,
    #[serde(default)]
    mcp_servers: Option<Vec<Value>>,
    #[serde(default)]
    skills: Option<Vec<Value>>,
    #[serde(default)]
    multiagent: Option<Value>,
    #[serde(default)]
    execution_identity: Option<Value>,
}

impl CreateAgent {
    /// The first version.
    pub fn resolve(self) -> Result<AgentConfig> {
        refuse_later_features(&self.mcp_servers, &self.skills, &self.multiagent, &self.execution_identity)?;
        let config = AgentConfig {
            name: self.name,
            description: self.description.filter(|text| !text.is_empty()),
            system: self.system.filter(|text| !text.is_empty()),
            model: self.model.resolve(None)?,
            tools: tools::resolve(self.tools.unwrap_or_default().into_vec())?,
            mcp_servers: Vec::new(),
            skills: Vec::new(),
            multiagent: None,
            execution_identity: ExecutionIdentity::ServiceAccount,
            metadata: self.metadata.unwrap_or_default(),
        };
        config.validate()?;
        Ok(config)
    }
}

impl UpdateAgent {
    /// The version that follows `before`. It may equal it; then there is nothing to store.
    pub fn apply(self, before: &AgentConfig) -> Result<AgentConfig> {
        refuse_later_features(&self.mcp_servers, &self.skills, &self.multiagent, &self.execution_identity)?;
        let mut config = before.clone();
        if let Some(name) = self.name {
            config.name = name;
        }
        if let Some(model) = self.model {
            config.model = model.resolve(Some(&before.model))?;
        }
        self.description.apply(&mut config.description);
        self.system.apply(&mut config.system);
        config.description = config.description.filter(|text| !text.is_empty());
        config.system = config.system.filter(|text| !text.is_empty());
        match self.tools {
            Patch::Keep => {}
            Patch::Clear => config.tools.clear(),
            Patch::Set(tools) => config.tools = tools::resolve(tools.into_vec())?,
        }
        metadata::patch(&mut config.metadata, self.metadata)?;
        config.validate()?;
        Ok(config)
    }
}

impl AgentConfig {
    /// Checks every limit of a complete configuration.
    pub fn validate(&self) -> Result<()> {
        length("name", &self.name, 1, AGENT_NAME_CHARS_MAX)?;
        length("description", self.description.as_deref().unwrap_or_default(), 0, AGENT_DESCRIPTION_CHARS_MAX)?;
        length("system", self.system.as_deref().unwrap_or_default(), 0, AGENT_SYSTEM_CHARS_MAX)?;
        let tools: usize = self.tools.iter().map(Tool::count).sum();
        if tools > AGENT_TOOLS_MAX {
            return Err(ApiError::invalid(format!("tools: {tools} tools, at most {AGENT_TOOLS_MAX} are allowed")));
        }
        metadata::validate(&self.metadata)
    }
}

/// Refuses a text outside `min..=max` characters, and the character that ends strings elsewhere.
pub(crate) fn length(field: &str, text: &str, min: usize, max: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(ApiError::invalid(format!("{field}: must not contain the character U+0000")));
    }
    let chars = text.chars().count();
    if chars < min {
        return Err(ApiError::invalid(format!("{field}: must not be empty")));
    }
    if chars > max {
        return Err(ApiError::invalid(format!("{field}: {chars} characters, at most {max} are allowed")));
    }
    Ok(())
}

fn refuse_later_features(
    mcp_servers: &Option<Vec<Value>>,
    skills: &Option<Vec<Value>>,
    multiagent: &Option<Value>,
    execution_identity: &Option<Value>,
) -> Result<()> {
    if mcp_servers.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::not_available("mcp_servers", "MCP servers are"));
    }
    if skills.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::not_available("skills", "skills are"));
    }
    if multiagent.is_some() {
        return Err(ApiError::not_available("multiagent", "delegation to other agents is"));
    }
    match execution_identity {
        None => Ok(()),
        Some(value) if value.get("type").and_then(Value::as_str) == Some("service_account") => Ok(()),
        Some(_) => Err(ApiError::invalid("execution_identity: only {\"type\": \"service_account\"} is available")),
    }
}

/// An agent on the wire, at one version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agent {
    /// Its id.
    pub id: Id,
    /// Always `agent`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The version shown, from 1.
    pub version: i64,
    /// What that version says.
    #[serde(flatten)]
    pub config: AgentConfig,
    /// When the agent was created.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// When the agent was archived.
    pub archived_at: Option<Timestamp>,
}

/// The copy of an agent that a session keeps: no metadata, no times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentSnapshot {
    /// The agent's id.
    pub id: Id,
    /// Always `agent`.
    #[serde(rename = "type")]
    pub kind: SnapshotKind,
    /// The version pinned.
    pub version: i64,
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// System prompt.
    pub system: Option<String>,
    /// Model.
    pub model: ModelConfig,
    /// Tools.
    pub tools: Vec<Tool>,
    /// Always empty until MCP is available.
    pub mcp_servers: Vec<Value>,
    /// Always empty until skills are available.
    pub skills: Vec<Value>,
    /// Always `null` until delegation is available. Threads leave it out.
    pub multiagent: Option<Value>,
    /// The principal.
    pub execution_identity: ExecutionIdentity,
}

/// The literal `agent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// `agent`
    Agent,
}

impl AgentSnapshot {
    /// The copy that a new session takes.
    pub fn of(id: Id, version: i64, config: AgentConfig) -> Self {
        Self {
            id,
            kind: SnapshotKind::Agent,
            version,
            name: config.name,
            description: config.description,
            system: config.system,
            model: config.model,
            tools: config.tools,
            mcp_servers: config.mcp_servers,
            skills: config.skills,
            multiagent: config.multiagent,
            execution_identity: config.execution_identity,
        }
    }
}

#[cfg(test)]
mod tests;
