//! What may be typed.

use crate::settings::parse_listen;
use clap::{Parser, Subcommand, ValueEnum};
use daybreak_server::ServerConfig;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A self-hosted server for agents that speaks the Managed Agents API: point the official SDK's base_url at it.
#[derive(Debug, Parser)]
#[command(name = "daybreak", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API.
    Serve(ServeArgs),
    /// Let an agent do one task, show how it goes, and fetch the files that it leaves.
    Run(RunArgs),
    /// List the models that can be used here.
    Models(ModelsArgs),
}

/// `daybreak serve`. A flag goes before its variable, the variable before the file.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen, help = listen_help())]
    pub(crate) listen: Option<SocketAddr>,
    /// Where everything is kept [variable: DAYBREAK_DATA_DIR] [default: ./daybreak-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// The server knows its own default.
fn listen_help() -> String {
    let default = ServerConfig::default().listen;
    format!("The address to listen on; port 0 means any free one [variable: DAYBREAK_LISTEN] [default: {default}]")
}

/// `daybreak run`. Its server listens on a port that nobody else knows of.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// What the agent shall do.
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// The agent: a YAML or JSON file with the fields of POST /v1/agents.
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// The model, instead of the agent's own.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// A file or a folder for the agent; it finds it below /mnt/session/uploads. May be given several times.
    #[arg(long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
    /// Where to put the files that the agent leaves [default: ./outputs/SESSION_ID]
    #[arg(long, value_name = "DIR")]
    pub(crate) outputs: Option<PathBuf>,
    /// Keep the session in this data directory [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Keep the temporary data directory.
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What `serve` and `run` have in common: they start a server.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// The configuration file [variable: DAYBREAK_CONFIG] [default: daybreak.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where tools run [variable: DAYBREAK_SANDBOX] [default: bubblewrap]
    #[arg(long, value_enum, value_name = "BACKEND")]
    pub(crate) sandbox: Option<Backend>,
    /// How messages are logged. Which ones: variable DAYBREAK_LOG, such as `warn` or `daybreak_engine=debug`
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// `daybreak models`.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    /// The configuration file [variable: DAYBREAK_CONFIG] [default: daybreak.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// In which form messages are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where tools run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// In namespaces of their own, without a network.
    Bubblewrap,
    /// On this host, with everything that your user may do.
    UnsafeHost,
}
