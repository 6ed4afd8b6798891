//! What people read: a line a second while a run goes on, and a table at its end.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write as _},
};

use crate::{
    metrics::{Check, Comparison},
    plan::Plan,
    report::{Grade, Impaired, Latency, Report, Second},
    units::{grouped, human_bytes, micros},
};

/// Lines on standard error: what the run is about to do, and on a terminal a row a second.
#[derive(Debug)]
pub(crate) struct Live {
    rows: bool,
    with_server: bool,
}

impl Live {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { rows: io::stderr().is_terminal(), with_server: plan.server_pid.is_some() || plan.metrics_url.is_some() }
    }

    pub(crate) fn say(&self, text: impl Display) {
        // It is only company; the report is what counts.
        let _ = writeln!(io::stderr(), "{text}");
    }

    pub(crate) fn heading(&self) {
        if !self.rows {
            return;
        }
        let server = if self.with_server { "  server CPU       RSS" } else { "" };
        self.say(format_args!(
            "{:>5} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6} {:>9}{server}",
            "s", "published", "delivered", "p50", "p99", "max", "lost", "sessions"
        ));
    }

    pub(crate) fn row(&self, row: &Second) {
        if !self.rows {
            return;
        }
        let time = |latency: Option<u64>| latency.map_or("-".to_owned(), micros);
        let mut line = format!(
            "{:>5} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6} {:>9}",
            row.t,
            grouped(row.published),
            grouped(row.delivered),
            time(row.p50),
            time(row.p99),
            time(row.max),
            row.lost,
            grouped(row.sessions),
        );
        if let (Some(cpu), Some(rss)) = (row.server_cpu, row.server_rss) {
            let _ = write!(line, "{:>10.0} % {:>9}", cpu * 100.0, human_bytes(rss as f64));
        }
        self.say(line);
    }
}

/// The table at the end.
pub(crate) fn summary(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_summary(&mut out, report);
    out
}

fn write_summary(out: &mut String, report: &Report) -> std::fmt::Result {
    heading(out, report)?;
    let rate = |rate: f64| grouped(rate.round() as u64);
    writeln!(
        out,
        "\n  publishes   {} of {}   {}/s of {}/s   {} acked   {} refused   {} unknown",
        grouped(report.sent),
        grouped(report.scheduled),
        rate(report.rate.published),
        rate(report.rate.target),
        grouped(report.acked),
        grouped(report.refused),
        grouped(report.unknown),
    )?;
    writeln!(
        out,
        "  deliveries  {} of {}   {}/s   {} lost   {} duplicated   {} reordered   {} corrupt",
        grouped(report.delivered),
        grouped(report.expected),
        rate(report.rate.delivered),
        grouped(report.lost),
        grouped(report.duplicated),
        grouped(report.reordered),
        grouped(report.corrupt),
    )?;
    if report.reconnects > 0 {
        writeln!(out, "  sessions    {} lost and came back", grouped(report.reconnects))?;
    }
    latencies(out, report)?;
    cost(out, report)?;
    writeln!(out)?;
    for slo in &report.slo {
        writeln!(out, "  {}  {:<28}{:>12}", if slo.pass { "pass" } else { "FAIL" }, slo.expr, slo.shown)?;
    }
    for fault in &report.errors {
        writeln!(out, "  {} ×  {}", grouped(fault.count), fault.message)?;
    }
    for reason in &report.invalid_reasons {
        writeln!(out, "  invalid: {reason}")?;
    }
    let verdict = match report.grade() {
        Grade::Pass => "PASS",
        Grade::Invalid => "INVALID: the figures tell about the generator, not about the server",
        Grade::Failed => "FAILED",
    };
    writeln!(out, "\n{verdict}")
}

fn heading(out: &mut String, report: &Report) -> std::fmt::Result {
    let plan = &report.config;
    let many =
        |count: u32, what: &str| format!("{} {what}{}", grouped(u64::from(count)), if count == 1 { "" } else { "s" });
    let name = plan.scenario.as_ref().map_or(String::new(), |name| format!("{name}: "));
    writeln!(
        out,
        "\n{name}{}, {} and {} each, {}, {}-byte payloads",
        many(plan.rooms, "room"),
        many(plan.subscribers, "subscriber"),
        many(plan.publishers, "publisher"),
        many(plan.sessions, "session"),
        grouped(plan.size as u64),
    )?;
    writeln!(
        out,
        "{:?} behind {:?} of warm-up, seed {}{}",
        plan.duration,
        plan.warmup,
        plan.seed,
        if report.interrupted { "; ended early by a signal" } else { "" },
    )
}

fn latencies(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n  {:<22}{:>10}{:>10}{:>10}{:>10}{:>10}", "latency", "p50", "p90", "p99", "p99.9", "max")?;
    let rows = [
        ("delivery", &report.latency_us),
        ("  from actual sending", &report.latency_uncorrected_us),
        ("ack", &report.ack_latency_us),
    ];
    for (name, latency) in rows {
        let Some(Latency { p50, p90, p99, p999, max }) = latency else {
            writeln!(out, "  {name:<22}{:>10}", "-")?;
            continue;
        };
        let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|value| micros(*value));
        writeln!(out, "  {name:<22}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}")?;
    }
    Ok(())
}

fn cost(out: &mut String, report: &Report) -> std::fmt::Result {
    let each = |cpu: Option<f64>| cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2} µs"));
    writeln!(out)?;
    if let Some(server) = &report.server {
        writeln!(
            out,
            "  server      {} of CPU a delivery, {:.2} s in all   RSS {}{}",
            each(server.cpu_us_per_delivery),
            server.cpu_s,
            human_bytes(server.rss_bytes as f64),
            server.rss_bytes_per_session.map_or(String::new(), |each| format!(", {} a session", human_bytes(each))),
        )?;
    }
    report.server.iter().filter_map(|server| server.metrics.as_ref()).try_for_each(|metrics| counted(out, metrics))?;
    if let Some(Impaired { profile, stats }) = &report.impair {
        writeln!(out, "  network     {profile}")?;
        stats.to_string().lines().try_for_each(|line| writeln!(out, "              {line}"))?;
    }
    let generator = &report.generator;
    let threads = report.config.threads;
    writeln!(
        out,
        "  generator   {} of CPU a delivery, {:.0} % of {threads} thread{}   p99 of its lag: sending {}, receiving {}",
        each(generator.cpu_us_per_delivery),
        generator.busy * 100.0,
        if threads == 1 { "" } else { "s" },
        micros(generator.send_lag_p99_us),
        micros(generator.receive_lag_p99_us),
    )
}

/// What the server counted beside what came here; both from before the first session on.
fn counted(out: &mut String, metrics: &Comparison) -> std::fmt::Result {
    let server = |check: &Check| check.server.map_or("nothing".into(), |count| grouped(count.max(0.0) as u64));
    let checks = metrics.checks.iter().map(|check| match check.agrees {
        true => format!("{} {}", server(check), check.what),
        false => format!("{} {} (here {})", server(check), check.what, grouped(check.generator)),
    });
    let checks: Vec<_> = checks.collect();
    let verdict = match metrics.agrees {
        true => "as here",
        false => "NOT as here: right only if sessions were lost, others used the server, or it was restarted",
    };
    writeln!(out, "  it counted  {}   {verdict}", checks.join("   "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Outcome;

    #[test]
    fn everything_is_said() {
        let mut report = Report {
            sent: 1000,
            scheduled: 1000,
            delivered: 100_000,
            expected: 100_001,
            lost: 1,
            valid: true,
            latency_us: Some(Latency { p50: 310, p90: 800, p99: 1_900, p999: 4_000, max: 5_100_000 }),
            slo: vec![Outcome { expr: "lost==0".into(), value: Some(1.0), pass: false, shown: "1".into() }],
            ..Report::default()
        };
        let text = summary(&report);
        for part in ["100,000 of 100,001", "1 lost", "1.90 ms", "5.10 s", "FAIL  lost==0", "\nFAILED"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        report.valid = false;
        report.invalid_reasons.push("too slow".into());
        let text = summary(&report);
        assert!(text.contains("invalid: too slow") && text.contains("\nINVALID"), "{text}");
    }
}
