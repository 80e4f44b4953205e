//! The pure heart: what a log means and what comes next. No I/O, no clock, no randomness, no await.
//!
//! The cast: a [`record::Record`] is one line of a session's log. [`state::State`] is what the records of a
//! thread add up to. [`step`] decides what comes next and words it as drafts: records that are yet to be
//! stored. [`transcript`] is the conversation as the model sees it, part of the state. [`model`] is how we
//! talk with a model.
//!
//! The law: `State` changes through [`state::State::apply`] alone, so that the state of a running session and
//! the state folded from its log after a crash are the same.

pub mod model;
pub mod record;
pub mod state;
pub mod step;
pub mod transcript;

#[cfg(test)]
mod tests;
