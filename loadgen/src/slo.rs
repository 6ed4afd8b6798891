//! What a run must achieve: `p99<20ms`, `lost==0`, `delivered>=1000/s`. Pure.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{report::Report, units};

/// One condition on a report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slo {
    text: String,
    metric: &'static Metric,
    relation: Relation,
    /// In the unit in which the metric is reported.
    bound: f64,
    measure: Measure,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) expr: String,
    /// Latencies in µs, sizes in bytes, rates per second, shares in per cent; null if it was not measured.
    pub(crate) value: Option<f64>,
    pub(crate) pass: bool,
    /// The value for people.
    #[serde(skip)]
    pub(crate) shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    NotEqual,
}

/// Longer ones first, so that `<=` is not read as `<`.
const RELATIONS: &[(&str, Relation)] = &[
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("!=", Relation::NotEqual),
    ("<", Relation::Below),
    (">", Relation::Above),
    ("=", Relation::Equal),
];

/// How the number is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Plain,
    PerSecond,
    /// Of what it is a part of.
    Percent,
}

/// Something that a condition can be about.
struct Metric {
    name: &'static str,
    sort: Sort,
    value: fn(&Report) -> Option<f64>,
}

enum Sort {
    /// Reported in µs.
    Latency,
    /// Reported in µs; only known with `--server-pid`.
    ServerTime,
    /// Only known with `--server-pid`.
    ServerBytes,
    Count {
        whole: fn(&Report) -> f64,
    },
    /// A count that can also be said for each second.
    Flow {
        whole: fn(&Report) -> f64,
        rate: fn(&Report) -> f64,
    },
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! latencies {
    ($($name:literal $of:ident $quantile:ident,)*) => {
        [$(Metric {
            name: $name,
            sort: Sort::Latency,
            value: |report| report.$of.as_ref().map(|latency| latency.$quantile as f64),
        },)*]
    };
}

static LATENCIES: [Metric; 10] = latencies! {
    "p50" latency_us p50,
    "p90" latency_us p90,
    "p99" latency_us p99,
    "p999" latency_us p999,
    "max" latency_us max,
    "ack_p50" ack_latency_us p50,
    "ack_p90" ack_latency_us p90,
    "ack_p99" ack_latency_us p99,
    "ack_p999" ack_latency_us p999,
    "ack_max" ack_latency_us max,
};

fn expected(report: &Report) -> f64 {
    report.expected as f64
}

fn sent(report: &Report) -> f64 {
    report.sent as f64
}

const EXPECTED: Sort = Sort::Count { whole: expected };
const SENT: Sort = Sort::Count { whole: sent };
const DELIVERED: Sort = Sort::Flow { whole: expected, rate: |report| report.rate.delivered };
/// Of what was due.
const PUBLISHED: Sort = Sort::Flow { whole: |report| report.scheduled as f64, rate: |report| report.rate.published };

static COUNTS: [Metric; 11] = [
    Metric { name: "sent", sort: PUBLISHED, value: |report| Some(report.sent as f64) },
    Metric { name: "published", sort: PUBLISHED, value: |report| Some(report.sent as f64) },
    Metric { name: "acked", sort: SENT, value: |report| Some(report.acked as f64) },
    Metric { name: "refused", sort: SENT, value: |report| Some(report.refused as f64) },
    Metric { name: "unknown", sort: SENT, value: |report| Some(report.unknown as f64) },
    Metric { name: "delivered", sort: DELIVERED, value: |report| Some(report.delivered as f64) },
    Metric { name: "lost", sort: EXPECTED, value: |report| Some(report.lost as f64) },
    Metric { name: "duplicated", sort: EXPECTED, value: |report| Some(report.duplicated as f64) },
    Metric { name: "reordered", sort: EXPECTED, value: |report| Some(report.reordered as f64) },
    Metric { name: "corrupt", sort: EXPECTED, value: |report| Some(report.corrupt as f64) },
    Metric { name: "reconnects", sort: SENT, value: |report| Some(report.reconnects as f64) },
];

/// The generator's own.
static LAGS: [Metric; 2] = [
    Metric { name: "send_lag_p99", sort: Sort::Latency, value: |report| Some(report.generator.send_lag_p99_us as f64) },
    Metric {
        name: "receive_lag_p99",
        sort: Sort::Latency,
        value: |report| Some(report.generator.receive_lag_p99_us as f64),
    },
];

static SERVER: [Metric; 3] = [
    Metric {
        name: "server_cpu_per_delivery",
        sort: Sort::ServerTime,
        value: |report| report.server.as_ref()?.cpu_us_per_delivery,
    },
    Metric {
        name: "server_rss",
        sort: Sort::ServerBytes,
        value: |report| Some(report.server.as_ref()?.rss_bytes as f64),
    },
    Metric {
        name: "server_rss_per_session",
        sort: Sort::ServerBytes,
        value: |report| report.server.as_ref()?.rss_bytes_per_session,
    },
];

fn metrics() -> impl Iterator<Item = &'static Metric> {
    LATENCIES.iter().chain(&LAGS).chain(&COUNTS).chain(&SERVER)
}

fn names<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> String {
    metrics.into_iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ")
}

/// What can be said, for the command line's help.
pub(crate) fn help() -> String {
    let (latencies, counts, server) = (names(LATENCIES.iter().chain(&LAGS)), names(&COUNTS), names(&SERVER));
    format!(
        "Conditions compare with <, <=, >, >=, == or !=; the shell wants them in quotes:\n  \
         'p99<20ms' 'lost<=0.01%' 'delivered>=1000/s' 'server_cpu_per_delivery<10us'\n  \
         latencies: {latencies}\n  \
         counts, some also as a share (%) or per second (/s): {counts}\n  \
         with --server-pid: {server}\n\
         Every run has to: {}.",
        implicit().iter().map(Slo::to_string).collect::<Vec<_>>().join(", ")
    )
}

/// What every run must achieve.
pub(crate) fn implicit() -> Vec<Slo> {
    let texts = ["lost==0", "duplicated==0", "reordered==0", "corrupt==0", "delivered>0"];
    texts.iter().flat_map(|text| text.parse()).collect()
}

impl Slo {
    /// Whether it can only be judged with `--server-pid`.
    pub(crate) fn needs_server(&self) -> bool {
        matches!(self.metric.sort, Sort::ServerTime | Sort::ServerBytes)
    }

    pub(crate) fn judge(&self, report: &Report) -> Outcome {
        let value = match (self.measure, &self.metric.sort) {
            (Measure::PerSecond, Sort::Flow { rate, .. }) => Some(rate(report)),
            (Measure::Percent, Sort::Flow { whole, .. } | Sort::Count { whole }) => {
                (self.metric.value)(report).map(|part| 100.0 * part / whole(report)).filter(|share| share.is_finite())
            }
            _ => (self.metric.value)(report),
        };
        let pass = value.is_some_and(|value| match self.relation {
            Relation::Below => value < self.bound,
            Relation::AtMost => value <= self.bound,
            Relation::Above => value > self.bound,
            Relation::AtLeast => value >= self.bound,
            Relation::Equal => value == self.bound,
            Relation::NotEqual => value != self.bound,
        });
        let shown = value.map_or("not measured".into(), |value| self.show(value));
        Outcome { expr: self.text.clone(), value, pass, shown }
    }

    fn show(&self, value: f64) -> String {
        match (self.measure, &self.metric.sort) {
            (Measure::PerSecond, _) => format!("{}/s", units::grouped(value as u64)),
            (Measure::Percent, _) => format!("{value:.3} %"),
            (_, Sort::Latency) => units::micros(value as u64),
            (_, Sort::ServerTime) => format!("{value:.2} µs"),
            (_, Sort::ServerBytes) => units::human_bytes(value),
            (_, Sort::Count { .. } | Sort::Flow { .. }) => units::grouped(value as u64),
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let at = text.find(['<', '>', '=', '!']);
        let at = at.ok_or_else(|| format!("{text:?} compares nothing; write it like p99<20ms or lost==0"))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let metric = metrics().find(|metric| metric.name == name);
        let metric =
            metric.ok_or_else(|| format!("{name:?} is nothing that is measured; there are {}", names(metrics())))?;
        let relation = RELATIONS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, relation) = relation.ok_or_else(|| format!("{text:?}: compare with <, <=, >, >=, == or !="))?;
        let number = rest[sign.len()..].trim();
        if number.is_empty() {
            return Err(format!("{text:?}: nothing stands behind {sign}"));
        }
        let (bound, measure) = metric.bound(number).map_err(|reason| format!("{text:?}: {reason}"))?;
        Ok(Self { text: text.to_owned(), metric, relation: *relation, bound, measure })
    }
}

impl Metric {
    fn bound(&self, text: &str) -> Result<(f64, Measure), String> {
        match self.sort {
            Sort::Latency | Sort::ServerTime => {
                let duration = units::duration(text)?;
                Ok((duration.as_secs_f64() * 1e6, Measure::Plain))
            }
            Sort::ServerBytes => Ok((units::bytes(text)?, Measure::Plain)),
            Sort::Count { .. } | Sort::Flow { .. } => self.count(text),
        }
    }

    fn count(&self, text: &str) -> Result<(f64, Measure), String> {
        if let Some(number) = text.strip_suffix("/s") {
            return match self.sort {
                Sort::Flow { .. } => Ok((units::number(number)?, Measure::PerSecond)),
                _ => Err(format!("{} is not measured per second", self.name)),
            };
        }
        match text.strip_suffix('%') {
            Some(number) => Ok((units::number(number)?, Measure::Percent)),
            None => Ok((units::number(text)?, Measure::Plain)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, Server};

    fn report() -> Report {
        let mut report = Report { sent: 1000, expected: 20_000, delivered: 19_900, lost: 100, ..Report::default() };
        report.scheduled = 1000;
        report.rate.delivered = 1990.0;
        report.latency_us = Some(Latency { p50: 300, p90: 900, p99: 20_000, p999: 30_000, max: 31_000 });
        report
    }

    #[track_caller]
    fn judged(text: &str) -> (Option<f64>, bool) {
        let outcome = text.parse::<Slo>().unwrap().judge(&report());
        assert_eq!(outcome.expr, text);
        (outcome.value, outcome.pass)
    }

    #[test]
    fn conditions_are_judged() {
        assert_eq!(judged("p99<20ms"), (Some(20_000.0), false));
        assert_eq!(judged("p99<=20ms"), (Some(20_000.0), true));
        assert_eq!(judged("p50 < 1 ms"), (Some(300.0), true));
        assert_eq!(judged("lost==0"), (Some(100.0), false));
        assert_eq!(judged("lost!=0"), (Some(100.0), true));
        assert_eq!(judged("lost<=0.5%"), (Some(0.5), true));
        assert_eq!(judged("delivered>=99%"), (Some(99.5), true));
        assert_eq!(judged("delivered>=2k/s"), (Some(1990.0), false));
        assert_eq!(judged("sent>=1000"), (Some(1000.0), true));
        assert_eq!(judged("published>=100%"), (Some(100.0), true));
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        assert_eq!(judged("ack_p99<1h"), (None, false));
        assert_eq!(judged("server_rss<1GB"), (None, false));
        let slo: Slo = "server_cpu_per_delivery<10us".parse().unwrap();
        assert!(slo.needs_server());
        let server = Server { cpu_us_per_delivery: Some(4.5), ..Server::default() };
        let outcome = slo.judge(&Report { server: Some(server), ..report() });
        assert_eq!((outcome.value, outcome.pass), (Some(4.5), true));
    }

    #[test]
    fn values_are_shown_in_their_units() {
        let shown = |text: &str| text.parse::<Slo>().unwrap().judge(&report()).shown;
        assert_eq!(shown("p99<1s"), "20.0 ms");
        assert_eq!(shown("delivered>1/s"), "1,990/s");
        assert_eq!(shown("lost<1%"), "0.500 %");
        assert_eq!(shown("delivered>1"), "19,900");
        assert_eq!(shown("ack_p99<1s"), "not measured");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("p99", "compares nothing"),
            ("", "compares nothing"),
            ("p98<1ms", "\"p98\" is nothing that is measured; there are p50, "),
            ("p99<", "nothing stands behind <"),
            ("p99<20", "has no unit"),
            ("p99<fast", "begin with a number"),
            ("p99!20ms", "compare with"),
            ("lost<5/s", "lost is not measured per second"),
            ("lost==1ms", "no unit of numbers"),
            ("server_rss<5s", "no unit of bytes"),
        ] {
            let error = text.parse::<Slo>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn every_run_has_conditions() {
        assert_eq!(implicit().len(), 5);
        assert!(implicit().iter().all(|slo| !slo.needs_server()));
        let failed: Vec<_> = implicit().iter().map(|slo| slo.judge(&report())).filter(|slo| !slo.pass).collect();
        assert_eq!(failed, [Outcome { expr: "lost==0".into(), value: Some(100.0), pass: false, shown: "100".into() }]);
    }
}
