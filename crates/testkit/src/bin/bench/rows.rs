//! The rows: each file measures one kind of thing, once, on a running server.

pub(crate) mod accept;
pub(crate) mod load;
pub(crate) mod rest;
pub(crate) mod tool;
pub(crate) mod turn;
