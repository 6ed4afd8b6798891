//! The list of mutations, and what they share.

use crate::{
    history::{History, Item, Kind, Room, Seen, Session, SessionId},
    mutate::{Random, Shape, delivery, log, publish},
    report::Invariant,
};

/// One way of breaking a history.
#[derive(Debug, Clone, Copy)]
pub struct Mutation {
    /// What it does.
    pub name: &'static str,
    /// An invariant that must be flagged.
    pub expects: Invariant,
    ground: Ground,
    apply: fn(&mut History, &mut Random) -> bool,
}

/// The histories in which a mutation is certainly a violation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ground {
    /// Nothing lost, nothing trimmed.
    Whole,
    /// Nothing lost, floors move.
    Trimmed,
    /// Ends of logs are lost to power failures.
    Lossy,
}

impl Mutation {
    pub(super) const fn new(
        name: &'static str,
        expects: Invariant,
        ground: Ground,
        apply: fn(&mut History, &mut Random) -> bool,
    ) -> Self {
        Self { name, expects, ground, apply }
    }

    /// A random shape of history that this mutation is made for.
    pub fn shape(&self, random: &mut Random) -> Shape {
        let (losses, trims) = match self.ground {
            Ground::Whole => (false, false),
            Ground::Trimmed => (false, true),
            Ground::Lossy => (true, false),
        };
        Shape { losses, trims, final_logs: true, steps: random.range(150, 500), ..Shape::random(random) }
    }

    /// Breaks a history. `false` if it has nothing of the sort that this mutation breaks; it is then unchanged.
    pub fn apply(&self, history: &mut History, random: &mut Random) -> bool {
        (self.apply)(history, random)
    }
}

/// All mutations.
pub fn mutations() -> impl Iterator<Item = Mutation> {
    log::MUTATIONS.iter().chain(publish::MUTATIONS).chain(delivery::MUTATIONS).copied()
}

/// One of the indexes at which `wanted` holds.
pub(super) fn choose<T>(of: &[T], random: &mut Random, wanted: impl Fn(usize, &T) -> bool) -> Option<usize> {
    let found: Vec<usize> = (0..of.len()).filter(|i| wanted(*i, &of[*i])).collect();
    random.pick(&found)
}

pub(super) fn session(history: &History, id: SessionId) -> Option<&Session> {
    history.sessions.iter().find(|session| session.session == id)
}

pub(super) fn is_live(history: &History, item: &Item) -> bool {
    session(history, item.session).is_some_and(|s| matches!(s.kind, Kind::Live | Kind::Latest))
}

/// The neighbour of an item within its session.
pub(super) fn before(history: &History, i: usize) -> Option<usize> {
    (0..i).rev().find(|other| history.items[*other].session == history.items[i].session)
}

/// The next item of the same session.
pub(super) fn after(history: &History, i: usize) -> Option<usize> {
    (i + 1..history.items.len()).find(|other| history.items[*other].session == history.items[i].session)
}

pub(super) fn record(history: &History, i: Option<usize>) -> Option<(u64, u64)> {
    match history.items[i?].seen {
        Seen::Record { offset, hash } => Some((offset, hash)),
        _ => None,
    }
}

/// The ids of a room's final logs, one for each node.
pub(super) fn final_logs(history: &History, room: Room) -> Vec<SessionId> {
    let logs = history.sessions.iter().filter(|s| s.kind == Kind::FinalLog && s.room == room);
    logs.map(|session| session.session).collect()
}

/// What the first final log of a room holds.
pub(super) fn final_records(history: &History, room: Room) -> Vec<(u64, u64)> {
    let Some(log) = final_logs(history, room).first().copied() else { return Vec::new() };
    let items = (0..history.items.len()).filter(|i| history.items[*i].session == log);
    items.filter_map(|i| record(history, Some(i))).collect()
}

/// Puts a record at the end of every final log of a room, and returns its offset.
pub(super) fn append(history: &mut History, room: Room, hash: u64) -> u64 {
    let mut end = 0;
    for id in final_logs(history, room) {
        let time = history.items.iter().map(|item| item.time).max().unwrap_or(0) + 1;
        for session in history.sessions.iter_mut().filter(|session| session.session == id) {
            if let Some(joined) = &mut session.joined {
                joined.head += 1;
                end = joined.head;
            }
        }
        history.items.push(Item { session: id, time, seen: Seen::Record { offset: end, hash } });
    }
    end
}
