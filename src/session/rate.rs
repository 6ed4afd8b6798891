//! How often something may be done: a bucket of tokens that fills at a constant rate.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that holds as much as comes in a second.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    /// When the bucket would have been empty, had it never been full.
    empty_at: Instant,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, empty_at: now.checked_sub(SECOND).unwrap_or(now) }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let empty_at = self.empty_at.max(now.checked_sub(SECOND).unwrap_or(now)) + SECOND / self.per_second;
        let is_there = empty_at <= now;
        if is_there {
            self.empty_at = empty_at;
        }
        is_there
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_its_number_and_no_more() {
        let mut now = Instant::now() + SECOND;
        let mut rate = Rate::new(50, now);
        let take = |rate: &mut Rate, now| (0..200).filter(|_| rate.take(now)).count();
        assert_eq!(take(&mut rate, now), 50);
        now += SECOND / 10;
        assert_eq!(take(&mut rate, now), 5);
        now += 10 * SECOND;
        assert_eq!(take(&mut rate, now), 50, "rest is not saved up");
    }
}
