//! Whether a gap tells the truth.

use crate::{
    check::{
        findings::{Findings, Who},
        floor::Floors,
        ledger::Ledger,
    },
    history::{GapReason, Kind, Position, Session},
    report::Invariant,
};

/// A `lost` gap is looked up offset by offset; a longer one only at its beginning.
const LOST_CHECKED_MAX: u64 = 100_000;

pub(crate) fn check(
    session: &Session,
    (from, to, reason): (u64, u64, GapReason),
    time: u64,
    floors: &Floors,
    ledger: &Ledger,
    found: &mut Findings,
) {
    let (room, who) = (session.room, Who::session(session));
    if from == 0 || from > to {
        found.add(Invariant::I5, room, from, who, || format!("a gap from {from} to {to} is none"));
        return;
    }
    found.report.gapped += to - from + 1;
    let facts = ledger.room(room);
    if let Some(head) = facts.head_final()
        && to > head
        && !facts.may_lose(time)
    {
        found.add(Invariant::I5, room, from, who, || format!("a gap to {to} ends behind the head, {head}"));
    }
    match reason {
        GapReason::Retention => {
            if let Some(floor) = floors.belies(session, to, time) {
                for invariant in [Invariant::I5, Invariant::I11] {
                    found.add(invariant, room, floor.max(from), who, || {
                        format!("a retention gap from {from} to {to}, but the floor is not above {floor}")
                    });
                }
            }
        }
        GapReason::Skipped if session.kind != Kind::Latest => {
            found.add(Invariant::I5, room, from, who, || {
                format!("skipped from {from} to {to}, though not in mode latest")
            });
        }
        GapReason::Skipped => {}
        GapReason::Lost => check_lost(session, (from, to), time, ledger, found),
    }
}

/// Records are not readable only after a fault that may destroy them, and then for everybody.
fn check_lost(session: &Session, (from, to): (u64, u64), time: u64, ledger: &Ledger, found: &mut Findings) {
    let (room, who) = (session.room, Who::session(session));
    let facts = ledger.room(room);
    if facts.faults.first().is_none_or(|fault| *fault > time) {
        for invariant in [Invariant::I2, Invariant::I5] {
            found.add(invariant, room, from, who, || {
                format!("{from} to {to} were called lost, which no fault before excuses")
            });
        }
    }
    let held = |offset: &u64| {
        let Position { epoch, .. } = facts.owner(u64::MAX, *offset);
        let entry = ledger.entries.get(&(room, Position { epoch, offset: *offset }));
        entry.is_some_and(|entry| entry.finals != 0)
    };
    let checked = to.min(from.saturating_add(LOST_CHECKED_MAX));
    if let Some(offset) = (from..=checked).find(held) {
        found
            .add(Invariant::I5, room, offset, who, || format!("{from} to {to} were called lost, but a log holds them"));
    }
}
