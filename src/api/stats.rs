//! What the API counts: requests by what they are for and how they were answered.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

macro_rules! classes {
    ($($(#[doc = $doc:literal])* $class:ident = $name:literal),* $(,)?) => {
        /// What a request is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Class { $($(#[doc = $doc])* $class),* }

        impl Class {
            const NAMES: &[&'static str] = &[$($name),*];
        }
    };
}

classes! {
    /// A record to delete.
    Delete = "delete",
    /// An event stream.
    Events = "events",
    /// Records of a room.
    History = "history",
    /// Where the node is.
    Info = "info",
    /// The description of the API.
    OpenApi = "openapi",
    /// Anything else below `/v1`: preflights, methods and paths that there are not.
    Other = "other",
    /// Who is in a room.
    Presence = "presence",
    /// Records to append.
    Publish = "publish",
    /// One record.
    Record = "record",
    /// Where a room is.
    Room = "room",
    /// The list of rooms.
    Rooms = "rooms",
}

const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of the API.
#[derive(Debug, Default)]
pub struct Stats {
    requests: [[AtomicU64; STATUSES.len()]; Class::NAMES.len()],
    /// Event streams begun.
    pub(super) streams_opened: AtomicU64,
    /// Event streams done with.
    pub(super) streams_closed: AtomicU64,
    /// Records written to event streams.
    pub(super) records_delivered: AtomicU64,
}

impl Stats {
    /// Requests by their class and the class of their answer's status; what there was none of is left out.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Class::NAMES.iter().zip(&self.requests).flat_map(|(class, counts)| {
            let counts = STATUSES.iter().zip(counts).map(|(status, count)| (*status, count.load(Ordering::Relaxed)));
            counts.filter(|(_, count)| *count > 0).map(|(status, count)| (*class, status, count))
        })
    }

    /// Event streams begun.
    pub fn streams_opened(&self) -> u64 {
        self.streams_opened.load(Ordering::Relaxed)
    }

    /// Event streams done with.
    pub fn streams_closed(&self) -> u64 {
        self.streams_closed.load(Ordering::Relaxed)
    }

    /// Records written to event streams.
    pub fn records_delivered(&self) -> u64 {
        self.records_delivered.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, class: Class, status: StatusCode) {
        let status = usize::from(status.as_u16() / 100).clamp(1, STATUSES.len()) - 1;
        self.requests[class as usize][status].fetch_add(1, Ordering::Relaxed);
    }
}
