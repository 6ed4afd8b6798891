//! What a process has used, from `/proc`.

use std::{fs, time::Duration};

/// A process that is looked at from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    /// `None` is this one.
    id: Option<u32>,
}

/// What it has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In user and kernel mode, all threads, ended ones too.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) rss: u64,
}

impl Process {
    pub(crate) fn own() -> Self {
        Self { id: None }
    }

    pub(crate) fn with_id(id: u32) -> Self {
        Self { id: Some(id) }
    }

    /// `None` if it is not there.
    pub(crate) fn usage(self) -> Option<Usage> {
        let directory = self.id.map_or("/proc/self".to_owned(), |id| format!("/proc/{id}"));
        let stat = fs::read_to_string(format!("{directory}/stat")).ok()?;
        let statm = fs::read_to_string(format!("{directory}/statm")).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(Usage {
            cpu: cpu(&stat, rustix::param::clock_ticks_per_second())?,
            rss: pages * rustix::param::page_size() as u64,
        })
    }
}

/// The name in brackets may hold spaces and brackets; the fields are counted from behind it.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let times: Vec<u64> = fields.skip(11).take(2).flat_map(str::parse).collect();
    let [user, system] = times[..] else { return None };
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_be_anything() {
        let stat = "42 (a) b (c) S 1 2 3 4 -1 6 7 8 9 10 150 50 13 14 20 0 3";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(cpu("42 (short) S 1", 100), None);
    }

    #[test]
    fn this_process_is_there_and_others_are_not() {
        assert!(Process::own().usage().unwrap().rss > 0);
        assert_eq!(Process::with_id(u32::MAX).usage(), None);
    }
}
