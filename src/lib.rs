//! Loquic's server and command line: rooms that are ordered, durable logs, delivered in real time.
//!
//! `main` calls [`cli`], `cli` reads the [`config`] and starts the [`server`], which puts everything else together:
//! sessions ([`session`]) over transports ([`transport`]) use rooms ([`room`]); what they publish is ordered by the
//! [`journal`] and kept in the [`log`]. HTTP is in [`api`], and what operators read there in
//! [`metrics`]; how records are written outside the protocol is in [`notation`].

pub mod api;
pub mod cli;
pub mod config;
pub mod failpoint;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod notation;
pub mod presence;
pub mod room;
pub mod server;
pub mod session;
pub mod token;
pub mod transport;
