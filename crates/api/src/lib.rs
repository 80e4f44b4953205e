//! The wire: request, response and event types, the error envelope, ids and limits. No I/O, no async.
//!
//! Requests are parsed into these types and validated by their own `validate` methods against the named
//! limits of [`limits`]; what fails becomes an [`error::ApiError`] that says what was wrong and what is allowed.

pub mod agent;
pub mod bounded;
pub mod content;
pub mod environment;
pub mod error;
pub mod event;
pub mod file;
pub mod id;
pub mod limits;
pub mod metadata;
pub mod model;
pub mod page;
pub mod patch;
pub mod session;
pub mod text_or;
pub mod thread;
pub mod time;
