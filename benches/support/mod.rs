//! What the benches share: servers as processes of their own, the protocol by hand, and figures.
//!
//! The server is never in the process of the bench, so that what it costs can be read from `/proc`. The client here is
//! not `loquic-client`: it reads as little as it can, so that on a small machine the server is what is measured.

// Each bench uses a part of it.
#![allow(dead_code)]

pub mod figures;
pub mod process;
pub mod wire;
