//! What a check found: counts under the load generator's names, and each violation as a sentence.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

macro_rules! invariants {
    ($($name:ident $text:literal,)*) => {
        /// A rule that every history must keep.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Invariant {
            $(#[doc = $text] $name,)*
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it says.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

invariants! {
    I1 "offsets are dense from 1",
    I2 "an acknowledged or delivered record stays, at its offset, as promised",
    I3 "a publish has at most one offset",
    I4 "every record was published before it was seen",
    I5 "a subscription sees every offset once and in order, or an explicit truthful gap",
    I6 "everybody sees the same record at an offset",
    I7 "a publish that returned before another was invoked is before it in the log",
    I8 "a producer's publishes are in the order of its ids, without a hole",
    I9 "a retry gets the first offset, and another payload a conflict",
    I10 "the sessions of a subscriber together are contiguous",
    I11 "the floor only rises, as far as it may, and reading below it says so",
    I12 "lost or replaced records change the epoch, and old positions are reset",
    I13 "a publish of unknown outcome appears at most once",
}

/// Where in a sequence something is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Before everything that is there.
    pub prefix: u64,
    /// Between records that are there.
    pub middle: u64,
    /// Behind everything that is there.
    pub postfix: u64,
}

impl Places {
    /// All of them.
    pub fn total(self) -> u64 {
        self.prefix + self.middle + self.postfix
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule.
    pub invariant: Invariant,
    /// In which room.
    pub room: String,
    /// At which offset, where there is one.
    pub offset: Option<u64>,
    /// Who saw it: a producer, subscriber or node.
    pub who: String,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} room {}", self.invariant, self.room)?;
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        write!(f, ", {}: {}", self.who, self.text)
    }
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Events checked.
    pub events: u64,
    /// Different publishes, however often each was tried.
    pub sent: u64,
    /// Publishes that got an ack at last.
    pub acked: u64,
    /// Publishes that were only refused.
    pub refused: u64,
    /// The other publishes.
    pub unknown: u64,
    /// Records that live subscriptions should have got: delivered + lost.
    pub expected: u64,
    /// Records that live subscriptions got, each counted once.
    pub delivered: u64,
    /// Records that live subscriptions should have got and did not.
    pub lost: u64,
    /// Records that a subscription got again.
    pub duplicated: u64,
    /// Records that came after a later one.
    pub reordered: u64,
    /// Records that were not what was published at their offset.
    pub corrupt: u64,
    /// Records that nobody published.
    pub phantom: u64,
    /// Where `lost` deliveries are missing in their subscriptions.
    pub lost_places: Places,
    /// Where acknowledged or delivered records are missing in the log, against the promise.
    pub lost_acked: Places,
    /// Acknowledged or delivered records lost as the level and the faults allow, with a new epoch.
    pub lost_allowed: u64,
    /// Records inside truthful gaps.
    pub gapped: u64,
    /// Sessions that went on from an earlier one.
    pub resumes: u64,
    /// Resets told.
    pub resets: u64,
    /// Violations by invariant.
    pub by_invariant: BTreeMap<Invariant, u64>,
    /// The first few violations of each invariant.
    pub violations: Vec<Violation>,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether every rule was kept.
    pub fn is_clean(&self) -> bool {
        self.by_invariant.is_empty()
    }

    /// How often a rule was broken.
    pub fn count(&self, invariant: Invariant) -> u64 {
        self.by_invariant.get(&invariant).copied().unwrap_or(0)
    }

    /// How many violations there are in all.
    pub fn violations_total(&self) -> u64 {
        self.by_invariant.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_clean() { "clean" } else { "BROKEN" };
        writeln!(f, "history of {} events: {verdict}, {} violations", self.events, self.violations_total())?;
        writeln!(
            f,
            "  sent {} = acked {} + refused {} + unknown {}",
            self.sent, self.acked, self.refused, self.unknown
        )?;
        writeln!(
            f,
            "  expected {}, delivered {}, lost {}, duplicated {}, reordered {}, corrupt {}, phantom {}",
            self.expected, self.delivered, self.lost, self.duplicated, self.reordered, self.corrupt, self.phantom
        )?;
        for (what, places) in [("deliveries", self.lost_places), ("acknowledged", self.lost_acked)] {
            if places.total() > 0 {
                let Places { prefix, middle, postfix } = places;
                writeln!(f, "  lost {what}: {prefix} at the beginning, {middle} in the middle, {postfix} at the end")?;
            }
        }
        writeln!(
            f,
            "  gapped {}, resumes {}, resets {}, lost as allowed {}",
            self.gapped, self.resumes, self.resets, self.lost_allowed
        )?;
        for (invariant, count) in &self.by_invariant {
            writeln!(f, "  {invariant:?} broken {count} times: {}", invariant.text())?;
        }
        for violation in &self.violations {
            writeln!(f, "    {violation}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}
