//! Loquic from the outside: what the sources may contain, what hostile peers are told, what operators are told, and
//! what the native client makes of a real server.

// All of it is a test: a failed expectation is what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod client;
mod ephemerals;
mod http;
mod http3;
mod http_api;
mod operator;
mod presence;
mod raw;
mod tidy;
mod world;
