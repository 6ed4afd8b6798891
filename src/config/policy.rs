//! What a room promises and keeps, as plain data.

use std::{fmt, time::Duration};

/// What an ack in a room means, and how long its records stay. Written into the log when a room is made, so that
/// applying the log never looks at a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When a publish is acked.
    pub level: Level,
    /// Which column families hold the records.
    pub class: Class,
    /// Records older than this are below the floor. Never longer than the class's own span.
    pub age: Option<Duration>,
    /// Only this many of the newest records are above the floor.
    pub count: Option<u64>,
    /// At least this many bytes of the newest records are above the floor, and not much more.
    pub bytes: Option<u64>,
}

impl Policy {
    /// The policy of a room that no pattern matches: synced to the disk, kept for ever.
    pub const DEFAULT: Self = Self { level: Level::Disk, class: Class::Keep, age: None, count: None, bytes: None };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What an ack says is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Applied in memory; lost with the process.
    Memory,
    /// Written; survives `kill -9`.
    Process,
    /// Synced; survives a power loss.
    Disk,
}

impl Level {
    /// Every level with its name in a configuration.
    pub const NAMES: &[(Self, &'static str)] =
        &[(Self::Memory, "memory"), (Self::Process, "process"), (Self::Disk, "disk")];

    /// The level of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The span of time after which records go, and the granularity in which their space is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// At most an hour.
    Hour,
    /// At most a day.
    Day,
    /// At most seven days.
    Week,
    /// At most thirty days.
    Month,
    /// For ever, or until `age`, `count` or `bytes` says otherwise.
    Keep,
}

impl Class {
    /// Every class with its name in a configuration.
    pub const NAMES: &[(Self, &'static str)] =
        &[(Self::Hour, "hour"), (Self::Day, "day"), (Self::Week, "week"), (Self::Month, "month"), (Self::Keep, "keep")];

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(class, _)| *class)
    }

    /// How long a record of this class is held at most; `None` for [`Class::Keep`].
    pub const fn span(self) -> Option<Duration> {
        const HOUR: u64 = 60 * 60;
        match self {
            Self::Hour => Some(Duration::from_secs(HOUR)),
            Self::Day => Some(Duration::from_secs(24 * HOUR)),
            Self::Week => Some(Duration::from_secs(7 * 24 * HOUR)),
            Self::Month => Some(Duration::from_secs(30 * 24 * HOUR)),
            Self::Keep => None,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

fn name_of<T: PartialEq>(names: &[(T, &'static str)], value: &T) -> &'static str {
    names.iter().find(|(known, _)| known == value).map_or("unnamed", |(_, name)| name)
}
