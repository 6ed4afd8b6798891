//! What each subscription and history read saw: contiguous (I5), over sessions too (I10), reset where it must be (I12).

mod cursor;
mod gap;

use crate::{
    check::{findings::Findings, floor::Floors, ledger::Ledger, steps::Steps},
    hash::FastMap,
    history::{Kind, Room, Seen},
};

use cursor::Cursor;

pub(crate) fn check(steps: &Steps, floors: &Floors, ledger: &mut Ledger, found: &mut Findings) {
    let mut settled = Vec::new();
    for chain in steps.chains(|kind| kind != Kind::FinalLog) {
        let mut cursor = Cursor::new(steps.session(&chain[0]));
        for step in chain {
            let session = steps.session(step);
            match step.seen {
                None => cursor.begin(session, ledger, found),
                Some(Seen::Record { offset, hash }) => {
                    // A history read and a join see the log as of the epoch they were told.
                    let epoch = cursor.epoch().unwrap_or(u64::MAX);
                    ledger.observe(session, epoch, (offset, hash, step.time), 0, found);
                    cursor.record(session, offset, found);
                }
                // Restored by now.
                Some(Seen::Redacted { .. }) => {}
                Some(Seen::Gap { from, to, reason }) => {
                    gap::check(session, (from, to, reason), step.time, floors, ledger, found);
                    cursor.gap(session, (from, to), found);
                }
                Some(Seen::Reset { epoch, valid_to }) => cursor.reset(session, (epoch, valid_to), ledger, found),
                Some(Seen::CaughtUp { head }) => cursor.caught_up(session, head, found),
                Some(Seen::End { more }) => cursor.end(session, more, found),
                Some(Seen::Settled) => cursor.settled = true,
            }
        }
        if cursor.settled {
            settled.push(cursor);
        } else {
            cursor.finish(None, found);
        }
    }
    let heads = heads(ledger);
    for cursor in settled {
        let head = heads.get(&cursor.session.room).copied();
        cursor.finish(head, found);
    }
}

/// The last offset of each room that holds at the end, by everything that is known.
fn heads(ledger: &Ledger) -> FastMap<Room, u64> {
    let mut heads = FastMap::default();
    for (room, position) in ledger.entries.keys() {
        if ledger.room(*room).is_live(*position) {
            let head = heads.entry(*room).or_insert(0);
            *head = position.offset.max(*head);
        }
    }
    heads
}
