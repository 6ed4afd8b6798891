//! Rooms as sessions see them: attach, read from any position, publish and be answered.

use std::sync::Arc;

use bytes::Bytes;
use loquic_wire::{
    Code, Epoch, Offset, ProducerId, RoomName, TenantName, UserName,
    join::{CaughtUp, From, Gap, Mode, Reset},
    publish::{Ack, AckRun, Nack, Publish},
    read::{Range, ReadEnd, ReadHead},
    watch::{Head, Watch},
};

/// A room's identity on this server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// Whose.
    pub tenant: TenantName,
    /// Which.
    pub room: RoomName,
}

/// A producer's identity in a room: the same number from two users is two producers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerKey {
    /// The user that publishes.
    pub user: UserName,
    /// The number the client chose.
    pub producer: ProducerId,
}

/// Why a room cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// What the peer is told.
    pub code: Code,
    /// For a person.
    pub message: String,
}

/// Where a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The epoch that is being written.
    pub epoch: Epoch,
    /// The last committed offset, 0 if there is none.
    pub head: Offset,
    /// The oldest offset held; head + 1 if none is.
    pub floor: Offset,
}

/// All rooms of a node. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {}

impl Rooms {
    /// Brings a room into memory, if it is not there, for as long as the `Arc` is held. A room that has no record yet
    /// can be attached as well.
    pub async fn attach(&self, key: &RoomKey) -> Result<Arc<Room>, Refusal> { todo!() }

    /// Opens a producer for publishing and fences its older publishers.
    pub async fn open(&self, room: &Arc<Room>, producer: ProducerKey) -> Result<Publisher, Refusal> { todo!() }

    /// Watches heads.
    pub async fn watch(&self, tenant: &TenantName, what: &Watch) -> Result<Watcher, Refusal> { todo!() }
}

/// A room in memory.
pub struct Room {}

impl Room {
    /// The node's number for it.
    pub fn handle(&self) -> u32 { todo!() }
    /// Where it is.
    pub fn status(&self) -> Status { todo!() }
    /// A subscription that starts at `from`. A position past the head is refused with `position_ahead`.
    pub fn reader(self: &Arc<Self>, from: From, mode: Mode) -> Result<Reader, Refusal> { todo!() }
    /// One bounded look into the log.
    pub fn scan(self: &Arc<Self>, range: Range, limit: u32) -> Scan { todo!() }
}

/// One thing that a subscription sends. Records come as encoded `Record` frames.
#[derive(Debug)]
pub enum Event {
    /// Whole frames, to be written in order; together `bytes` long, which is at most the credit given.
    Records { frames: Vec<Bytes>, bytes: u64 },
    /// Offsets that will not come.
    Gap(Gap),
    /// The position does not hold.
    Reset(Reset),
    /// The seam between the past and the present.
    CaughtUp(CaughtUp),
    /// The log cannot be read; the subscription is over.
    Failed(Code),
}

/// A subscription: a position that walks the log.
pub struct Reader {}

impl Reader {
    /// Waits for the next event; records of at most `credit` bytes and at most one page. Waits for ever while only
    /// records that do not fit the credit are there. Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self, credit: u64) -> Event { todo!() }
}

/// One bounded look into the log.
pub struct Scan {}

impl Scan {
    /// Where the room was when the scan began.
    pub fn head(&self) -> ReadHead { todo!() }
    /// The next records or gap; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> { todo!() }
    /// What was sent; after `next` returned `None`.
    pub fn end(&self) -> ReadEnd { todo!() }
}

/// An answer to publishes; exactly one answer for each publish, in the order they were offered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Ack(Ack),
    AckRun(AckRun),
    Nack(Nack),
}

/// The publishing side of one `Open`.
pub struct Publisher {}

impl Publisher {
    /// The producer's last id in the room when it was opened.
    pub fn last_id(&self) -> u64 { todo!() }
    /// How many publishes were offered and not answered yet.
    pub fn in_flight(&self) -> u32 { todo!() }
    /// Whether the room's inbox is full: do not read on, keep calling `next`.
    pub fn is_paused(&self) -> bool { todo!() }
    /// Takes publishes in order. Checks kinds, flags and sizes; what is wrong is answered with a `Nack` in its turn.
    /// Must not be called while paused.
    pub fn offer(&mut self, publishes: Vec<Publish>) { todo!() }
    /// Waits for the next answers. Also what moves a paused offer on. Cancel-safe. Pending for ever when nothing is in
    /// flight. `Err` when the publisher is fenced by a newer one or the node stops: send `Left{code}`-like refusal and end.
    pub async fn next(&mut self) -> Result<Vec<Answer>, Code> { todo!() }
}

/// The heads of watched rooms.
pub struct Watcher {}

impl Watcher {
    /// Waits for heads that moved since the last call; only the newest of each room. The first call returns all heads
    /// known. Cancel-safe.
    pub async fn next(&mut self) -> Vec<Head> { todo!() }
}
