//! Where a run took place: what somebody needs to know who wants to get the same figures.

use std::{fs, thread};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Environment {
    /// When the run began, in UTC.
    pub(crate) time: String,
    pub(crate) loadgen_version: &'static str,
    /// What the generator was built from, where the build knew it (`LOQUIC_COMMIT`).
    pub(crate) commit: Option<&'static str>,
    pub(crate) build: &'static str,
    pub(crate) kernel: Option<String>,
    pub(crate) cpus: usize,
    pub(crate) cpu_model: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    /// Work on this machine in the minute before the run, in processes.
    pub(crate) load_before: Option<f64>,
    /// The most that a socket may buffer, in bytes; small values lose packets at high rates.
    pub(crate) socket_receive_max: Option<u64>,
    pub(crate) socket_send_max: Option<u64>,
    /// The program behind `--server-pid`.
    pub(crate) server_command: Option<String>,
}

impl Environment {
    pub(crate) fn look(server: Option<u32>) -> Self {
        let number = |path: &str| line(path)?.parse().ok();
        Self {
            time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            loadgen_version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("LOQUIC_COMMIT").filter(|commit| !commit.is_empty()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            kernel: line("/proc/sys/kernel/osrelease"),
            cpus: thread::available_parallelism().map_or(0, usize::from),
            cpu_model: field("/proc/cpuinfo", "model name"),
            memory_bytes: field("/proc/meminfo", "MemTotal").and_then(|text| kilobytes(&text)),
            load_before: line("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            socket_receive_max: number("/proc/sys/net/core/rmem_max"),
            socket_send_max: number("/proc/sys/net/core/wmem_max"),
            server_command: server.and_then(|id| line(&format!("/proc/{id}/comm"))),
        }
    }
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

fn kilobytes(text: &str) -> Option<u64> {
    Some(text.strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
