//! Frames of a who stream: one page of who is in a room, whether it is joined or not.

use crate::{
    coded_struct,
    join::Member,
    name::{RoomName, UserName},
};

coded_struct! {
    /// Ask who is in a room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Who {
        /// The room.
        pub room: RoomName,
        /// Only users behind this one, in the order of the bytes of their names.
        pub after: Option<UserName>,
        /// At most this many members, 1 to 1,000.
        pub limit: u32,
    }
}

coded_struct! {
    /// Who is in the room.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Members {
        /// How many users are in the room, on this page or not.
        pub count: u64,
        /// The users of this page, ascending.
        pub members: Vec<Member>,
        /// Whether there are more behind the last one.
        pub more: bool,
    }
}
