//! What a run gives, as JSON (`loquic-loadgen/1`). Fields are only ever added.

use loquic_impair::{Profile, Stats};
use serde::Serialize;

use crate::{environment::Environment, metrics::Comparison, plan::Plan, slo::Outcome};

pub(crate) const SCHEMA: &str = "loquic-loadgen/1";

/// The whole of it. Counts are of what was due behind the warm-up; only a loss in the warm-up is a loss all the same.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: &'static str,
    /// Publishes that were due.
    pub(crate) scheduled: u64,
    /// Publishes handed to the client: acked + refused + unknown.
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// By the server, or because too many had no answer.
    pub(crate) refused: u64,
    /// No answer came.
    pub(crate) unknown: u64,
    /// Deliveries: delivered + lost. Each publish that was not refused, to each subscriber of its room.
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    /// Sessions that were lost and came back.
    pub(crate) reconnects: u64,
    /// Per second.
    pub(crate) rate: Rate,
    /// From the time at which a publish was due to its delivery.
    pub(crate) latency_us: Option<Latency>,
    /// From the time at which it was sent: hides what a late generator, or one that was held up, adds.
    pub(crate) latency_uncorrected_us: Option<Latency>,
    /// From the time at which a publish was due to its ack.
    pub(crate) ack_latency_us: Option<Latency>,
    /// Only with `--server-pid` or `--metrics-url`.
    pub(crate) server: Option<Server>,
    pub(crate) generator: Generator,
    /// Only with `--impair`.
    pub(crate) impair: Option<Impaired>,
    /// Whether the figures are the server's, and not the generator's.
    pub(crate) valid: bool,
    pub(crate) invalid_reasons: Vec<String>,
    /// Whether a signal ended it before its time.
    pub(crate) interrupted: bool,
    pub(crate) slo: Vec<Outcome>,
    /// One row for each second behind the warm-up, and one for what came after the last publish.
    pub(crate) series: Vec<Second>,
    /// What went wrong, the most frequent first.
    pub(crate) errors: Vec<Fault>,
    pub(crate) environment: Environment,
    pub(crate) config: Plan,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Rate {
    /// Publishes, as asked for.
    pub(crate) target: f64,
    pub(crate) published: f64,
    /// Up to the last delivery, so that what is drained afterwards does not count as throughput.
    pub(crate) delivered: f64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Server {
    /// Null if nothing was delivered.
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) cpu_s: f64,
    /// At the end.
    pub(crate) rss_bytes: u64,
    /// What it has grown since before the first session, divided by the sessions. Null if it has not grown: then it had
    /// memory left from before.
    pub(crate) rss_bytes_per_session: Option<f64>,
    /// What the server counted itself. Only with `--metrics-url`.
    pub(crate) metrics: Option<Comparison>,
}

/// The network that was put between.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Impaired {
    pub(crate) profile: Profile,
    /// What it did, from the first session on.
    #[serde(flatten)]
    pub(crate) stats: Stats,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Generator {
    pub(crate) cpu_s: f64,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    /// How late publishes left.
    pub(crate) send_lag_p99_us: u64,
    /// How long what arrived waited for a thread.
    pub(crate) receive_lag_p99_us: u64,
    /// The part of its threads' time in which it worked.
    pub(crate) busy: f64,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Second {
    /// Seconds since the warm-up, at the end of the row.
    pub(crate) t: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// Latencies in µs; null if nothing was delivered.
    pub(crate) p50: Option<u64>,
    pub(crate) p99: Option<u64>,
    pub(crate) max: Option<u64>,
    /// Records found to be missing; negative where they came late.
    pub(crate) lost: i64,
    /// Sessions that are connected.
    pub(crate) sessions: u64,
    /// Seconds of processor time.
    pub(crate) server_cpu: Option<f64>,
    /// Bytes.
    pub(crate) server_rss: Option<u64>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) count: u64,
}

/// How the program ends once there is a report. Before there is one: 1 if it failed, 2 if it was asked the wrong thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grade {
    Pass,
    Invalid,
    Failed,
}

impl Report {
    /// A run that says nothing about the server can neither pass nor fail.
    pub(crate) fn grade(&self) -> Grade {
        if !self.valid {
            Grade::Invalid
        } else if self.slo.iter().all(|slo| slo.pass) {
            Grade::Pass
        } else {
            Grade::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn invalid_comes_before_failed() {
        let slo = |pass| Outcome { expr: "lost==0".into(), value: None, pass, shown: String::new() };
        let graded = |valid, pass| Report { valid, slo: vec![slo(true), slo(pass)], ..Report::default() }.grade();
        assert_eq!(graded(true, true), Grade::Pass);
        assert_eq!(graded(true, false), Grade::Failed);
        assert_eq!(graded(false, true), Grade::Invalid);
        assert_eq!(graded(false, false), Grade::Invalid);
    }

    /// Other people's scripts read these.
    #[test]
    fn the_names_of_the_contract_are_there() {
        let series = vec![Second::default()];
        let latency = Some(Latency::default());
        let report = Report {
            series,
            slo: vec![Outcome { expr: String::new(), value: None, pass: false, shown: String::new() }],
            latency_us: latency,
            server: Some(Server::default()),
            ..Report::default()
        };
        let json = serde_json::to_value(&report).unwrap();
        let has = |value: &Value, names: &str| {
            for name in names.split(' ') {
                assert!(value.get(name).is_some(), "{name} is missing");
            }
        };
        has(&json, "schema sent acked refused unknown expected delivered lost duplicated reordered corrupt rate");
        has(&json, "latency_us latency_uncorrected_us ack_latency_us server generator valid invalid_reasons slo");
        has(&json, "series environment config");
        has(&json["rate"], "target published delivered");
        has(&json["latency_us"], "p50 p90 p99 p999 max");
        has(&json["server"], "cpu_us_per_delivery cpu_s rss_bytes rss_bytes_per_session metrics");
        has(&json["generator"], "cpu_s send_lag_p99_us");
        has(&json["slo"][0], "expr value pass");
        has(&json["series"][0], "t published delivered p50 p99 max lost sessions server_cpu server_rss");
        assert!(json["latency_uncorrected_us"].is_null());
    }
}
