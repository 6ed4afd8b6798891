//! Frames of a read stream: one bounded look into a room's log. Records always come in ascending order.

use crate::{
    coded_enum, coded_struct,
    name::RoomName,
    position::{Epoch, Offset, Time},
};

coded_enum! {
    /// Which part of the log, within the limit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Range {
        /// The first records behind this offset.
        After(Offset) = 0,
        /// The last records before this offset.
        Before(Offset) = 1,
        /// The first records behind `after` and before `before`.
        Between {
            /// Exclusive.
            after: Offset,
            /// Exclusive.
            before: Offset,
        } = 2,
        /// The last records of the room.
        Newest = 3,
        /// The first records at or after this time.
        Since(Time) = 4,
    }
}

coded_struct! {
    /// Read part of a room's log.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Read {
        /// The room.
        pub room: RoomName,
        /// Which part.
        pub range: Range,
        /// At most this many records, 1 to 1,000.
        pub limit: u32,
    }
}

coded_struct! {
    /// Where the room is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ReadHead {
        /// The epoch that is being written.
        pub epoch: Epoch,
        /// The oldest offset held; head + 1 if none is.
        pub floor: Offset,
        /// The last offset, 0 if there is no record.
        pub head: Offset,
    }
}

coded_struct! {
    /// The last frame of a read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ReadEnd {
        /// The first offset that was sent, 0 if none was.
        pub first: Offset,
        /// The last offset that was sent, 0 if none was.
        pub last: Offset,
        /// Whether the range holds more than the limit let through.
        pub more: bool,
    }
}
