//! Finding things in the log: the chunk that holds an offset, the offset of an id, the first offset at a time.
//! Everything here blocks.

use std::collections::VecDeque;

use bytes::Bytes;
use loquic_wire::{
    Offset, Record, Time,
    coding::{Decode, Reader},
    frame,
};

use super::{
    chunk::{Chunk, ChunkError},
    keys::{self, RoomId},
    rows::{self, DedupeRow, ProducerKey, RoomRow, Segment},
    store::{Next, Space, Store, StoreError},
};

/// Why something could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk is damaged.
    #[error("the chunk that ends at offset {last} is damaged: {error}")]
    Chunk {
        /// The offset in its key.
        last: Offset,
        /// What is wrong.
        error: ChunkError,
    },
    /// The store cannot read what holds these records.
    #[error("the records up to offset {last} cannot be read: {error}")]
    Unreadable {
        /// The last of them, or an offset between it and the next one that is held.
        last: Offset,
        /// What the store says.
        error: String,
    },
    /// A row does not decode.
    #[error("the {what} row is damaged: {error}")]
    Row {
        /// Which row.
        what: &'static str,
        /// What is wrong.
        error: loquic_wire::coding::DecodeError,
    },
}

/// The first chunk of the space whose last offset is `from` or later.
pub fn chunk_at(store: &dyn Store, room: RoomId, space: Space, from: Offset) -> Result<Option<Chunk>, ReadError> {
    let mut chunks = chunks(store, room, space, from, 1)?;
    Ok(chunks.pop())
}

/// Chunks of the space from the one that holds `from` on, of `bytes_max` bytes together; at least one if there is.
pub fn chunks(
    store: &dyn Store,
    room: RoomId,
    space: Space,
    from: Offset,
    bytes_max: usize,
) -> Result<Vec<Chunk>, ReadError> {
    let (start, end) = keys::chunks_from(room, from);
    let (mut chunks, mut bytes, mut failed) = (Vec::new(), 0, None);
    let scanned = store.scan(space, &start, &end, &mut |key, value| {
        bytes += value.len();
        if bytes > bytes_max && !chunks.is_empty() {
            return Next::Stop;
        }
        match decode_chunk(key, value) {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => failed = Some(error),
        }
        if bytes < bytes_max && failed.is_none() { Next::Continue } else { Next::Stop }
    });
    match (scanned, failed) {
        (Err(StoreError::Corrupt(error)), _) if chunks.is_empty() => {
            Err(ReadError::Unreadable { last: damaged_up_to(store, room, space, from)?, error })
        }
        (Ok(()), Some(error)) if chunks.is_empty() => Err(error),
        // What comes before the damage can still be served.
        (Ok(()) | Err(StoreError::Corrupt(_)), _) => Ok(chunks),
        (Err(error), _) => Err(error.into()),
    }
}

/// Consecutive records that were read at once.
#[derive(Debug, Default)]
pub struct Page {
    /// Where the first chunk begins that is not before the page.
    pub found: Option<Offset>,
    /// The records from the wanted offset on, without a hole; none if they are not there.
    pub parts: VecDeque<Part>,
}

/// Consecutive records of one chunk.
#[derive(Debug)]
pub struct Part {
    /// Whole frames.
    pub frames: Bytes,
    /// The offset of the last one.
    pub last: Offset,
}

/// The records from `from` on that fit `bytes_max`, at least one if there is. They keep little more than that in
/// memory.
pub fn page(store: &dyn Store, room: RoomId, space: Space, from: Offset, bytes_max: usize) -> Result<Page, ReadError> {
    let chunks = chunks(store, room, space, from, bytes_max)?;
    let found = chunks.first().map(|chunk| chunk.first);
    let (mut parts, mut next) = (VecDeque::with_capacity(chunks.len()), from);
    for chunk in chunks {
        // A hole between two chunks shows again when the first of them is used up.
        if chunk.first > next {
            break;
        }
        let mut frames = skip_to(&chunk.frames, next.since(chunk.first));
        let mut last = chunk.last();
        if frames.len() > bytes_max {
            // Only the first chunk can be too long.
            let (part, count) = match cut(&frames, bytes_max as u64, u64::MAX) {
                (_, 0) => cut(&frames, u64::MAX, 1),
                cut => cut,
            };
            if count > 0 {
                (frames, last) = (part, next.plus(count - 1).min(last));
            }
        }
        if frames.len() < chunk.frames.len() / 2 {
            // A slice would keep the whole chunk.
            frames = Bytes::copy_from_slice(&frames);
        }
        next = last.next();
        parts.push_back(Part { frames, last });
    }
    Ok(Page { found, parts })
}

/// How far the damage goes that the store finds at `from`: up to the end of a block, which is sought in growing steps
/// and then by halves, because what is behind it can still be served.
fn damaged_up_to(store: &dyn Store, room: RoomId, space: Space, from: Offset) -> Result<Offset, StoreError> {
    let is_damaged = |offset: Offset| {
        let (start, end) = keys::chunks_from(room, offset);
        match store.scan(space, &start, &end, &mut |_, _| Next::Stop) {
            Ok(()) => Ok(false),
            Err(StoreError::Corrupt(_)) => Ok(true),
            Err(error) => Err(error),
        }
    };
    let (mut damaged, mut step) = (from, 1u64);
    let mut whole = damaged.plus(step);
    while whole < Offset::MAX && is_damaged(whole)? {
        (damaged, step) = (whole, step.saturating_mul(2));
        whole = damaged.plus(step);
    }
    while whole.since(damaged) > 1 {
        let middle = damaged.plus(whole.since(damaged) / 2);
        if is_damaged(middle)? {
            damaged = middle;
        } else {
            whole = middle;
        }
    }
    Ok(damaged)
}

/// A chunk from its entry.
pub fn decode_chunk(key: &[u8], value: &[u8]) -> Result<Chunk, ReadError> {
    let last = key.last_chunk::<8>().map_or(Offset::ZERO, |bytes| Offset::saturating(u64::from_be_bytes(*bytes)));
    let chunk = Chunk::decode(Bytes::copy_from_slice(value)).map_err(|error| ReadError::Chunk { last, error })?;
    if chunk.last() != last || chunk.count == 0 {
        let error = ChunkError::Records(format!("its header says {} to {}", chunk.first, chunk.last()));
        return Err(ReadError::Chunk { last, error });
    }
    Ok(chunk)
}

/// The offset at which a producer's id is, if the log still knows.
pub fn offset_of_id(
    store: &dyn Store,
    room: RoomId,
    row: &RoomRow,
    producer: &ProducerKey,
    id: u64,
) -> Result<Option<Offset>, ReadError> {
    let mut spaces: Vec<Space> = row.segments.iter().map(|segment| segment.space).collect();
    spaces.dedup();
    let (from, until) = keys::dedupes_from(room, producer, id);
    for space in spaces.into_iter().rev() {
        let mut found = None;
        store.scan(space, &from, &until, &mut |_, value| {
            found = Some(Bytes::copy_from_slice(value));
            Next::Stop
        })?;
        let Some(value) = found else { continue };
        let row: DedupeRow = rows::decode(value).map_err(|error| ReadError::Row { what: "dedupe", error })?;
        if let Some(offset) = row.runs.iter().find_map(|run| run.offset_of(id)) {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

/// The record at an offset, if it is held.
pub fn record_at(store: &dyn Store, room: RoomId, row: &RoomRow, offset: Offset) -> Result<Option<Record>, ReadError> {
    if offset < row.floor || offset > row.head {
        return Ok(None);
    }
    let Some(space) = row.space_of(offset) else { return Ok(None) };
    let Some(chunk) = chunk_at(store, room, space, offset)? else { return Ok(None) };
    if chunk.first > offset {
        return Ok(None);
    }
    Ok(chunk.record(offset))
}

/// The offset of the first record with a time of `time` or later; head + 1 if there is none.
pub fn offset_at_time(store: &dyn Store, room: RoomId, row: &RoomRow, time: Time) -> Result<Offset, ReadError> {
    let end = row.head.next();
    if row.head < row.floor || time > row.time {
        return Ok(end);
    }
    // A segment begins with a record of its time, so the record sought is in the one before the first later one.
    let later = row.segments.partition_point(|segment| segment.time < time);
    let mut low =
        later.checked_sub(1).and_then(|index| row.segments.get(index)).map_or(row.floor, first_of).max(row.floor);
    let mut high = row.segments.get(later).map_or(end, first_of).max(low);
    while low < high {
        let middle = low.plus(high.since(low) / 2);
        match record_at(store, room, row, middle)? {
            Some(record) if record.time < time => low = middle.next(),
            _ => high = middle,
        }
    }
    Ok(low)
}

fn first_of(segment: &Segment) -> Offset {
    segment.first
}

/// The frames behind the first `count`.
pub fn skip_to(frames: &Bytes, count: u64) -> Bytes {
    let mut at = 0;
    for _ in 0..count {
        match frame::header(&frames[at..]) {
            Ok(Some((header, body))) => at = (at + header + body).min(frames.len()),
            _ => break,
        }
    }
    frames.slice(at..)
}

/// The first frames that fit `bytes_max` together, and how many they are.
pub fn cut(frames: &Bytes, bytes_max: u64, count_max: u64) -> (Bytes, u64) {
    let (mut at, mut count) = (0, 0);
    while count < count_max && at < frames.len() {
        match frame::header(&frames[at..]) {
            Ok(Some((header, body))) if (at + header + body) as u64 <= bytes_max => at += header + body,
            _ => break,
        }
        count += 1;
    }
    (frames.slice(..at.min(frames.len())), count)
}

pub(super) fn first_record(frames: &Bytes) -> Option<Record> {
    let (header, body) = frame::header(frames).ok().flatten()?;
    if frames.len() < header + body {
        return None;
    }
    Record::decode(&mut Reader::new(frames.slice(header..header + body))).ok()
}
