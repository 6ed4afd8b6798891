//! What was acknowledged or delivered stays (I2), and what is lost is said to be (I12).

use crate::{
    check::{
        facts::FinalLog,
        findings::{Findings, Who},
        ledger::{Entry, Ledger},
    },
    hash::FastMap,
    history::{Position, Room},
    report::Invariant,
};

pub(crate) fn check(ledger: &Ledger, found: &mut Findings) {
    let ends = surviving_ends(ledger);
    let mut unseen = 0u64;
    for (&(room, position), entry) in &ledger.entries {
        let facts = ledger.room(room);
        if !facts.is_live(position) {
            lost(ledger, &ends, (room, position), entry, None, found);
            continue;
        }
        unseen += u64::from(facts.finals.is_empty());
        for (log, bit) in facts.finals.iter().zip(0u32..64) {
            let held = log.answer.is_none_or(|answer| position.offset >= answer.floor);
            if held && entry.finals & (1 << bit) == 0 {
                lost(ledger, &ends, (room, position), entry, Some(*log), found);
            }
        }
    }
    if unseen > 0 {
        found.note(format!("{unseen} records of rooms without a final log could not be looked for at the end"));
    }
}

/// The first and last offset of each room that some final log holds.
fn surviving_ends(ledger: &Ledger) -> FastMap<Room, (u64, u64)> {
    let mut ends: FastMap<Room, (u64, u64)> = FastMap::default();
    for ((room, position), _) in ledger.entries.iter().filter(|(_, entry)| entry.finals != 0) {
        let ends = ends.entry(*room).or_insert((position.offset, position.offset));
        *ends = (ends.0.min(position.offset), ends.1.max(position.offset));
    }
    ends
}

/// A record is gone: by a new epoch, or without a word from the log of a node.
fn lost(
    ledger: &Ledger,
    ends: &FastMap<Room, (u64, u64)>,
    (room, position): (Room, Position),
    entry: &Entry,
    from: Option<FinalLog>,
    found: &mut Findings,
) {
    let Position { epoch, offset } = position;
    let invoked = ledger.payload(room, entry.hash).map_or(0, |payload| payload.invoked);
    let allowed = ledger.room(room).may_lose(invoked);
    let how = if entry.acked { "acknowledged" } else { "seen" };
    let who = from.map_or(Who::Log, |log| Who::Node(log.node));
    if from.is_some() {
        found.add(Invariant::I12, room, offset, who, || {
            format!("a record {how} in epoch {epoch} is gone, and no new epoch says so")
        });
    }
    if allowed {
        found.report.lost_allowed += u64::from(from.is_none());
        return;
    }
    let places = &mut found.report.lost_acked;
    match ends.get(&room) {
        Some((first, _)) if offset < *first => places.prefix += 1,
        Some((_, last)) if offset <= *last => places.middle += 1,
        _ => places.postfix += 1,
    }
    found.add(Invariant::I2, room, offset, who, || {
        format!("a record {how} in epoch {epoch} is lost, which no fault of this run excuses")
    });
}
