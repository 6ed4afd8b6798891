//! What holds for a whole room: its lineage, its final logs, and which faults its level may lose data to.

use std::collections::BTreeMap;

use crate::{
    check::findings::{Findings, Who},
    hash::FastMap,
    history::{History, Joined, Kind, Node, Outcome, Position, Room, Seen},
    promise::Promise,
    report::Invariant,
};

/// One node's final log of a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FinalLog {
    pub(crate) node: Node,
    pub(crate) answer: Option<Joined>,
}

#[derive(Debug, Default)]
pub(crate) struct RoomFacts {
    /// (epoch, first offset), epochs ascending. The first one begins at 1.
    lineage: Vec<(u64, u64)>,
    /// The lowest first offset from each index of `lineage` on. Equal to `lineage` there unless something was lost.
    lowest: Vec<u64>,
    /// Whether nothing was lost, so that first offsets rise with their epochs and can be searched by halves.
    rising: bool,
    /// Whether a node told the lineage, rather than acks and resets having to show it.
    told: bool,
    pub(crate) finals: Vec<FinalLog>,
    /// When a fault struck that the room's level does not survive, ascending.
    pub(crate) faults: Vec<u64>,
}

impl RoomFacts {
    /// The position of an offset as seen in `epoch`, with the epoch in which its record was written.
    pub(crate) fn owner(&self, epoch: u64, offset: u64) -> Position {
        let known = &self.lineage[..self.lineage.partition_point(|(e, _)| *e <= epoch)];
        let owner = if self.rising {
            known[..known.partition_point(|(_, first)| *first <= offset)].last()
        } else {
            known.iter().rev().find(|(_, first)| *first <= offset)
        };
        Position { epoch: owner.map_or(epoch, |(e, _)| *e), offset }
    }

    /// The last offset of `epoch` that still holds in the lineage as of `later`.
    pub(crate) fn end(&self, epoch: u64, later: u64) -> u64 {
        let after = &self.lineage[self.lineage.partition_point(|(e, _)| *e <= epoch)..];
        let searched = if self.rising { &after[..after.len().min(1)] } else { after };
        let firsts = searched.iter().take_while(|(e, _)| *e <= later).map(|(_, first)| *first);
        firsts.min().map_or(u64::MAX, |first| first.saturating_sub(1))
    }

    /// Whether a position still holds at the end of the run.
    pub(crate) fn is_live(&self, position: Position) -> bool {
        let later = self.lineage.partition_point(|(e, _)| *e <= position.epoch);
        self.lowest.get(later).is_none_or(|first| position.offset < *first)
    }

    fn set_lineage(&mut self, epochs: BTreeMap<u64, u64>) {
        self.lineage = epochs.into_iter().collect();
        if let Some(oldest) = self.lineage.first_mut() {
            oldest.1 = 1;
        }
        self.rising = self.lineage.is_sorted_by_key(|(_, first)| *first);
        self.lowest = self.lineage.iter().map(|(_, first)| *first).collect();
        for i in (1..self.lowest.len()).rev() {
            self.lowest[i - 1] = self.lowest[i - 1].min(self.lowest[i]);
        }
    }

    /// Whether nodes that told their lineage know this epoch.
    pub(crate) fn knows(&self, epoch: u64) -> bool {
        !self.told || self.lineage.iter().any(|(e, _)| *e == epoch)
    }

    /// Whether the promise allows what was invoked at `invoked` to be lost.
    pub(crate) fn may_lose(&self, invoked: u64) -> bool {
        self.faults.last().is_some_and(|fault| *fault >= invoked)
    }

    /// The lowest floor of the final logs.
    pub(crate) fn floor_final(&self) -> Option<u64> {
        self.finals.iter().filter_map(|log| Some(log.answer?.floor)).min()
    }

    /// The highest head of the final logs.
    pub(crate) fn head_final(&self) -> Option<u64> {
        self.finals.iter().filter_map(|log| Some(log.answer?.head)).max()
    }
}

pub(crate) struct Facts {
    rooms: FastMap<Room, RoomFacts>,
    nothing: RoomFacts,
}

impl Facts {
    pub(crate) fn gather(history: &History, promise: &Promise, found: &mut Findings) -> Self {
        let mut facts = Self { rooms: FastMap::default(), nothing: RoomFacts::default() };
        facts.gather_rooms(history);
        facts.gather_faults(history, promise);
        facts.gather_lineage(history, found);
        let unread = facts.rooms.values().filter(|room| room.finals.is_empty()).count();
        if unread > 0 {
            found.note(format!(
                "{unread} rooms have no final log: durability, density and single appearance are judged by what was seen"
            ));
        }
        facts
    }

    pub(crate) fn room(&self, room: Room) -> &RoomFacts {
        self.rooms.get(&room).unwrap_or(&self.nothing)
    }

    fn gather_rooms(&mut self, history: &History) {
        for publish in &history.publishes {
            self.rooms.entry(publish.room).or_default();
        }
        for session in &history.sessions {
            let room = self.rooms.entry(session.room).or_default();
            if session.kind == Kind::FinalLog {
                room.finals.push(FinalLog { node: session.node, answer: session.joined });
            }
        }
    }

    fn gather_faults(&mut self, history: &History, promise: &Promise) {
        for (id, room) in &mut self.rooms {
            let level = promise.level_of(&history.names.room(*id));
            let struck = history.faults.iter().filter(|fault| !level.survives(fault.kind));
            room.faults = struck.map(|fault| fault.time).collect();
            room.faults.sort_unstable();
        }
    }

    fn gather_lineage(&mut self, history: &History, found: &mut Findings) {
        let mut told: FastMap<Room, BTreeMap<u64, u64>> = FastMap::default();
        for line in &history.lineages {
            let first = *told.entry(line.room).or_default().entry(line.epoch).or_insert(line.first);
            if first != line.first {
                found.add(Invariant::I12, line.room, line.first, Who::Node(line.node), || {
                    format!("epoch {} begins at {} here and at {first} elsewhere", line.epoch, line.first)
                });
            }
        }
        let shown = shown_lineage(history);
        for (id, room) in &mut self.rooms {
            let mut epochs = shown.get(id).cloned().unwrap_or_default();
            if let Some(told) = told.get(id) {
                room.told = true;
                epochs.extend(told.iter().map(|(epoch, first)| (*epoch, *first)));
            } else if epochs.len() > 1 {
                found.note("where no node told a room's lineage, it is taken from acks and resets".to_owned());
            }
            room.set_lineage(epochs);
        }
    }
}

/// Lineages as acks and resets show them: an epoch begins at its lowest new record, or behind what a reset calls valid.
fn shown_lineage(history: &History) -> FastMap<Room, BTreeMap<u64, u64>> {
    let mut shown: FastMap<Room, BTreeMap<u64, u64>> = FastMap::default();
    let mut show = |room: Room, epoch: u64, first: u64| {
        let lowest = shown.entry(room).or_default().entry(epoch).or_insert(first);
        *lowest = first.min(*lowest);
    };
    for publish in &history.publishes {
        if let Outcome::Acked { epoch, offset, duplicate: false } = publish.outcome {
            show(publish.room, epoch, offset);
        }
    }
    let rooms: FastMap<_, _> = history.sessions.iter().map(|session| (session.session, session.room)).collect();
    for item in &history.items {
        if let Seen::Reset { epoch, valid_to } = item.seen
            && valid_to > 0
            && let Some(room) = rooms.get(&item.session)
        {
            show(*room, epoch, valid_to.saturating_add(1));
        }
    }
    shown
}
