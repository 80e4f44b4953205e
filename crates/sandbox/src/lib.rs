//! Where tools run.
//!
//! The cast: a [`Launcher`] knows how to start sandboxes on this machine and has proved that it can. A [`Sandbox`]
//! is one running place with the [`Mounts`] of one session. Inside it lives the [`toolbox`]: this same program,
//! executed again, which owns the persistent shell and serves the six tools over one socket.
//!
//! Always true:
//! - What runs inside is hostile. It holds no secret, sees no other session and no network, and whatever it sends
//!   back is bounded and checked before it is believed.
//! - A mount point never lies below a directory that the inside can write: `/workspace`, `/mnt/session/outputs` and
//!   `/mnt/session/uploads` are siblings on a root that belongs to the launcher and is read-only at the end.
//! - No process outlives its [`Sandbox`]: the inside is one pid namespace, and killing its first process kills all.
//!
//! Deliberately absent: a network of any kind, package installation, and any decision about which tool may run.

mod cgroup;
mod diagnosis;
mod disk;
mod launcher;
mod life;
mod limits;
mod mounts;
mod output;
mod profile;
mod protocol;
mod sandbox;
mod seal;
mod seccomp;
mod self_test;
mod spawn;
pub mod toolbox;
mod tree;
mod wire;

pub use diagnosis::Unavailable;
pub use launcher::{Backend, Config, Launcher, SandboxError};
pub use limits::Limits;
pub use mounts::{Mounts, SandboxPaths};
pub use output::{OutputBlock, ToolOutput};
pub use sandbox::Sandbox;
pub use tree::remove_tree;
