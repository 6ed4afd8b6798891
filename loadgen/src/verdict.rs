//! What became of every publish: the verdict, found while measuring, in memory that does not grow with the run. Pure.
//!
//! Each subscription has a [`Judge`]. Offsets must be dense, and the publishes of each publisher must come once and in
//! the order they were sent. Over what it saw it keeps a sum of (offset, publisher, sequence); what publishers were
//! acknowledged makes up the same sum, so at the end one comparison says whether every record was at the offset that
//! its ack named, for every subscription.

use std::ops::Range;

use crate::{
    payload::{Payloads, Stamp},
    schedule::mix,
    sequence::{Arrival, Sequence},
};

/// One subscription's part of the verdict.
#[derive(Debug)]
pub(crate) struct Judge {
    payloads: Payloads,
    /// What is due from here on is measured; before it is the warm-up.
    measured_from: u64,
    /// The publishers of the room.
    publishers: Range<u32>,
    offsets: Sequence,
    sequences: Vec<Sequence>,
    /// Different publishes that came, whole; those of the warm-up too.
    seen: u64,
    /// Records that came, whatever they are.
    records: u64,
    sum: u64,
    delivered: u64,
    void: u64,
    duplicated: u64,
    reordered: u64,
    corrupt: u64,
}

impl Judge {
    /// `first` is the first offset that should come.
    pub(crate) fn new(payloads: Payloads, measured_from: u64, publishers: Range<u32>, first: u64) -> Self {
        Self {
            payloads,
            measured_from,
            sequences: publishers.clone().map(|_| Sequence::from(0)).collect(),
            publishers,
            offsets: Sequence::from(first),
            seen: 0,
            records: 0,
            sum: 0,
            delivered: 0,
            void: 0,
            duplicated: 0,
            reordered: 0,
            corrupt: 0,
        }
    }

    /// Takes a record. What it says is returned if it counts: it is measured, whole, and came for the first time.
    pub(crate) fn record(&mut self, offset: u64, payload: &[u8]) -> Option<Stamp> {
        self.records += 1;
        let late = match self.offsets.arrive(offset) {
            Arrival::Again => {
                self.duplicated += 1;
                return None;
            }
            Arrival::Late => {
                self.reordered += 1;
                true
            }
            Arrival::Next | Arrival::Ahead => false,
        };
        let stamp = self.payloads.read(payload).filter(|stamp| self.publishers.contains(&stamp.publisher));
        let Some(stamp) = stamp else {
            self.corrupt += 1;
            return None;
        };
        let sequence = &mut self.sequences[(stamp.publisher - self.publishers.start) as usize];
        match sequence.arrive(u64::from(stamp.sequence)) {
            Arrival::Again => {
                self.duplicated += 1;
                return None;
            }
            // Out of order in the log itself; what only came late was counted above.
            Arrival::Late => self.reordered += u64::from(!late),
            // What is missing before it was refused, or is missed in the end.
            Arrival::Next | Arrival::Ahead => {}
        }
        self.seen += 1;
        self.sum = self.sum.wrapping_add(identity(offset, stamp.publisher, stamp.sequence));
        let measured = stamp.intended >= self.measured_from;
        self.delivered += u64::from(measured);
        measured.then_some(stamp)
    }

    /// Records up to and including `to` will not come.
    pub(crate) fn gap(&mut self, to: u64) {
        self.offsets.skip_to(to + 1);
    }

    /// The server lost what it had delivered behind `valid_to`.
    pub(crate) fn reset(&mut self, valid_to: u64) {
        self.void += self.offsets.rewind(valid_to + 1);
    }

    /// The last offset that came or was given up.
    pub(crate) fn reached(&self) -> u64 {
        self.offsets.next() - 1
    }

    /// Records that are missing as of now; late ones may still fill the holes.
    pub(crate) fn missing(&self) -> u64 {
        self.offsets.missing() + self.void
    }
}

/// One room's publishes as their publishers know them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Acked {
    /// Acknowledged ones; those of the warm-up too.
    pub(crate) count: u64,
    /// Over (offset, publisher, sequence) of them.
    pub(crate) sum: u64,
    /// The last offset that an ack named.
    pub(crate) last: u64,
    /// Publishes whose outcome is not known, or whose place is not: sums cannot be compared. Whether they are in the
    /// log or not, nobody refused them, so they are expected.
    pub(crate) unclear: u64,
}

impl Acked {
    pub(crate) fn add(&mut self, offset: u64, publisher: u32, sequence: u32) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(identity(offset, publisher, sequence));
        self.last = self.last.max(offset);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.last = self.last.max(other.last);
        self.unclear += other.unclear;
    }
}

/// The verdict on a run: the counts that the report has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
}

impl Verdict {
    /// Adds a room: what was acknowledged, the last offset it is known to have, and what its subscriptions saw.
    pub(crate) fn add_room(&mut self, acked: &Acked, head: u64, judges: &[Judge]) {
        let head = head.max(acked.last);
        let mut sum = (acked.unclear == 0).then_some(acked.sum);
        for judge in judges {
            let holes = judge.missing() + head.saturating_sub(judge.reached());
            // And what was sent, was not refused, and is nowhere, at whatever offset.
            let lost = holes.max((acked.count + acked.unclear).saturating_sub(judge.seen));
            self.delivered += judge.delivered;
            self.lost += lost;
            self.expected += judge.delivered + lost;
            self.duplicated += judge.duplicated;
            self.reordered += judge.reordered;
            self.corrupt += judge.corrupt;
            // Whoever saw all of it saw the same at the same places. What is lost or corrupt is counted already; what
            // is behind the head was appended when nobody waited for it any more, so not everybody has seen it.
            let comparable = lost == 0 && judge.corrupt == 0 && judge.reached() == head;
            if comparable && judge.sum != *sum.get_or_insert(judge.sum) {
                self.corrupt += 1;
            }
        }
    }
}

/// Everything that came and everything that was acknowledged, with the warm-up: what a server counts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) acks: u64,
}

impl Tally {
    /// Adds a room.
    pub(crate) fn add_room(&mut self, acked: &Acked, judges: &[Judge]) {
        self.acks += acked.count;
        self.records += judges.iter().map(|judge| judge.records).sum::<u64>();
    }
}

/// A number for one publish at one offset, so that their sum tells sets apart whatever the order.
fn identity(offset: u64, publisher: u32, sequence: u32) -> u64 {
    mix(mix(offset) ^ (u64::from(publisher) << 32 | u64::from(sequence)))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
