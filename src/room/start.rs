//! Where a subscription starts: what a `from` means for a room as it is. Pure.

use loquic_wire::{
    Code, Epoch, Offset, Position, Time,
    join::{From, Reset},
};

use super::Refusal;
use crate::log::rows::{PartitionRow, RoomRow};

/// The start of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With this offset. It may be below the floor; the reader says so with a gap.
    At(Offset),
    /// The position does not hold: first the `Reset`, then what is behind its `valid_to`.
    Reset(Reset),
    /// With the first record of this time or later; the log has to be asked.
    AtTime(Time),
}

/// What `from` means in a room whose visible head is `head`.
pub fn resolve(from: From, row: &RoomRow, epochs: &Epochs) -> Result<Start, Refusal> {
    let head = row.head;
    match from {
        From::Live => Ok(Start::At(head.next())),
        From::Oldest => Ok(Start::At(row.floor)),
        From::AtOffset(offset) if offset > head.next() => Err(ahead(offset.previous(), head)),
        From::AtOffset(offset) => Ok(Start::At(offset.max(Offset::FIRST))),
        From::Last(count) => Ok(Start::At(Offset::saturating(head.get().saturating_sub(count)).next().max(row.floor))),
        From::AtTime(time) => Ok(Start::AtTime(time)),
        From::After(position) => after(position, row, epochs),
    }
}

/// A position is valid iff its epoch is one of the partition's and its offset is not past the end of that epoch in the
/// room.
fn after(position: Position, row: &RoomRow, epochs: &Epochs) -> Result<Start, Refusal> {
    let reset = |valid_to| Start::Reset(Reset { epoch: epochs.current(), valid_to, head: row.head });
    if !epochs.contains(position.epoch) {
        return Ok(reset(Offset::ZERO));
    }
    let end = row.end_of(position.epoch);
    match position.offset <= end {
        true => Ok(Start::At(position.offset.next())),
        false if position.epoch == epochs.current() => Err(ahead(position.offset, row.head)),
        false => Ok(reset(end)),
    }
}

fn ahead(offset: Offset, head: Offset) -> Refusal {
    Refusal {
        code: Code::POSITION_AHEAD,
        message: format!("offset {offset} is past the head of the room, which is {head}"),
    }
}

/// The epochs of a partition, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epochs(Box<[Epoch]>);

impl Epochs {
    /// Those of a partition's row.
    pub fn of(row: &PartitionRow) -> Self {
        Self(row.epochs.clone().into())
    }

    /// The one that is being written.
    pub fn current(&self) -> Epoch {
        self.0.last().copied().unwrap_or(Epoch::ZERO)
    }

    fn contains(&self, epoch: Epoch) -> bool {
        self.0.binary_search(&epoch).is_ok()
    }
}
