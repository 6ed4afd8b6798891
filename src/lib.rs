//! The Loquic server: rooms that are ordered, durable logs, delivered in real time.

pub mod config;
pub mod failpoint;
pub mod journal;
pub mod log;
pub mod room;
