//! Proving that a log is whole: every room dense from its floor to its head, every chunk with its checksum, every
//! record in the right epoch and not before the one before it, and dedupe state that says where each id is.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use loquic_wire::{Flags, Kind, Offset, Partition, Record, RoomName, Slot, Time};

use super::{
    Chunk, Next, Space, Store, StoreError,
    chunk::ChunkProducer,
    keys::{self, RoomId},
    reading::{self, ReadError},
    rows::{self, DedupeRow, PartitionRow, ProducerKey, ProducerRow, RoomRow, Run},
};

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which room, if it is in one.
    pub room: Option<RoomName>,
    /// At which offset, if it is at one.
    pub offset: Option<Offset>,
    /// What is wrong: a present-tense sentence.
    pub what: String,
}

/// What was looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rooms.
    pub rooms: u64,
    /// Records whose bytes, offsets and times were checked.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
    /// Producers whose dedupe state was checked.
    pub producers: u64,
    /// What is wrong; empty if all is well.
    pub findings: Vec<Finding>,
}

/// Verifies everything in a store. `marked` is what the mark file says had been synced.
pub fn verify(store: &dyn Store, marked: Option<&[u64]>) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let partitions = verify_partitions(store, marked, &mut verified)?;
    let mut rooms = Vec::new();
    let (from, until) = keys::all_rooms();
    store.scan(Space::Meta, &from, &until, &mut |key, value| {
        match (keys::parse_room(key), rows::decode::<RoomRow>(value.to_vec())) {
            (Some((tenant, room)), Ok(row)) => rooms.push((Slot::of(&tenant, &room), room, row)),
            (name, row) => verified.note(None, None, format!("the row of a room is damaged: {name:?} {row:?}")),
        }
        Next::Continue
    })?;
    for (slot, name, row) in rooms {
        let partition = partitions.get(usize::from(slot.partition().get())).cloned().flatten();
        let id = row.id(slot);
        let (last_ids, deleted, redacted) = Default::default();
        let mut room = Room { store, id, name, row, verified: &mut verified, last_ids, deleted, redacted };
        room.verify(partition.as_ref())?;
    }
    Ok(verified)
}

fn verify_partitions(
    store: &dyn Store,
    marked: Option<&[u64]>,
    verified: &mut Verified,
) -> Result<Vec<Option<PartitionRow>>, StoreError> {
    let mut partitions = Vec::new();
    for partition in Partition::all() {
        let number = partition.get();
        let stored = store.get(Space::Meta, &keys::partition(partition))?;
        let row: Option<PartitionRow> = match stored.map(rows::decode).transpose() {
            Ok(row) => row,
            Err(error) => {
                verified.note(None, None, format!("the row of partition {number} is damaged: {error}"));
                None
            }
        };
        if row.as_ref().is_some_and(|row| !row.epochs.is_sorted_by(|a, b| a < b)) {
            verified.note(None, None, format!("the epochs of partition {number} do not ascend"));
        }
        let applied = row.as_ref().map_or(0, |row| row.applied);
        let synced = marked.and_then(|marked| marked.get(usize::from(number))).copied().unwrap_or(0);
        if applied < synced {
            let lost = synced - applied;
            verified.note(None, None, format!("partition {number} has lost {lost} batches that had been synced"));
        }
        partitions.push(row);
    }
    Ok(partitions)
}

impl Verified {
    fn note(&mut self, room: Option<&RoomName>, offset: Option<Offset>, what: String) {
        self.findings.push(Finding { room: room.cloned(), offset, what });
    }
}

struct Room<'a> {
    store: &'a dyn Store,
    id: RoomId,
    name: RoomName,
    row: RoomRow,
    verified: &'a mut Verified,
    last_ids: HashMap<ProducerKey, (u64, Offset)>,
    /// What deletes refer to.
    deleted: BTreeSet<Offset>,
    /// What has no content any more.
    redacted: BTreeSet<Offset>,
}

impl Room<'_> {
    fn verify(&mut self, partition: Option<&PartitionRow>) -> Result<(), StoreError> {
        self.verified.rooms += 1;
        self.verify_row(partition);
        let (mut next, mut time) = (self.row.floor, Time::ZERO);
        while next <= self.row.head {
            let Some(space) = self.row.space_of(next) else {
                self.note(Some(next), "no segment of the room holds this offset".into());
                break;
            };
            match reading::chunk_at(self.store, self.id, space, next) {
                Ok(Some(chunk)) => {
                    if chunk.first > next {
                        self.note(Some(next), format!("the records up to {} are missing", chunk.first.previous()));
                    }
                    next = chunk.last().next();
                    self.verify_chunk(space, &chunk, &mut time)?;
                }
                Ok(None) => {
                    let missing_to = self.next_segment(next).map_or(self.row.head, Offset::previous);
                    self.note(Some(next), format!("the records up to {missing_to} are missing"));
                    next = missing_to.next();
                }
                Err(ReadError::Store(error)) => return Err(error),
                Err(error) => {
                    let after = match &error {
                        ReadError::Chunk { last, .. } | ReadError::Unreadable { last, .. } => {
                            last.next().max(next.next())
                        }
                        _ => next.next(),
                    };
                    self.note(Some(next), error.to_string());
                    next = after;
                }
            }
        }
        self.verify_redactions();
        self.verify_producers()
    }

    fn verify_row(&mut self, partition: Option<&PartitionRow>) {
        let row = &self.row;
        let mut wrong = Vec::new();
        if row.floor > row.head.next() || row.floor == Offset::ZERO {
            wrong.push(format!("the floor {} is past the head {}", row.floor, row.head));
        }
        if !row.lineage.is_sorted_by(|a, b| a.epoch < b.epoch && a.first < b.first) {
            wrong.push("the lineage does not ascend".into());
        }
        if !row.segments.is_sorted_by(|a, b| a.first < b.first && a.time <= b.time) {
            wrong.push("the segments do not ascend".into());
        }
        match partition {
            None => wrong.push("the partition of the room has no row".into()),
            Some(partition) => {
                if row.number >= partition.next_room {
                    wrong.push(format!("the partition has not given out room number {}", row.number));
                }
                if row.lineage.last().is_some_and(|stretch| stretch.epoch > partition.epoch()) {
                    wrong.push("the room has an epoch that its partition has not opened".into());
                }
            }
        }
        wrong.into_iter().for_each(|what| self.note(None, what));
    }

    fn verify_chunk(&mut self, space: Space, chunk: &Chunk, time: &mut Time) -> Result<(), StoreError> {
        let records = match chunk.records() {
            Ok(records) => records,
            Err(error) => {
                self.note(Some(chunk.first), error.to_string());
                return Ok(());
            }
        };
        self.verified.records += records.len() as u64;
        self.verified.bytes += chunk.frames.len() as u64;
        for record in &records {
            if record.time < *time {
                self.note(
                    Some(record.offset),
                    format!("its time {} is before that of the record before it", record.time),
                );
            }
            *time = record.time;
            self.note_redaction(record);
        }
        let stretch = self.row.lineage.iter().rev().find(|stretch| stretch.first <= chunk.first);
        if stretch.is_none_or(|stretch| stretch.epoch != chunk.epoch) {
            self.note(Some(chunk.first), format!("the lineage does not have it in epoch {}", chunk.epoch));
        }
        let mut placed = 0;
        for producer in &chunk.producers {
            placed += self.verify_dedupe(space, chunk, producer, &records)?;
        }
        if placed != records.len() as u64 {
            let count = records.len();
            self.note(Some(chunk.first), format!("the dedupe rows place {placed} of the chunk's {count} records"));
        }
        Ok(())
    }

    fn note_redaction(&mut self, record: &Record) {
        if record.kind == Kind::DELETE {
            self.deleted.extend(record.refers);
        }
        if record.flags.contains(Flags::REDACTED) {
            self.redacted.insert(record.offset);
            if !record.payload.is_empty() {
                self.note(Some(record.offset), "it is redacted and has a payload".into());
            }
        }
    }

    /// A delete is kept for as long as what it refers to, because it comes behind it.
    fn verify_redactions(&mut self) {
        let (deleted, redacted) = (std::mem::take(&mut self.deleted), std::mem::take(&mut self.redacted));
        for offset in deleted.difference(&redacted).filter(|offset| **offset >= self.row.floor) {
            self.verified.note(Some(&self.name), Some(*offset), "it was deleted and has its content".into());
        }
        for offset in redacted.difference(&deleted) {
            self.verified.note(Some(&self.name), Some(*offset), "it has lost its content, which nobody deleted".into());
        }
    }

    /// Checks one producer's ids of a chunk and returns how many records they place.
    fn verify_dedupe(
        &mut self,
        space: Space,
        chunk: &Chunk,
        producer: &ChunkProducer,
        records: &[Record],
    ) -> Result<u64, StoreError> {
        let key = keys::dedupe(self.id, &producer.key, producer.last_id);
        let stored = self.store.get(space, &key)?.map(rows::decode::<DedupeRow>);
        let Some(Ok(row)) = stored else {
            let what = format!(
                "the dedupe row of producer {} up to id {} is missing",
                producer.key.producer, producer.last_id
            );
            self.note(Some(chunk.first), what);
            return Ok(0);
        };
        let mut placed = 0;
        for run in &row.runs {
            placed += u64::from(run.count);
            self.verify_run(chunk, producer, run, records);
        }
        if let Some(last) = row.runs.last() {
            let offset = last.offset.plus(u64::from(last.count).saturating_sub(1));
            self.follow(&producer.key, &row.runs, (last.last_id(), offset));
        }
        Ok(placed)
    }

    fn verify_run(&mut self, chunk: &Chunk, producer: &ChunkProducer, run: &Run, records: &[Record]) {
        for ahead in 0..u64::from(run.count) {
            let (id, offset) = (run.id + ahead, run.offset.plus(ahead));
            let at = usize::try_from(offset.since(chunk.first)).unwrap_or(usize::MAX);
            let fits = records.get(at).is_some_and(|record| {
                record.offset == offset
                    && record.id == id
                    && record.sender == producer.key.user
                    && record.producer == producer.key.producer.tag()
            });
            if !fits {
                self.note(Some(offset), format!("id {id} of producer {} is not here", producer.key.producer));
            }
        }
    }

    /// A producer's ids go on without a gap from chunk to chunk.
    fn follow(&mut self, key: &ProducerKey, runs: &[Run], last: (u64, Offset)) {
        let before = self.last_ids.insert(key.clone(), last);
        let first = runs.first().map_or(0, |run| run.id);
        if let Some((before, _)) = before
            && first != before + 1
        {
            self.note(Some(last.1), format!("id {first} of producer {} follows on id {before}", key.producer));
        }
    }

    fn verify_producers(&mut self) -> Result<(), StoreError> {
        let (from, until) = keys::producers(self.id);
        let mut stored = HashMap::new();
        let mut damaged = 0;
        self.store.scan(Space::Meta, &from, &until, &mut |key, value| {
            match (keys::parse_producer(key), rows::decode::<ProducerRow>(Bytes::copy_from_slice(value))) {
                (Some(key), Ok(row)) => drop(stored.insert(key, row)),
                _ => damaged += 1,
            }
            Next::Continue
        })?;
        self.verified.producers += stored.len() as u64;
        if damaged > 0 {
            self.note(None, format!("{damaged} producer rows are damaged"));
        }
        for (key, (id, offset)) in std::mem::take(&mut self.last_ids) {
            let known = stored.get(&key).map(|row| (row.last_id, row.offset));
            if known != Some((id, offset)) {
                let what = format!("producer {} is at id {id} here, its row says {known:?}", key.producer);
                self.note(Some(offset), what);
            }
        }
        Ok(())
    }

    fn next_segment(&self, after: Offset) -> Option<Offset> {
        self.row.segments.iter().map(|segment| segment.first).find(|first| *first > after)
    }

    fn note(&mut self, offset: Option<Offset>, what: String) {
        let room = self.name.clone();
        self.verified.note(Some(&room), offset, what);
    }
}
