//! Figures: arguments, medians, percentiles, and a table at the end.

use std::time::Duration;

/// Whether a short run is asked for: `--quick`, or `BENCH_QUICK`.
pub fn is_quick() -> bool {
    has_flag("--quick") || std::env::var_os("BENCH_QUICK").is_some()
}

pub fn has_flag(flag: &str) -> bool {
    std::env::args().any(|argument| argument == flag)
}

/// What follows `--name` on the command line.
pub fn value_of(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Times in microseconds, all kept: a bench has at most a few millions.
#[derive(Debug, Default, Clone)]
pub struct Times(Vec<u32>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In microseconds; `part` is 0.99 for p99.
    pub fn percentile(&mut self, part: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * part) as usize;
        f64::from(self.0[at.min(self.0.len() - 1)])
    }
}

/// Figures that are printed when everything is measured: first as lines of JSON, then as a table.
#[derive(Debug)]
pub struct Table {
    bench: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    lines: Vec<serde_json::Value>,
}

impl Table {
    pub fn new(bench: &'static str, columns: &[&'static str]) -> Self {
        Self { bench, columns: columns.to_vec(), rows: Vec::new(), lines: Vec::new() }
    }

    /// Adds a row, and the same for programs.
    pub fn row(&mut self, cells: Vec<String>, mut line: serde_json::Value) {
        line["bench"] = self.bench.into();
        self.rows.push(cells);
        self.lines.push(line);
    }

    pub fn print(self) {
        self.lines.iter().for_each(|line| println!("{line}"));
        let header = self.columns.iter().map(|column| (*column).to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(self.rows).collect();
        let width = |at: usize| rows.iter().filter_map(|row| Some(row.get(at)?.chars().count())).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        println!();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            // `scripts/bench.sh` repeats these lines when all benches are done.
            println!("figure: {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

/// Whether a target is met, in a word.
pub fn verdict(met: bool) -> String {
    if met { "ok".into() } else { "MISSED".into() }
}
