//! Frames of a publish stream.

use bytes::Bytes;

use crate::{
    Code, coded_enum, coded_struct,
    coding::{Decode, DecodeError, Encode, Reader, put_bytes},
    id::ProducerId,
    name::RoomName,
    position::{Epoch, Millis, Offset, Position, Time},
    record::{Flags, Format, Kind, payload},
};

coded_struct! {
    /// Publish into a room. The newest `Open` of a (principal, room, producer) fences the older ones.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Open {
        /// The room.
        pub room: RoomName,
        /// Under which publishes are numbered.
        pub producer: ProducerId,
    }
}

coded_struct! {
    /// Publishes are taken.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Opened {
        /// The producer's last id in the room, 0 if it has none: then it may start with any id but 0.
        pub last_id: u64,
        /// How many publishes may wait for an answer at once.
        pub in_flight_max: u32,
    }
}

/// One record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The last id + 1, at least 1. A lower one is a retry.
    pub id: u64,
    /// What the record is for: a message, or a kind of the application's.
    pub kind: Kind,
    /// What the payload's bytes are.
    pub format: Format,
    /// The record's properties.
    pub flags: Flags,
    /// An earlier record that this one is about.
    pub refers: Option<Offset>,
    /// The content.
    pub payload: Bytes,
}

impl Encode for Publish {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.kind.encode(out);
        self.format.encode(out);
        self.flags.encode(out);
        self.refers.encode(out);
        put_bytes(out, &self.payload);
    }
}

impl Decode for Publish {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            id: Decode::decode(input)?,
            kind: Decode::decode(input)?,
            format: Decode::decode(input)?,
            flags: Decode::decode(input)?,
            refers: Decode::decode(input)?,
            payload: payload(input)?,
        })
    }
}

coded_enum! {
    /// Whether a publish had been appended before.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Duplicate {
        /// No: this publish appended the record.
        No = 0,
        /// Yes, and the record is there; position and time are the original ones.
        Yes = 1,
        /// Yes, and the record has been trimmed since; the offset in the position is 0 and the time that of the answer.
        Trimmed = 2,
    }
}

coded_struct! {
    /// One publish is safe at its room's level.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Ack {
        /// The publish.
        pub id: u64,
        /// Where its record is.
        pub position: Position,
        /// When it was appended.
        pub time: Time,
        /// Whether it had been appended before.
        pub duplicate: Duplicate,
    }
}

coded_struct! {
    /// A run of publishes is safe: ids and offsets both count up by one; none is a duplicate.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AckRun {
        /// The epoch of the positions.
        pub epoch: Epoch,
        /// The first publish.
        pub first_id: u64,
        /// How many, at least 1.
        pub count: u32,
        /// Where the first one's record is.
        pub first_offset: Offset,
        /// When they were appended.
        pub time: Time,
    }
}

coded_struct! {
    /// One publish is not in the log and used up no id. What was sent behind it fails too, with
    /// `skipped` or `id_gap`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Nack {
        /// The publish.
        pub id: u64,
        /// Why.
        pub code: Code,
        /// The next id that will be taken.
        pub expected: u64,
        /// When to try again.
        pub retry_after: Millis,
    }
}
