//! What is true in a room for a moment: who is typing, where cursors are. Never in the log.
//!
//! Holds the newest value of each (session, slot), encoded once. Readers walk it with a position of their own, as they
//! walk the tail; who is slow misses what was replaced meanwhile and sees what counts.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic_wire::ephemeral::Ephemeral;

use crate::config::limits;

/// A value that was said in a room.
#[derive(Debug, PartialEq)]
pub struct Said {
    /// What, and by whom.
    pub ephemeral: Ephemeral,
    /// The same as a datagram.
    pub datagram: Bytes,
}

/// The newest values, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ephemerals {
    values: VecDeque<Value>,
    /// How many have been said.
    said: u64,
}

#[derive(Debug)]
struct Value {
    number: u64,
    at: Instant,
    said: Arc<Said>,
}

impl Ephemerals {
    /// Takes a value; `false` if it is not newer than the one that is held for its sender and slot, or too long for a
    /// datagram. Past the limit the oldest value makes room.
    pub(super) fn say(&mut self, ephemeral: Ephemeral, at: Instant) -> bool {
        let Some(datagram) = ephemeral.to_datagram() else { return false };
        let of = |value: &Value| (value.said.ephemeral.sender, value.said.ephemeral.slot);
        if let Some(held) = self.values.iter().position(|value| of(value) == (ephemeral.sender, ephemeral.slot)) {
            if self.values[held].said.ephemeral.stamp >= ephemeral.stamp {
                return false;
            }
            self.values.remove(held);
        }
        if self.values.len() >= limits::EPHEMERALS_MAX {
            self.values.pop_front();
        }
        self.said += 1;
        self.values.push_back(Value { number: self.said, at, said: Arc::new(Said { ephemeral, datagram }) });
        true
    }

    /// How many have been said: where a reader begins that only wants what comes.
    pub(super) fn said(&self) -> u64 {
        self.said
    }

    /// The values behind the first `heard`.
    pub(super) fn since(&self, heard: u64) -> Vec<Arc<Said>> {
        if heard >= self.said {
            return Vec::new();
        }
        let new = self.values.partition_point(|value| value.number <= heard);
        self.values.range(new..).map(|value| value.said.clone()).collect()
    }

    /// Lets go of values that are older than `age_max`.
    pub(super) fn forget(&mut self, now: Instant, age_max: Duration) {
        self.values.retain(|value| now.saturating_duration_since(value.at) < age_max);
        if self.values.is_empty() {
            self.values = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use loquic_wire::SessionId;
    use proptest::prelude::*;

    use super::*;

    fn value(sender: u8, slot: u8, stamp: u64) -> Ephemeral {
        Ephemeral { handle: 1, sender: SessionId([sender; 16]), slot, stamp, payload: vec![b'x'; 3].into() }
    }

    #[test]
    fn the_oldest_makes_room_and_old_ones_are_forgotten() {
        let (mut all, now) = (Ephemerals::default(), Instant::now());
        for number in 0..=limits::EPHEMERALS_MAX {
            assert!(all.say(value(number as u8, 0, 1), now));
        }
        let held = all.since(0);
        assert_eq!(held.len(), limits::EPHEMERALS_MAX);
        assert_eq!(held[0].ephemeral, value(1, 0, 1));
        assert!(all.say(value(0, 1, 1), now + Duration::from_secs(1)));
        all.forget(now + Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(all.since(0).iter().map(|said| said.ephemeral.clone()).collect::<Vec<_>>(), [value(0, 1, 1)]);
    }

    #[test]
    fn what_fits_no_datagram_is_not_taken() {
        let long = Ephemeral { payload: vec![0; loquic_wire::limits::DATAGRAM_BYTES_MAX].into(), ..value(1, 1, 1) };
        assert!(!Ephemerals::default().say(long, Instant::now()));
    }

    proptest! {
        /// However often a reader looks, at the end it knows the newest value of everybody, as one that applies the
        /// rule itself.
        #[test]
        fn a_reader_ends_with_the_newest_values(
            steps in prop::collection::vec((0u8..4, 0u8..2, 0u64..20, any::<bool>()), 0..60),
        ) {
            let (mut all, now, mut heard) = (Ephemerals::default(), Instant::now(), 0);
            let (mut known, mut model) = (BTreeMap::new(), BTreeMap::<_, u64>::new());
            let listen = |all: &Ephemerals, known: &mut BTreeMap<_, u64>, heard: &mut u64| {
                for said in all.since(*heard) {
                    let of = (said.ephemeral.sender.0[0], said.ephemeral.slot);
                    let before = known.insert(of, said.ephemeral.stamp);
                    assert!(before.is_none_or(|before| before < said.ephemeral.stamp), "nothing comes twice");
                }
                *heard = all.said();
            };
            for (sender, slot, stamp, look) in steps {
                let newer = model.get(&(sender, slot)).is_none_or(|held| *held < stamp);
                prop_assert_eq!(all.say(value(sender, slot, stamp), now), newer);
                if newer {
                    model.insert((sender, slot), stamp);
                }
                if look {
                    listen(&all, &mut known, &mut heard);
                }
            }
            listen(&all, &mut known, &mut heard);
            prop_assert_eq!(known, model);
        }
    }
}
