//! The rows of the `meta` space, in the coding of the wire.

use std::{fmt, time::Duration};

use loquic_wire::{
    Epoch, Offset, ProducerId, Time, UserName, coded_enum, coded_struct,
    coding::{Decode, DecodeError, Encode, Reader},
};

use super::{keys::RoomId, store::Space};

coded_struct! {
    /// A producer's identity in a room: the same number from two users is two producers.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct ProducerKey {
        /// The user that publishes.
        pub user: UserName,
        /// The number that the client chose.
        pub producer: ProducerId,
    }
}

coded_enum! {
    /// What has to be true of a record before it is acknowledged and delivered.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Level {
        /// It is applied in memory.
        Memory = 0,
        /// It is written; survives the end of the process.
        Process = 1,
        /// It is synced; survives a power loss.
        Disk = 2,
    }
}

coded_enum! {
    /// How long records are kept at most, and so in which space they are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Class {
        /// For an hour.
        Hour = 0,
        /// For a day.
        Day = 1,
        /// For seven days.
        Week = 2,
        /// For thirty days.
        Month = 3,
        /// Until another limit says otherwise.
        Keep = 4,
    }
}

/// Windows that make up the time a class is kept: space is freed in steps of an eighth.
const WINDOWS: u32 = 8;

impl Class {
    const NAMES: [(Self, &'static str); 5] =
        [(Self::Hour, "hour"), (Self::Day, "day"), (Self::Week, "week"), (Self::Month, "month"), (Self::Keep, "keep")];

    /// How long a record is kept at most; `None` for ever.
    pub fn span(self) -> Option<Duration> {
        const HOUR: u64 = 60 * 60;
        let hours = match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
            Self::Keep => return None,
        };
        Some(Duration::from_secs(hours * HOUR))
    }

    /// The length of one window; `None` where there are none.
    pub fn window(self) -> Option<Duration> {
        self.span().map(|span| span / WINDOWS)
    }

    /// The space in which a record of this time is kept.
    pub fn space(self, time: Time) -> Space {
        match self.window() {
            None => Space::Keep,
            Some(window) => Space::Window(self, time.get() / window.as_millis() as u64),
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, text)| *text == name).map(|(class, _)| *class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(class, _)| class == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl Space {
    /// The time at which the window ends; `None` for spaces that are not windows.
    pub fn end(self) -> Option<Time> {
        match self {
            Self::Window(class, window) => {
                let length = class.window()?.as_millis() as u64;
                Some(Time::saturating(window.saturating_add(1).saturating_mul(length)))
            }
            Self::Meta | Self::Keep => None,
        }
    }

    /// Whether it is a window whose records are all too old at `time`.
    pub fn is_over(self, time: Time) -> bool {
        let Self::Window(class, _) = self else { return false };
        self.end().zip(class.span()).is_some_and(|(end, span)| end.after(span) <= time)
    }
}

coded_struct! {
    /// What a room was promised when it was created or its policy last changed. Written into the log, so that applying
    /// needs no configuration.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Policy {
        /// When a record is acknowledged and delivered.
        pub level: Level,
        /// How long records are kept at most.
        pub class: Class,
        /// Records older than this many milliseconds are removed.
        pub age_ms: Option<u64>,
        /// At most this many records are kept.
        pub count: Option<u64>,
        /// At least this many bytes are kept, and not much more.
        pub bytes: Option<u64>,
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { level: Level::Disk, class: Class::Keep, age_ms: None, count: None, bytes: None }
    }
}

impl Policy {
    /// How old a record may get: the shorter of its own limit and its class's.
    pub fn age(&self) -> Option<Duration> {
        let own = self.age_ms.map(Duration::from_millis);
        match (own, self.class.span()) {
            (Some(own), Some(class)) => Some(own.min(class)),
            (own, class) => own.or(class),
        }
    }
}

coded_struct! {
    /// One stretch of a room's life.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Stretch {
        /// The epoch.
        pub epoch: Epoch,
        /// The first offset that was appended in it.
        pub first: Offset,
    }
}

coded_struct! {
    /// A run of records in one space: what the floor moves by, and where an offset is to be found.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Segment {
        /// Where the records are.
        pub space: Space,
        /// The first of them.
        pub first: Offset,
        /// The time of the first.
        pub time: Time,
        /// The time of the last.
        pub last: Time,
        /// How many bytes they have as frames.
        pub bytes: u64,
    }
}

impl Encode for Space {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Meta => 0u8.encode(out),
            Self::Keep => 1u8.encode(out),
            Self::Window(class, window) => {
                2u8.encode(out);
                class.encode(out);
                window.encode(out);
            }
        }
    }
}

impl Decode for Space {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(Self::Meta),
            1 => Ok(Self::Keep),
            2 => Ok(Self::Window(Decode::decode(input)?, Decode::decode(input)?)),
            other => Err(DecodeError::Variant("Space", other.into())),
        }
    }
}

coded_struct! {
    /// A room. Invariants: `floor <= head + 1`; `lineage` and `segments` ascend; the first segment begins at or below
    /// the floor unless there is none, then `floor == head + 1`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RoomRow {
        /// The number that the partition gave it; part of its keys.
        pub number: u64,
        /// The last offset, 0 if there is none.
        pub head: Offset,
        /// The oldest offset that may be read.
        pub floor: Offset,
        /// Everything below is physically removed.
        pub trimmed: Offset,
        /// The time of the last record.
        pub time: Time,
        /// What it was promised.
        pub policy: Policy,
        /// The stretches in which something was appended.
        pub lineage: Vec<Stretch>,
        /// Where the records are.
        pub segments: Vec<Segment>,
    }
}

impl RoomRow {
    /// A room without records.
    pub fn new(number: u64, policy: Policy) -> Self {
        Self {
            number,
            head: Offset::ZERO,
            floor: Offset::FIRST,
            trimmed: Offset::FIRST,
            time: Time::ZERO,
            policy,
            lineage: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// Panics unless the invariants hold.
    pub fn assert_invariants(&self) {
        assert!(self.floor <= self.head.next(), "the floor is past the head: {self:?}");
        assert!(self.trimmed <= self.floor, "more is removed than may be: {self:?}");
        let ascend = |a: &Stretch, b: &Stretch| a.epoch < b.epoch && a.first < b.first;
        assert!(self.lineage.is_sorted_by(ascend), "the lineage does not ascend: {self:?}");
        let ascend = |a: &Segment, b: &Segment| a.first < b.first && a.time <= a.last && a.last <= b.time;
        assert!(self.segments.is_sorted_by(ascend), "the segments do not ascend: {self:?}");
        match self.segments.first() {
            Some(segment) => assert!(segment.first <= self.floor && self.floor <= self.head, "{self:?}"),
            None => assert!(self.floor == self.head.next(), "{self:?}"),
        }
    }

    /// The space in which a held offset is.
    pub fn space_of(&self, offset: Offset) -> Option<Space> {
        let behind = self.segments.partition_point(|segment| segment.first <= offset);
        behind.checked_sub(1).and_then(|index| self.segments.get(index)).map(|segment| segment.space)
    }

    /// The last offset of `epoch` in this room: that before the first stretch of a later epoch, or the head.
    pub fn end_of(&self, epoch: Epoch) -> Offset {
        let later = self.lineage.iter().find(|stretch| stretch.epoch > epoch);
        later.map_or(self.head, |stretch| stretch.first.previous())
    }
}

coded_struct! {
    /// A partition.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PartitionRow {
        /// How many batches have been applied.
        pub applied: u64,
        /// The time of the last batch.
        pub time: Time,
        /// The number of the next room.
        pub next_room: u64,
        /// The epochs, ascending; the last one is being written.
        pub epochs: Vec<Epoch>,
        /// Which changes to applying are switched on.
        pub feature: u32,
    }
}

impl Default for PartitionRow {
    fn default() -> Self {
        Self { applied: 0, time: Time::ZERO, next_room: 1, epochs: Vec::new(), feature: 1 }
    }
}

impl PartitionRow {
    /// The epoch that is being written.
    pub fn epoch(&self) -> Epoch {
        self.epochs.last().copied().unwrap_or(Epoch::ZERO)
    }
}

coded_struct! {
    /// A producer in a room.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ProducerRow {
        /// The last id that was appended.
        pub last_id: u64,
        /// Where.
        pub offset: Offset,
        /// When.
        pub time: Time,
    }
}

coded_struct! {
    /// How far a user has read in a room.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MarkRow {
        /// Everything up to here.
        pub offset: Offset,
    }
}

coded_struct! {
    /// Ids that count up beside offsets.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Run {
        /// The first id.
        pub id: u64,
        /// Its offset.
        pub offset: Offset,
        /// How many.
        pub count: u32,
    }
}

impl Run {
    /// The offset of an id, if the run holds it.
    pub fn offset_of(&self, id: u64) -> Option<Offset> {
        let ahead = id.checked_sub(self.id)?;
        (ahead < u64::from(self.count)).then(|| self.offset.plus(ahead))
    }

    /// The last id.
    pub fn last_id(&self) -> u64 {
        self.id + u64::from(self.count).saturating_sub(1)
    }
}

coded_struct! {
    /// Where a producer's ids of one chunk are.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DedupeRow {
        /// Ascending.
        pub runs: Vec<Run>,
    }
}

/// A row as bytes.
pub fn encode<T: Encode>(row: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    row.encode(&mut out);
    out
}

/// Bytes as a row.
pub fn decode<T: Decode>(bytes: impl Into<bytes::Bytes>) -> Result<T, DecodeError> {
    T::decode(&mut Reader::new(bytes.into()))
}

impl RoomRow {
    /// The room's place in the keys.
    pub fn id(&self, slot: loquic_wire::Slot) -> RoomId {
        RoomId { slot, number: self.number }
    }
}
