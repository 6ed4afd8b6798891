//! Judging a history. Each file below holds one family of invariants; this one runs them in order.
//!
//! Cost: hash maps keyed by (room, epoch, offset) and (room, hash), filled once, are linear. Sorting is O(n log n) in
//! three places: what subscriptions saw by time, publishes by invocation and return for I7, and a producer's records by
//! id for I8. The epoch of an offset is found in O(log epochs) of its room, O(epochs) where something was lost. None of
//! it searches: the ack returns the offset, so there is no order to guess.

mod delivery;
mod durable;
mod facts;
mod findings;
mod floor;
mod identity;
mod ledger;
mod order;
mod redaction;
mod steps;

use crate::{history::History, promise::Promise, report::Report};

use facts::Facts;
use findings::Findings;
use ledger::Ledger;

/// Checks a history against a promise.
pub fn check(history: &History, promise: &Promise) -> Report {
    let restored = redaction::restored(history);
    let mut found = Findings::new(history, promise);
    let facts = Facts::gather(&restored, promise, &mut found);
    redaction::check(history, &facts, &mut found);
    let history = &*restored;
    let steps = steps::ordered(history, &mut found);
    let mut ledger = Ledger::new(history, &facts);
    ledger.read_final_logs(&steps, &mut found);
    ledger.read_acks(&mut found);
    let floors = floor::Floors::gather(history, &facts);
    floors.check(&mut found);
    delivery::check(&steps, &floors, &mut ledger, &mut found);
    durable::check(&ledger, &mut found);
    identity::check(&ledger, &mut found);
    order::check(&ledger, &mut found);
    found.finish(&ledger)
}
