//! The end of a session's token: the client hears of it in time to bring another one, and the session ends with it.

use std::{pin::Pin, time::Duration};

use loquic_wire::Time;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::limits;

/// What comes next, and when.
pub(super) struct Expiry(Option<Pending>);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The token expires at this time.
    Soon(Time),
    /// It has expired.
    Over,
}

struct Pending {
    due: Due,
    sleep: Pin<Box<Sleep>>,
    over: Instant,
}

impl Expiry {
    /// Of who needs no token.
    pub(super) fn never() -> Self {
        Self(None)
    }

    /// Of a token that is good until `expires_at`.
    pub(super) fn new(expires_at: Option<Time>, now: Time) -> Self {
        let Some(at) = expires_at else { return Self::never() };
        let left = Duration::from_millis(at.get().saturating_sub(now.get()));
        let started = Instant::now();
        // What is further away than a clock can say does not come.
        let Some(over) = started.checked_add(left + limits::TOKEN_LEEWAY) else { return Self::never() };
        let sleep = Box::pin(sleep_until(started + (left - limits::TOKEN_EXPIRING.min(left / 2))));
        Self(Some(Pending { due: Due::Soon(at), sleep, over }))
    }

    /// Waits for what is due. Cancel-safe.
    pub(super) async fn next(&mut self) -> Due {
        let Some(pending) = &mut self.0 else { return std::future::pending().await };
        pending.sleep.as_mut().await;
        pending.sleep.as_mut().reset(pending.over);
        std::mem::replace(&mut pending.due, Due::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_before_the_end_and_at_the_end() {
        let started = Instant::now();
        let at = Time::saturating(1_000_000 + 3_600_000);
        let mut expiry = Expiry::new(Some(at), Time::saturating(1_000_000));
        assert_eq!(expiry.next().await, Due::Soon(at));
        assert_eq!(started.elapsed().as_secs(), 3_540);
        assert_eq!(expiry.next().await, Due::Over);
        assert_eq!(started.elapsed().as_secs(), 3_610);
    }

    #[tokio::test(start_paused = true)]
    async fn half_way_of_a_short_one_and_at_once_for_one_that_is_over() {
        let started = Instant::now();
        let mut expiry = Expiry::new(Some(Time::saturating(10_000)), Time::saturating(0));
        assert_eq!(expiry.next().await, Due::Soon(Time::saturating(10_000)));
        assert_eq!(started.elapsed().as_secs(), 5);
        let mut expiry = Expiry::new(Some(Time::saturating(0)), Time::saturating(5_000));
        assert!(matches!(expiry.next().await, Due::Soon(_)));
        assert_eq!(started.elapsed().as_secs(), 5);
        assert_eq!(expiry.next().await, Due::Over);
        assert_eq!(started.elapsed().as_secs(), 15);
    }
}
