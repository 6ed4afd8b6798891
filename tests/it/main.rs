//! Loquic from the outside: what the sources may contain, what hostile peers are told, what operators are told, and
//! what the native client makes of a real server.

// In a test a panic is the answer, in its helpers too.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod client;
mod operator;
mod raw;
mod tidy;
mod world;
