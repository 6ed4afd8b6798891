//! The log's order agrees with time (I7) and with each producer's ids (I8). Both sort: O(n log n).

use crate::{
    check::{
        findings::{Findings, Who},
        ledger::{Group, Ledger},
    },
    hash::FastSet,
    history::{Position, Room},
    report::Invariant,
};

/// A record whose publish is certain.
struct Placed<'a> {
    position: Position,
    known: u64,
    group: &'a Group,
}

pub(crate) fn check(ledger: &Ledger, found: &mut Findings) {
    let mut placed = Vec::with_capacity(ledger.entries.len());
    let mut shared = FastSet::default();
    for (&(room, position), entry) in &ledger.entries {
        match ledger.payload(room, entry.hash) {
            Some(payload) if payload.groups == 1 => {
                placed.push(Placed { position, known: entry.known, group: &ledger.groups[payload.group as usize] });
            }
            Some(_) => _ = shared.insert(room),
            None => {}
        }
    }
    check_time(&mut placed, found);
    placed.retain(|p| ledger.room(p.group.room).is_live(p.position));
    check_producers(&mut placed, ledger, &shared, found);
}

/// I7: going through invocations in order, the highest position known before each must be below its own.
///
/// Positions compare by epoch first, so what a loss took away and a new epoch put at the same offset is in order too.
fn check_time(placed: &mut [Placed], found: &mut Findings) {
    placed.sort_unstable_by_key(|p| (p.group.room, p.group.invoked, p.position));
    let mut known: Vec<(Room, u64, Position)> = placed.iter().map(|p| (p.group.room, p.known, p.position)).collect();
    known.sort_unstable();
    let mut known = known.into_iter().peekable();
    let mut highest: Option<(Room, Position)> = None;
    for p in placed.iter() {
        let (room, invoked) = (p.group.room, p.group.invoked);
        while let Some((r, _, position)) = known.next_if(|(r, time, _)| (*r, *time) < (room, invoked)) {
            highest = match highest {
                Some((other, highest)) if other == r => Some((r, highest.max(position))),
                _ => Some((r, position)),
            };
        }
        if let Some((r, highest)) = highest
            && r == room
            && highest > p.position
        {
            found.add(Invariant::I7, room, p.position.offset, Who::Producer(p.group.producer), || {
                let id = p.group.id;
                format!("id {id} was sent after offset {} was known, but is before it", highest.offset)
            });
        }
    }
}

fn check_producers(placed: &mut [Placed], ledger: &Ledger, shared: &FastSet<Room>, found: &mut Findings) {
    placed.sort_unstable_by_key(|p| (p.group.room, p.group.producer, p.group.id, p.position));
    for pair in placed.windows(2) {
        let [a, b] = pair else { continue };
        let (room, producer) = (a.group.room, a.group.producer);
        if (room, producer) != (b.group.room, b.group.producer) || a.group.id == b.group.id {
            continue;
        }
        let (first, second, who) = (a.group.id, b.group.id, Who::Producer(producer));
        if a.position > b.position {
            found.add(Invariant::I8, room, b.position.offset, who, || {
                format!("id {second} is before id {first}, which is at {}", a.position.offset)
            });
        } else if second - first > 1 && !shared.contains(&room) && hole_is_real(ledger, a, b) {
            found.add(Invariant::I8, room, b.position.offset, who, || {
                format!("id {second} was appended behind id {first}, and nothing in between")
            });
        }
    }
}

/// Whether what is between two ids is missing, and not just trimmed, unseen or lost with an epoch.
fn hole_is_real(ledger: &Ledger, a: &Placed, b: &Placed) -> bool {
    let facts = ledger.room(a.group.room);
    let seen = facts.floor_final().is_some_and(|floor| floor <= a.position.offset + 1);
    a.position.epoch == b.position.epoch && seen
}
