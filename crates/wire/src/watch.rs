//! Frames of a watch stream: the heads of rooms that are not joined.

use std::sync::Arc;

use crate::{
    coded_enum, coded_struct,
    name::RoomName,
    position::{Epoch, Offset},
};

coded_enum! {
    /// Which rooms.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Watch {
        /// These.
        Rooms(Vec<RoomName>) = 0,
        /// All whose name begins with this text.
        Prefix(Arc<str>) = 1,
    }
}

coded_struct! {
    /// A room's head; only the newest of several is sent.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Head {
        /// The room.
        pub room: RoomName,
        /// The epoch that is being written.
        pub epoch: Epoch,
        /// The last offset.
        pub head: Offset,
    }
}
