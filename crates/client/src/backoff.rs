//! How long to wait before the next attempt. Pure: the random number comes from outside.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Bounds of the wait between attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first retry; it doubles with each further one. Default 100 ms.
    pub first: Duration,
    /// The longest wait at all, unless the server asks for a longer one. Default 10 s.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// Full jitter: evenly spread between nothing and `first * 2^attempt`, cut at `max`. What the server asked for
    /// (`floor`) is added below it and not spread away, so that a thousand clients told "in 5 s" come back in 5 s and a
    /// bit, but not at once.
    pub fn delay(&self, attempt: u32, floor: Duration, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let span = doubled.min(self.max);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(nanos) * u128::from(random)) >> 64;
        floor.saturating_add(Duration::from_nanos(part as u64))
    }
}

/// Random numbers for [`Backoff::delay`]: the splitmix64 sequence from a random start.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_span_doubles_up_to_the_bound() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(2) };
        let longest: Vec<u128> =
            (0..7).map(|attempt| backoff.delay(attempt, Duration::ZERO, u64::MAX).as_millis() + 1).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff.delay(3, Duration::ZERO, 0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn what_the_server_asks_for_is_always_waited(attempt: u32, floor_ms in 0u64..100_000, random: u64) {
            let backoff = Backoff::default();
            let floor = Duration::from_millis(floor_ms);
            let delay = backoff.delay(attempt, floor, random);
            prop_assert!(delay >= floor && delay <= floor + backoff.max);
        }
    }

    #[test]
    fn jitter_is_spread_evenly() {
        let mut jitter = Jitter::new();
        let low = (0..10_000).filter(|_| jitter.next() < u64::MAX / 4).count();
        assert!((2_200..2_800).contains(&low), "{low} of 10000 in the lowest quarter");
    }
}
