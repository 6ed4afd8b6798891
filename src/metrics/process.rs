//! What the system says of this process. Nothing is said of what the system does not tell.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::text::Text;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    pub(super) fn new(started: SystemTime) -> Self {
        Self { started: started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }

    /// Names are those of Prometheus's own libraries.
    pub(super) fn write(&self, text: &mut Text) {
        // To the nanosecond, and not in ticks of 10 ms: the load generator divides it by deliveries.
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        text.counter("process_cpu_seconds_total", "User and system time spent by the process, in seconds.", cpu);
        text.gauge("process_start_time_seconds", "When the process started, in Unix seconds.", self.started);
        if let Some((size, resident)) = memory_pages() {
            let bytes = |pages: u64| pages * page_size() as u64;
            text.gauge("process_virtual_memory_bytes", "Virtual memory of the process, in bytes.", bytes(size));
            text.gauge("process_resident_memory_bytes", "Resident memory of the process, in bytes.", bytes(resident));
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            text.gauge("process_open_fds", "File descriptors that the process has open.", open.count());
        }
        if let Some(max) = getrlimit(Resource::Nofile).current {
            text.gauge("process_max_fds", "File descriptors that the process may have open.", max);
        }
    }
}

/// Size and resident part of the process in pages.
fn memory_pages() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = text.split(' ').map_while(|field| field.parse().ok());
    Some((fields.next()?, fields.next()?))
}
