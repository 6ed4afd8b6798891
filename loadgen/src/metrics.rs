//! What the server counted, from its page of metrics, and whether that is what arrived here. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{process::Usage, verdict::Tally};

/// A page of metrics: each sample under its name with its labels.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Page {
    counters: BTreeMap<String, f64>,
    gauges: BTreeMap<String, f64>,
}

/// Two pages of one server, and its counts beside ours. What JSON has.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Whether every check holds. They need not if sessions were lost, somebody else used the server, or it restarted.
    pub(crate) agrees: bool,
    pub(crate) checks: Vec<Check>,
    /// How much each has risen since the warm-up.
    pub(crate) counters: BTreeMap<String, f64>,
    /// At the end.
    pub(crate) gauges: BTreeMap<String, f64>,
}

/// One count that both sides have: from before the first session until everything has come.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) metric: &'static str,
    /// Null if the server does not count it.
    pub(crate) server: Option<f64>,
    pub(crate) generator: u64,
    pub(crate) agrees: bool,
}

const DELIVERED: &str = "loquic_records_delivered_total";
const ACKED: &str = "loquic_publishes_acked_total";

impl Page {
    /// Reads the text format of Prometheus. What is no sample is an error: it is not a page of metrics.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let mut types: BTreeMap<&str, &str> = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some((name, kind)) = comment.trim_start().strip_prefix("TYPE ").and_then(|of| of.split_once(' '))
                {
                    types.insert(name, kind);
                }
                continue;
            }
            let sample = line.rsplit_once(' ').and_then(|(key, value)| Some((key, value.parse::<f64>().ok()?)));
            let (key, value) = sample.ok_or_else(|| format!("{line:?} is no metric"))?;
            let name = key.split('{').next().unwrap_or(key);
            match types.get(name) {
                Some(&"gauge") => page.gauges.insert(key.to_owned(), value),
                // How long things took is told by sum and count; the distribution stays with the server.
                None if name.ends_with("_bucket") => None,
                _ => page.counters.insert(key.to_owned(), value),
            };
        }
        match page.counters.is_empty() && page.gauges.is_empty() {
            true => Err("there are no metrics".into()),
            false => Ok(page),
        }
    }

    /// What the process has used. `None` if the page does not say.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let cpu = Duration::try_from_secs_f64(*self.counters.get("process_cpu_seconds_total")?).ok()?;
        Some(Usage { cpu, rss: *self.gauges.get("process_resident_memory_bytes")? as u64 })
    }
}

impl Comparison {
    /// From three pages: before the first session, after the warm-up, and when everything has come.
    pub(crate) fn new(idle: &Page, start: &Page, settled: &Page, tally: &Tally) -> Self {
        let check = |what, metric: &'static str, generator: u64| {
            let risen = |before: &f64| settled.counters.get(metric).map(|now| now - before);
            let server = idle.counters.get(metric).and_then(risen);
            Check { what, metric, server, generator, agrees: server == Some(generator as f64) }
        };
        let checks = vec![check("deliveries", DELIVERED, tally.records), check("acks", ACKED, tally.acks)];
        let since = |name: &String| start.counters.get(name).copied().unwrap_or_default();
        Self {
            agrees: checks.iter().all(|check| check.agrees),
            checks,
            counters: settled.counters.iter().map(|(name, now)| (name.clone(), now - since(name))).collect(),
            gauges: settled.gauges.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(delivered: u64, acked: u64) -> Page {
        let text = format!(
            "# HELP loquic_sessions Sessions.\n# TYPE loquic_sessions gauge\nloquic_sessions 3\n\
             # TYPE {DELIVERED} counter\n{DELIVERED} {delivered}\n# TYPE {ACKED} counter\n{ACKED} {acked}\n\
             # TYPE opened_total counter\nopened_total{{transport=\"a b\"}} 4\n\
             # TYPE sync_seconds histogram\nsync_seconds_bucket{{le=\"+Inf\"}} 2\nsync_seconds_sum 0.5\n\
             # TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
             # TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 4096\n"
        );
        Page::parse(&text).unwrap()
    }

    #[test]
    fn counters_rise_and_gauges_are() {
        let tally = Tally { records: 90, acks: 9 };
        let same = Comparison::new(&page(10, 1), &page(30, 3), &page(100, 10), &tally);
        assert!(same.agrees, "{same:?}");
        assert_eq!((same.counters[DELIVERED], same.counters["opened_total{transport=\"a b\"}"]), (70.0, 0.0));
        assert_eq!((same.counters["sync_seconds_sum"], same.gauges["loquic_sessions"]), (0.0, 3.0));
        assert!(!same.counters.contains_key("sync_seconds_bucket{le=\"+Inf\"}"));
        assert_eq!(page(0, 0).usage(), Some(Usage { cpu: Duration::from_millis(1_500), rss: 4096 }));
    }

    #[test]
    fn a_difference_is_no_agreement() {
        let tally = Tally { records: 90, acks: 9 };
        for (delivered, acked) in [(101, 10), (100, 9), (0, 0)] {
            let other = Comparison::new(&page(10, 1), &page(10, 1), &page(delivered, acked), &tally);
            assert!(!other.agrees, "{other:?}");
        }
        let strange = Page::parse("other_total 1\n").unwrap();
        let nothing = Comparison::new(&strange, &strange, &strange, &Tally::default());
        assert!(
            !nothing.agrees && nothing.checks[0].server.is_none(),
            "a server that does not count agrees to nothing"
        );
    }

    #[test]
    fn other_pages_are_refused() {
        for text in ["", "<html>hello there</html>", "# only a comment"] {
            assert!(Page::parse(text).is_err(), "{text}");
        }
    }
}
