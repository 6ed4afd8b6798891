//! The proxy: its decisions in virtual time, and real sockets through it.

#![allow(clippy::unwrap_used)]

mod lane;
mod profile;
mod tcp;
mod udp;

use std::time::Duration;

use loquic_impair::{Proxy, Stats};

/// Only so that a test that would never end fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never happened")
}

/// Waits until the counters say so.
async fn until(proxy: &Proxy, is_so: impl Fn(&Stats) -> bool) {
    let wait = async {
        while !is_so(&proxy.stats()) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "it never happened:\n{}", proxy.stats());
}
