//! When each publish is due, known before the run begins. Pure.
//!
//! Every publisher has the same interval and a phase of its own. The phases divide the interval evenly, each shaken
//! within its share, so that publishers do not fire together and the sum does not beat against a timer. What the server
//! does has no influence on any of it: that is what makes the loop open.

/// Times in nanoseconds from the start of the run.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    interval: f64,
    /// Ascending, below `interval`: when each begins, and which publisher it is.
    phases: Vec<(f64, u32)>,
}

/// One publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) time: u64,
    pub(crate) publisher: u32,
    /// Counts the publishes of this publisher from 0.
    pub(crate) sequence: u32,
}

impl Schedule {
    /// `rate` publishes per second in total.
    pub(crate) fn new(publishers: u32, rate: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let interval = f64::from(publishers) * 1e9 / rate;
        let mut order: Vec<u32> = (0..publishers).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, (random.next() % (at as u64 + 1)) as usize);
        }
        let share = interval / f64::from(publishers);
        let phase = |(at, publisher): (usize, u32)| ((at as f64 + random.unit()) * share, publisher);
        Self { interval, phases: order.into_iter().enumerate().map(phase).collect() }
    }

    /// The publish with this number, in the order of time.
    pub(crate) fn at(&self, number: u64) -> Due {
        let publishers = self.phases.len() as u64;
        let (phase, publisher) = self.phases[(number % publishers) as usize];
        let round = number / publishers;
        Due { time: (round as f64 * self.interval + phase) as u64, publisher, sequence: round as u32 }
    }

    /// How many publishes are due before a time.
    pub(crate) fn count_before(&self, time: u64) -> u64 {
        let rounds = (time as f64 / self.interval) as u64;
        let mut number = rounds.saturating_sub(1) * self.phases.len() as u64;
        // At most two rounds from there.
        while self.at(number).time < time {
            number += 1;
        }
        number
    }
}

/// A small seeded generator (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 up to but not including 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Spreads a number over all 64 bits.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_even_and_in_order(publishers in 1u32..50, rate in 1.0f64..100_000.0, seed: u64) {
            let schedule = Schedule::new(publishers, rate, seed);
            let all: Vec<_> = (0..u64::from(publishers) * 10).map(|number| schedule.at(number)).collect();
            prop_assert!(all.is_sorted_by_key(|due| due.time));
            let mut last: HashMap<u32, Due> = HashMap::new();
            for (number, due) in all.iter().enumerate() {
                // Each is within its own share of the time line.
                let share = 1e9 / rate;
                prop_assert!((due.time as f64 / share - number as f64) > -0.01 - 1.0 / share);
                prop_assert!((due.time as f64 / share - number as f64) < 1.01);
                if let Some(before) = last.insert(due.publisher, *due) {
                    prop_assert_eq!(due.sequence, before.sequence + 1);
                    let interval = (due.time - before.time) as f64;
                    prop_assert!((interval - schedule.interval).abs() <= 1.0);
                }
            }
            prop_assert_eq!(last.len(), publishers as usize);
        }

        #[test]
        fn counting_agrees_with_listing(publishers in 1u32..20, rate in 1.0f64..10_000.0, seed: u64, time in 0u64..2_000_000_000) {
            let schedule = Schedule::new(publishers, rate, seed);
            let listed = (0..).take_while(|number| schedule.at(*number).time < time).count() as u64;
            prop_assert_eq!(schedule.count_before(time), listed);
        }
    }

    #[test]
    fn the_seed_decides() {
        let times = |seed| (0..100).map(|number| Schedule::new(10, 1000.0, seed).at(number)).collect::<Vec<_>>();
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
    }
}
