//! What is counted and timed while the run goes on.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::{
    limits::{ERRORS_MAX, LATENCY_MAX},
    payload::Stamp,
    report::{Fault, Latency},
    verdict::Judge,
};

/// Nanoseconds from the start of the run, on the clock of this process: no two clocks are ever compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn from(start: Instant) -> Self {
        Self { start }
    }

    /// 0 before the start.
    pub(crate) fn now(self) -> u64 {
        Instant::now().saturating_duration_since(self.start).as_nanos() as u64
    }

    pub(crate) fn instant(self, time: u64) -> Instant {
        self.start + std::time::Duration::from_nanos(time)
    }
}

/// Latencies in microseconds, three digits exact.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        let max = LATENCY_MAX.as_micros() as u64;
        Self(Histogram::new_with_bounds(1, max, 3).expect("1 µs to an hour in three digits is a valid range"))
    }

    /// Rounded up, so that nothing looks faster than it was.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.div_ceil(1000));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// `None` if there is nothing.
    pub(crate) fn summary(&self) -> Option<Latency> {
        let (p50, p90) = (self.quantile(0.5), self.quantile(0.9));
        let (p99, p999, max) = (self.quantile(0.99), self.quantile(0.999), self.0.max());
        (!self.0.is_empty()).then_some(Latency { p50, p90, p99, p999, max })
    }
}

/// Shared by all tasks of a run.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Subscriptions are dealt out over these, so that threads seldom meet at one.
    shards: Vec<Mutex<Deliveries>>,
    pub(crate) acks: Mutex<Latencies>,
    /// Measured ones.
    pub(crate) published: AtomicU64,
    /// Publishes that got an answer.
    pub(crate) answered: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    pub(crate) corrected: Latencies,
    pub(crate) uncorrected: Latencies,
    /// Corrected ones, since it was last taken.
    pub(crate) second: Latencies,
    /// Since it was last taken.
    pub(crate) delivered: u64,
    /// Records that are missing as of now.
    pub(crate) missing: u64,
    /// When the last one came.
    pub(crate) last: u64,
}

impl Deliveries {
    fn new() -> Self {
        let none = Latencies::new();
        Self { corrected: none.clone(), uncorrected: none.clone(), second: none, delivered: 0, missing: 0, last: 0 }
    }

    pub(crate) fn record(&mut self, now: u64, stamp: Stamp) {
        let latency = now.saturating_sub(stamp.intended);
        self.corrected.record(latency);
        self.second.record(latency);
        self.uncorrected.record(latency.saturating_sub(u64::from(stamp.lag_us) * 1000));
        self.delivered += 1;
        self.last = now;
    }

    fn add_counts(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.last = self.last.max(other.last);
    }

    /// Notes what the judge misses now and did not before.
    pub(crate) fn miss(&mut self, before: u64, judge: &Judge) {
        self.missing = (self.missing + judge.missing()).saturating_sub(before);
    }
}

impl Meter {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::new(Deliveries::new())).collect(),
            acks: Mutex::new(Latencies::new()),
            published: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    pub(crate) fn shard(&self, subscription: usize) -> &Mutex<Deliveries> {
        &self.shards[subscription % self.shards.len()]
    }

    /// What has come since the last call; without the latencies of the whole run.
    pub(crate) fn take_second(&self) -> Deliveries {
        let mut sum = Deliveries::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            sum.add_counts(&shard);
            sum.second.merge(&shard.second);
            shard.second.clear();
            shard.delivered = 0;
        }
        sum
    }

    /// The latencies of the whole run.
    pub(crate) fn total(&self) -> Deliveries {
        let mut sum = Deliveries::new();
        for shard in &self.shards {
            let shard = shard.lock();
            sum.add_counts(&shard);
            sum.corrected.merge(&shard.corrected);
            sum.uncorrected.merge(&shard.uncorrected);
        }
        sum
    }

    /// Something went wrong that the run goes on behind.
    pub(crate) fn error(&self, message: String) {
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(&message) {
            *count += 1;
        } else if errors.len() < ERRORS_MAX {
            errors.insert(message, 1);
        } else {
            *errors.entry(OTHER_ERRORS.to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn errors(&self) -> Vec<Fault> {
        let errors = self.errors.lock();
        let mut faults: Vec<_> =
            errors.iter().map(|(message, count)| Fault { message: message.clone(), count: *count }).collect();
        faults.sort_by_key(|fault| std::cmp::Reverse(fault.count));
        faults
    }

    /// How much has happened so far; it stands still when nothing does.
    pub(crate) fn activity(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().last).fold(self.answered.load(Relaxed), u64::wrapping_add)
    }
}

const OTHER_ERRORS: &str = "other errors";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_send_lag_is_in_one_latency_and_not_in_the_other() {
        let meter = Meter::new(4);
        let stamp = Stamp { publisher: 0, sequence: 0, intended: 1_000_000, lag_us: 300 };
        meter.shard(5).lock().record(1_500_000, stamp);
        let total = meter.total();
        assert_eq!(total.corrected.summary().unwrap().max, 500);
        assert_eq!(total.uncorrected.summary().unwrap().max, 200);
        assert_eq!((meter.take_second().delivered, meter.take_second().delivered), (1, 0));
        assert!(meter.take_second().second.summary().is_none());
        assert!(meter.total().corrected.summary().is_some());
    }

    #[test]
    fn latencies_are_never_too_small() {
        let mut latencies = Latencies::new();
        latencies.record(1_001);
        assert_eq!(latencies.summary().unwrap().p50, 2);
        latencies.record(u64::MAX);
        assert!(latencies.summary().unwrap().max >= LATENCY_MAX.as_micros() as u64);
    }

    #[test]
    fn errors_are_counted_and_bounded() {
        let meter = Meter::new(1);
        (0..100).for_each(|number| meter.error(format!("error {}", number % 50)));
        let errors = meter.errors();
        assert_eq!(errors.len(), ERRORS_MAX + 1);
        assert_eq!(errors[0], Fault { message: OTHER_ERRORS.into(), count: 100 - 2 * ERRORS_MAX as u64 });
    }
}
