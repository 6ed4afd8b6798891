//! Whether the figures of a run are about the server. Pure.

use std::time::Duration;

use crate::limits::{BUSY_MAX, SENT_MIN};

/// How the generator itself fared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health {
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) send_lag_p99: Duration,
    pub(crate) send_lag_max: Duration,
    /// The part of its threads' time in which it worked.
    pub(crate) busy: f64,
    pub(crate) threads: usize,
}

impl Health {
    /// Why the generator was the bottleneck; empty if it was not.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.send_lag_p99 > self.send_lag_max {
            let (lag, max) = (self.send_lag_p99.as_secs_f64() * 1e3, self.send_lag_max.as_secs_f64() * 1e3);
            reasons.push(format!(
                "1 % of the publishes left {lag:.1} ms or more after they were due (--send-lag-max {max} ms)"
            ));
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
        let well =
            Health { scheduled: 1000, sent: 995, send_lag_p99: ms(9), send_lag_max: ms(10), busy: 0.85, threads: 2 };
        assert!(well.reasons().is_empty());
        for (ill, word) in [
            (Health { send_lag_p99: ms(11), ..well }, "11.0 ms or more after"),
            (Health { busy: 0.95, ..well }, "busy 95 %"),
            (Health { sent: 980, ..well }, "980 of 1000"),
        ] {
            let reasons = ill.reasons();
            assert!(reasons.len() == 1 && reasons[0].contains(word), "{reasons:?}");
        }
    }
}
