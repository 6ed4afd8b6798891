//! `loquic-loadgen`: an open-loop load generator for Loquic that judges every delivery.
//!
//! `cli` says what is asked for, `plan` what will be done, `run` does it. What decides figures is pure and tested
//! alone: `schedule` when publishes are due, `payload` what they carry, `sequence` and `verdict` what became of them,
//! `slo` and `health` what that means. `pacer` publishes from a thread of its own; `answers` and `subscriber` are the
//! tasks that wait for acks and records, and `probe` watches whether they get to it in time. `scrape` asks the server
//! what
//! it counted itself, `metrics` compares; `network` is what lies between, where one is asked for.

#![forbid(unsafe_code)]

mod answers;
mod cli;
mod environment;
mod health;
mod limits;
mod meter;
mod metrics;
mod network;
mod output;
mod pacer;
mod payload;
mod plan;
mod probe;
mod process;
mod report;
mod run;
mod scenario;
mod schedule;
mod scrape;
mod sequence;
mod sessions;
mod slo;
mod subscriber;
mod units;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
