//! The judge of recorded histories: what was published, what came out of it, and whether Loquic kept its promises.
//!
//! A harness (fault tests, load generator) records with a [`Recorder`] what clients did and saw, reads every node's log
//! when the run is over, and asks [`check()`]. Nothing here runs anything: no async, no clock of its own, no I/O except
//! JSON lines over `BufRead` and `Write`. It shares no code with the server, so that a mistake there is not believed
//! here.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use loquic_check::{From, Kind, Level, Position, Promise, Recorder, check};
//!
//! let clock = AtomicU64::new(0); // A test would use a monotonic clock, a simulation its virtual time.
//! let recorder = Recorder::new("client-1", move || clock.fetch_add(1, Ordering::Relaxed));
//! let (room, node) = (recorder.room("lobby"), recorder.node("n1"));
//! let (producer, reader) = (recorder.producer("p1"), recorder.subscriber("s1"));
//!
//! let mut live = recorder.subscribe(reader, room, node, Kind::Live, From::Live);
//! live.joined(1, 0, 1); // epoch 1, head 0, floor 1
//! recorder.publish(room, producer, 1, 0xA, node).acked(Position { epoch: 1, offset: 1 }, false);
//! recorder.publish(room, producer, 2, 0xB, node).unknown();
//! live.deliver(1, 0xA);
//! live.settled();
//! drop(live);
//!
//! let mut log = recorder.final_log(node, room);
//! log.joined(1, 1, 1);
//! log.deliver(1, 0xA);
//! drop(log);
//!
//! let report = check(&recorder.finish(), &Promise::new(Level::Disk));
//! assert!(report.is_clean(), "{report}");
//! assert_eq!((report.acked, report.unknown, report.delivered, report.lost), (1, 1, 1, 0));
//! ```
//!
//! What a harness has to know:
//!
//! - A timeout, or a connection that broke after sending, is `unknown`, never refused. A refusal is certain.
//! - [`Publish::hash`] must tell records apart. Where payloads repeat, hash producer and id with them.
//! - A session that goes on where the last one ended is a `resume`; it is held to the union over sessions, as seen
//!   behind whatever removes duplicates. One that deliberately asks for something again is a new `subscribe`.
//! - Nothing is expected of the end of a subscription unless the harness says [`Reading::settled`].
//! - After a run with losses, tell every room's lineage ([`Recorder::lineage`]); without it, epochs are placed by acks
//!   and resets, which is right only as far as they show it.
//! - Without a final log, only what was seen can be held against what was acknowledged; [`Report::notes`] says so.
//!
//! I14 to I17 (isolation, liveness, bounds, ephemerals) are not here: they are about clocks and resources, and are
//! asserted where those are.

#![forbid(unsafe_code)]

mod check;
mod hash;
mod history;
mod jsonl;
#[cfg(any(test, feature = "mutate"))]
pub mod mutate;
mod names;
mod promise;
mod recorder;
mod report;

pub use check::check;
pub use history::{
    Delete, Fault, FaultKind, Floor, From, GapReason, History, Item, Joined, Kind, Lineage, Node, Outcome, Position,
    Process, Producer, Publish, Room, Seen, Session, SessionId, Subscriber,
};
pub use jsonl::{Error, Event};
pub use names::{Interner, Names};
pub use promise::{Level, Promise, Retention};
pub use recorder::{Attempt, Reading, Recorder};
pub use report::{Invariant, Places, Report, Violation};
