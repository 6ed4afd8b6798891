//! One chain of sessions walking a room's log.

use std::collections::BTreeMap;

use crate::{
    check::{
        findings::{Findings, Who},
        ledger::Ledger,
    },
    history::{From, Joined, Kind, Session},
    report::Invariant,
};

/// Invariant: every offset from the beginning to below `expected` was delivered, inside a gap, or is in `missing`.
pub(crate) struct Cursor<'h> {
    /// The latest session.
    pub(crate) session: &'h Session,
    /// The harness says that nothing may be missing any more.
    pub(crate) settled: bool,
    /// The next offset; unknown until the first record where the interface does not tell.
    expected: Option<u64>,
    epoch: Option<u64>,
    /// The next offset as this session began.
    began: Option<u64>,
    /// This session has brought something.
    moved: bool,
    /// The position does not hold, so nothing may come before a reset.
    stale: bool,
    first_delivered: Option<u64>,
    /// Skipped without a word, as first → last.
    missing: BTreeMap<u64, u64>,
    records: u64,
}

impl<'h> Cursor<'h> {
    pub(crate) fn new(session: &'h Session) -> Self {
        Self {
            session,
            settled: false,
            expected: None,
            epoch: None,
            began: None,
            moved: false,
            stale: false,
            first_delivered: None,
            missing: BTreeMap::new(),
            records: 0,
        }
    }

    /// The epoch whose log the current session shows.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// A session begins: the chain's first from where it asked, a later one from where the chain is.
    pub(crate) fn begin(&mut self, session: &'h Session, ledger: &Ledger, found: &mut Findings) {
        let known = self.expected.is_some() && session.resume;
        found.report.resumes += u64::from(session.resume);
        if !known {
            self.expected = first_offset(session);
        }
        let position = match session.from {
            From::After { epoch, offset } if !known => Some((epoch, offset)),
            _ => self.epoch.zip(self.expected.map(|expected| expected.saturating_sub(1))).filter(|_| known),
        };
        self.session = session;
        self.began = self.expected;
        self.moved = false;
        self.stale = false;
        let Some(Joined { epoch, .. }) = session.joined else {
            self.epoch = self.epoch.or(position.map(|(epoch, _)| epoch));
            return;
        };
        if let Some((old, offset)) = position
            && old < epoch
            && is_live(session.kind)
        {
            self.stale = offset > ledger.room(session.room).end(old, epoch);
        }
        if !self.stale {
            self.epoch = Some(epoch);
        } else {
            self.epoch = position.map(|(old, _)| old);
        }
    }

    pub(crate) fn record(&mut self, session: &Session, offset: u64, found: &mut Findings) {
        if offset == 0 {
            return;
        }
        self.records += 1;
        if self.stale {
            self.stale = false;
            found.add(Invariant::I12, session.room, offset, Who::session(session), || {
                "went on without a reset from a position that was lost".to_owned()
            });
        }
        let expected = self.expected.unwrap_or(offset);
        let mut new = true;
        if offset > expected {
            self.skip(session, expected, offset - 1, found);
        } else if offset < expected {
            new = self.late(session, offset, found);
        }
        if new {
            found.report.delivered += u64::from(is_live(session.kind));
            self.first_delivered = Some(self.first_delivered.map_or(offset, |first| first.min(offset)));
        }
        self.expected = Some(expected.max(offset.saturating_add(1)));
        self.moved = true;
    }

    /// Offsets were left out without a gap.
    fn skip(&mut self, session: &Session, first: u64, last: u64, found: &mut Findings) {
        let (room, who) = (session.room, Who::session(session));
        self.missing.insert(first, last);
        let resumed = session.resume && !self.moved;
        let invariant = if resumed { Invariant::I10 } else { Invariant::I5 };
        found.add(invariant, room, first, who, || {
            let when = if resumed { " by a resume" } else { "" };
            format!("{first} to {last} left out{when}, without a gap")
        });
        if session.joined.is_some_and(|joined| first < joined.floor) {
            found.add(Invariant::I11, room, first, who, || {
                format!("asked for {first}, below the floor, and silently got {}", last.saturating_add(1))
            });
        }
    }

    /// An offset came that was passed: `true` if it had been missing.
    fn late(&mut self, session: &Session, offset: u64, found: &mut Findings) -> bool {
        let (room, who) = (session.room, Who::session(session));
        if self.fill(offset) {
            found.report.reordered += u64::from(is_live(session.kind));
            found.add(Invariant::I5, room, offset, who, || "came after a later record".to_owned());
            return true;
        }
        found.report.duplicated += u64::from(is_live(session.kind));
        let again = session.resume && self.began.is_some_and(|began| offset < began);
        let invariant = if again { Invariant::I10 } else { Invariant::I5 };
        found.add(invariant, room, offset, who, || format!("came again{}", if again { " after a resume" } else { "" }));
        false
    }

    /// Takes an offset out of the missing ones.
    fn fill(&mut self, offset: u64) -> bool {
        let Some((&first, &last)) = self.missing.range(..=offset).next_back() else { return false };
        if last < offset {
            return false;
        }
        self.missing.remove(&first);
        if first < offset {
            self.missing.insert(first, offset - 1);
        }
        if offset < last {
            self.missing.insert(offset + 1, last);
        }
        true
    }

    pub(crate) fn gap(&mut self, session: &Session, (from, to): (u64, u64), found: &mut Findings) {
        if from == 0 || from > to {
            return;
        }
        let expected = self.expected.unwrap_or(from);
        if from > expected {
            self.skip(session, expected, from - 1, found);
        }
        // One who asked for the oldest may be told what is gone below it; otherwise a gap begins where the cursor is.
        let prologue = !self.moved && from < expected && to.saturating_add(1) >= expected && !session.resume;
        if from < expected && !prologue {
            found.add(Invariant::I5, session.room, from, Who::session(session), || {
                format!("a gap from {from} to {to}, but the records below {expected} have come")
            });
        }
        self.expected = Some(expected.max(to.saturating_add(1)));
        self.moved = true;
    }

    pub(crate) fn reset(&mut self, session: &Session, reset: (u64, u64), ledger: &Ledger, found: &mut Findings) {
        let (epoch, valid_to) = reset;
        found.report.resets += 1;
        let (room, who) = (session.room, Who::session(session));
        if let Some(old) = self.epoch
            && epoch <= old
        {
            found.add(Invariant::I12, room, valid_to, who, || format!("a reset from epoch {old} to {epoch}"));
        } else if let (Some(old), Some(expected)) = (self.epoch, self.expected) {
            let facts = ledger.room(room);
            let end = facts.end(old, epoch);
            let right = end.min(expected.saturating_sub(1));
            if valid_to > end || (valid_to < right && facts.knows(old)) {
                found.add(Invariant::I12, room, valid_to, who, || {
                    format!("a reset says that {valid_to} still holds, but of epoch {old} it is {right}")
                });
            }
        }
        let next = valid_to.saturating_add(1);
        self.expected = self.expected.map(|expected| expected.min(next));
        self.began = self.began.map(|began| began.min(next));
        let beyond = self.missing.split_off(&next);
        drop(beyond);
        if let Some(mut last) = self.missing.last_entry() {
            let cut = valid_to.min(*last.get());
            last.insert(cut);
        }
        self.epoch = Some(epoch);
        self.stale = false;
    }

    pub(crate) fn caught_up(&mut self, session: &Session, head: u64, found: &mut Findings) {
        let Some(expected) = self.expected else {
            self.expected = Some(head.saturating_add(1));
            return;
        };
        if expected <= head {
            found.add(Invariant::I5, session.room, expected, Who::session(session), || {
                format!("called caught up at {head} before {expected} came")
            });
        }
    }

    /// A finite read is complete: it must have reached what it asked for.
    pub(crate) fn end(&mut self, session: &Session, more: bool, found: &mut Findings) {
        let (room, who) = (session.room, Who::session(session));
        if session.limit > 0 && self.records > session.limit {
            found.add(Invariant::I5, room, None, who, || {
                format!("a read of at most {} brought {} records", session.limit, self.records)
            });
        }
        let Some(Joined { head, floor, .. }) = session.joined else { return };
        let last = match session.from {
            From::Before { offset } => head.min(offset.saturating_sub(1)),
            _ if more || (session.limit > 0 && self.records >= session.limit) => return,
            _ => head,
        };
        let expected = self.expected.unwrap_or(floor);
        if expected <= last && last >= floor {
            found.add(Invariant::I5, room, expected, who, || format!("a read ended before {last}, without a gap"));
        }
    }

    /// The chain is over; `head` is what a settled subscriber must have reached.
    pub(crate) fn finish(self, head: Option<u64>, found: &mut Findings) {
        if !is_live(self.session.kind) {
            return;
        }
        for (first, last) in &self.missing {
            let places = &mut found.report.lost_places;
            let place = match self.first_delivered {
                Some(delivered) if delivered < *first => &mut places.middle,
                _ => &mut places.prefix,
            };
            *place = place.saturating_add(last - first + 1);
        }
        if let (Some(expected), Some(head)) = (self.expected, head)
            && expected <= head
        {
            let places = &mut found.report.lost_places;
            places.postfix = places.postfix.saturating_add(head - expected + 1);
            found.add(Invariant::I5, self.session.room, expected, Who::session(self.session), || {
                format!("{expected} to {head} never came, though the run was quiet")
            });
        }
    }
}

fn is_live(kind: Kind) -> bool {
    matches!(kind, Kind::Live | Kind::Latest)
}

/// The first offset that a session must bring.
fn first_offset(session: &Session) -> Option<u64> {
    let joined = session.joined;
    match session.from {
        From::Live => joined.map(|joined| joined.head.saturating_add(1)),
        From::Oldest => joined.map(|joined| joined.floor),
        From::AtOffset { offset } => Some(offset.max(1)),
        From::After { offset, .. } => Some(offset.saturating_add(1)),
        From::Last { count } => joined.map(|j| j.floor.max(j.head.saturating_add(1).saturating_sub(count))),
        From::Before { .. } | From::AtTime => None,
    }
}
