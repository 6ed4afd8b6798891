//! Real processes, real sockets, real disks, and what can happen to them: `kill -9`, power loss, damage, a full disk, a
//! restart, a bad network. What clients did and saw is judged by `loquic-check`.
//!
//! `cargo test --release --features failpoints --test faults`. Disks that lose power or fill up are loop-mounted
//! images, which needs root; without it these tests say that they did not run.

#[path = "../support/mod.rs"]
mod support;

mod catch_up;
mod damage;
mod disk;
mod drain;
mod full;
mod kill;
mod network;
mod power;
