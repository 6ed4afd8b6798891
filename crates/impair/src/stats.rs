//! What a proxy did.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lane::Reason;

/// What a proxy did since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Stats {
    /// From clients to the server.
    pub up: Counters,
    /// From the server to clients.
    pub down: Counters,
    /// UDP clients, or TCP connections.
    pub clients: u64,
    /// Of these, how many there are now.
    pub clients_open: u64,
    /// Times that a client was moved to another address (UDP).
    pub rebinds: u64,
    /// Connections that the proxy itself reset, or could not pass on (TCP).
    pub resets: u64,
    /// Sockets that could not be opened; a rebinding is then left out.
    pub socket_errors: u64,
}

/// One direction; packets are datagrams, or segments of a stream.
///
/// Invariant: `received + duplicated = delivered + dropped + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Counters {
    /// Packets that came.
    pub received: u64,
    /// Their payload.
    pub received_bytes: u64,
    /// Packets that were handed on, copies among them.
    pub delivered: u64,
    /// Their payload.
    pub delivered_bytes: u64,
    /// Packets that were not, and why.
    pub dropped: Dropped,
    /// Copies that were made.
    pub duplicated: u64,
    /// Delivered after something that came later.
    pub reordered: u64,
    /// Not delivered at once: delay, jitter, rate, reordering or stall.
    pub delayed: u64,
    /// One bit flipped, in the packet and its copy.
    pub corrupted: u64,
    /// Segments that a loss has made late (TCP).
    pub stalled: u64,
}

/// Packets that were not handed on, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Dropped {
    /// In a blackout.
    pub blackout: u64,
    /// At a bound of the proxy itself: too many clients, or too much inside. A test that sees some asks too much of it.
    pub bound: u64,
    /// On their way when the connection or the proxy ended.
    pub ended: u64,
    /// On the profile's list.
    pub listed: u64,
    /// By chance.
    pub loss: u64,
    /// The rate's queue was full.
    pub queue: u64,
    /// The system did not take them.
    pub refused: u64,
}

impl Counters {
    /// Packets inside the proxy.
    pub fn waiting(&self) -> u64 {
        (self.received + self.duplicated).saturating_sub(self.delivered + self.dropped.total())
    }
}

impl Dropped {
    /// For all reasons.
    pub fn total(&self) -> u64 {
        let Self { blackout, bound, ended, listed, loss, queue, refused } = self;
        blackout + bound + ended + listed + loss + queue + refused
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::Blackout => &mut self.blackout,
            Reason::Listed => &mut self.listed,
            Reason::Loss => &mut self.loss,
            Reason::Queue => &mut self.queue,
        } += 1;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { up, down, clients, clients_open, rebinds, resets, socket_errors } = self;
        writeln!(f, "up:   {up}")?;
        writeln!(f, "down: {down}")?;
        write!(f, "{clients} clients ({clients_open} open)")?;
        some(f, &[("rebinds", *rebinds), ("resets", *resets), ("socket errors", *socket_errors)])
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, received_bytes, delivered, delivered_bytes, dropped, .. } = self;
        write!(f, "{received} received ({received_bytes} bytes), {delivered} delivered ({delivered_bytes} bytes)")?;
        let Dropped { blackout, bound, ended, listed, loss, queue, refused } = dropped;
        some(f, &[("dropped", dropped.total())])?;
        let reasons = [
            ("blackout", *blackout),
            ("bound", *bound),
            ("ended", *ended),
            ("listed", *listed),
            ("loss", *loss),
            ("queue", *queue),
            ("refused", *refused),
        ];
        let reasons: Vec<_> = reasons.iter().filter(|(_, count)| *count > 0).collect();
        for (at, (reason, count)) in reasons.iter().enumerate() {
            write!(f, "{}{reason} {count}", if at == 0 { " (" } else { ", " })?;
        }
        f.write_str(if reasons.is_empty() { "" } else { ")" })?;
        let rest = [
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("delayed", self.delayed),
            ("corrupted", self.corrupted),
            ("stalled", self.stalled),
            ("waiting", self.waiting()),
        ];
        some(f, &rest)
    }
}

/// Those that are not zero.
fn some(f: &mut fmt::Formatter<'_>, counts: &[(&str, u64)]) -> fmt::Result {
    counts.iter().filter(|(_, count)| *count > 0).try_for_each(|(what, count)| write!(f, ", {count} {what}"))
}
