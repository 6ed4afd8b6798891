//! The logical floor: which records may still be read. Pure; computed from the partition's time, so every holder of a
//! partition moves it alike.
//!
//! Age and bytes move it by whole segments, of which a room has a few dozen, so that the floor is state of constant
//! size; the count moves it exactly.

use std::time::Duration;

use loquic_wire::{Offset, Time};

use crate::log::rows::{RoomRow, Segment};

/// Segments that a limit is divided into: a limit is kept to within a thirty-second part of it.
const STEPS: u64 = 32;

/// Most segments of a room; past it two neighbours are not told apart any more, and the floor moves in larger steps.
const SEGMENTS_MAX: usize = 4 * STEPS as usize;

/// Whether a new segment should begin behind `segment`, the last one of the room.
pub fn is_full(segment: &Segment, row: &RoomRow, time: Time) -> bool {
    let policy = &row.policy;
    let step = |limit: u64| (limit / STEPS).max(1);
    let old = policy
        .age()
        .is_some_and(|age| time >= segment.time.after(age / STEPS as u32).max(segment.time.after(MILLISECOND)));
    let large = policy.bytes.is_some_and(|bytes| segment.bytes >= step(bytes));
    let long = policy.count.is_some_and(|count| row.head.next().since(segment.first) >= step(count));
    row.segments.len() < SEGMENTS_MAX && (old || large || long)
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// Moves the floor to where the policy has it at `time`, and forgets the segments that are wholly below it.
pub fn advance(row: &mut RoomRow, time: Time) {
    let gone = by_age(row, time).max(by_bytes(row));
    let mut floor = row.segments.get(gone).map_or(row.head.next(), |segment| segment.first).max(row.floor);
    if let Some(count) = row.policy.count {
        floor = floor.max(Offset::saturating(row.head.get().saturating_sub(count)).next());
    }
    row.floor = floor.min(row.head.next());
    let below = row.segments.partition_point(|segment| segment.first <= row.floor).saturating_sub(1);
    let below = if row.floor > row.head { row.segments.len() } else { below };
    row.segments.drain(..below);
}

/// How many of the oldest segments are too old.
fn by_age(row: &RoomRow, time: Time) -> usize {
    // A window is dropped as a whole, whatever the policy is by now; what is older goes with it, because a room has no
    // holes.
    let dropped = row.segments.iter().rposition(|segment| segment.space.is_over(time));
    let dropped = dropped.map_or(0, |index| index + 1);
    let Some(age) = row.policy.age() else { return dropped };
    let old = row.segments.iter().take_while(|segment| segment.last.after(age) <= time).count();
    old.max(dropped)
}

/// How many of the oldest segments can go while the rest still holds as many bytes as the limit says.
fn by_bytes(row: &RoomRow) -> usize {
    let Some(limit) = row.policy.bytes else { return 0 };
    let mut held: u64 = row.segments.iter().map(|segment| segment.bytes).sum();
    let mut gone = 0;
    for segment in &row.segments {
        held -= segment.bytes;
        if held < limit {
            break;
        }
        gone += 1;
    }
    gone
}
