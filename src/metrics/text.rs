//! The text format that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write};

/// What `Content-Type` says of it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics that is being written. Names and helps are ours; values of labels are escaped.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A number that only rises. Its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Such numbers, one for each value of a label.
    pub(super) fn counters<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        self.head(name, "counter", help);
        values.into_iter().for_each(|(of, value)| self.sample(name, &[(label, of)], value));
    }

    /// Such numbers, one for each pair of values of two labels.
    pub(super) fn counters_by_two<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        (first, second): (&str, &str),
        values: impl IntoIterator<Item = (&'a str, &'a str, V)>,
    ) {
        self.head(name, "counter", help);
        values.into_iter().for_each(|(a, b, value)| self.sample(name, &[(first, a), (second, b)], value));
    }

    /// A number that rises and falls.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Such numbers, one for each value of a label.
    pub(super) fn gauges<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        self.head(name, "gauge", help);
        values.into_iter().for_each(|(of, value)| self.sample(name, &[(label, of)], value));
    }

    /// Facts that are labels; the value is 1.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(name, "gauge", help);
        self.sample(name, labels, 1);
    }

    /// How many measurements were at most each bound, how many there were, and their sum.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        at_most: impl Iterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in at_most {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], count);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        let mut separator = '{';
        for (label, of) in labels {
            let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.put(format_args!("{separator}{label}=\"{of}\""));
            separator = ',';
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_prometheus_reads() {
        let mut text = Text::default();
        text.counter("a_total", "Things.", 3);
        text.gauges("b", "By name.", "name", [("x", 1.5), ("q\"\\\n", 2.0)]);
        text.info("c_info", "Facts.", &[("v", "1"), ("w", "2")]);
        text.histogram("d_seconds", "Times.", [(0.001, 1), (2.0, 2)].into_iter(), (3, 4.25));
        let expected = "\
# HELP a_total Things.
# TYPE a_total counter
a_total 3
# HELP b By name.
# TYPE b gauge
b{name=\"x\"} 1.5
b{name=\"q\\\"\\\\\\n\"} 2
# HELP c_info Facts.
# TYPE c_info gauge
c_info{v=\"1\",w=\"2\"} 1
# HELP d_seconds Times.
# TYPE d_seconds histogram
d_seconds_bucket{le=\"0.001\"} 1
d_seconds_bucket{le=\"2\"} 2
d_seconds_bucket{le=\"+Inf\"} 3
d_seconds_sum 4.25
d_seconds_count 3
";
        assert_eq!(text.finish(), expected);
    }
}
