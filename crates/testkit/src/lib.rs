//! For tests and benchmarks only: a server as a process that can be killed, and a client that survives it.

pub mod client;
pub mod server;
