//! Operations: what a journal orders. Each says everything that applying it needs, so that every holder of a partition
//! comes to the same state. More follow with what they are for: deleting a room, switching on a feature.

use std::sync::Arc;

use loquic_wire::{Code, Epoch, Offset, RoomName, Slot, TenantName, Time, UserName, publish::Publish};

use crate::{
    config::limits,
    log::rows::{Policy, ProducerKey},
};

/// A room's identity on this server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// Whose.
    pub tenant: TenantName,
    /// Which.
    pub room: RoomName,
}

impl RoomKey {
    /// The slot of the name.
    pub fn slot(&self) -> Slot {
        Slot::of(&self.tenant, &self.room)
    }
}

/// Operations on one partition, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The clock of the node that took them; the partition's time is never less than before.
    pub time: Time,
    /// The operations.
    pub ops: Vec<Op>,
}

/// One operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// Appends one producer's publishes to a room.
    Append {
        /// The room; it exists.
        room: RoomKey,
        /// Whose publishes.
        producer: Arc<ProducerKey>,
        /// The only id with which a producer that the room does not know may start; `None` for any.
        starts_at: Option<u64>,
        /// The publishes, in order.
        items: Vec<Item>,
    },
    /// Opens an epoch: what comes now does not follow for certain on what came before.
    Base {
        /// At least this one; larger if the partition is further already.
        epoch: Epoch,
    },
    /// Moves a user's read mark in a room forward, not past the head. Takes no offset.
    Mark {
        /// The room; nothing happens if it does not exist.
        room: RoomKey,
        /// Whose mark.
        user: UserName,
        /// Everything up to here is read.
        offset: Offset,
    },
    /// Creates a room that does not exist.
    RoomCreate {
        /// The room.
        room: RoomKey,
        /// What it is promised.
        policy: Policy,
    },
    /// Changes what a room is promised from now on.
    RoomPolicy {
        /// The room.
        room: RoomKey,
        /// What it is promised.
        policy: Policy,
    },
    /// Moves the partition's time, and the floors of these rooms with it.
    Tick {
        /// The rooms.
        rooms: Vec<RoomKey>,
    },
}

/// One entry of an `Append`.
#[derive(Debug, Clone)]
pub enum Item {
    /// A record to append.
    Publish(Publish),
    /// A record to append that takes the content from the one it refers to.
    Delete {
        /// The record; its kind is `delete` and it refers to another one.
        publish: Publish,
        /// Whether whoever sends it may delete what others have sent. Decided where it was taken, because applying
        /// knows nothing of rights.
        moderates: bool,
    },
    /// A publish that was refused before it came here; it keeps its place, so that its answer does and what follows it
    /// fails too.
    Refused {
        /// Its id.
        id: u64,
        /// Why.
        code: Code,
    },
}

impl Item {
    /// The publish's id.
    pub fn id(&self) -> u64 {
        match self {
            Self::Publish(publish) | Self::Delete { publish, .. } => publish.id,
            Self::Refused { id, .. } => *id,
        }
    }

    /// About how many bytes it takes in memory and in the log. A delete has a whole chunk read and written anew, and
    /// counts as one, so that what bounds publishes bounds deletes too.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Publish(publish) => 64 + publish.payload.len(),
            Self::Delete { .. } => 64 + limits::CHUNK_BYTES_MAX,
            Self::Refused { .. } => 64,
        }
    }
}
