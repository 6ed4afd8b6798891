//! Whether the figures of a run are about the server. Pure.

use std::time::Duration;

use crate::limits::{BUSY_MAX, LAG_SHARE_MAX, SENT_MIN};

/// How the generator itself fared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health {
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) send_lag_p99: Duration,
    pub(crate) receive_lag_p99: Duration,
    pub(crate) lag_max: Duration,
    /// From the intended send time.
    pub(crate) latency_p99: Duration,
    /// The part of its threads' time in which it worked.
    pub(crate) busy: f64,
    pub(crate) threads: usize,
}

impl Health {
    /// Why the generator was the bottleneck; empty if it was not.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let (max, latency) = (ms(self.lag_max), ms(self.latency_p99));
        // Where everything takes seconds, milliseconds of ours are not what holds it up.
        let too_late = |lag: Duration| lag > self.lag_max && ms(lag) > latency * LAG_SHARE_MAX;
        let about = |lag: Duration| {
            format!("{:.1} ms or more (p99 of the latency {latency:.1} ms, --lag-max {max} ms)", ms(lag))
        };
        if too_late(self.send_lag_p99) {
            reasons.push(format!("1 % of the publishes left late by {}", about(self.send_lag_p99)));
        }
        if too_late(self.receive_lag_p99) {
            reasons.push(format!("1 % of what arrived waited for a thread for {}", about(self.receive_lag_p99)));
        }
        if self.busy > BUSY_MAX {
            let (percent, threads) = (100.0 * self.busy, self.threads);
            reasons
                .push(format!("the generator was busy {percent:.0} % of the time on all of its threads ({threads})"));
        }
        if (self.sent as f64) < self.scheduled as f64 * SENT_MIN {
            reasons.push(format!("only {} of {} publishes were sent in time", self.sent, self.scheduled));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_found_alone() {
        let ms = Duration::from_millis;
        let well = Health {
            scheduled: 1000,
            sent: 995,
            send_lag_p99: ms(9),
            receive_lag_p99: ms(9),
            lag_max: ms(10),
            latency_p99: ms(50),
            busy: 0.85,
            threads: 2,
        };
        assert!(well.reasons().is_empty());
        for (ill, word) in [
            (Health { send_lag_p99: ms(11), ..well }, "left late by 11.0 ms or more"),
            (Health { receive_lag_p99: ms(12), ..well }, "for a thread for 12.0 ms or more"),
            (Health { busy: 0.95, ..well }, "busy 95 %"),
            (Health { sent: 980, ..well }, "980 of 1000"),
        ] {
            let reasons = ill.reasons();
            assert!(reasons.len() == 1 && reasons[0].contains(word), "{reasons:?}");
        }
        let overloaded = Health { send_lag_p99: ms(20), receive_lag_p99: ms(30), latency_p99: ms(3000), ..well };
        assert!(overloaded.reasons().is_empty(), "the server is what is slow");
    }
}
