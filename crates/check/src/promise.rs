//! What the run was promised: the checker judges against this, not against what a better system might do.

use crate::history::FaultKind;

/// What an ack means, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Applied: survives a restart in order.
    Memory,
    /// Written: survives `kill -9`.
    Process,
    /// Synced: survives power loss.
    Disk,
    /// On a majority: survives a lost node.
    Quorum,
}

impl Level {
    /// Whether an acknowledged record must outlive this fault.
    pub fn survives(self, fault: FaultKind) -> bool {
        let needed = match fault {
            FaultKind::Kill => Self::Process,
            FaultKind::PowerLoss => Self::Disk,
            FaultKind::NodeLoss => Self::Quorum,
            _ => Self::Memory,
        };
        self >= needed
    }
}

/// How far the floor may have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Nothing is trimmed: a floor above 1 is a violation.
    KeepsAll,
    /// At least the newest records are kept.
    KeepsLast(u64),
    /// By age or size: the floor may be anywhere, and only has to be truthful.
    Trims,
}

/// What the run was promised.
#[derive(Debug, Clone)]
pub struct Promise {
    /// The durability level of every room not listed in `levels`.
    pub level: Level,
    /// Rooms with a level of their own.
    pub levels: Vec<(String, Level)>,
    /// How far floors may move.
    pub retention: Retention,
    /// The code that refuses a used id with another payload.
    pub conflict_code: u32,
    /// The report keeps at most this many violations of each invariant, and counts them all.
    pub violations_max: usize,
}

impl Promise {
    /// Everything kept, at this level.
    pub fn new(level: Level) -> Self {
        Self { level, levels: Vec::new(), retention: Retention::KeepsAll, conflict_code: 3008, violations_max: 20 }
    }

    /// Gives one room a level of its own.
    #[must_use]
    pub fn room(mut self, name: &str, level: Level) -> Self {
        self.levels.push((name.to_owned(), level));
        self
    }

    /// Allows trimming.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    pub(crate) fn level_of(&self, room: &str) -> Level {
        self.levels.iter().rev().find(|(name, _)| name == room).map_or(self.level, |(_, level)| *level)
    }
}

impl Default for Promise {
    /// One node's default: level `disk`, everything kept.
    fn default() -> Self {
        Self::new(Level::Disk)
    }
}
