//! Everything known about each offset of each room, from final logs, acks, subscriptions and history reads (I1, I6).
//!
//! A record's key is its position with the epoch in which it was written, so what a subscription calls (3, 17) and an
//! ack called (1, 17) is one record unless the lineage says that 17 was lost in between.

use crate::{
    check::{
        facts::{Facts, RoomFacts},
        findings::{Findings, Who},
        steps::Steps,
    },
    hash::FastMap,
    history::{History, Kind, Outcome, Position, Producer, Publish, Room, Seen, Session},
    report::Invariant,
};

/// One publish over all its attempts: same room, producer, id and hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) room: Room,
    pub(crate) producer: Producer,
    pub(crate) id: u64,
    pub(crate) hash: u64,
    /// Some attempt was not refused, so it may be in the log.
    pub(crate) possible: bool,
    /// The first attempt's invocation, or the first that was not refused.
    pub(crate) invoked: u64,
    /// The position of the ack that returned first, and when it did.
    pub(crate) ack: Option<(Position, u64)>,
}

/// All publishes with the same hash in a room: one, unless payloads repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    pub(crate) group: u32,
    /// How many publishes there are, and how many of them may be in the log.
    pub(crate) groups: u32,
    pub(crate) possible: u32,
    pub(crate) unknown: bool,
    pub(crate) invoked: u64,
}

/// What is known about one offset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    /// Which of the room's final logs hold it, as bits.
    pub(crate) finals: u64,
    pub(crate) acked: bool,
    /// The earliest time at which somebody knew it to be in the log.
    pub(crate) known: u64,
}

pub(crate) struct Ledger<'a> {
    pub(crate) history: &'a History,
    pub(crate) facts: &'a Facts,
    pub(crate) groups: Vec<Group>,
    /// The group of each attempt, in the order of `history.publishes`.
    pub(crate) attempts: Vec<u32>,
    pub(crate) payloads: FastMap<(Room, u64), Payload>,
    pub(crate) entries: FastMap<(Room, Position), Entry>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(history: &'a History, facts: &'a Facts) -> Self {
        let (payloads, entries) = (FastMap::default(), FastMap::default());
        let mut ledger = Self { history, facts, groups: Vec::new(), attempts: Vec::new(), payloads, entries };
        ledger.group_attempts();
        for (group, i) in ledger.groups.iter().zip(0u32..) {
            let invoked = group.invoked;
            let new = Payload { group: i, groups: 0, possible: 0, unknown: false, invoked };
            let payload = ledger.payloads.entry((group.room, group.hash)).or_insert(new);
            payload.groups += 1;
            payload.possible += u32::from(group.possible);
            payload.unknown |= group.possible && group.ack.is_none();
            payload.invoked = payload.invoked.min(invoked);
        }
        ledger
    }

    fn group_attempts(&mut self) {
        let mut index = FastMap::default();
        for publish in &self.history.publishes {
            let &Publish { room, producer, id, hash, .. } = publish;
            let i = *index.entry((room, producer, id, hash)).or_insert(self.groups.len() as u32);
            self.attempts.push(i);
            if i as usize == self.groups.len() {
                let (possible, invoked, ack) = (false, publish.invoked, None);
                self.groups.push(Group { room, producer, id, hash, possible, invoked, ack });
            }
            let group = &mut self.groups[i as usize];
            if matches!(publish.outcome, Outcome::Refused { .. }) {
                continue;
            }
            group.invoked = if group.possible { group.invoked.min(publish.invoked) } else { publish.invoked };
            group.possible = true;
            if let Outcome::Acked { epoch, offset, .. } = publish.outcome
                && group.ack.is_none_or(|(_, returned)| publish.returned < returned)
            {
                group.ack = Some((self.facts.room(room).owner(epoch, offset), publish.returned));
            }
        }
    }

    pub(crate) fn room(&self, room: Room) -> &'a RoomFacts {
        self.facts.room(room)
    }

    /// The publishes with this hash.
    pub(crate) fn payload(&self, room: Room, hash: u64) -> Option<&Payload> {
        self.payloads.get(&(room, hash))
    }

    /// I1 and, between nodes, I6.
    pub(crate) fn read_final_logs(&mut self, steps: &Steps, found: &mut Findings) {
        let mut nodes: FastMap<Room, u32> = FastMap::default();
        for chain in steps.chains(|kind| kind == Kind::FinalLog) {
            let session = steps.session(&chain[0]);
            let node = nodes.entry(session.room).or_default();
            let bit = 1u64.checked_shl(*node).unwrap_or(0);
            *node += 1;
            let mut expected = session.joined.map(|joined| joined.floor);
            for step in chain {
                if let Some(Seen::Record { offset, hash }) = step.seen {
                    check_dense(session, expected, offset, found);
                    expected = Some(offset.saturating_add(1));
                    self.observe(session, u64::MAX, (offset, hash, step.time), bit, found);
                }
            }
            if let (Some(joined), Some(expected)) = (session.joined, expected)
                && expected != joined.head.saturating_add(1)
            {
                found.add(Invariant::I1, session.room, expected, Who::Node(session.node), || {
                    format!("the log ends before {expected}, but its head is said to be {}", joined.head)
                });
            }
        }
    }

    /// I2 where an ack disagrees with the log, I3 where it disagrees with another ack.
    pub(crate) fn read_acks(&mut self, found: &mut Findings) {
        for publish in &self.history.publishes {
            let Outcome::Acked { epoch, offset, duplicate } = publish.outcome else { continue };
            let (room, who) = (publish.room, Who::Producer(publish.producer));
            if offset == 0 {
                found.add(Invariant::I1, room, 0, who, || format!("id {} was acked at offset 0", publish.id));
                continue;
            }
            let position = self.room(room).owner(epoch, offset);
            if !duplicate && position.epoch != epoch {
                found.add(Invariant::I12, room, offset, who, || {
                    format!("a new record was acked in epoch {epoch}, which begins after it: it replaced another one")
                });
            }
            let new = Entry { hash: publish.hash, finals: 0, acked: true, known: publish.returned };
            let entry = self.entries.entry((room, position)).or_insert(new);
            if entry.hash == publish.hash {
                entry.acked = true;
                entry.known = entry.known.min(publish.returned);
                continue;
            }
            let (logged, claimed) = (entry.finals != 0, entry.acked);
            let broken = [(logged, Invariant::I2), (claimed, Invariant::I3), (true, Invariant::I12)];
            for (_, invariant) in broken.into_iter().filter(|(applies, _)| *applies) {
                found.add(invariant, room, offset, who, || {
                    format!("id {} was acked here, but epoch {} holds another record", publish.id, position.epoch)
                });
            }
        }
    }

    /// Somebody saw a record, in a log of this epoch. I6 if it is another one than was seen before, I4 if it is
    /// nobody's.
    pub(crate) fn observe(
        &mut self,
        session: &Session,
        epoch: u64,
        (offset, hash, time): (u64, u64, u64),
        bit: u64,
        found: &mut Findings,
    ) {
        let (room, who) = (session.room, Who::session(session));
        if offset == 0 {
            found.add(Invariant::I1, room, 0, who, || "a record has offset 0".to_owned());
            return;
        }
        let position = self.room(room).owner(epoch, offset);
        let new = Entry { hash, finals: bit, acked: false, known: time };
        let entry = self.entries.entry((room, position)).or_insert(new);
        if entry.hash == hash {
            entry.finals |= bit;
            entry.known = entry.known.min(time);
            return;
        }
        found.report.corrupt += 1;
        found.add(Invariant::I6, room, offset, who, || {
            format!("saw record {hash:x} of epoch {}, others saw {:x}", position.epoch, entry.hash)
        });
        if entry.acked && entry.finals == 0 {
            found.add(Invariant::I2, room, offset, who, || {
                format!("saw record {hash:x} of epoch {}, but {:x} was acked here", position.epoch, entry.hash)
            });
        }
        if !self.payloads.contains_key(&(room, hash)) {
            found.add(Invariant::I4, room, offset, who, || format!("record {hash:x} was never published in this room"));
        }
    }
}

fn check_dense(session: &Session, expected: Option<u64>, offset: u64, found: &mut Findings) {
    if let Some(expected) = expected
        && expected != offset
    {
        found.add(Invariant::I1, session.room, expected, Who::Node(session.node), || {
            format!("the log goes on with {offset} where {expected} must come")
        });
    }
}
