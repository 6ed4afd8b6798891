//! The floor only rises, as far as the promise lets it (I11), and retention gaps lie below it (I5, I11).

use crate::{
    check::{
        facts::{Facts, RoomFacts},
        findings::{Findings, Who},
    },
    hash::FastMap,
    history::{History, Node, Room, Session},
    promise::Retention,
    report::Invariant,
};

/// A node's word on a floor.
#[derive(Debug, Clone, Copy)]
struct Told {
    invoked: u64,
    returned: u64,
    floor: u64,
    head: Option<u64>,
}

pub(crate) struct Floors<'a> {
    facts: &'a Facts,
    /// By invocation.
    told: FastMap<(Room, Node), Vec<Told>>,
    /// The lowest floor told from each index on.
    lowest: FastMap<(Room, Node), Vec<u64>>,
}

impl<'a> Floors<'a> {
    pub(crate) fn gather(history: &History, facts: &'a Facts) -> Self {
        let mut told: FastMap<(Room, Node), Vec<Told>> = FastMap::default();
        for f in &history.floors {
            let word = Told { invoked: f.invoked, returned: f.returned, floor: f.floor, head: None };
            told.entry((f.room, f.node)).or_default().push(word);
        }
        for s in &history.sessions {
            if let Some(joined) = s.joined {
                let (floor, head) = (joined.floor, Some(joined.head));
                let word = Told { invoked: s.invoked, returned: s.returned, floor, head };
                told.entry((s.room, s.node)).or_default().push(word);
            }
        }
        let mut lowest = FastMap::default();
        for (key, words) in &mut told {
            words.sort_by_key(|word| word.invoked);
            let mut low: Vec<u64> = words.iter().map(|word| word.floor).collect();
            for i in (1..low.len()).rev() {
                low[i - 1] = low[i - 1].min(low[i]);
            }
            lowest.insert(*key, low);
        }
        Self { facts, told, lowest }
    }

    pub(crate) fn check(&self, found: &mut Findings) {
        for (&(room, node), words) in &self.told {
            check_rising(self.facts.room(room), room, node, words, found);
            for word in words {
                check_retention(room, node, *word, found);
            }
        }
    }

    /// Whether somebody told, when the gap was told or later, that a record in it was still held.
    pub(crate) fn belies(&self, session: &Session, to: u64, time: u64) -> Option<u64> {
        let facts = self.facts.room(session.room);
        // A loss may take back a floor that had moved; only a run without one can be held to it.
        if facts.faults.last().is_some_and(|fault| *fault >= time) {
            return None;
        }
        let key = (session.room, session.node);
        let later = self.told.get(&key).and_then(|words| {
            let next = words.partition_point(|word| word.invoked < time);
            self.lowest.get(&key)?.get(next).copied()
        });
        later.into_iter().chain(facts.floor_final()).min().filter(|floor| to >= *floor)
    }
}

/// Going through questions in order, no answer may be below one that had come before the question.
fn check_rising(facts: &RoomFacts, room: Room, node: Node, words: &[Told], found: &mut Findings) {
    let mut answers: Vec<(u64, u64)> = words.iter().map(|word| (word.returned, word.floor)).collect();
    answers.sort_unstable();
    let mut answers = answers.into_iter().peekable();
    let mut highest: Option<(u64, u64)> = None;
    for word in words {
        while let Some(answer) = answers.next_if(|(returned, _)| *returned < word.invoked) {
            highest = if highest.is_none_or(|(_, floor)| answer.1 >= floor) { Some(answer) } else { highest };
        }
        let Some((returned, floor)) = highest.filter(|(_, floor)| word.floor < *floor) else { continue };
        let loss = facts.faults.partition_point(|fault| *fault < returned);
        if facts.faults.get(loss).is_none_or(|fault| *fault > word.returned) {
            found.add(Invariant::I11, room, word.floor, Who::Node(node), || {
                format!("the floor went back from {floor} to {}", word.floor)
            });
        }
    }
}

fn check_retention(room: Room, node: Node, word: Told, found: &mut Findings) {
    let allowed = match found.promise.retention {
        Retention::KeepsAll => 1,
        Retention::KeepsLast(count) => match word.head {
            Some(head) => head.saturating_add(1).saturating_sub(count).max(1),
            None => return,
        },
        Retention::Trims => return,
    };
    if word.floor > allowed {
        found.add(Invariant::I11, room, word.floor, Who::Node(node), || {
            format!("the floor is {}, but {allowed} must still be held", word.floor)
        });
    }
}
