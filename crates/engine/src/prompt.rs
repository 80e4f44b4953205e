//! What the model is told about its tools and its surroundings.

use daybreak_api::agent::{AgentSnapshot, Tool, ToolName};
use daybreak_domain::model::ToolSpec;
use daybreak_sandbox::SandboxPaths;
use serde_json::{Value, json};

/// Whether the agent has a tool of this name.
pub(crate) fn offers(agent: &AgentSnapshot, name: &str) -> bool {
    offered(agent).any(|offered| offered.as_str() == name)
}

fn offered(agent: &AgentSnapshot) -> impl Iterator<Item = ToolName> + '_ {
    ToolName::IN_SANDBOX.into_iter().filter(|name| agent.tools.iter().any(|tool: &Tool| tool.offers(*name)))
}

/// The tools of an agent, as the model sees them.
pub(crate) fn tools(agent: &AgentSnapshot) -> Vec<ToolSpec> {
    offered(agent)
        .map(|name| {
            let (description, properties, required) = describe(name);
            ToolSpec {
                name: name.as_str().to_owned(),
                description: description.to_owned(),
                input_schema: json!({
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                }),
            }
        })
        .collect()
}

/// The system prompt: the agent's own words, then where it is.
pub(crate) fn system(agent: &AgentSnapshot, paths: &SandboxPaths) -> Option<String> {
    let own = agent.system.as_deref().unwrap_or_default();
    if offered(agent).next().is_none() {
        return (!own.is_empty()).then(|| own.to_owned());
    }
    let SandboxPaths { workdir, outputs, uploads } = paths;
    let surroundings = format!(
        "# Your surroundings\n\
         Your tools run in a Linux sandbox that belongs to this session alone. It has no network access.\n\
         - {}: your working directory. It keeps its files for the whole session.\n\
         - {}: files from the user, read-only.\n\
         - {}: leave here every file that the user should receive.",
        workdir.display(),
        uploads.display(),
        outputs.display(),
    );
    Some(if own.is_empty() { surroundings } else { format!("{own}\n\n{surroundings}") })
}

fn describe(name: ToolName) -> (&'static str, Value, Value) {
    let text = |description: &str| json!({"type": "string", "description": description});
    let file_path = text("Path of the file, absolute or relative to the working directory.");
    match name {
        ToolName::Bash => (
            "Runs a command in a persistent bash shell: working directory, variables and background jobs survive from \
             one call to the next. Returns stdout and stderr together; a command that exits with a status other than 0 \
             is reported as an error. After a timeout the shell must be restarted.",
            json!({
                "command": text("The command to run."),
                "restart": {"type": "boolean", "description": "Starts a new shell; the command is ignored."},
                "timeout_ms": {"type": "integer", "description": "Time limit in milliseconds. Default: 120000."},
            }),
            json!([]),
        ),
        ToolName::Read => (
            "Reads a text file, an image (png, jpg, gif, webp) or a PDF.",
            json!({
                "file_path": file_path,
                "view_range": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "minItems": 2,
                    "maxItems": 2,
                    "description": "First and last line to read, counted from 1 and inclusive; a last line of 0 or less means the end of the file.",
                },
            }),
            json!(["file_path"]),
        ),
        ToolName::Write => (
            "Writes a file, replacing what it held. Missing folders are created.",
            json!({"file_path": file_path, "content": text("The whole content.")}),
            json!(["file_path", "content"]),
        ),
        ToolName::Edit => (
            "Replaces text in a file. The old text must occur exactly once, unless replace_all is set.",
            json!({
                "file_path": file_path,
                "old_string": text("The text to replace, exactly as it stands in the file."),
                "new_string": text("The text to put in its place."),
                "replace_all": {"type": "boolean", "description": "Replaces every occurrence."},
            }),
            json!(["file_path", "old_string", "new_string"]),
        ),
        ToolName::Glob => (
            "Finds files by a pattern such as **/*.rs. Returns absolute paths, newest first.",
            json!({
                "pattern": text("The pattern, relative to the folder."),
                "path": text("The folder to look in. Default: the working directory."),
            }),
            json!(["pattern"]),
        ),
        ToolName::Grep => (
            "Finds lines that match a regular expression. Returns path:line:text.",
            json!({
                "pattern": text("The regular expression."),
                "path": text("The file or folder to look in. Default: the working directory."),
            }),
            json!(["pattern"]),
        ),
        ToolName::WebFetch | ToolName::WebSearch => ("", json!({}), json!([])),
    }
}
