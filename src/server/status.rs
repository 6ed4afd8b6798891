//! The node as its operators see it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    api::ops,
    journal::Refusing,
    metrics::{CONTENT_TYPE, Metrics},
    room::Rooms,
};

/// What the ops listener is told.
pub(super) struct Status {
    metrics: Metrics,
    rooms: Rooms,
    draining: AtomicBool,
}

impl Status {
    pub(super) fn new(metrics: Metrics, rooms: Rooms) -> Self {
        Self { metrics, rooms, draining: AtomicBool::new(false) }
    }

    /// From now on nobody should be sent here.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl ops::Node for Status {
    fn metrics(&self) -> (String, &'static str) {
        (self.metrics.text(), CONTENT_TYPE)
    }

    /// A disk that is nearly full is no reason: it refuses publishes for a while, and another node's may be as full.
    fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        match self.rooms.stats().journal.refusing() {
            Some(Refusing::Poisoned) => Err("the log is poisoned: a write or sync has failed; restart the node"),
            Some(Refusing::DiskFull) | None => Ok(()),
        }
    }
}
