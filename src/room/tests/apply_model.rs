//! Goal: `apply` does what its words say for every sequence of batches: dense offsets, one outcome for each publish,
//! chunks and dedupe rows that say the same, an ascending lineage, and the same bytes each time.
//!
//! Method: a naive model (a list of records per room, a map of producers) takes the same random operations one publish
//! at a time; after each batch everything in the delta is compared with it. That a dropped delta leaves the state alone
//! needs no test: `apply` has it by shared reference.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use loquic_wire::{Code, Epoch, Flags, Format, Kind, Offset, ProducerId, Record, Time, publish::Publish};
use proptest::prelude::*;

use super::super::{
    apply::{Delta, Outcome, Partition, apply},
    targets,
};
use super::{key, node::twin};
use crate::{
    config::limits,
    journal::{Batch, Item, Op, RoomKey},
    log::{
        self, Chunk, Memory, Space, Store, keys, reading,
        rows::{self, Class, Level, Policy, ProducerKey, Stretch},
    },
};

const ROOMS: [&str; 3] = ["a", "b", "c:d"];
const DAY: u64 = 24 * 60 * 60 * 1000;

/// What is generated; ids are chosen relative to what the model expects, so that most of them are of interest.
#[derive(Debug, Clone)]
enum Step {
    Append { room: usize, producer: u8, starts_at: Option<u64>, items: Vec<StepItem> },
    Base { at_least: u64 },
    Create { room: usize, policy: Policy },
    Policy { room: usize, policy: Policy },
    Tick { rooms: Vec<usize> },
}

#[derive(Debug, Clone)]
enum StepItem {
    Next { bytes: usize, refers: Option<u64> },
    Delete { refers: u64, moderates: bool },
    Gap(u64),
    Duplicate(u64),
    Any(u64),
    Refused,
}

fn item() -> impl Strategy<Value = StepItem> {
    let refers = prop_oneof![3 => Just(None), 1 => (0..40u64).prop_map(Some)];
    prop_oneof![
        12 => (prop_oneof![150 => 0..40usize, 1 => 20_000..70_000usize], refers)
            .prop_map(|(bytes, refers)| StepItem::Next { bytes, refers }),
        4 => (1..40u64, prop::bool::weighted(0.2)).prop_map(|(refers, moderates)| StepItem::Delete { refers, moderates }),
        1 => (1..5u64).prop_map(StepItem::Gap),
        2 => (0..6u64).prop_map(StepItem::Duplicate),
        1 => (1..12u64).prop_map(StepItem::Any),
        1 => Just(StepItem::Refused),
    ]
}

pub(super) fn policy() -> impl Strategy<Value = Policy> + Clone {
    let class =
        prop_oneof![4 => Just(Class::Keep), 1 => Just(Class::Hour), 1 => Just(Class::Day), 1 => Just(Class::Month)];
    let age = prop_oneof![2 => Just(None), 1 => (1..5_000_000u64).prop_map(Some), 1 => (1..2_000u64).prop_map(Some)];
    let count = prop_oneof![2 => Just(None), 1 => (0..40u64).prop_map(Some)];
    let bytes = prop_oneof![2 => Just(None), 1 => (0..4_000u64).prop_map(Some)];
    (class, age, count, bytes).prop_map(|(class, age_ms, count, bytes)| Policy {
        level: Level::Disk,
        class,
        age_ms,
        count,
        bytes,
    })
}

fn step(policy: impl Strategy<Value = Policy> + Clone) -> impl Strategy<Value = Step> {
    let starts_at = prop_oneof![4 => Just(None), 1 => (1..9u64).prop_map(Some)];
    prop_oneof![
        12 => (0..3usize, 0..4u8, starts_at, prop::collection::vec(item(), 0..6)).prop_map(
            |(room, producer, starts_at, items)| Step::Append { room, producer, starts_at, items }
        ),
        1 => (0..50u64).prop_map(|at_least| Step::Base { at_least }),
        1 => (0..3usize, policy.clone()).prop_map(|(room, policy)| Step::Create { room, policy }),
        1 => (0..3usize, policy).prop_map(|(room, policy)| Step::Policy { room, policy }),
        1 => prop::collection::vec(0..3usize, 0..3).prop_map(|rooms| Step::Tick { rooms }),
    ]
}

/// Three producers are ann's, the last one is bob's.
fn who(by: u8) -> ProducerKey {
    let key = twin(by);
    if by == 3 { ProducerKey { user: "bob".parse().unwrap(), ..key } } else { key }
}

/// What applying needs around it: the chunks that were stored.
#[derive(Default)]
struct Log {
    state: Partition,
    store: Memory,
}

impl Log {
    fn apply(&mut self, batch: &Batch) -> Delta {
        targets::bring(&self.store, &mut self.state, &batch.ops);
        apply(&self.state, batch)
    }

    fn install(&mut self, delta: &Delta) {
        let mut batch = log::Batch::default();
        for room in &delta.rooms {
            let fresh = room.chunks.iter().map(|new| (&new.space, &new.chunk));
            let rewritten = room.rewritten.iter().map(|(space, chunk)| (space, chunk));
            for (space, chunk) in fresh.chain(rewritten) {
                batch.put(*space, keys::chunk(room.row.id(room.slot), chunk.last()), chunk.encode().0);
            }
        }
        self.store.write(&batch).unwrap();
        targets::drop(&mut self.state, delta);
        self.state.install(delta);
    }

    /// Everything that is held, as it is stored.
    fn records(&self) -> Vec<(RoomKey, Record)> {
        let mut records = Vec::new();
        for (key, room) in &self.state.rooms {
            let Some(row) = &room.row else { continue };
            let mut next = row.floor;
            while next <= row.head {
                let record = reading::record_at(&self.store, row.id(key.slot()), row, next).unwrap();
                records.push((key.clone(), record.expect("it is held")));
                next = next.next();
            }
        }
        records.sort_by(|a, b| (&a.0, a.1.offset).cmp(&(&b.0, b.1.offset)));
        records
    }

    /// The segments count the bytes that are stored.
    fn check_bytes(&self) {
        for (key, room) in &self.state.rooms {
            let Some(row) = &room.row else { continue };
            let counted: u64 = row.segments.iter().map(|segment| segment.bytes).sum();
            let mut next = row.segments.first().map_or(row.head.next(), |segment| segment.first);
            let mut stored = 0;
            while next <= row.head {
                let space = row.space_of(next).unwrap();
                let chunk = reading::chunk_at(&self.store, row.id(key.slot()), space, next).unwrap().unwrap();
                stored += chunk.frames.len() as u64;
                next = chunk.last().next();
            }
            assert_eq!(counted, stored);
        }
    }
}

#[derive(Default)]
struct Model {
    time: Time,
    epochs: Vec<u64>,
    rooms: [Option<ModelRoom>; 3],
}

struct ModelRoom {
    policy: Policy,
    records: Vec<Kept>,
    lineage: Vec<Stretch>,
    /// The last id, its offset and time.
    producers: BTreeMap<u8, (u64, Offset, Time)>,
    pins: BTreeMap<u8, u64>,
}

struct Kept {
    record: Record,
    by: u8,
    epoch: u64,
    space: Space,
}

/// What becomes of one publish.
#[derive(Debug, PartialEq)]
enum Fate {
    At(u64, Offset),
    Known(u64),
    Refused(u64, Code, u64),
}

impl Model {
    /// Takes one step; gives the operation for `apply` and what must become of it.
    fn take(&mut self, step: &Step, floors: &[Offset; 3]) -> (Op, Vec<Fate>, Option<u64>) {
        let none = |op| (op, Vec::new(), None);
        match step {
            Step::Base { at_least } => {
                let last = self.epochs.last().copied().unwrap_or(0);
                self.epochs.push((last + 1).max(*at_least));
                none(Op::Base { epoch: Epoch::saturating(*at_least) })
            }
            Step::Create { room, policy } => {
                self.rooms[*room].get_or_insert_with(|| ModelRoom::new(*policy));
                none(Op::RoomCreate { room: key(ROOMS[*room]), policy: *policy })
            }
            Step::Policy { room, policy } => {
                if let Some(room) = &mut self.rooms[*room] {
                    room.policy = *policy;
                }
                none(Op::RoomPolicy { room: key(ROOMS[*room]), policy: *policy })
            }
            Step::Tick { rooms } => none(Op::Tick { rooms: rooms.iter().map(|room| key(ROOMS[*room])).collect() }),
            Step::Append { room, producer, starts_at, items } => {
                let (time, epoch) = (self.time, self.epochs.last().copied().unwrap_or(0));
                let model = self.rooms[*room].as_mut().unwrap();
                let (items, fates, expected) = model.append(*producer, *starts_at, items, time, epoch, floors[*room]);
                let (room, producer) = (key(ROOMS[*room]), Arc::new(who(*producer)));
                (Op::Append { room, producer, starts_at: *starts_at, items }, fates, expected)
            }
        }
    }
}

impl ModelRoom {
    fn new(policy: Policy) -> Self {
        Self { policy, records: Vec::new(), lineage: Vec::new(), producers: BTreeMap::new(), pins: BTreeMap::new() }
    }

    fn head(&self) -> Offset {
        Offset::saturating(self.records.len() as u64)
    }

    fn append(
        &mut self,
        by: u8,
        starts_at: Option<u64>,
        steps: &[StepItem],
        time: Time,
        epoch: u64,
        floor: Offset,
    ) -> (Vec<Item>, Vec<Fate>, Option<u64>) {
        let forgotten = |(_, offset, at): &(u64, Offset, Time)| *offset < floor && time.get() - at.get() >= DAY;
        if self.producers.get(&by).is_some_and(forgotten) {
            self.producers.remove(&by);
        }
        let mut pinned = self.pins.get(&by).copied().or(starts_at);
        let (mut items, mut fates) = (Vec::new(), Vec::new());
        for step in steps {
            let last = self.producers.get(&by).map(|(last, ..)| *last);
            let expected = last.map(|last| last + 1).or(pinned);
            let next = expected.unwrap_or(7);
            let (id, bytes, refers) = match step {
                StepItem::Next { bytes, refers } => (next, *bytes, *refers),
                StepItem::Delete { refers, .. } => (next, 0, Some(*refers)),
                StepItem::Gap(gap) => (next + gap, 1, None),
                StepItem::Duplicate(back) => (next.saturating_sub(1 + back).max(1), 1, None),
                StepItem::Any(id) => (*id, 1, None),
                StepItem::Refused => (next, 0, None),
            };
            let refers = refers.map(|offset| Offset::saturating(offset.max(1)));
            let refused = |code| Fate::Refused(id, code, expected.unwrap_or(id));
            let deletes = if let StepItem::Delete { moderates, .. } = step { Some(*moderates) } else { None };
            let publish = Publish {
                id,
                kind: if deletes.is_some() { Kind::DELETE } else { Kind::MESSAGE },
                format: Format::Bytes,
                flags: Flags::NONE,
                refers,
                payload: Bytes::from(vec![by; bytes]),
            };
            let fate = if matches!(step, StepItem::Refused) {
                items.push(Item::Refused { id, code: Code::PAYLOAD_TOO_LARGE });
                refused(Code::PAYLOAD_TOO_LARGE)
            } else {
                items.push(match deletes {
                    Some(moderates) => Item::Delete { publish: publish.clone(), moderates },
                    None => Item::Publish(publish.clone()),
                });
                if last.is_some_and(|last| id <= last) {
                    Fate::Known(id)
                } else if expected.is_some_and(|expected| id != expected) {
                    refused(Code::ID_GAP)
                } else if refers.is_some_and(|refers| refers > self.head()) {
                    refused(Code::BAD_RECORD)
                } else if let Some(code) =
                    deletes.and_then(|moderates| self.delete(by, refers, moderates, time, floor).err())
                {
                    refused(code)
                } else {
                    self.keep(by, &publish, time, epoch);
                    Fate::At(id, self.head())
                }
            };
            if !self.producers.contains_key(&by) {
                pinned = Some(expected.unwrap_or(id));
            }
            fates.push(fate);
        }
        let expected = self.producers.get(&by).map(|(last, ..)| last + 1).or(pinned);
        if let (false, Some(id)) = (self.producers.contains_key(&by), pinned) {
            self.pins.insert(by, id);
        }
        (items, fates, expected)
    }

    fn delete(
        &mut self,
        by: u8,
        refers: Option<Offset>,
        moderates: bool,
        time: Time,
        floor: Offset,
    ) -> Result<(), Code> {
        let target = refers.filter(|offset| *offset >= floor).ok_or(Code::BAD_RECORD)?;
        let kept = &mut self.records[target.get() as usize - 1];
        if kept.space.is_over(time) || kept.record.kind == Kind::DELETE {
            return Err(Code::BAD_RECORD);
        }
        if kept.record.sender != who(by).user && !moderates {
            return Err(Code::FORBIDDEN);
        }
        kept.record.flags = Flags::REDACTED;
        kept.record.payload = Bytes::new();
        Ok(())
    }

    fn keep(&mut self, by: u8, publish: &Publish, time: Time, epoch: u64) {
        let offset = self.head().next();
        let key = who(by);
        let record = Record {
            offset,
            time,
            kind: publish.kind,
            format: publish.format,
            flags: publish.flags,
            sender: key.user.clone(),
            producer: key.producer.tag(),
            id: publish.id,
            refers: publish.refers,
            payload: publish.payload.clone(),
        };
        if self.records.last().is_none_or(|last| last.epoch != epoch) {
            self.lineage.push(Stretch { epoch: Epoch::saturating(epoch), first: offset });
        }
        self.records.push(Kept { record, by, epoch, space: self.policy.class.space(time) });
        self.producers.insert(by, (publish.id, offset, time));
    }
}

fn fates(outcomes: &[Outcome]) -> Vec<Fate> {
    let mut fates = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Appended(run) => {
                fates.extend((0..u64::from(run.count)).map(|index| Fate::At(run.id + index, run.offset.plus(index))))
            }
            Outcome::Known(publish) => fates.push(Fate::Known(publish.id)),
            Outcome::Refused { id, code, expected } => fates.push(Fate::Refused(*id, *code, *expected)),
        }
    }
    fates
}

fn floors(state: &Partition) -> [Offset; 3] {
    ROOMS.map(|room| {
        let row = state.rooms.get(&key(room)).and_then(|room| room.row.as_ref());
        row.map_or(Offset::FIRST, |row| row.floor)
    })
}

/// Compares what a batch changed in the rooms with the model.
fn check_rooms(delta: &Delta, model: &Model, before: &Partition) {
    for change in &delta.rooms {
        let index = ROOMS.iter().position(|room| key(room) == change.key).unwrap();
        let room = model.rooms[index].as_ref().unwrap();
        change.row.assert_invariants();
        assert_eq!(change.row.head, room.head());
        assert_eq!(change.row.policy, room.policy);
        assert_eq!(change.row.lineage, room.lineage);
        assert_eq!(rows::decode::<rows::RoomRow>(rows::encode(&change.row)).unwrap(), change.row);
        let old = before.rooms.get(&change.key).and_then(|room| room.row.as_ref());
        let mut next = old.map_or(Offset::FIRST, |row| row.head.next());
        assert!(old.is_none_or(|row| row.floor <= change.row.floor));
        for new in &change.chunks {
            let (bytes, frames) = new.chunk.encode();
            assert_eq!(Chunk::decode(bytes).unwrap(), new.chunk);
            assert_eq!(frames, new.chunk.frames);
            assert_eq!(new.chunk.first, next, "chunks are dense");
            let kept = &room.records[next.get() as usize - 1..][..new.chunk.count as usize];
            next = new.chunk.last().next();
            assert_eq!(new.chunk.records().unwrap(), kept.iter().map(|kept| kept.record.clone()).collect::<Vec<_>>());
            assert!(kept.iter().all(|kept| kept.epoch == new.chunk.epoch.get() && kept.space == new.space));
            assert!(new.chunk.frames.len() <= limits::CHUNK_BYTES_MAX || new.chunk.count == 1);
            let mut ids: BTreeMap<u8, Vec<(u64, Offset)>> = BTreeMap::new();
            kept.iter().for_each(|kept| ids.entry(kept.by).or_default().push((kept.record.id, kept.record.offset)));
            assert_eq!((new.dedupe.len(), new.chunk.producers.len()), (ids.len(), ids.len()));
            for (by, ids) in ids {
                let producer = who(by);
                let (_, row) = new.dedupe.iter().find(|(key, _)| **key == producer).unwrap();
                let runs = row.runs.iter();
                let mapped = runs.flat_map(|run| (0..u64::from(run.count)).map(|i| (run.id + i, run.offset.plus(i))));
                assert_eq!(mapped.collect::<Vec<_>>(), ids);
                let (last, _) = ids[ids.len() - 1];
                assert!(new.chunk.producers.iter().any(|entry| entry.key == producer && entry.last_id == last));
            }
        }
        assert_eq!(next, change.row.head.next(), "every record is in a chunk");
        for (producer, row) in &change.producers {
            let by = (0..4).find(|by| who(*by) == **producer).unwrap();
            assert_eq!(room.producers.get(&by), Some(&(row.last_id, row.offset, row.time)));
        }
    }
}

/// Rooms are created before anybody appends to them, as the journal does it.
fn with_rooms(steps: &[Step], model: &Model, policy: Policy) -> Vec<Step> {
    let mut known = [0, 1, 2].map(|room| model.rooms[room].is_some());
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Append { room, .. } if !std::mem::replace(&mut known[*room], true) => {
                all.push(Step::Create { room: *room, policy });
            }
            Step::Create { room, .. } => known[*room] = true,
            _ => {}
        }
        all.push(step.clone());
    }
    all
}

fn time_step() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..20i64, 2 => -50..0i64, 2 => 0..2_000_000i64, 1 => 0..(3 * DAY as i64)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn apply_does_what_the_model_does(
        policy in policy(),
        batches in prop::collection::vec((time_step(), prop::collection::vec(step(policy()), 0..8)), 1..8),
    ) {
        let mut model = Model::default();
        let mut log = Log::default();
        let mut clock = 1_700_000_000_000i64;
        for (passed, steps) in batches {
            clock += passed;
            model.time = model.time.max(Time::saturating(clock as u64));
            let floors = floors(&log.state);
            let taken: Vec<_> =
                with_rooms(&steps, &model, policy).iter().map(|step| model.take(step, &floors)).collect();
            model.rooms.iter_mut().flatten().for_each(|room| room.pins.clear());
            let ops = taken.iter().map(|(op, ..)| op.clone()).collect();
            let batch = Batch { time: Time::saturating(clock as u64), ops };
            let delta = log.apply(&batch);
            prop_assert_eq!(delta.outcomes.len(), taken.len());
            for (outcomes, (op, expected_fates, expected)) in delta.outcomes.iter().zip(&taken) {
                assert_eq!(&fates(&outcomes.of), expected_fates, "{:?}", op);
                assert_eq!(outcomes.expected, *expected, "{op:?}");
            }
            prop_assert_eq!(delta.row.applied, log.state.row.applied + 1);
            prop_assert_eq!(delta.row.time, model.time);
            let epochs: Vec<u64> = delta.row.epochs.iter().map(|epoch| epoch.get()).collect();
            prop_assert_eq!(&epochs, &model.epochs);
            prop_assert!(epochs.is_sorted_by(|a, b| a < b));
            check_rooms(&delta, &model, &log.state);
            prop_assert!(bytes(&delta) == bytes(&apply(&log.state, &batch)), "the same bytes each time");
            log.install(&delta);
            for (key, record) in log.records() {
                let index = ROOMS.iter().position(|room| super::key(room) == key).unwrap();
                let kept = &model.rooms[index].as_ref().unwrap().records[record.offset.get() as usize - 1];
                prop_assert_eq!(&record, &kept.record);
            }
            log.check_bytes();
        }
    }

    /// One batch or one for each operation: the same records, producers, epochs and lineage. The next operation of a
    /// producer starts where the one before left it, which the journal sees to between batches. Without retention,
    /// because the floor moves between batches and not inside one.
    #[test]
    fn it_does_not_matter_how_operations_are_cut_into_batches(
        steps in prop::collection::vec(step(Just(Policy::default())), 0..16),
    ) {
        let mut model = Model { time: Time::saturating(1_700_000_000_000), ..Model::default() };
        let mut ops = Vec::new();
        for step in with_rooms(&steps, &model, Policy::default()) {
            ops.push(model.take(&step, &[Offset::FIRST; 3]).0);
        }
        let mut whole = Log::default();
        let delta = whole.apply(&Batch { time: model.time, ops: ops.clone() });
        whole.install(&delta);
        let mut pieces = Log::default();
        let mut left = BTreeMap::new();
        for mut op in ops {
            let by = match &mut op {
                Op::Append { room, producer, starts_at, .. } => {
                    let by = (room.clone(), producer.clone());
                    *starts_at = left.get(&by).copied().flatten().or(*starts_at);
                    Some(by)
                }
                _ => None,
            };
            let delta = pieces.apply(&Batch { time: model.time, ops: vec![op] });
            pieces.install(&delta);
            left.extend(by.map(|by| (by, delta.outcomes[0].expected)));
        }
        prop_assert_eq!(whole.records(), pieces.records());
        let (whole, pieces) = (whole.state, pieces.state);
        prop_assert_eq!(&whole.row.epochs, &pieces.row.epochs);
        for (key, room) in &whole.rooms {
            let piece = &pieces.rooms[key];
            prop_assert_eq!(&room.producers, &piece.producers);
            let (whole, piece) = (room.row.as_ref().unwrap(), piece.row.as_ref().unwrap());
            prop_assert_eq!(&whole.lineage, &piece.lineage);
            prop_assert_eq!((whole.number, whole.head, whole.floor), (piece.number, piece.head, piece.floor));
        }
    }
}

/// Everything in a delta that is stored or sent.
fn bytes(delta: &Delta) -> Vec<u8> {
    let mut out = rows::encode(&delta.row);
    for room in &delta.rooms {
        out.extend(rows::encode(&room.row));
        for (key, row) in &room.producers {
            out.extend([rows::encode(&**key), rows::encode(row)].concat());
        }
        for new in &room.chunks {
            out.extend_from_slice(&new.chunk.encode().0);
            new.dedupe.iter().for_each(|(key, row)| out.extend([rows::encode(&**key), rows::encode(row)].concat()));
        }
        room.rewritten.iter().for_each(|(_, chunk)| out.extend_from_slice(&chunk.encode().0));
    }
    out
}

fn tiny(id: u64) -> Item {
    Item::Publish(super::publish(id, ""))
}

fn created() -> Partition {
    let mut state = Partition::default();
    let ops =
        vec![Op::Base { epoch: Epoch::saturating(1) }, Op::RoomCreate { room: key("a"), policy: Policy::default() }];
    state.install(&apply(&state, &Batch { time: Time::saturating(1), ops }));
    state
}

/// Lists in rows and headers have a longest length; more producers or runs than that in one chunk could be written and
/// never be read again.
#[test]
fn a_chunk_never_has_more_producers_or_runs_than_can_be_read_again() {
    let append = |producer: Arc<ProducerKey>, id| Op::Append {
        room: key("a"),
        producer,
        starts_at: None,
        items: vec![tiny(id)],
    };
    let producer = |number: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        Arc::new(ProducerKey { user: "a".parse().unwrap(), producer: ProducerId(id) })
    };
    let many = (0..3_000).map(|number| append(producer(number), 1)).collect();
    let interleaved = (0..3_000).map(|step| append(producer(step % 2), 1 + u64::from(step / 2))).collect();
    for ops in [many, interleaved] {
        let delta = apply(&created(), &Batch { time: Time::saturating(1), ops });
        assert_eq!(delta.rooms[0].row.head.get(), 3_000);
        for new in &delta.rooms[0].chunks {
            assert_eq!(Chunk::decode(new.chunk.encode().0).unwrap(), new.chunk);
            for (_, row) in &new.dedupe {
                assert_eq!(&rows::decode::<rows::DedupeRow>(rows::encode(row)).unwrap(), row);
            }
        }
    }
}

/// A node that was killed some thousand times still reads its own rows.
#[test]
fn rows_can_be_read_after_any_number_of_unclean_starts() {
    let mut state = created();
    for start in 0..2_500 {
        let producer = Arc::new(who(1));
        let append = Op::Append { room: key("a"), producer, starts_at: None, items: vec![tiny(1 + start)] };
        let base = Op::Base { epoch: Epoch::ZERO };
        state.install(&apply(&state, &Batch { time: Time::saturating(1), ops: vec![base, append] }));
    }
    let row = rows::decode::<rows::PartitionRow>(rows::encode(&state.row)).unwrap();
    assert_eq!((row.epochs.len(), &row), (limits::EPOCHS_MAX, &state.row));
    let room = state.rooms[&key("a")].row.as_ref().unwrap();
    assert_eq!(&rows::decode::<rows::RoomRow>(rows::encode(room)).unwrap(), room);
    room.assert_invariants();
    assert_eq!(room.end_of(row.epochs[0]), room.lineage[1].first.previous(), "of the epochs that are known, all ends");
}
