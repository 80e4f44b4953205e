//! Sessions moved by the real engine over the real store; only the model, the sandbox and the clock are played.

mod stage;
mod stories;
