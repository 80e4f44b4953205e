//! The store against reference models: what is written is what is read, in order, once.

mod events;
mod files;
mod log;
mod world;
