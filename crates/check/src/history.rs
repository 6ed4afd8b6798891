//! What happened in a run, as plain data: publishes, sessions that read a room, and what each of them saw.
//!
//! Everything is `Copy` and names are interned, so recording an event costs a push and no allocation. A delivery takes
//! 40 bytes, a publish 80. Times are nanoseconds of one monotonic clock that all processes of a run share.

use serde::{Deserialize, Serialize};

use crate::names::Names;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($raw:ty)) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $raw);
    };
}

id!(
    /// A room, as an index into [`Names::rooms`].
    Room(u32)
);
id!(
    /// A producer, as an index into [`Names::producers`].
    Producer(u32)
);
id!(
    /// A node, as an index into [`Names::nodes`].
    Node(u16)
);
id!(
    /// A recording process, as an index into [`Names::processes`].
    Process(u16)
);
id!(
    /// Somebody who reads over many sessions, as an index into [`Names::subscribers`].
    Subscriber(u32)
);
id!(
    /// One uninterrupted reading of one room: a join, a history read, or the reading of a final log.
    SessionId(u32)
);

/// Where a record is: an offset means something only within the lineage of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// The offset; the first is 1.
    pub offset: u64,
}

/// How a publish ended, as its caller saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// Acknowledged.
    #[serde(rename = "ok")]
    Acked {
        /// The epoch in the ack.
        epoch: u64,
        /// The offset in the ack.
        offset: u64,
        /// Whether the ack said that the record had been there already.
        duplicate: bool,
    },
    /// Refused by a code: certainly not appended by this attempt.
    Refused {
        /// A code of the wire registry.
        code: u32,
    },
    /// Nobody knows: a timeout, or a connection that broke after sending.
    Unknown,
}

/// One attempt at a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The room.
    pub room: Room,
    /// The producer.
    pub producer: Producer,
    /// The producer's number for this publish.
    pub id: u64,
    /// What makes the record itself: a hash over its payload and, where payloads repeat, over producer and id too.
    pub hash: u64,
    /// The node it was sent to.
    pub node: Node,
    /// Whether the same producer and id had been sent before.
    #[serde(skip)]
    pub retry: bool,
    /// When it was sent.
    pub invoked: u64,
    /// When the outcome was known.
    pub returned: u64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Where a reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum From {
    /// Behind the head.
    Live,
    /// With the oldest record held.
    Oldest,
    /// With this offset.
    AtOffset {
        /// Inclusive.
        offset: u64,
    },
    /// Behind a position.
    After {
        /// The position's epoch.
        epoch: u64,
        /// The position's offset, exclusive.
        offset: u64,
    },
    /// With the newest records.
    Last {
        /// How many.
        count: u64,
    },
    /// With the first record at or after some time: the first offset is not checked.
    AtTime,
    /// Ends before an offset (history only).
    Before {
        /// Exclusive.
        offset: u64,
    },
}

/// What sort of reading a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A join: history, then live records until it ends.
    Live,
    /// A join in mode `latest`, which may skip.
    Latest,
    /// A finite history read.
    History,
    /// A node's whole log, read from the oldest record after the run.
    FinalLog,
}

/// What the server answered at the beginning of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The room's epoch.
    pub epoch: u64,
    /// The last offset in the room, 0 if there was never one.
    pub head: u64,
    /// The oldest offset held; head + 1 if there is none.
    pub floor: u64,
}

/// One uninterrupted reading of one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number, unique within a history.
    pub session: SessionId,
    /// Who reads.
    pub subscriber: Subscriber,
    /// Which room.
    pub room: Room,
    /// From which node.
    pub node: Node,
    /// Recorded by which process.
    pub process: Process,
    /// What sort of reading.
    pub kind: Kind,
    /// Whether it goes on where the subscriber's last session in this room ended.
    #[serde(skip)]
    pub resume: bool,
    /// Where it begins.
    #[serde(flatten)]
    pub from: From,
    /// The most records it may bring; 0 for no limit.
    #[serde(default)]
    pub limit: u64,
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came.
    pub returned: u64,
    /// The answer, where the interface has one.
    pub joined: Option<Joined>,
}

/// Why records will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// Removed by the room's retention.
    Retention,
    /// Mode `latest`, too slow.
    Skipped,
    /// Not readable any more.
    Lost,
}

/// What a session saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A record.
    Record {
        /// Its offset.
        offset: u64,
        /// Its hash, made as [`Publish::hash`] is.
        hash: u64,
    },
    /// A record without its content: it was deleted.
    Redacted {
        /// Its offset.
        offset: u64,
    },
    /// Records that will not come, both ends inclusive.
    Gap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// The position does not hold.
    Reset {
        /// The epoch that is being written.
        epoch: u64,
        /// The last offset of the subscriber's that is in the log.
        valid_to: u64,
    },
    /// Everything up to the head has been sent.
    CaughtUp {
        /// The head.
        head: u64,
    },
    /// A finite reading is complete.
    End {
        /// Whether there is more behind it.
        more: bool,
    },
    /// Said by the harness: the run is quiet, this subscriber must by now hold everything up to the room's last offset.
    Settled,
}

/// Something a session saw, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which session.
    pub session: SessionId,
    /// When.
    pub time: u64,
    /// What.
    pub seen: Seen,
}

/// A publish that deletes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The room.
    pub room: Room,
    /// What it deletes.
    pub offset: u64,
    /// When it was sent.
    pub invoked: u64,
    /// When it was acknowledged, if it was.
    pub returned: Option<u64>,
}

/// A node's word on a room's floor, outside of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The room.
    pub room: Room,
    /// The node.
    pub node: Node,
    /// The oldest offset held.
    pub floor: u64,
    /// When it was asked.
    pub invoked: u64,
    /// When it answered.
    pub returned: u64,
}

/// A node's word on a room's lineage: `first` is the first offset that belongs to `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The room.
    pub room: Room,
    /// The node.
    pub node: Node,
    /// The epoch.
    pub epoch: u64,
    /// Its first offset.
    pub first: u64,
}

/// What was done to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Stopped in order, started again.
    Restart,
    /// `kill -9`.
    Kill,
    /// The machine stops: what was not synced is gone.
    PowerLoss,
    /// A node and its disk are gone.
    NodeLoss,
    /// Loss, delay, reordering, partition.
    Network,
    /// `SIGSTOP`.
    Pause,
    /// No space left.
    DiskFull,
    /// The disk reports errors.
    DiskError,
    /// The wall clock jumps.
    Clock,
    /// The journal's servers (NATS) are disturbed.
    Journal,
}

/// A fault that the harness injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// To which node.
    pub node: Node,
    /// What.
    pub kind: FaultKind,
    /// Whether it begins; an instantaneous one only begins.
    pub on: bool,
    /// When. A loss can touch only what was invoked before.
    pub time: u64,
}

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// What the small integers stand for.
    pub names: Names,
    /// Every attempt at a publish.
    pub publishes: Vec<Publish>,
    /// Every reading.
    pub sessions: Vec<Session>,
    /// What the readings saw: in order within one session, sessions mixed at will.
    pub items: Vec<Item>,
    /// What was deleted, besides the publishes that did it.
    pub deletes: Vec<Delete>,
    /// Floors, as nodes told them.
    pub floors: Vec<Floor>,
    /// Lineages, as nodes told them.
    pub lineages: Vec<Lineage>,
    /// What was done to the system.
    pub faults: Vec<Fault>,
}

impl History {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.publishes.len()
            + self.sessions.len()
            + self.items.len()
            + self.deletes.len()
            + self.floors.len()
            + self.lineages.len()
            + self.faults.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds another process's history. The same name means the same thing in both, sessions are always different ones.
    pub fn merge(&mut self, other: Self) {
        let map = self.names.absorb(&other.names);
        let base = self.sessions.iter().map(|s| s.session.0 + 1).max().unwrap_or(0);
        let session = |s: SessionId| SessionId(s.0.saturating_add(base));
        self.publishes.extend(other.publishes.into_iter().map(|p| Publish {
            room: map.room(p.room),
            producer: map.producer(p.producer),
            node: map.node(p.node),
            ..p
        }));
        self.sessions.extend(other.sessions.into_iter().map(|s| Session {
            session: session(s.session),
            subscriber: map.subscriber(s.subscriber),
            room: map.room(s.room),
            node: map.node(s.node),
            process: map.process(s.process),
            ..s
        }));
        self.items.extend(other.items.into_iter().map(|i| Item { session: session(i.session), ..i }));
        self.deletes.extend(other.deletes.into_iter().map(|d| Delete { room: map.room(d.room), ..d }));
        self.floors.extend(other.floors.into_iter().map(|f| Floor {
            room: map.room(f.room),
            node: map.node(f.node),
            ..f
        }));
        self.lineages.extend(other.lineages.into_iter().map(|l| Lineage {
            room: map.room(l.room),
            node: map.node(l.node),
            ..l
        }));
        self.faults.extend(other.faults.into_iter().map(|f| Fault { node: map.node(f.node), ..f }));
    }
}

const _: () = assert!(size_of::<Item>() <= 48 && size_of::<Publish>() <= 80);
