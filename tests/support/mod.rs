//! What the tests with real processes share: a server as a child process ([`Site`], [`Node`]), and clients whose doings
//! are recorded for the checker ([`Run`]).

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports)]

mod log;
pub mod raw;
mod run;
mod site;

pub use log::{Contents, final_log, final_log_on_disk, head_on_disk};
pub use run::{
    Follow, Follower, Pace, Run, Tally, Target, follow, hash, hash_of, judge, position, publish, resume_often,
};
pub use site::{Exit, Node, Site};

use std::io::Write;

/// Where a room is.
pub async fn status(client: &loquic_client::Client, room: &str) -> loquic_client::RoomStatus {
    let mut statuses = client.peek(&[room]).await.expect("peek");
    statuses.pop().flatten().expect("the room may be seen")
}

/// What a task has to say. Its panic goes on here.
pub fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Says a figure where the test harness does not swallow it.
pub fn figure(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "figure: {text}");
}

/// The seed of this run: `LOQUIC_SEED`, or one from the clock. Said, so that a failure can be run again.
pub fn seed(test: &str) -> u64 {
    let chosen = std::env::var("LOQUIC_SEED").ok().and_then(|text| text.parse().ok());
    let seed = chosen.unwrap_or_else(|| seed_of_time() % 1_000_000_007);
    let _ = writeln!(std::io::stderr(), "{test}: LOQUIC_SEED={seed}");
    seed
}

/// How many times as long as usual the tests go on: `LOQUIC_LONG`, for a night of them.
pub fn long() -> u64 {
    std::env::var("LOQUIC_LONG").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn seed_of_time() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}

/// A small seeded generator (splitmix64): what it chooses needs no quality, only to be the same again.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high - 1`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }
}
