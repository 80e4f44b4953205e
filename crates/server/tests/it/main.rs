//! The server in process: what it refuses and how, how lists are walked, what a stream is made of.
//!
//! The contract as the official SDKs see it is tested from outside, with the SDKs themselves.

mod files;
mod lists;
mod refusals;
mod serving;
mod sessions;
mod streams;
mod test_server;
