//! What sessions count. Plain atomics, each only ever rising; the metrics read them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use loquic_wire::{Code, publish::Duplicate};
use parking_lot::Mutex;

use crate::room::Answer;

/// A number that rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }
}

/// Sessions by the name of their transport. Touched twice in a session's life, so a lock is cheap enough.
#[derive(Debug, Default)]
pub struct ByTransport(Mutex<BTreeMap<&'static str, Tally>>);

/// Sessions of one transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Links taken over.
    pub opened: u64,
    /// Links done with.
    pub closed: u64,
}

impl ByTransport {
    /// Each transport that has had a session.
    pub fn get(&self) -> Vec<(&'static str, Tally)> {
        self.0.lock().iter().map(|(name, tally)| (*name, *tally)).collect()
    }

    pub(super) fn opened(&self, transport: &'static str) {
        self.0.lock().entry(transport).or_default().opened += 1;
    }

    pub(super) fn closed(&self, transport: &'static str) {
        self.0.lock().entry(transport).or_default().closed += 1;
    }
}

/// The counters of all sessions of a node.
#[derive(Debug, Default)]
pub struct Stats {
    /// Links taken over.
    pub sessions_opened: Counter,
    /// Links done with.
    pub sessions_closed: Counter,
    /// The same two by transport.
    pub sessions_by_transport: ByTransport,
    /// `Welcome` was sent.
    pub sessions_welcomed: Counter,
    /// Refused because the node is full.
    pub sessions_refused_full: Counter,
    /// Refused because the node is draining.
    pub sessions_refused_draining: Counter,
    /// Refused because of who the client is, or what it speaks.
    pub sessions_refused_hello: Counter,
    /// Closed without an answer, because too many were being refused already.
    pub sessions_dropped: Counter,
    /// No `Hello` in time.
    pub hello_timeouts: Counter,
    /// Sessions ended because the peer broke the protocol.
    pub faults: Counter,
    /// Streams that were served.
    pub streams_opened: Counter,
    /// Streams that were served and have ended.
    pub streams_closed: Counter,
    /// Streams answered with `Refused`.
    pub streams_refused: Counter,
    /// Publishes taken.
    pub publishes: Counter,
    /// Publishes answered with `Ack` or `AckRun`.
    pub acks: Counter,
    /// Those of them that were in the log before.
    pub duplicates: Counter,
    /// Publishes answered with `Nack`.
    pub nacks: Counter,
    /// Those of them with `overloaded`.
    pub overloaded: Counter,
    /// Records written to subscribers, by `Join`.
    pub records_delivered: Counter,
    /// Bytes of those.
    pub bytes_delivered: Counter,
    /// Frames that said who is in a room, by `Join`.
    pub presence_delivered: Counter,
    /// Ephemerals taken.
    pub ephemerals: Counter,
    /// Ephemerals dropped: too many, out of date, too long, not allowed, of a room that is not joined, or malformed.
    pub ephemerals_dropped: Counter,
    /// Ephemerals sent to subscribers, by datagram or stream.
    pub ephemerals_delivered: Counter,
}

impl Stats {
    /// Publishes were taken, over whatever transport.
    pub fn note_publishes(&self, count: usize) {
        self.publishes.add(count as u64);
    }

    /// Some of them were answered.
    pub fn note_answer(&self, answer: &Answer) {
        match answer {
            Answer::Ack(ack) => {
                self.acks.increment();
                if ack.duplicate != Duplicate::No {
                    self.duplicates.increment();
                }
            }
            Answer::AckRun(run) => self.acks.add(run.count.into()),
            Answer::Nack(nack) => {
                self.nacks.increment();
                if nack.code == Code::OVERLOADED {
                    self.overloaded.increment();
                }
            }
        }
    }
}
