//! Sessions: one agent at work in one sandbox.

use crate::agent::{AgentSnapshot, length};
use crate::bounded::Bounded;
use crate::error::{ApiError, Result};
use crate::event::{ClientEvent, parse_initial};
use crate::id::{Id, Kind};
use crate::limits::{INITIAL_EVENTS_MAX, MOUNT_PATH_BYTES_MAX, SESSION_RESOURCES_MAX, SESSION_TITLE_CHARS_MAX};
use crate::metadata::{self, Metadata, MetadataPatch};
use crate::patch::Patch;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its client.
    Idle,
    /// It works, or has work waiting.
    Running,
    /// It waits to try again.
    Rescheduling,
    /// It has ended.
    Terminated,
}

impl Status {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Rescheduling => "rescheduling",
            Self::Terminated => "terminated",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Idle, Self::Running, Self::Rescheduling, Self::Terminated]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// A session on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// Always `session`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The agent, as pinned at creation.
    pub agent: AgentSnapshot,
    /// The environment.
    pub environment_id: Id,
    /// What it is doing.
    pub status: Status,
    /// Title.
    pub title: Option<String>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// What is mounted.
    pub resources: Vec<FileResource>,
    /// Always empty until vaults are available.
    pub vault_ids: Vec<String>,
    /// Always empty until outcomes are available.
    pub outcome_evaluations: Vec<Value>,
    /// Always `null` until budgets are available.
    pub budget: Option<Value>,
    /// Always `null` until deployments are available.
    pub deployment_id: Option<Id>,
    /// Times.
    pub stats: Stats,
    /// Tokens.
    pub usage: Usage,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// Times of a session or a thread, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Time at work.
    pub active_seconds: f64,
    /// Time since creation, until the end.
    pub duration_seconds: f64,
}

/// Tokens used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Read and not cached.
    pub input_tokens: u64,
    /// Written.
    pub output_tokens: u64,
    /// Read from the provider's cache.
    pub cache_read_input_tokens: u64,
    /// Written to the provider's cache.
    pub cache_creation: CacheCreation,
    /// Time at work, in seconds.
    pub active_seconds: f64,
}

/// Tokens written to the provider's cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCreation {
    /// Kept for five minutes: the only kind that Daybreak asks for.
    pub ephemeral_5m_input_tokens: u64,
    /// Kept for an hour.
    pub ephemeral_1h_input_tokens: u64,
}

/// A mounted file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileResource {
    /// Its id.
    pub id: Id,
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: ResourceKind,
    /// The session's own copy of the file.
    pub file_id: Id,
    /// Where the agent finds it.
    pub mount_path: String,
    /// When it was mounted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The literal `file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// `file`
    File,
}

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    agent: Value,
    environment_id: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    resources: Option<Bounded<Value, SESSION_RESOURCES_MAX>>,
    #[serde(default)]
    initial_events: Option<Bounded<Value, INITIAL_EVENTS_MAX>>,
    #[serde(default)]
    vault_ids: Option<Vec<Value>>,
    #[serde(default)]
    budget: Option<Value>,
}

/// A session to be, checked as far as that goes without looking anything up.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The agent.
    pub agent_id: Id,
    /// The version asked for; the latest when absent.
    pub agent_version: Option<i64>,
    /// The environment.
    pub environment_id: Id,
    /// Title.
    pub title: Option<String>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// Files to mount.
    pub resources: Vec<NewFileResource>,
    /// Events to start with.
    pub initial_events: Vec<ClientEvent>,
}

/// A file to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFileResource {
    /// The file.
    pub file_id: Id,
    /// The full path in the sandbox.
    pub mount_path: String,
}

impl CreateSession {
    /// Checks the request.
    pub fn resolve(self) -> Result<NewSession> {
        if self.vault_ids.is_some_and(|ids| !ids.is_empty()) {
            return Err(ApiError::not_available("vault_ids", "vaults are"));
        }
        if self.budget.is_some() {
            return Err(ApiError::not_available("budget", "budgets are"));
        }
        let (agent_id, agent_version) = parse_agent(&self.agent)?;
        let environment_id = Id::parse(Kind::Environment, &self.environment_id)
            .ok_or_else(|| ApiError::not_found("Environment", &self.environment_id))?;
        let metadata = self.metadata.unwrap_or_default();
        metadata::validate(&metadata)?;
        check_title(self.title.as_deref())?;
        Ok(NewSession {
            agent_id,
            agent_version,
            environment_id,
            title: self.title,
            metadata,
            resources: parse_resources(self.resources.unwrap_or_default())?,
            initial_events: parse_initial(self.initial_events.unwrap_or_default())?,
        })
    }
}

fn parse_agent(agent: &Value) -> Result<(Id, Option<i64>)> {
    let (id, version) = match agent {
        Value::String(id) => (id.as_str(), None),
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("agent") => {
                if let Some(key) = object.keys().find(|key| !matches!(key.as_str(), "type" | "id" | "version")) {
                    return Err(ApiError::invalid(format!("agent.{key}: extra inputs are not permitted")));
                }
                let version = match object.get("version") {
                    None | Some(Value::Null) => None,
                    Some(value) => Some(
                        value
                            .as_i64()
                            .filter(|version| *version >= 1)
                            .ok_or_else(|| ApiError::invalid("agent.version: expected a whole number from 1"))?,
                    ),
                };
                (object.get("id").and_then(Value::as_str).unwrap_or_default(), version)
            }
            Some("agent_with_overrides") => {
                return Err(ApiError::not_available("agent.type", "agent_with_overrides is"));
            }
            _ => return Err(ApiError::invalid("agent.type: expected `agent`")),
        },
        _ => return Err(ApiError::invalid("agent: expected an id or {\"type\": \"agent\", \"id\": …}")),
    };
    let id = Id::parse(Kind::Agent, id).ok_or_else(|| ApiError::not_found("Agent", id))?;
    Ok((id, version))
}

fn check_title(title: Option<&str>) -> Result<()> {
    length("title", title.unwrap_or_default(), 0, SESSION_TITLE_CHARS_MAX)
}

fn parse_resources(resources: Bounded<Value, SESSION_RESOURCES_MAX>) -> Result<Vec<NewFileResource>> {
    let resources = resources.into_vec();
    let mut parsed: Vec<NewFileResource> = Vec::with_capacity(resources.len());
    for (index, resource) in resources.into_iter().enumerate() {
        let at = format!("resources.{index}");
        let resource = parse_resource(&at, resource)?;
        check_mount_is_free(&at, &resource.mount_path, parsed.iter().map(|other| other.mount_path.as_str()))?;
        parsed.push(resource);
    }
    Ok(parsed)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileParam {
    #[serde(rename = "type")]
    _kind: String,
    file_id: String,
    #[serde(default)]
    mount_path: Option<String>,
}

/// Checks one resource. `at` names it in errors.
pub fn parse_resource(at: &str, resource: Value) -> Result<NewFileResource> {
    match resource.get("type").and_then(Value::as_str) {
        Some("file") => {}
        Some("github_repository") => {
            return Err(ApiError::not_available(&format!("{at}.type"), "github_repository resources are"));
        }
        Some("memory_store") => {
            return Err(ApiError::not_available(&format!("{at}.type"), "memory_store resources are"));
        }
        Some(other) => return Err(ApiError::invalid(format!("{at}.type: `{other}` is not a resource; `file` is"))),
        None => return Err(ApiError::invalid(format!("{at}.type: a resource needs a type"))),
    }
    let param: FileParam =
        serde_json::from_value(resource).map_err(|error| ApiError::invalid(format!("{at}: {error}")))?;
    let file_id = Id::parse(Kind::File, &param.file_id).ok_or_else(|| ApiError::not_found("File", &param.file_id))?;
    let mount_path = mount_path(at, param.mount_path.as_deref().unwrap_or(file_id.as_str()))?;
    Ok(NewFileResource { file_id, mount_path })
}

/// The folder below which files are mounted.
pub const UPLOADS: &str = "/mnt/session/uploads";

/// Roots a path that a client gave below [`UPLOADS`].
fn mount_path(at: &str, given: &str) -> Result<String> {
    let below = given.strip_prefix(UPLOADS).filter(|rest| rest.starts_with('/')).unwrap_or(given);
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    let plain = !parts.is_empty()
        && given.len() <= MOUNT_PATH_BYTES_MAX
        && parts.iter().all(|part| !matches!(*part, "." | "..") && part.len() <= 255)
        && !given.chars().any(char::is_control);
    if !plain {
        return Err(ApiError::invalid(format!(
            "{at}.mount_path: expected a path of at most {MOUNT_PATH_BYTES_MAX} bytes below {UPLOADS}, without `.` or `..`"
        )));
    }
    Ok(format!("{UPLOADS}/{}", parts.join("/")))
}

/// Refuses a mount path that is taken, or that lies below or above one that is.
pub fn check_mount_is_free<'a>(at: &str, path: &str, taken: impl Iterator<Item = &'a str>) -> Result<()> {
    for other in taken {
        let nested = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        if path == other || nested(path, other) || nested(other, path) {
            return Err(ApiError::invalid(format!("{at}.mount_path: `{path}` collides with `{other}`")));
        }
    }
    Ok(())
}

/// `POST /v1/sessions/{session_id}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateSession {
    #[serde(default)]
    title: Patch<String>,
    #[serde(default)]
    metadata: Patch<MetadataPatch>,
    #[serde(default)]
    agent: Option<Value>,
    #[serde(default)]
    budget: Patch<Value>,
    #[serde(default)]
    vault_ids: Patch<Value>,
}

impl UpdateSession {
    /// The title and metadata that follow.
    pub fn apply(self, title: &mut Option<String>, metadata: &mut Metadata) -> Result<()> {
        if self.vault_ids != Patch::Keep {
            return Err(ApiError::invalid("vault_ids: cannot be changed after a session was created"));
        }
        if self.budget != Patch::Keep {
            return Err(ApiError::not_available("budget", "budgets are"));
        }
        if self.agent.is_some() {
            return Err(ApiError::not_available("agent", "changing the tools of a session is"));
        }
        self.title.apply(title);
        check_title(title.as_deref())?;
        metadata::patch(metadata, self.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mount_paths_are_rooted_and_kept_below_the_uploads() {
        for (given, mounted) in [
            ("data.csv", "/mnt/session/uploads/data.csv"),
            ("/data//x.csv", "/mnt/session/uploads/data/x.csv"),
            ("/mnt/session/uploads/a/b", "/mnt/session/uploads/a/b"),
            ("/mnt/session/uploadsx", "/mnt/session/uploads/mnt/session/uploadsx"),
        ] {
            assert_eq!(mount_path("resources.0", given).unwrap(), mounted);
        }
        for bad in ["", "/", "a/../b", "./a", "a\u{0}b", "/mnt/session/uploads/"] {
            assert!(mount_path("resources.0", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mounts_do_not_collide() {
        let mounted = |paths: [&str; 2]| {
            let resources = paths.map(|path| json!({"type": "file", "file_id": "file_1", "mount_path": path}));
            parse_resources(serde_json::from_value(json!(resources)).unwrap())
        };
        assert!(mounted(["a/b", "a/c"]).is_ok());
        assert!(mounted(["a", "a"]).is_err());
        assert!(mounted(["a", "a/b"]).is_err());
    }

    #[test]
    fn too_many_resources_are_refused_while_they_are_read() {
        let read = |count: usize| {
            let resources = vec![json!({}); count];
            let body = json!({"agent": "agent_1", "environment_id": "env_1", "resources": resources});
            serde_json::from_value::<CreateSession>(body)
        };
        assert!(read(SESSION_RESOURCES_MAX).is_ok());
        assert!(read(SESSION_RESOURCES_MAX + 1).unwrap_err().to_string().contains("at most 500"));
    }

    #[test]
    fn a_title_has_no_null_character() {
        let told = check_title(Some("a\u{0}b")).unwrap_err().message;
        assert_eq!(told, "title: must not contain the character U+0000");
    }
}
