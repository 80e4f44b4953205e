//! Environments: what the sandboxes of sessions are like.

use crate::agent::length;
use crate::error::{ApiError, Result};
use crate::id::Id;
use crate::limits::{ENVIRONMENT_DESCRIPTION_CHARS_MAX, ENVIRONMENT_NAME_CHARS_MAX};
use crate::metadata::{self, Metadata, MetadataPatch};
use crate::patch::Patch;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content of an environment, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentConfig {
    /// Name.
    pub name: String,
    /// Description, for people.
    pub description: Option<String>,
    /// What the sandbox is like.
    pub config: CloudConfig,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// Always `organization`.
    pub scope: Scope,
}

/// Who sees an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everyone in the workspace.
    #[default]
    Organization,
}

/// A sandbox that the server itself runs (`cloud` in the contract's words).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "cloud")]
pub struct CloudConfig {
    /// What tools may reach.
    pub networking: Networking,
    /// Always empty lists until package installation is available.
    pub packages: Packages,
}

/// What tools may reach. Until there is an egress path, no sandbox has a network, whatever this says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Networking {
    /// Everything public.
    Unrestricted,
    /// Listed hosts only.
    Limited {
        /// Always empty until the egress path is available.
        allowed_hosts: Vec<String>,
        /// Always false, as above: whether the hosts of MCP servers are added.
        allow_mcp_servers: bool,
        /// Always false, as above: whether package registries are added.
        allow_package_managers: bool,
    },
}

/// Packages to install.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packages {
    /// Always `packages`.
    #[serde(rename = "type", default, skip_deserializing)]
    kind: PackagesKind,
    #[serde(default)]
    apt: Vec<String>,
    #[serde(default)]
    cargo: Vec<String>,
    #[serde(default)]
    gem: Vec<String>,
    #[serde(default)]
    go: Vec<String>,
    #[serde(default)]
    npm: Vec<String>,
    #[serde(default)]
    pip: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
enum PackagesKind {
    #[default]
    Packages,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self { networking: Networking::Unrestricted, packages: Packages::default() }
    }
}

/// `POST /v1/environments`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEnvironment {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    config: Option<ConfigParam>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    scope: Option<String>,
}

/// `POST /v1/environments/{environment_id}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateEnvironment {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Patch<String>,
    #[serde(default)]
    config: Option<ConfigParam>,
    #[serde(default)]
    metadata: Patch<MetadataPatch>,
    #[serde(default)]
    scope: Option<String>,
}

/// `config` of a request. What is left out keeps its value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigParam {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    networking: Option<NetworkingParam>,
    #[serde(default)]
    packages: Option<serde_json::Map<String, Value>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum NetworkingParam {
    Unrestricted {},
    Limited {
        #[serde(default)]
        allowed_hosts: Option<Vec<String>>,
        #[serde(default)]
        allow_mcp_servers: Option<bool>,
        #[serde(default)]
        allow_package_managers: Option<bool>,
    },
}

impl ConfigParam {
    fn apply(self, config: &mut CloudConfig, exists: bool) -> Result<()> {
        match self.kind.as_deref() {
            None | Some("cloud") => {}
            Some("self_hosted") if exists => {
                return Err(ApiError::invalid("config.type: an environment keeps the type it was created with")
                    .with_code("invalid_config_type_change"));
            }
            Some("self_hosted") => return Err(ApiError::not_available("config.type", "self_hosted environments are")),
            Some(other) => {
                return Err(ApiError::invalid(format!("config.type: `{other}` is not a type; `cloud` is available")));
            }
        }
        if let Some(networking) = self.networking {
            config.networking = networking.resolve()?;
        }
        if let Some(packages) = self.packages {
            check_packages(packages)?;
        }
        Ok(())
    }
}

impl NetworkingParam {
    fn resolve(self) -> Result<Networking> {
        let Self::Limited { allowed_hosts, allow_mcp_servers, allow_package_managers } = self else {
            return Ok(Networking::Unrestricted);
        };
        if allowed_hosts.is_some_and(|hosts| !hosts.is_empty()) {
            return Err(ApiError::not_available(
                "config.networking.allowed_hosts",
                "network access from the sandbox is",
            ));
        }
        for (field, given) in
            [("allow_mcp_servers", allow_mcp_servers), ("allow_package_managers", allow_package_managers)]
        {
            if given == Some(true) {
                let at = format!("config.networking.{field}");
                return Err(ApiError::not_available(&at, "network access from the sandbox is"));
            }
        }
        Ok(Networking::Limited { allowed_hosts: Vec::new(), allow_mcp_servers: false, allow_package_managers: false })
    }
}

const PACKAGE_LISTS: [&str; 6] = ["apt", "cargo", "gem", "go", "npm", "pip"];

fn check_packages(packages: serde_json::Map<String, Value>) -> Result<()> {
    for (key, value) in packages {
        let at = format!("config.packages.{key}");
        if key == "type" && value == "packages" {
            continue;
        }
        if !PACKAGE_LISTS.contains(&key.as_str()) {
            return Err(ApiError::invalid(format!("{at}: extra inputs are not permitted")));
        }
        match value {
            Value::Null => {}
            Value::Array(list) if list.is_empty() => {}
            Value::Array(list) if list.iter().all(Value::is_string) => {
                return Err(ApiError::not_available(&at, "installing packages is"));
            }
            _ => return Err(ApiError::invalid(format!("{at}: expected a list of package names"))),
        }
    }
    Ok(())
}

fn check_scope(scope: Option<String>) -> Result<()> {
    match scope.as_deref() {
        None | Some("organization") => Ok(()),
        Some(other) => Err(ApiError::invalid(format!("scope: `{other}` is not available; `organization` is"))),
    }
}

impl CreateEnvironment {
    /// The environment's content.
    pub fn resolve(self) -> Result<EnvironmentConfig> {
        check_scope(self.scope)?;
        let mut config = CloudConfig::default();
        if let Some(param) = self.config {
            param.apply(&mut config, false)?;
        }
        let environment = EnvironmentConfig {
            name: self.name,
            description: self.description,
            config,
            metadata: self.metadata.unwrap_or_default(),
            scope: Scope::Organization,
        };
        environment.validate()?;
        Ok(environment)
    }
}

impl UpdateEnvironment {
    /// The content that follows `before`.
    pub fn apply(self, before: &EnvironmentConfig) -> Result<EnvironmentConfig> {
        check_scope(self.scope)?;
        let mut environment = before.clone();
        if let Some(name) = self.name {
            environment.name = name;
        }
        self.description.apply(&mut environment.description);
        if let Some(param) = self.config {
            param.apply(&mut environment.config, true)?;
        }
        metadata::patch(&mut environment.metadata, empty_deletes(self.metadata))
            .map_err(|error| error.with_code("invalid_metadata"))?;
        environment.validate()?;
        Ok(environment)
    }
}

/// Environments alone delete a metadata key on an empty string too.
fn empty_deletes(update: Patch<MetadataPatch>) -> Patch<MetadataPatch> {
    match update {
        Patch::Set(pairs) => {
            Patch::Set(pairs.into_iter().map(|(key, value)| (key, value.filter(|text| !text.is_empty()))).collect())
        }
        other => other,
    }
}

impl EnvironmentConfig {
    fn validate(&self) -> Result<()> {
        length("name", &self.name, 1, ENVIRONMENT_NAME_CHARS_MAX)?;
        let description = self.description.as_deref().unwrap_or_default();
        length("description", description, 0, ENVIRONMENT_DESCRIPTION_CHARS_MAX)?;
        metadata::validate(&self.metadata).map_err(|error| error.with_code("invalid_metadata"))
    }
}

/// An environment on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Environment {
    /// Its id.
    pub id: Id,
    /// Always `environment`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its content.
    #[serde(flatten)]
    pub config: EnvironmentConfig,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(body: Value) -> Result<EnvironmentConfig> {
        serde_json::from_value::<CreateEnvironment>(body).unwrap().resolve()
    }

    #[test]
    fn access_that_nobody_gets_yet_is_refused_by_name() {
        for field in ["allow_mcp_servers", "allow_package_managers"] {
            let limited = |value: Value| {
                let networking = json!({"type": "limited", field: value});
                create(json!({"name": "e", "config": {"type": "cloud", "networking": networking}}))
            };
            let told = limited(json!(true)).unwrap_err().message;
            assert!(told.contains(&format!("config.networking.{field}")), "{told}");
            assert!(limited(json!(false)).is_ok() && limited(json!(null)).is_ok());
        }
    }

    #[test]
    fn texts_have_no_null_character() {
        for body in [
            json!({"name": "a\u{0}"}),
            json!({"name": "a", "description": "\u{0}"}),
            json!({"name": "a", "metadata": {"k": "\u{0}"}}),
        ] {
            let told = create(body).unwrap_err().message;
            assert!(told.contains("U+0000"), "{told}");
        }
    }
}
