//! The record: one entry of a room's log, in the form that goes to every subscriber and into the log.

use bytes::Bytes;

use crate::{
    coding::{Decode, DecodeError, Encode, Reader, put_bytes, put_varint, varint_len},
    id::ProducerTag,
    limits,
    name::UserName,
    position::{Offset, Time},
};

/// What a record is for. 0–31 are Loquic's, 32 and up the application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

crate::coded_newtype!(Kind);

impl Kind {
    /// A message.
    pub const MESSAGE: Self = Self(0);
    /// Replaces what `refers` names.
    pub const EDIT: Self = Self(1);
    /// Withdraws what `refers` names.
    pub const DELETE: Self = Self(2);
    /// Answers what `refers` names with a mark.
    pub const REACTION: Self = Self(3);
    /// Says how far somebody has read.
    pub const RECEIPT: Self = Self(4);
    /// Written by the server.
    pub const SYSTEM: Self = Self(5);
    /// The first kind that is the application's.
    pub const APPLICATION: Self = Self(32);

    /// The names of Loquic's kinds.
    pub const NAMES: &[(Self, &'static str)] = &[
        (Self::MESSAGE, "message"),
        (Self::EDIT, "edit"),
        (Self::DELETE, "delete"),
        (Self::REACTION, "reaction"),
        (Self::RECEIPT, "receipt"),
        (Self::SYSTEM, "system"),
    ];

    /// The name, if the kind has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map(|(_, name)| *name)
    }

    /// Whether a client may publish it: what can be deleted, and deletes. The others are reserved.
    pub fn is_publishable(self) -> bool {
        self.is_deletable() || self == Self::DELETE
    }

    /// Whether a delete may name such a record: messages and the application's kinds.
    pub fn is_deletable(self) -> bool {
        self == Self::MESSAGE || self.0 >= Self::APPLICATION.0
    }
}

crate::coded_enum! {
    /// What a payload's bytes are. The server does not look inside.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Format {
        /// Bytes.
        Bytes = 0,
        /// UTF-8 text.
        Text = 1,
        /// A JSON document.
        Json = 2,
    }
}

/// Properties of a record, one bit each; bits that are not named here are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

crate::coded_newtype!(Flags);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// The payload is encrypted by the application.
    pub const ENCRYPTED: Self = Self(1);
    /// The payload was removed; only a server sets this.
    pub const REDACTED: Self = Self(2);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With all bits of `other` as well.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without the bits of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether a client may publish with these flags.
    pub fn is_publishable(self) -> bool {
        self.0 & !Self::ENCRYPTED.0 == 0
    }
}

/// One entry of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The position in the log.
    pub offset: Offset,
    /// When it was appended.
    pub time: Time,
    /// What it is for.
    pub kind: Kind,
    /// What the payload's bytes are.
    pub format: Format,
    /// Its properties.
    pub flags: Flags,
    /// The user who published it.
    pub sender: UserName,
    /// The start of the producer's identity.
    pub producer: ProducerTag,
    /// The publish's number under that producer.
    pub id: u64,
    /// An earlier record that this one is about.
    pub refers: Option<Offset>,
    /// The content.
    pub payload: Bytes,
}

impl Record {
    /// Appends the whole frame in one pass, without a buffer for the body.
    pub fn put_frame(&self, out: &mut Vec<u8>) {
        let length = self.body_len();
        out.reserve(length + 6);
        put_varint(out, length as u64);
        put_varint(out, u64::from(<Self as crate::frame::Body>::KIND));
        self.encode(out);
    }

    /// How many bytes [`Record::put_frame`] appends.
    pub fn frame_len(&self) -> usize {
        let length = self.body_len();
        varint_len(length as u64) + 1 + length
    }

    fn body_len(&self) -> usize {
        let sender = self.sender.as_str().len();
        let refers = self.refers.map_or(1, |offset| 1 + varint_len(offset.get()));
        varint_len(self.offset.get())
            + varint_len(self.time.get())
            + 3
            + varint_len(sender as u64)
            + sender
            + 4
            + varint_len(self.id)
            + refers
            + varint_len(self.payload.len() as u64)
            + self.payload.len()
    }
}

impl Record {
    /// The record without its content: what is left of it once it has been deleted.
    pub fn redacted(self) -> Self {
        Self { flags: self.flags.with(Flags::REDACTED), payload: Bytes::new(), ..self }
    }
}

impl Encode for Record {
    fn encode(&self, out: &mut Vec<u8>) {
        self.offset.encode(out);
        self.time.encode(out);
        self.kind.encode(out);
        self.format.encode(out);
        self.flags.encode(out);
        self.sender.encode(out);
        self.producer.encode(out);
        self.id.encode(out);
        self.refers.encode(out);
        put_bytes(out, &self.payload);
    }
}

impl Decode for Record {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            offset: Decode::decode(input)?,
            time: Decode::decode(input)?,
            kind: Decode::decode(input)?,
            format: Decode::decode(input)?,
            flags: Decode::decode(input)?,
            sender: Decode::decode(input)?,
            producer: Decode::decode(input)?,
            id: Decode::decode(input)?,
            refers: Decode::decode(input)?,
            payload: payload(input)?,
        })
    }
}

/// Reads a payload within the hard maximum.
pub(crate) fn payload(input: &mut Reader) -> Result<Bytes, DecodeError> {
    let length = input.length("a payload", limits::PAYLOAD_BYTES_MAX_HARD)?;
    input.slice(length)
}
