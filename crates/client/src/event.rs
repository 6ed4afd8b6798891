//! What a room tells the application.

use loquic_wire::{
    Offset, Record,
    join::{CaughtUp, Gap, Reset},
};

use crate::presence::Presence;

/// What comes from a room, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A record. Offsets are dense: between one record and the next nothing is missing, unless a gap says so.
    Record(Record),
    /// Records that will not come, and why.
    Gap(Gap),
    /// The server has lost what the application has seen behind `valid_to`. Everything behind `valid_to` that is held
    /// follows, so the application forgets what it has from there on.
    Reset(Reset),
    /// Everything up to `head` has been delivered; what follows is live. Comes again after each reconnect.
    CaughtUp(CaughtUp),
    /// Who is in the room, if that was asked for: at first, and whenever it has changed. Always the newest; what an
    /// application did not take in time is not told. Comes among the records as it will, and moves no position.
    Presence(Presence),
    /// The user's read mark in the room has moved to here, in this session or another one. Not in order with the rest.
    Marked(Offset),
}
