//! Answers to publishes whose id was used before: the original position, or a conflict if the payload is another one.

use loquic_wire::{
    Code, Epoch, Flags, Offset, Position, Record, Time,
    publish::{Ack, Duplicate, Publish},
};
use tracing::error;

use super::{
    apply::NewChunk,
    live::{Answer, Room},
    machine::nack,
};
use crate::log::{
    Store,
    reading::{self, ReadError},
    rows::{ProducerKey, RoomRow},
};

/// Looks duplicates up, and keeps the last chunk it read, because duplicates come in runs.
pub(super) struct Duplicates<'a> {
    store: &'a dyn Store,
    room: &'a Room,
    producer: &'a ProducerKey,
    epoch: Epoch,
    now: Time,
    /// What the batch that is being answered appends to the room: at level memory it is not in the store yet.
    fresh: &'a [NewChunk],
    cached: Vec<Record>,
}

impl<'a> Duplicates<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        room: &'a Room,
        producer: &'a ProducerKey,
        epoch: Epoch,
        now: Time,
        fresh: &'a [NewChunk],
    ) -> Self {
        Self { store, room, producer, epoch, now, fresh, cached: Vec::new() }
    }

    /// The answer to a publish whose id was used before.
    pub(super) fn answer(&mut self, publish: &Publish) -> Answer {
        match self.original(publish.id) {
            Ok(Some(record)) if is_same(&record, publish) => {
                self.ack(publish.id, record.offset, record.time, Duplicate::Yes)
            }
            Ok(Some(_)) => Answer::Nack(nack(publish.id, Code::CONFLICT, publish.id + 1)),
            Ok(None) => self.ack(publish.id, Offset::ZERO, self.now, Duplicate::Trimmed),
            Err(error) => {
                error!(room = %self.room.key().room, %error, "cannot look a duplicate up");
                Answer::Nack(nack(publish.id, Code::INTERNAL, publish.id))
            }
        }
    }

    fn ack(&self, id: u64, offset: Offset, time: Time, duplicate: Duplicate) -> Answer {
        Answer::Ack(Ack { id, position: Position { epoch: self.epoch, offset }, time, duplicate })
    }

    fn original(&mut self, id: u64) -> Result<Option<Record>, ReadError> {
        let row = self.room.view.lock().row.clone();
        let Some(offset) = self.offset_of(&row, id)? else { return Ok(None) };
        if !self.cached.iter().any(|record| record.offset == offset) {
            self.cache(&row, offset)?;
        }
        Ok(self.cached.iter().find(|record| record.offset == offset).cloned())
    }

    fn offset_of(&self, row: &RoomRow, id: u64) -> Result<Option<Offset>, ReadError> {
        let fresh = self.fresh.iter().flat_map(|new| &new.dedupe).filter(|(key, _)| **key == *self.producer);
        match fresh.flat_map(|(_, dedupe)| &dedupe.runs).find_map(|run| run.offset_of(id)) {
            Some(offset) => Ok(Some(offset)),
            None => reading::offset_of_id(self.store, row.id(self.room.slot), row, self.producer, id),
        }
    }

    fn cache(&mut self, row: &RoomRow, offset: Offset) -> Result<(), ReadError> {
        self.cached.clear();
        if offset < row.floor {
            return Ok(());
        }
        let Some(space) = row.space_of(offset) else { return Ok(()) };
        let fresh =
            self.fresh.iter().map(|new| &new.chunk).find(|chunk| chunk.first <= offset && offset <= chunk.last());
        let chunk = match fresh {
            Some(chunk) => Some(chunk.clone()),
            None => reading::chunk_at(self.store, row.id(self.room.slot), space, offset)?,
        };
        if let Some(chunk) = chunk {
            let last = chunk.last();
            let records = chunk.records().map_err(|error| ReadError::Chunk { last, error })?;
            self.cached = records.into_iter().filter(|record| record.offset >= row.floor).collect();
        }
        Ok(())
    }
}

/// Whether a publish is the one that a record is of. Of a record that was deleted since, the payload cannot be told any
/// more; whoever sends it again gets its position and not a conflict.
fn is_same(record: &Record, publish: &Publish) -> bool {
    record.kind == publish.kind
        && record.format == publish.format
        && record.flags.without(Flags::REDACTED) == publish.flags
        && record.refers == publish.refers
        && (record.flags.contains(Flags::REDACTED) || record.payload == publish.payload)
}
