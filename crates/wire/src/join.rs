//! Frames of a join stream: attaching to a room, and what comes down it besides records.

use crate::{
    Code, coded_enum, coded_struct,
    name::{RoomName, UserName},
    position::{Epoch, Offset, Position, Time},
};

coded_enum! {
    /// Where to start in a room.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum From {
        /// Behind the head: only what is appended from now on.
        Live = 0,
        /// With the oldest record that is held.
        Oldest = 1,
        /// With this offset, inclusive. Not checked against an epoch.
        AtOffset(Offset) = 2,
        /// Behind this position.
        After(Position) = 3,
        /// With the newest `n` records.
        Last(u64) = 4,
        /// With the first record at or after this time.
        AtTime(Time) = 5,
    }
}

coded_enum! {
    /// What happens to a reader that is slow.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mode {
        /// It lags and catches up; every record comes.
        All = 0,
        /// It skips ahead to the newest records, and a `Gap` says so.
        Latest = 1,
    }
}

coded_enum! {
    /// How much a subscriber wants to know of who is there.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PresenceLevel {
        /// Nothing.
        None = 0,
        /// How many.
        Count = 1,
        /// Who, and each change.
        Changes = 2,
    }
}

coded_struct! {
    /// Attach to a room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Join {
        /// The room.
        pub room: RoomName,
        /// Where to start.
        pub from: From,
        /// What happens to a slow reader.
        pub mode: Mode,
        /// How many bytes of `Record` frames may be sent at first.
        pub credit: u64,
        /// How much to say of who is there.
        pub presence: PresenceLevel,
    }
}

coded_struct! {
    /// Attached.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Joined {
        /// The node's number for the room, the same for all its sessions; ephemerals carry it.
        pub handle: u32,
        /// The epoch that is being written; with any offset up to the head it makes a position to resume from.
        pub epoch: Epoch,
        /// The last offset, 0 if there is no record.
        pub head: Offset,
        /// The oldest offset this principal may see; head + 1 if there is none.
        pub floor: Offset,
    }
}

coded_enum! {
    /// Why records will not come.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum GapReason {
        /// They were removed by the room's retention.
        Retention = 0,
        /// The subscription is in mode `latest` and was too slow.
        Skipped = 1,
        /// They are not readable any more.
        Lost = 2,
    }
}

coded_struct! {
    /// The offsets from `from` to `to`, both inclusive, will not come.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Gap {
        /// The first one missing.
        pub from: Offset,
        /// The last one missing.
        pub to: Offset,
        /// Why.
        pub reason: GapReason,
    }
}

coded_struct! {
    /// The position asked for does not hold: of what the client has seen, only offsets up to `valid_to` are in the
    /// log. Everything still held behind `valid_to` follows.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Reset {
        /// The epoch that is being written.
        pub epoch: Epoch,
        /// The last offset of the client's that is in the log; 0 if none is.
        pub valid_to: Offset,
        /// The last offset in the room.
        pub head: Offset,
    }
}

coded_struct! {
    /// Everything up to `head` has been sent; what follows is live. Once for each `Join`, and after each `Reset`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CaughtUp {
        /// The head that was reached.
        pub head: Offset,
    }
}

coded_struct! {
    /// One user in a room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Member {
        /// Who.
        pub user: UserName,
        /// With how many sessions; 0 for somebody who has left.
        pub sessions: u32,
    }
}

coded_struct! {
    /// Who is in the room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Presence {
        /// How many users.
        pub count: u64,
        /// Whether `members` is everybody, and not only those who changed.
        pub snapshot: bool,
        /// The members.
        pub members: Vec<Member>,
    }
}

coded_struct! {
    /// The room is left; the stream ends.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Left {
        /// Why.
        pub code: Code,
    }
}

coded_struct! {
    /// This many more bytes of `Record` frames may be sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Credit {
        /// The bytes, added to what is left.
        pub bytes: u64,
    }
}

coded_struct! {
    /// Everything up to here is read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Mark {
        /// The last offset that is read.
        pub offset: Offset,
    }
}
