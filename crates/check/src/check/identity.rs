//! A publish is one record (I3, I13), a record is somebody's publish (I4), a retry changes nothing (I9).

use crate::{
    check::{
        findings::{Findings, Who},
        ledger::{Group, Ledger},
    },
    hash::FastMap,
    history::{Outcome, Position, Publish, Room},
    report::Invariant,
};

pub(crate) fn check(ledger: &Ledger, found: &mut Findings) {
    let live = check_entries(ledger, found);
    check_appearances(ledger, &live, found);
    let conflicts = check_ids(ledger, &live, found);
    for (publish, group) in ledger.history.publishes.iter().zip(&ledger.attempts) {
        check_retry(ledger, publish, &ledger.groups[*group as usize], &conflicts, found);
    }
}

/// How often each hash is in the log that holds at the end, and where.
type Live = FastMap<(Room, u64), (u32, Position)>;

fn check_entries(ledger: &Ledger, found: &mut Findings) -> Live {
    let mut live = Live::default();
    for (&(room, position), entry) in &ledger.entries {
        let offset = position.offset;
        match ledger.payload(room, entry.hash) {
            None => {
                found.report.phantom += 1;
                found.add(Invariant::I4, room, offset, Who::Log, || {
                    format!("record {:x} was never published in this room", entry.hash)
                });
            }
            Some(payload) if payload.possible == 0 => {
                found.report.phantom += 1;
                let who = Who::Producer(ledger.groups[payload.group as usize].producer);
                found.add(Invariant::I4, room, offset, who, || "a refused publish is in the log".to_owned());
            }
            Some(payload) if entry.known < payload.invoked => {
                found.add(Invariant::I4, room, offset, Who::Log, || {
                    format!("was known {} ns before it was published", payload.invoked - entry.known)
                });
            }
            Some(_) => {}
        }
        if ledger.room(room).is_live(position) {
            live.entry((room, entry.hash)).or_insert((0, position)).0 += 1;
        }
    }
    live
}

fn check_appearances(ledger: &Ledger, live: &Live, found: &mut Findings) {
    for (&(room, hash), &(count, position)) in live {
        let Some(payload) = ledger.payload(room, hash) else { continue };
        if payload.possible == 0 || count <= payload.possible {
            continue;
        }
        let group = &ledger.groups[payload.group as usize];
        let who = Who::Producer(group.producer);
        let text = || format!("id {} is in the log {count} times", group.id);
        found.add(Invariant::I3, room, position.offset, who, text);
        if payload.unknown {
            found.add(Invariant::I13, room, position.offset, who, text);
        }
    }
}

/// The publishes under one producer and id.
#[derive(Default)]
struct Id {
    possible: u32,
    /// The one that is in the log, by its hash.
    logged: Option<u64>,
}

type Ids = FastMap<(Room, u32, u64), Id>;

/// At most one payload of an id is in the log.
fn check_ids(ledger: &Ledger, live: &Live, found: &mut Findings) -> Ids {
    let mut ids = Ids::default();
    for group in &ledger.groups {
        let id = ids.entry((group.room, group.producer.0, group.id)).or_default();
        id.possible += u32::from(group.possible);
        let acked = group.ack.is_some_and(|(position, _)| ledger.room(group.room).is_live(position));
        let own = ledger.payload(group.room, group.hash).is_some_and(|payload| payload.groups == 1);
        let logged = acked || (own && live.contains_key(&(group.room, group.hash)));
        if !logged || !group.possible {
            continue;
        }
        if id.logged.replace(group.hash).is_some_and(|other| other != group.hash) {
            let offset = group.ack.map(|(position, _)| position.offset);
            found.add(Invariant::I9, group.room, offset, Who::Producer(group.producer), || {
                format!("id {} is in the log with two payloads", group.id)
            });
        }
    }
    ids
}

fn check_retry(ledger: &Ledger, publish: &Publish, group: &Group, ids: &Ids, found: &mut Findings) {
    let (room, who, id) = (publish.room, Who::Producer(publish.producer), publish.id);
    match publish.outcome {
        Outcome::Refused { code } if code == found.promise.conflict_code => {
            let others = ids.get(&(room, publish.producer.0, id)).map_or(0, |id| id.possible);
            if others <= u32::from(group.possible) {
                found.add(Invariant::I9, room, None, who, || {
                    format!("id {id} was refused as a conflict, but has no other payload")
                });
            }
        }
        Outcome::Acked { epoch, offset, duplicate } => {
            let Some((first, returned)) = group.ack else { return };
            let facts = ledger.room(room);
            let position = facts.owner(epoch, offset);
            if position != first && (facts.is_live(first) || position.epoch <= first.epoch) {
                found.add(Invariant::I9, room, offset, who, || {
                    format!("id {id} was acked at {} first, and at {offset} when it was sent again", first.offset)
                });
            }
            if position == first && !duplicate && returned < publish.invoked {
                found.add(Invariant::I9, room, offset, who, || {
                    format!("id {id} was acked as new, though it had been acked before")
                });
            }
        }
        Outcome::Refused { .. } | Outcome::Unknown => {}
    }
}
