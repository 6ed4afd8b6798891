//! Applying: the pure, deterministic function from (state, batch) to a delta. The same on a node alone, on every holder
//! of a cluster and in a simulation: no clock, no I/O, no order that depends on a hash map, no configuration.
//!
//! The state is not touched. [`Partition::install`] takes a delta over once it is written; dropping it instead is all
//! that undoing takes.

mod redact;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use loquic_wire::{Code, Epoch, Offset, Record, Slot, Time, UserName, publish::Publish};

use super::{floor, forget};
use crate::{
    config::limits,
    journal::{Batch, Item, Op, RoomKey},
    log::{
        Chunk, Space,
        chunk::ChunkProducer,
        rows::{DedupeRow, PartitionRow, Policy, ProducerKey, ProducerRow, RoomRow, Run, Segment, Stretch},
    },
};

/// What is known of a partition. Rooms, producers, read marks and the chunks that deletes refer to are looked up here
/// only, so whoever applies a batch has brought those that it names into memory before.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    /// Its own row.
    pub row: PartitionRow,
    /// The rooms in memory.
    pub rooms: HashMap<RoomKey, RoomState>,
}

/// What is known of a room.
#[derive(Debug, Clone, Default)]
pub struct RoomState {
    /// Its row; `None` before it is created.
    pub row: Option<RoomRow>,
    /// The producers in memory.
    pub producers: HashMap<Arc<ProducerKey>, ProducerRow>,
    /// By the offset that a delete refers to: the chunk that holds it, or why there is none to be had.
    pub targets: HashMap<Offset, Result<Chunk, Code>>,
    /// The read marks in memory.
    pub marks: HashMap<UserName, Offset>,
}

/// What a batch changes.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The partition's row afterwards.
    pub row: PartitionRow,
    /// The rooms that change, in the order in which the batch names them first.
    pub rooms: Vec<RoomDelta>,
    /// What became of each operation, in order.
    pub outcomes: Vec<Outcomes>,
}

/// What a batch changes in one room.
#[derive(Debug, Clone)]
pub struct RoomDelta {
    /// Which room.
    pub key: RoomKey,
    /// The slot of its name.
    pub slot: Slot,
    /// Its row afterwards.
    pub row: RoomRow,
    /// The producers that change, in the order in which they come first.
    pub producers: Vec<(Arc<ProducerKey>, ProducerRow)>,
    /// What is appended.
    pub chunks: Vec<NewChunk>,
    /// Chunks in which something was redacted; each takes the place of the one at the same offsets.
    pub rewritten: Vec<(Space, Chunk)>,
    /// The read marks that move.
    pub marks: Vec<(UserName, Offset)>,
}

/// A chunk to be stored, and where its ids are.
#[derive(Debug, Clone)]
pub struct NewChunk {
    /// Where it belongs.
    pub space: Space,
    /// The chunk.
    pub chunk: Chunk,
    /// The ids, by producer.
    pub dedupe: Vec<(Arc<ProducerKey>, DedupeRow)>,
}

/// What became of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcomes {
    /// Of the publishes of an `Append`, in order; empty for other operations.
    pub of: Vec<Outcome>,
    /// The only id that the producer may send next.
    pub expected: Option<u64>,
}

/// What became of publishes.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A run was appended.
    Appended(Run),
    /// The id was used before; whether with the same payload, and where, is looked up once the batch is written.
    Known(Publish),
    /// It is not in the log.
    Refused {
        /// Its id.
        id: u64,
        /// Why.
        code: Code,
        /// The next id that will be taken.
        expected: u64,
    },
}

/// Applies a batch.
pub fn apply(state: &Partition, batch: &Batch) -> Delta {
    let mut row = state.row.clone();
    row.applied += 1;
    row.time = row.time.max(batch.time);
    let mut applying = Applying { state, row, rooms: Vec::new(), index: HashMap::new() };
    let outcomes = batch.ops.iter().map(|op| applying.op(op)).collect();
    applying.finish(outcomes)
}

impl Partition {
    /// Takes over what a batch changed.
    pub fn install(&mut self, delta: &Delta) {
        self.row = delta.row.clone();
        for change in &delta.rooms {
            let room = self.rooms.entry(change.key.clone()).or_default();
            room.row = Some(change.row.clone());
            for (key, row) in &change.producers {
                room.producers.insert(key.clone(), *row);
            }
        }
    }
}

/// A batch that is being applied.
struct Applying<'a> {
    state: &'a Partition,
    row: PartitionRow,
    rooms: Vec<Room<'a>>,
    index: HashMap<&'a RoomKey, usize>,
}

/// A room that a batch has touched.
struct Room<'a> {
    key: RoomKey,
    slot: Slot,
    before: Option<&'a RoomState>,
    row: RoomRow,
    producers: Vec<(Arc<ProducerKey>, ProducerRow)>,
    chunks: Vec<NewChunk>,
    rewritten: Vec<(Space, Chunk)>,
    marks: Vec<(UserName, Offset)>,
    open: Option<OpenChunk>,
    /// The only id with which a producer that the room does not know may start, as the batch has left it so far.
    pins: Vec<(Arc<ProducerKey>, u64)>,
}

/// A chunk that is being filled.
struct OpenChunk {
    space: Space,
    first: Offset,
    count: u32,
    frames: Vec<u8>,
    runs: Vec<(Arc<ProducerKey>, Vec<Run>)>,
}

impl<'a> Applying<'a> {
    fn op(&mut self, op: &'a Op) -> Outcomes {
        let time = self.row.time;
        match op {
            Op::Append { room, producer, starts_at, items } => {
                let epoch = self.row.epoch();
                match self.room(room) {
                    Some(room) => room.append(producer, *starts_at, items, epoch, time),
                    None => refuse_all(items, *starts_at),
                }
            }
            Op::Base { epoch } => {
                self.open_epoch(*epoch);
                Outcomes::default()
            }
            Op::Mark { room, user, offset } => {
                if let Some(room) = self.room(room) {
                    room.mark(user, *offset);
                }
                Outcomes::default()
            }
            Op::RoomCreate { room, policy } => {
                if self.room(room).is_none() {
                    self.create(room, *policy);
                }
                Outcomes::default()
            }
            Op::RoomPolicy { room, policy } => {
                if let Some(room) = self.room(room) {
                    room.close_chunk();
                    room.row.policy = *policy;
                }
                Outcomes::default()
            }
            Op::Tick { rooms } => {
                for room in rooms {
                    self.room(room);
                }
                Outcomes::default()
            }
        }
    }

    fn open_epoch(&mut self, at_least: Epoch) {
        let next = Epoch::saturating(self.row.epoch().get() + 1).max(at_least);
        self.row.epochs.push(next);
        let surplus = self.row.epochs.len().saturating_sub(limits::EPOCHS_MAX);
        self.row.epochs.drain(..surplus);
    }

    /// The room as the batch has left it so far; `None` if it does not exist.
    fn room(&mut self, key: &'a RoomKey) -> Option<&mut Room<'a>> {
        if let Some(index) = self.index.get(key) {
            return self.rooms.get_mut(*index);
        }
        let before = self.state.rooms.get(key)?;
        let row = before.row.clone()?;
        Some(self.touch(key, Some(before), row))
    }

    fn create(&mut self, key: &'a RoomKey, policy: Policy) {
        let row = RoomRow::new(self.row.next_room, policy);
        self.row.next_room += 1;
        self.touch(key, self.state.rooms.get(key), row);
    }

    fn touch(&mut self, key: &'a RoomKey, before: Option<&'a RoomState>, row: RoomRow) -> &mut Room<'a> {
        let room = Room {
            key: key.clone(),
            slot: key.slot(),
            before,
            row,
            producers: Vec::new(),
            chunks: Vec::new(),
            rewritten: Vec::new(),
            marks: Vec::new(),
            open: None,
            pins: Vec::new(),
        };
        self.index.insert(key, self.rooms.len());
        self.rooms.push(room);
        let last = self.rooms.len() - 1;
        &mut self.rooms[last]
    }

    fn finish(self, outcomes: Vec<Outcomes>) -> Delta {
        let time = self.row.time;
        let rooms = self.rooms.into_iter().map(|room| room.finish(time)).collect();
        Delta { row: self.row, rooms, outcomes }
    }
}

impl Room<'_> {
    fn append(
        &mut self,
        producer: &Arc<ProducerKey>,
        mut starts_at: Option<u64>,
        items: &[Item],
        epoch: Epoch,
        time: Time,
    ) -> Outcomes {
        let mut known = self.known(producer, time);
        starts_at = self.pins.iter().find(|(key, _)| key == producer).map(|(_, id)| *id).or(starts_at);
        let mut of: Vec<Outcome> = Vec::new();
        for item in items {
            let id = item.id();
            let expected = known.map_or(starts_at, |row| Some(row.last_id + 1));
            let refused = |code| Outcome::Refused { id, code, expected: expected.unwrap_or(id) };
            let outcome = match item {
                Item::Refused { code, .. } => refused(*code),
                Item::Publish(publish) | Item::Delete { publish, .. } if known.is_some_and(|row| id <= row.last_id) => {
                    Outcome::Known(publish.clone())
                }
                _ if expected.is_some_and(|expected| id != expected) => refused(Code::ID_GAP),
                Item::Publish(publish) | Item::Delete { publish, .. } => match self.admit(producer, item, time) {
                    Err(code) => refused(code),
                    Ok(()) => {
                        let offset = self.push(producer, publish, epoch, time);
                        known = Some(ProducerRow { last_id: id, offset, time });
                        if let Some(Outcome::Appended(run)) = of.last_mut()
                            && run.id + u64::from(run.count) == id
                        {
                            run.count += 1;
                            continue;
                        }
                        Outcome::Appended(Run { id, offset, count: 1 })
                    }
                },
            };
            if known.is_none() {
                // What was refused keeps its id, and nothing behind it may slip in before it.
                starts_at = Some(expected.unwrap_or(id));
            }
            of.push(outcome);
        }
        match (known, starts_at) {
            (Some(row), _) => self.remember(producer, row),
            (None, Some(id)) => self.pin(producer, id),
            (None, None) => {}
        }
        Outcomes { of, expected: known.map_or(starts_at, |row| Some(row.last_id + 1)) }
    }

    fn mark(&mut self, user: &UserName, offset: Offset) {
        let offset = offset.min(self.row.head);
        let moved = self.marks.iter_mut().find(|(marked, _)| marked == user);
        let before = self.before.and_then(|before| before.marks.get(user)).copied().unwrap_or(Offset::ZERO);
        match moved {
            Some((_, newest)) => *newest = offset.max(*newest),
            None if offset > before => self.marks.push((user.clone(), offset)),
            None => {}
        }
    }

    /// Whether what a publish refers to is there; of a delete, takes its content.
    fn admit(&mut self, producer: &ProducerKey, item: &Item, time: Time) -> Result<(), Code> {
        match item {
            Item::Delete { publish, moderates } => self.redact(producer, publish.refers, *moderates, time),
            Item::Publish(publish) if publish.refers.is_some_and(|offset| offset > self.row.head) => {
                Err(Code::BAD_RECORD)
            }
            Item::Publish(_) | Item::Refused { .. } => Ok(()),
        }
    }

    /// The producer, unless it is one that has been forgotten: its last record is trimmed and its time is over.
    fn known(&self, producer: &Arc<ProducerKey>, time: Time) -> Option<ProducerRow> {
        let changed = self.producers.iter().find(|(key, _)| key == producer).map(|(_, row)| *row);
        let row = changed.or_else(|| self.before?.producers.get(producer).copied())?;
        (!forget::is_forgotten(&row, &self.row, time)).then_some(row)
    }

    fn pin(&mut self, producer: &Arc<ProducerKey>, id: u64) {
        match self.pins.iter_mut().find(|(key, _)| key == producer) {
            Some((_, pinned)) => *pinned = id,
            None => self.pins.push((producer.clone(), id)),
        }
    }

    fn remember(&mut self, producer: &Arc<ProducerKey>, row: ProducerRow) {
        match self.producers.iter_mut().find(|(key, _)| key == producer) {
            Some((_, known)) => *known = row,
            None => self.producers.push((producer.clone(), row)),
        }
    }

    fn push(&mut self, producer: &Arc<ProducerKey>, publish: &Publish, epoch: Epoch, time: Time) -> Offset {
        if self.row.lineage.last().is_none_or(|stretch| stretch.epoch < epoch) {
            self.close_chunk();
            self.row.lineage.push(Stretch { epoch, first: self.row.head.next() });
            // What goes is older than every epoch that the partition remembers.
            let surplus = self.row.lineage.len().saturating_sub(limits::EPOCHS_MAX);
            self.row.lineage.drain(..surplus);
        }
        let offset = self.row.head.next();
        let record = Record {
            offset,
            time,
            kind: publish.kind,
            format: publish.format,
            flags: publish.flags,
            sender: producer.user.clone(),
            producer: producer.producer.tag(),
            id: publish.id,
            refers: publish.refers,
            payload: publish.payload.clone(),
        };
        if self.open.as_ref().is_some_and(|open| open.is_full(record.frame_len())) {
            self.close_chunk();
        }
        let space = self.row.policy.class.space(time);
        let open = self.open.get_or_insert_with(|| OpenChunk {
            space,
            first: offset,
            count: 0,
            frames: Vec::with_capacity(record.frame_len()),
            runs: Vec::new(),
        });
        record.put_frame(&mut open.frames);
        open.count += 1;
        open.note(producer, publish.id, offset);
        self.row.head = offset;
        self.row.time = time;
        offset
    }

    fn close_chunk(&mut self) {
        let Some(open) = self.open.take() else { return };
        let bytes = open.frames.len() as u64;
        let epoch = self.row.lineage.last().map_or(Epoch::ZERO, |stretch| stretch.epoch);
        let time = self.row.time;
        let last = self.row.segments.last();
        if last.is_none_or(|segment| segment.space != open.space || floor::is_full(segment, &self.row, time)) {
            self.row.segments.push(Segment { space: open.space, first: open.first, time, last: time, bytes: 0 });
        }
        if let Some(segment) = self.row.segments.last_mut() {
            segment.last = time;
            segment.bytes += bytes;
        }
        let producers = open
            .runs
            .iter()
            .map(|(key, runs)| ChunkProducer { key: (**key).clone(), last_id: runs.last().map_or(0, Run::last_id) });
        let chunk = Chunk {
            epoch,
            first: open.first,
            count: open.count,
            producers: producers.collect(),
            frames: Bytes::from(open.frames),
        };
        let dedupe = open.runs.into_iter().map(|(key, runs)| (key, DedupeRow { runs })).collect();
        self.chunks.push(NewChunk { space: open.space, chunk, dedupe });
    }

    fn finish(mut self, time: Time) -> RoomDelta {
        self.close_chunk();
        floor::advance(&mut self.row, time);
        if cfg!(debug_assertions) {
            self.row.assert_invariants();
        }
        let Self { key, slot, row, producers, chunks, rewritten, marks, .. } = self;
        RoomDelta { key, slot, row, producers, chunks, rewritten, marks }
    }
}

impl OpenChunk {
    fn is_full(&self, more: usize) -> bool {
        self.frames.len() + more > limits::CHUNK_BYTES_MAX || self.count >= limits::CHUNK_RECORDS_MAX
    }

    fn note(&mut self, producer: &Arc<ProducerKey>, id: u64, offset: Offset) {
        let runs = match self.runs.iter().position(|(key, _)| key == producer) {
            Some(index) => &mut self.runs[index].1,
            None => {
                self.runs.push((producer.clone(), Vec::new()));
                let last = self.runs.len() - 1;
                &mut self.runs[last].1
            }
        };
        match runs.last_mut() {
            Some(run) if run.id + u64::from(run.count) == id && run.offset.plus(u64::from(run.count)) == offset => {
                run.count += 1;
            }
            _ => runs.push(Run { id, offset, count: 1 }),
        }
    }
}

/// The room does not exist: whoever built the batch forgot to create it.
fn refuse_all(items: &[Item], starts_at: Option<u64>) -> Outcomes {
    debug_assert!(false, "an append to a room that was not created");
    let of = items.iter().map(|item| Outcome::Refused { id: item.id(), code: Code::INTERNAL, expected: item.id() });
    Outcomes { of: of.collect(), expected: starts_at }
}
