//! What the journal counts. Plain atomics; the metrics read them.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use super::Refusing;
use crate::log;

/// Upper bounds of the classes in which the time of syncs is counted: from an NVMe disk's to a sick disk's.
pub const SYNC_BOUNDS: [Duration; 10] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The counters of a node's journal.
#[derive(Debug, Default)]
pub struct Stats {
    /// Batches written to the log.
    pub batches: AtomicU64,
    /// Bytes of keys and values in those.
    pub batch_bytes: AtomicU64,
    /// Writes and syncs that failed.
    pub failures: AtomicU64,
    /// Syncs that publishes waited for.
    pub syncs: Times,
    refusing: AtomicU8,
}

/// How long something took, by class.
#[derive(Debug, Default)]
pub struct Times {
    /// How many took at most as long as the bound at the same place, and longer than the one before.
    classes: [AtomicU64; SYNC_BOUNDS.len()],
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Stats {
    /// Why publishes are refused.
    pub fn refusing(&self) -> Option<Refusing> {
        [Refusing::DiskFull, Refusing::Poisoned]
            .into_iter()
            .find(|refusing| *refusing as u8 == self.refusing.load(Ordering::Relaxed))
    }

    pub(super) fn set_refusing(&self, refusing: Option<Refusing>) {
        self.refusing.store(refusing.map_or(0, |refusing| refusing as u8), Ordering::Relaxed);
    }

    pub(super) fn add_batch(&self, batch: &log::Batch) {
        let bytes = |write: &log::Write| match write {
            log::Write::Put(_, key, value) => key.len() + value.len(),
            log::Write::Delete(_, key) => key.len(),
            log::Write::DeleteRange(_, from, until) => from.len() + until.len(),
        };
        let bytes: usize = batch.writes().iter().map(bytes).sum();
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batch_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Times {
    pub(super) fn add(&self, took: Duration) {
        if let Some(at) = SYNC_BOUNDS.iter().position(|bound| took <= *bound) {
            self.classes[at].fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long they took together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// How many took at most as long as each bound.
    pub fn at_most(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut sum = 0;
        SYNC_BOUNDS.iter().zip(&self.classes).map(move |(bound, class)| {
            sum += class.load(Ordering::Relaxed);
            (*bound, sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_every_class_they_fit() {
        let times = Times::default();
        for millis in [0, 1, 3, 100, 10_000] {
            times.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = times.at_most().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 2, 2, 3, 3, 3, 4, 4, 4]);
        assert_eq!((times.count(), times.sum()), (5, Duration::from_millis(10_104)));
    }

    #[test]
    fn a_reason_is_told_until_it_is_gone() {
        let stats = Stats::default();
        for refusing in [None, Some(Refusing::Poisoned), Some(Refusing::DiskFull), None] {
            stats.set_refusing(refusing);
            assert_eq!(stats.refusing(), refusing);
        }
    }
}
