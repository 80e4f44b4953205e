//! The server is killed, again and again, and nothing that it promised may be missing afterwards.

mod audit;
mod crash_matrix;
mod kill;
