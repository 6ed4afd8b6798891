//! Goal: the store on disk and its twin in memory do the same, so that what the models prove over memory holds on disk;
//! what was written is there after a reopen and for a reader that changes nothing.
//!
//! Method: random batches, scans both ways, drops and reopens on both, compared after each step. Memory alone is
//! compared with a plain sorted map in more cases, with power losses and failures.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::log::{Batch, Memory, Next, Rocks, RocksOptions, Space, Store, StoreError, rows::Class};

#[derive(Debug, Clone)]
enum Change {
    Put(Space, Vec<u8>, Vec<u8>),
    Delete(Space, Vec<u8>),
    DeleteRange(Space, Vec<u8>, Vec<u8>),
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>),
    Scan { space: Space, from: Vec<u8>, until: Vec<u8>, limit: usize },
    Drop(Space),
    Reopen,
    Flush,
}

fn space() -> impl Strategy<Value = Space> {
    let window = (0..3u64).prop_map(|window| Space::Window(Class::Hour, window));
    prop_oneof![2 => Just(Space::Meta), 2 => Just(Space::Keep), 3 => window]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff)], 1..4)
}

fn change() -> impl Strategy<Value = Change> {
    let value = prop::collection::vec(any::<u8>(), 0..8);
    prop_oneof![
        6 => (space(), key(), value).prop_map(|(space, key, value)| Change::Put(space, key, value)),
        2 => (space(), key()).prop_map(|(space, key)| Change::Delete(space, key)),
        1 => (space(), key(), key()).prop_map(|(space, a, b)| Change::DeleteRange(space, a.clone().min(b.clone()), a.max(b))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(change(), 0..6).prop_map(Step::Write),
        6 => (space(), key(), key(), 1..6usize)
            .prop_map(|(space, from, until, limit)| Step::Scan { space, from, until, limit }),
        1 => (0..3u64).prop_map(|window| Step::Drop(Space::Window(Class::Hour, window))),
        1 => Just(Step::Reopen),
        1 => Just(Step::Flush),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for change in changes.iter().cloned() {
        match change {
            Change::Put(space, key, value) => batch.put(space, key, value),
            Change::Delete(space, key) => batch.delete(space, key),
            Change::DeleteRange(space, from, until) => batch.delete_range(space, from, until),
        }
    }
    batch
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn scan(store: &dyn Store, space: Space, from: &[u8], until: &[u8], limit: usize) -> (Entries, Entries) {
    let take = |entries: &mut Entries, key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        if entries.len() < limit { Next::Continue } else { Next::Stop }
    };
    let (mut up, mut down) = (Entries::new(), Entries::new());
    store.scan(space, from, until, &mut |key, value| take(&mut up, key, value)).unwrap();
    store.scan_back(space, from, until, &mut |key, value| take(&mut down, key, value)).unwrap();
    (up, down)
}

fn everything(store: &dyn Store) -> BTreeMap<Space, Entries> {
    let windows = (0..3).map(|window| Space::Window(Class::Hour, window));
    let spaces = [Space::Meta, Space::Keep].into_iter().chain(windows);
    spaces.map(|space| (space, scan(store, space, &[], &[0xff; 8], usize::MAX).0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn memory_and_rocks_agree(steps in prop::collection::vec(step(), 1..40)) {
        let temp = tempfile::tempdir().unwrap();
        let options =
            RocksOptions { cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, write_buffers_bytes_max: 4 << 20 };
        let rocks = Rocks::open(temp.path(), options).unwrap();
        let memory = Memory::default();
        for step in steps {
            match step {
                Step::Write(changes) => {
                    let batch = batch(&changes);
                    rocks.write(&batch).unwrap();
                    memory.write(&batch).unwrap();
                    rocks.sync().unwrap();
                }
                Step::Scan { space, from, until, limit } => {
                    let expected = scan(&memory, space, &from, &until, limit);
                    prop_assert_eq!(scan(&rocks, space, &from, &until, limit), expected);
                    prop_assert_eq!(rocks.get(space, &from).unwrap(), memory.get(space, &from).unwrap());
                }
                Step::Drop(space) => {
                    if rocks.spaces().contains(&space) {
                        rocks.drop_space(space).unwrap();
                    }
                    memory.drop_space(space).unwrap();
                }
                Step::Reopen => rocks.reopen().unwrap(),
                Step::Flush => rocks.flush().unwrap(),
            }
            let always = BTreeSet::from([Space::Meta, Space::Keep]);
            let spaces: BTreeSet<Space> = memory.spaces().into_iter().chain(always).collect();
            prop_assert_eq!(rocks.spaces().into_iter().collect::<BTreeSet<_>>(), spaces);
            prop_assert_eq!(everything(&rocks), everything(&memory));
        }
        drop(rocks);
        let reader = Rocks::open_read_only(temp.path()).unwrap();
        prop_assert_eq!(everything(&reader), everything(&memory));
        let mut change = Batch::default();
        change.put(Space::Keep, vec![1], vec![1]);
        prop_assert!(reader.write(&change).is_err(), "a reader changes nothing");
        drop(reader);
        prop_assert_eq!(everything(&Rocks::open(temp.path(), options).unwrap()), everything(&memory));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn memory_is_a_sorted_map_that_a_power_loss_takes_back_to_its_last_sync(
        steps in prop::collection::vec((step(), any::<bool>(), prop::bool::weighted(0.1)), 1..20),
    ) {
        let mut memory = Memory::default();
        let mut map: BTreeMap<(Space, Vec<u8>), Vec<u8>> = BTreeMap::new();
        let mut synced = map.clone();
        for (step, sync, fails) in steps {
            match step {
                Step::Write(changes) if fails => {
                    memory.fail_next_write(StoreError::Failed("test".into()));
                    prop_assert!(memory.write(&batch(&changes)).is_err(), "and nothing is written");
                }
                Step::Write(changes) => {
                    memory.write(&batch(&changes)).unwrap();
                    for change in changes {
                        match change {
                            Change::Put(space, key, value) => drop(map.insert((space, key), value)),
                            Change::Delete(space, key) => drop(map.remove(&(space, key))),
                            Change::DeleteRange(space, from, until) => {
                                map.retain(|(at, key), _| *at != space || *key < from || *key >= until);
                            }
                        }
                    }
                    if sync {
                        memory.sync().unwrap();
                        synced = map.clone();
                    }
                }
                Step::Scan { space, from, until, limit } => {
                    let (up, down) = scan(&memory, space, &from, &until, limit);
                    let held = map.iter().filter(|((at, key), _)| *at == space && *key >= from && *key < until);
                    let entries: Entries = held.map(|((_, key), value)| (key.clone(), value.clone())).collect();
                    prop_assert_eq!(&up, &entries.iter().take(limit).cloned().collect::<Entries>());
                    prop_assert_eq!(&down, &entries.iter().rev().take(limit).cloned().collect::<Entries>());
                }
                Step::Drop(space) => {
                    memory.drop_space(space).unwrap();
                    map.retain(|(at, _), _| *at != space);
                }
                Step::Reopen => {
                    memory = memory.after_power_loss();
                    map = synced.clone();
                }
                Step::Flush => {
                    memory.flush().unwrap();
                    synced = map.clone();
                }
            }
        }
        let all: usize = everything(&memory).values().map(Vec::len).sum();
        prop_assert_eq!(all, map.len());
    }
}
