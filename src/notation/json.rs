//! Records, acks and events as JSON, each on one line.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use loquic_wire::{
    Epoch, Flags, Format, Kind, Offset, RoomName, Time,
    join::{self, CaughtUp, GapReason},
    publish,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The answer to a publish.
#[derive(Debug, Serialize)]
pub struct Ack<'a> {
    room: &'a str,
    epoch: u64,
    offset: u64,
    time: u64,
    duplicate: bool,
}

impl<'a> Ack<'a> {
    /// The record is there, and was there before if it is a duplicate.
    pub fn new(room: &'a RoomName, epoch: Epoch, offset: Offset, time: Time, duplicate: bool) -> Self {
        Self { room: room.as_str(), epoch: epoch.get(), offset: offset.get(), time: time.get(), duplicate }
    }

    /// What the frame says.
    pub fn of(room: &'a RoomName, ack: &publish::Ack) -> Self {
        let publish::Ack { position, time, duplicate, .. } = ack;
        Self::new(room, position.epoch, position.offset, *time, *duplicate != publish::Duplicate::No)
    }
}

/// A record of a room.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    room: &'a str,
    epoch: u64,
    offset: u64,
    time: u64,
    sender: &'a str,
    #[serde(serialize_with = "kind")]
    kind: Kind,
    refers: Option<u64>,
    producer: String,
    id: u64,
    /// There only when it is true: the record was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    redacted: bool,
    #[serde(flatten)]
    payload: Payload<'a>,
}

impl<'a> Record<'a> {
    /// A record; with any epoch in which it was seen it makes a position.
    pub fn new(room: &'a RoomName, epoch: Epoch, record: &'a loquic_wire::Record) -> Self {
        Self {
            room: room.as_str(),
            epoch: epoch.get(),
            offset: record.offset.get(),
            time: record.time.get(),
            sender: record.sender.as_str(),
            kind: record.kind,
            refers: record.refers.map(Offset::get),
            producer: record.producer.0.iter().map(|byte| format!("{byte:02x}")).collect(),
            id: record.id,
            redacted: record.flags.contains(Flags::REDACTED),
            payload: Payload::new(record),
        }
    }
}

/// What a subscription is told beside records.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Records that will not come.
    Gap {
        /// In which room.
        room: &'a str,
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
        /// Why.
        reason: &'static str,
    },
    /// The position does not hold.
    Reset {
        /// In which room.
        room: &'a str,
        /// The epoch that is being written.
        epoch: u64,
        /// The last offset of the client's that is in the log.
        valid_to: u64,
        /// The last offset.
        head: u64,
    },
    /// What follows is live.
    CaughtUp {
        /// In which room.
        room: &'a str,
        /// The last offset.
        head: u64,
    },
    /// Who is there.
    Presence {
        /// In which room.
        room: &'a str,
        /// How many users.
        count: u64,
        /// Each with the number of their sessions; null where only the count is known.
        members: Option<BTreeMap<&'a str, u32>>,
    },
}

impl<'a> Event<'a> {
    /// Records that will not come.
    pub fn gap(room: &'a RoomName, gap: &join::Gap) -> Self {
        let reason = reason(gap.reason);
        Self::Gap { room: room.as_str(), from: gap.from.get(), to: gap.to.get(), reason }
    }

    /// The position does not hold.
    pub fn reset(room: &'a RoomName, reset: &join::Reset) -> Self {
        let join::Reset { epoch, valid_to, head } = reset;
        Self::Reset { room: room.as_str(), epoch: epoch.get(), valid_to: valid_to.get(), head: head.get() }
    }

    /// What follows is live.
    pub fn caught_up(room: &'a RoomName, caught_up: &CaughtUp) -> Self {
        Self::CaughtUp { room: room.as_str(), head: caught_up.head.get() }
    }
}

/// Why records will not come, in a word.
pub fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Retention => "retention",
        GapReason::Skipped => "skipped",
        GapReason::Lost => "lost",
    }
}

/// One field, whose name says what it holds.
#[derive(Debug, Serialize)]
enum Payload<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload")]
    Json(Cow<'a, RawValue>),
    #[serde(rename = "payload_base64")]
    Bytes(String),
}

impl<'a> Payload<'a> {
    fn new(record: &'a loquic_wire::Record) -> Self {
        let text = std::str::from_utf8(&record.payload).ok();
        // Nobody has checked that the payload is what its format says; what is not goes out as bytes.
        match (record.format, text) {
            (Format::Text, Some(text)) => Self::Text(text),
            (Format::Json, Some(text)) => one_line(text).map_or_else(|| Self::bytes(record), Self::Json),
            _ => Self::bytes(record),
        }
    }

    fn bytes(record: &loquic_wire::Record) -> Self {
        Self::Bytes(BASE64_STANDARD.encode(&record.payload))
    }
}

/// The document as it is, so that its numbers and the order of its keys stay, but on one line. A line break in JSON is
/// always between tokens.
fn one_line(text: &str) -> Option<Cow<'_, RawValue>> {
    if !text.contains(['\n', '\r']) {
        return serde_json::from_str::<&RawValue>(text).ok().map(Cow::Borrowed);
    }
    RawValue::from_string(text.trim().replace(['\n', '\r'], " ")).ok().map(Cow::Owned)
}

/// The name of the kind, else its number.
fn kind<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    match kind.name() {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_u8(kind.0),
    }
}
