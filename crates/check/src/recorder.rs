//! Recording a history from many threads, without an allocation or a contended lock per event.
//!
//! A publish is a token that says how it ended; dropping it says `unknown`. A session keeps its own buffer and hands it
//! over when it is dropped. The clock is the caller's, so that a simulation records virtual time; processes of one run
//! must share it (`CLOCK_MONOTONIC` on one machine).

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::history::{
    Delete, Fault, FaultKind, Floor, From, GapReason, History, Item, Joined, Kind, Lineage, Node, Outcome, Position,
    Process, Producer, Publish, Room, Seen, Session, SessionId, Subscriber,
};

/// Appends to one history from any number of threads. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    process: Process,
    sessions: AtomicU32,
    history: Mutex<History>,
    publishes: [Mutex<Vec<Publish>>; SHARDS],
}

/// Attempts of one producer share a shard, so threads with producers of their own rarely meet at a lock.
const SHARDS: usize = 16;

/// A session hands over this many items at a time: 160 KiB.
const BUFFER_ITEMS: usize = 4096;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("process", &self.shared.process).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder for one process; `clock` gives nanoseconds of the run's monotonic clock.
    pub fn new(process: &str, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let mut history = History::default();
        let process = Process(history.names.processes.intern(process) as u16);
        Self {
            shared: Arc::new(Shared {
                clock: Box::new(clock),
                process,
                sessions: AtomicU32::new(0),
                history: Mutex::new(history),
                publishes: Default::default(),
            }),
        }
    }

    /// What the clock says.
    pub fn now(&self) -> u64 {
        (self.shared.clock)()
    }

    /// The id of a room. Takes a lock: keep the id.
    pub fn room(&self, name: &str) -> Room {
        Room(locked(&self.shared.history).names.rooms.intern(name))
    }

    /// The id of a producer. Takes a lock: keep the id.
    pub fn producer(&self, name: &str) -> Producer {
        Producer(locked(&self.shared.history).names.producers.intern(name))
    }

    /// The id of a node. Takes a lock: keep the id.
    pub fn node(&self, name: &str) -> Node {
        Node(locked(&self.shared.history).names.nodes.intern(name) as u16)
    }

    /// The id of a subscriber. Takes a lock: keep the id.
    pub fn subscriber(&self, name: &str) -> Subscriber {
        Subscriber(locked(&self.shared.history).names.subscribers.intern(name))
    }

    /// A publish is about to be sent.
    pub fn publish(&self, room: Room, producer: Producer, id: u64, hash: u64, node: Node) -> Attempt {
        self.attempt(room, producer, id, hash, node, false)
    }

    /// A publish is about to be sent again.
    pub fn retry(&self, room: Room, producer: Producer, id: u64, hash: u64, node: Node) -> Attempt {
        self.attempt(room, producer, id, hash, node, true)
    }

    fn attempt(&self, room: Room, producer: Producer, id: u64, hash: u64, node: Node, retry: bool) -> Attempt {
        let (invoked, returned, outcome) = (self.now(), 0, Outcome::Unknown);
        let publish = Publish { room, producer, id, hash, node, retry, invoked, returned, outcome };
        Attempt { recorder: self.clone(), publish }
    }

    /// A publish that deletes a record has ended; `acked` if it was acknowledged. The publish itself is recorded as any
    /// other one.
    pub fn delete(&self, room: Room, offset: u64, invoked: u64, acked: bool) {
        let returned = acked.then(|| self.now());
        locked(&self.shared.history).deletes.push(Delete { room, offset, invoked, returned });
    }

    /// Somebody joins a room for the first time, or anew without a claim to continue.
    pub fn subscribe(&self, subscriber: Subscriber, room: Room, node: Node, kind: Kind, from: From) -> Reading {
        self.reading(Session { kind, from, ..self.blank(subscriber, room, node) })
    }

    /// A subscriber goes on where its last session in this room ended.
    pub fn resume(&self, subscriber: Subscriber, room: Room, node: Node, kind: Kind, after: Position) -> Reading {
        let from = From::After { epoch: after.epoch, offset: after.offset };
        self.reading(Session { kind, from, resume: true, ..self.blank(subscriber, room, node) })
    }

    /// A history read of at most `limit` records.
    pub fn history(&self, reader: Subscriber, room: Room, node: Node, from: From, limit: u64) -> Reading {
        self.reading(Session { kind: Kind::History, from, limit, ..self.blank(reader, room, node) })
    }

    /// A node's log is read from the oldest record, after the run.
    pub fn final_log(&self, node: Node, room: Room) -> Reading {
        let reader = self.subscriber("final-log");
        self.reading(Session { kind: Kind::FinalLog, from: From::Oldest, ..self.blank(reader, room, node) })
    }

    /// A node told a room's floor; `invoked` is when it was asked.
    pub fn floor(&self, room: Room, node: Node, floor: u64, invoked: u64) {
        let returned = self.now();
        locked(&self.shared.history).floors.push(Floor { room, node, floor, invoked, returned });
    }

    /// A node told an entry of a room's lineage.
    pub fn lineage(&self, room: Room, node: Node, epoch: u64, first: u64) {
        locked(&self.shared.history).lineages.push(Lineage { room, node, epoch, first });
    }

    /// A fault begins (`on`) or ends.
    pub fn fault(&self, node: Node, kind: FaultKind, on: bool) {
        let time = self.now();
        locked(&self.shared.history).faults.push(Fault { node, kind, on, time });
    }

    /// Takes everything handed over so far: call it once every attempt and reading is dropped. Names stay.
    pub fn finish(&self) -> History {
        let mut history = locked(&self.shared.history);
        let names = history.names.clone();
        let mut taken = std::mem::replace(&mut *history, History { names, ..History::default() });
        for shard in &self.shared.publishes {
            taken.publishes.append(&mut locked(shard));
        }
        taken
    }

    fn blank(&self, subscriber: Subscriber, room: Room, node: Node) -> Session {
        Session {
            session: SessionId(self.shared.sessions.fetch_add(1, Ordering::Relaxed)),
            subscriber,
            room,
            node,
            process: self.shared.process,
            kind: Kind::Live,
            resume: false,
            from: From::Live,
            limit: 0,
            invoked: self.now(),
            returned: 0,
            joined: None,
        }
    }

    fn reading(&self, session: Session) -> Reading {
        Reading { recorder: self.clone(), session, items: Vec::new() }
    }
}

/// A publish that was sent. Dropped without a word it is `unknown`.
#[must_use = "a dropped attempt is recorded as unknown"]
#[derive(Debug)]
pub struct Attempt {
    recorder: Recorder,
    publish: Publish,
}

impl Attempt {
    /// It was acknowledged.
    pub fn acked(mut self, position: Position, duplicate: bool) {
        self.publish.outcome = Outcome::Acked { epoch: position.epoch, offset: position.offset, duplicate };
    }

    /// It was refused: certainly not appended.
    pub fn refused(mut self, code: u32) {
        self.publish.outcome = Outcome::Refused { code };
    }

    /// Nobody knows.
    pub fn unknown(self) {}
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.publish.returned = self.recorder.now();
        let shard = self.publish.producer.0 as usize % SHARDS;
        locked(&self.recorder.shared.publishes[shard]).push(self.publish);
    }
}

/// A session being recorded; handed over when it is dropped. A reading that was refused is recorded without items, or
/// forgotten with [`discard`](Self::discard).
#[derive(Debug)]
pub struct Reading {
    recorder: Recorder,
    session: Session,
    items: Vec<Item>,
}

impl Reading {
    /// The server's answer: `Joined`, `ReadHead`.
    pub fn joined(&mut self, epoch: u64, head: u64, floor: u64) {
        self.session.returned = self.recorder.now();
        self.session.joined = Some(Joined { epoch, head, floor });
    }

    /// A record came.
    pub fn deliver(&mut self, offset: u64, hash: u64) {
        self.push(Seen::Record { offset, hash });
    }

    /// A record came whose content is gone.
    pub fn deliver_redacted(&mut self, offset: u64) {
        self.push(Seen::Redacted { offset });
    }

    /// A gap was told, both ends inclusive.
    pub fn gap(&mut self, from: u64, to: u64, reason: GapReason) {
        self.push(Seen::Gap { from, to, reason });
    }

    /// The position was told not to hold.
    pub fn reset(&mut self, epoch: u64, valid_to: u64) {
        self.push(Seen::Reset { epoch, valid_to });
    }

    /// The seam between history and live was told.
    pub fn caught_up(&mut self, head: u64) {
        self.push(Seen::CaughtUp { head });
    }

    /// A finite reading is complete.
    pub fn ended(&mut self, more: bool) {
        self.push(Seen::End { more });
    }

    /// The harness's word that the run is quiet and nothing may be missing any more.
    pub fn settled(&mut self) {
        self.push(Seen::Settled);
    }

    /// Forgets this reading.
    pub fn discard(mut self) {
        self.items.clear();
        self.session.session = DISCARDED;
    }

    fn push(&mut self, seen: Seen) {
        self.items.push(Item { session: self.session.session, time: self.recorder.now(), seen });
        if self.items.len() >= BUFFER_ITEMS {
            locked(&self.recorder.shared.history).items.append(&mut self.items);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.session.session == DISCARDED {
            return;
        }
        if self.session.returned == 0 {
            self.session.returned = self.recorder.now();
        }
        let mut history = locked(&self.recorder.shared.history);
        history.sessions.push(self.session);
        history.items.append(&mut self.items);
    }
}

const DISCARDED: SessionId = SessionId(u32::MAX);
