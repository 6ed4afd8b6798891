//! Freeing what lies below the floors. In the space `keep` chunk by chunk, with the dedupe rows that belong to them;
//! windows of time are dropped whole.

use std::time::Duration;

use loquic_wire::{Offset, Time};
use tracing::{info, warn};

use crate::log::{
    Batch, Space, Store,
    keys::{self, RoomId},
    reading::{self, ReadError},
    rows::RoomRow,
};

/// Chunks that are removed from one room in one go: 16 MiB at 64 KiB each.
const CHUNKS_MAX: usize = 256;

/// How long a window outlives its records, for readers that have begun and for clocks.
const WINDOW_GRACE: Duration = Duration::from_secs(60);

/// The offset below which nothing is needed: where the first segment begins.
fn needed_from(row: &RoomRow) -> Offset {
    row.segments.first().map_or(row.floor, |segment| segment.first.min(row.floor))
}

/// Whether a room has something to remove.
pub(super) fn is_due(row: &RoomRow) -> bool {
    row.trimmed < needed_from(row)
}

/// Adds the removal of the oldest chunks below the floor to the batch, and notes in the row how far it has come.
pub(super) fn trim(store: &dyn Store, room: RoomId, row: &mut RoomRow, batch: &mut Batch) -> Result<(), ReadError> {
    let until = needed_from(row);
    let (from, end) = (keys::chunk(room, row.trimmed), keys::chunk(room, until));
    let (mut doomed, mut failed) = (Vec::new(), None);
    store.scan(Space::Keep, &from, &end, &mut |key, value| {
        match reading::decode_chunk(key, value) {
            Ok(chunk) => doomed.push(chunk),
            Err(error) => failed = Some(error),
        }
        if doomed.len() < CHUNKS_MAX && failed.is_none() { crate::log::Next::Continue } else { crate::log::Next::Stop }
    })?;
    let all = doomed.len() < CHUNKS_MAX;
    if let Some(error) = failed {
        // A damaged chunk goes like any other; only its dedupe rows stay behind.
        warn!(%error, "trimming a damaged chunk");
    }
    let trimmed = match doomed.last() {
        Some(last) if !all => last.last().next(),
        _ => until,
    };
    for chunk in &doomed {
        for producer in &chunk.producers {
            batch.delete(Space::Keep, keys::dedupe(room, &producer.key, producer.last_id));
        }
    }
    crate::failpoint!("room::mid_trim");
    batch.delete_range(Space::Keep, from, keys::chunk(room, trimmed));
    row.trimmed = trimmed;
    Ok(())
}

/// Drops the windows whose records are all too old.
pub(super) fn drop_windows(store: &dyn Store, now: Time) {
    for space in store.spaces().into_iter().filter(|space| is_dropped(*space, now)) {
        match store.drop_space(space) {
            Ok(()) => info!(%space, "dropped a window of time"),
            Err(error) => warn!(%space, %error, "cannot drop a window of time; trying again"),
        }
    }
}

/// Whether a space is dropped at `now`.
pub(super) fn is_dropped(space: Space, now: Time) -> bool {
    space.is_over(now.before(WINDOW_GRACE))
}
