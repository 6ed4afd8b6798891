//! Whether the peer still answers. Pure: the driver brings the clock.

use std::time::{Duration, Instant};

/// A silent peer is noticed after at most twice this: two pings are missed within 10 s.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Nor is it given up before twice this, however often the server wants pings: on a path of 1.5 s (a satellite, a full
/// queue) an answer that was lost once takes longer than 3 s, and who gives up before never catches up there.
const ANSWER_WAIT_MIN: Duration = Duration::from_secs(2);

/// Pings come at least this often, whatever the server asks for, so that the transport's idle timeout is never reached.
pub(crate) const INTERVAL_MAX: Duration = Duration::from_secs(15);

/// A server that asks for an interval of zero must not make the client spin.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

const _: () = assert!(2 * ANSWER_WAIT_MAX.as_secs() <= 10);

/// Pings and their answers. Two pings in a row without an answer mean that the connection is dead.
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    /// The last ping's number.
    token: u64,
    /// Pings since the last answer.
    unanswered: u32,
    due: Instant,
}

/// What the driver does now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing until then.
    Wait(Instant),
    /// Send a ping with this number, then ask again.
    Ping(u64),
    /// Give the connection up.
    Dead,
}

impl Liveness {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        Self { interval, token: 0, unanswered: 0, due: now + interval }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Step {
        if now < self.due {
            return Step::Wait(self.due);
        }
        if self.unanswered == 2 {
            return Step::Dead;
        }
        self.unanswered += 1;
        self.token += 1;
        self.due = now + self.interval.clamp(ANSWER_WAIT_MIN, ANSWER_WAIT_MAX);
        Step::Ping(self.token)
    }

    /// Any answer counts, also a late one: it shows that the peer lives.
    pub(crate) fn handle_pong(&mut self, now: Instant) {
        self.unanswered = 0;
        self.due = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_missed_pings_are_the_end() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::from_secs(15), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(liveness.poll(start), Step::Wait(at(15)));
        assert_eq!(liveness.poll(at(15)), Step::Ping(1));
        assert_eq!(liveness.poll(at(16)), Step::Wait(at(20)));
        assert_eq!(liveness.poll(at(20)), Step::Ping(2));
        assert_eq!(liveness.poll(at(25)), Step::Dead);
    }

    #[test]
    fn an_answer_starts_over() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::from_secs(2), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(liveness.poll(at(2)), Step::Ping(1));
        assert_eq!(liveness.poll(at(4)), Step::Ping(2));
        liveness.handle_pong(at(5));
        assert_eq!(liveness.poll(at(6)), Step::Wait(at(7)));
        assert_eq!(liveness.poll(at(7)), Step::Ping(3));
    }

    /// The ping is lost, sent again after 1.7 s, and answered in 1.5 s.
    #[test]
    fn a_long_path_that_loses_a_packet_is_not_dead() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Duration::from_secs(1), start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(liveness.poll(at(1_000)), Step::Ping(1));
        assert_eq!(liveness.poll(at(3_000)), Step::Ping(2));
        assert_eq!(liveness.poll(at(4_200)), Step::Wait(at(5_000)));
        liveness.handle_pong(at(4_200));
        assert_eq!(liveness.poll(at(5_000)), Step::Wait(at(5_200)));
    }
}
