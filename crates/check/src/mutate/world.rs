//! A model of Loquic just large enough to record valid histories of every sort.

use crate::{
    history::{
        Fault, FaultKind, Floor, From, GapReason, History, Item, Joined, Kind, Lineage, Node, Producer, Room, Seen,
        Session, SessionId, Subscriber,
    },
    mutate::{Random, writer::Writer},
    promise::{Level, Promise, Retention},
};

/// What sort of history to make.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many things happen, about as many as there will be events.
    pub steps: u64,
    /// Rooms.
    pub rooms: u32,
    /// Producers per room at any time.
    pub producers: u32,
    /// Subscribers per room.
    pub subscribers: u32,
    /// Nodes, all with the same log.
    pub nodes: u16,
    /// Power is lost, and with it the ends of logs.
    pub losses: bool,
    /// Floors move.
    pub trims: bool,
    /// The logs are read at the end.
    pub final_logs: bool,
}

impl Shape {
    /// A small history of random shape.
    pub fn random(random: &mut Random) -> Self {
        Self {
            steps: random.range(20, 500),
            rooms: random.range(1, 3) as u32,
            producers: random.range(1, 3) as u32,
            subscribers: random.range(1, 4) as u32,
            nodes: random.range(1, 3) as u16,
            losses: random.one_in(2),
            trims: random.one_in(2),
            final_logs: !random.one_in(8),
        }
    }

    /// What a system of this shape promises.
    pub fn promise(&self) -> Promise {
        let promise = Promise::new(Level::Process);
        match (self.trims, self.losses) {
            (false, _) => promise,
            (true, false) => promise.retention(Retention::KeepsLast(KEPT)),
            (true, true) => promise.retention(Retention::Trims),
        }
    }
}

/// Trimming leaves at least this many records.
const KEPT: u64 = 3;

/// A valid history.
pub fn generate(shape: &Shape, seed: u64) -> History {
    let mut world = World::new(shape, seed);
    for _ in 0..shape.steps {
        world.step();
    }
    world.settle();
    world.history
}

/// One room's log; the record at offset o is `log[o - 1]`.
#[derive(Debug, Default)]
pub(super) struct RoomModel {
    pub(super) log: Vec<u64>,
    pub(super) lineage: Vec<(u64, u64)>,
    floor: u64,
}

impl RoomModel {
    pub(super) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn epoch(&self) -> u64 {
        self.lineage.last().map_or(1, |(epoch, _)| *epoch)
    }

    fn joined(&self) -> Joined {
        Joined { epoch: self.epoch(), head: self.head(), floor: self.floor }
    }

    fn end(&self, epoch: u64) -> u64 {
        let later = self.lineage.iter().filter(|(e, _)| *e > epoch).map(|(_, first)| first - 1);
        later.min().unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
struct Reader {
    subscriber: Subscriber,
    room: usize,
    kind: Kind,
    open: Option<SessionId>,
    next: u64,
    epoch: Option<u64>,
    caught_up: bool,
}

pub(super) struct World {
    shape: Shape,
    pub(super) random: Random,
    pub(super) history: History,
    now: u64,
    pub(super) rooms: Vec<RoomModel>,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    sessions: u32,
}

impl World {
    fn new(shape: &Shape, seed: u64) -> Self {
        let mut history = History::default();
        history.names.processes.intern("model");
        // Not the sequence that a caller draws from the same seed, or its "new" hashes would be ours.
        let mut random = Random::new(!seed);
        let epoch = random.range(1, 1 << 40);
        let rooms = (0..shape.rooms).map(|_| RoomModel { log: Vec::new(), lineage: vec![(epoch, 1)], floor: 1 });
        let rooms = rooms.collect();
        (0..shape.nodes).for_each(|i| _ = history.names.nodes.intern(&format!("n{i}")));
        let (now, writers, readers, sessions) = (1, Vec::new(), Vec::new(), 0);
        let mut world = Self { shape: *shape, random, history, now, rooms, writers, readers, sessions };
        for room in 0..shape.rooms {
            world.history.names.rooms.intern(&format!("room-{room}"));
            for _ in 0..shape.producers {
                let writer = Writer::new(room, world.producer());
                world.writers.push(writer);
            }
            for i in 0..shape.subscribers {
                let subscriber = Subscriber(world.history.names.subscribers.intern(&format!("s{room}-{i}")));
                let kind = if world.random.one_in(3) { Kind::Latest } else { Kind::Live };
                let (open, next, epoch, caught_up) = (None, 1, None, false);
                world.readers.push(Reader { subscriber, room: room as usize, kind, open, next, epoch, caught_up });
            }
        }
        world
    }

    pub(super) fn producer(&mut self) -> Producer {
        let name = format!("p{}", self.history.names.producers.len());
        Producer(self.history.names.producers.intern(&name))
    }

    /// Each thing that happens has a time of its own.
    pub(super) fn tick(&mut self) -> u64 {
        self.now += self.random.range(1, 1000);
        self.now
    }

    pub(super) fn node(&mut self) -> Node {
        Node(self.random.below(self.shape.nodes.into()) as u16)
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..50 => {
                let i = self.random.below(self.writers.len() as u64) as usize;
                let mut writer = std::mem::replace(&mut self.writers[i], Writer::new(0, Producer(0)));
                writer.step(self);
                self.writers[i] = writer;
            }
            50..90 => {
                let i = self.random.below(self.readers.len() as u64) as usize;
                self.read(i);
            }
            90..94 => self.read_history(),
            94..96 => self.tell_floor(),
            96..98 if self.shape.trims => self.trim(),
            98 => self.fault(),
            _ => {}
        }
    }

    fn read(&mut self, i: usize) {
        if self.readers[i].open.is_none() {
            self.join(i);
        } else if self.random.one_in(15) {
            self.readers[i].open = None;
            if self.random.one_in(6) {
                self.readers[i].epoch = None;
            }
        } else {
            for _ in 0..self.random.range(1, 3) {
                self.deliver(i);
            }
        }
    }

    fn session(&mut self, subscriber: Subscriber, room: usize, kind: Kind, from: From) -> &mut Session {
        let (session, node) = (SessionId(self.sessions), self.node());
        self.sessions += 1;
        let invoked = self.tick();
        let returned = self.tick();
        let (process, resume, limit) = (crate::history::Process(0), false, 0);
        let (joined, room) = (Some(self.rooms[room].joined()), Room(room as u32));
        let new =
            Session { session, subscriber, room, node, process, kind, resume, from, limit, invoked, returned, joined };
        let at = self.history.sessions.len();
        self.history.sessions.push(new);
        &mut self.history.sessions[at]
    }

    fn see(&mut self, session: SessionId, seen: Seen) {
        let time = self.tick();
        self.history.items.push(Item { session, time, seen });
    }

    fn join(&mut self, i: usize) {
        let Reader { subscriber, room, kind, next, epoch, .. } = self.readers[i];
        let Joined { epoch: current, head, floor } = self.rooms[room].joined();
        let resumed = epoch.map(|epoch| (epoch, next - 1));
        let (from, next) = match resumed {
            Some((epoch, offset)) => (From::After { epoch, offset }, next),
            None => self.first(head, floor, current),
        };
        let session = self.session(subscriber, room, kind, from);
        session.resume = resumed.is_some();
        let id = session.session;
        let reader = &mut self.readers[i];
        (reader.open, reader.next, reader.epoch, reader.caught_up) = (Some(id), next, Some(current), false);
        if let Some((old, offset)) = resumed {
            let end = self.rooms[room].end(old);
            if offset > end {
                self.readers[i].next = end + 1;
                self.see(id, Seen::Reset { epoch: current, valid_to: end });
            }
        }
    }

    fn first(&mut self, head: u64, floor: u64, epoch: u64) -> (From, u64) {
        match self.random.below(5) {
            0 => (From::Live, head + 1),
            1 => (From::Oldest, floor),
            2 => {
                let offset = self.random.range(1, head + 1);
                (From::AtOffset { offset }, offset)
            }
            3 => {
                let offset = self.random.range(0, head);
                (From::After { epoch, offset }, offset + 1)
            }
            _ => {
                let count = self.random.range(1, 5);
                (From::Last { count }, floor.max((head + 1).saturating_sub(count)))
            }
        }
    }

    fn deliver(&mut self, i: usize) {
        let Reader { room, kind, open, next, caught_up, .. } = self.readers[i];
        let Some(session) = open else { return };
        let RoomModel { floor, .. } = self.rooms[room];
        let head = self.rooms[room].head();
        let seen = if next < floor {
            self.readers[i].next = floor;
            Seen::Gap { from: next, to: floor - 1, reason: GapReason::Retention }
        } else if next > head {
            if caught_up {
                return;
            }
            self.readers[i].caught_up = true;
            Seen::CaughtUp { head }
        } else if kind == Kind::Latest && head - next > 4 && self.random.one_in(4) {
            self.readers[i].next = head;
            Seen::Gap { from: next, to: head - 1, reason: GapReason::Skipped }
        } else {
            self.readers[i].next = next + 1;
            Seen::Record { offset: next, hash: self.rooms[room].log[next as usize - 1] }
        };
        self.see(session, seen);
    }

    fn read_history(&mut self) {
        let room = self.random.below(self.rooms.len() as u64) as usize;
        let Joined { head, floor, epoch } = self.rooms[room].joined();
        let limit = self.random.range(1, 8);
        let (from, next, last) = if self.random.one_in(3) {
            let offset = self.random.range(1, head + 1);
            (From::Before { offset }, floor.max(offset.saturating_sub(limit)), offset - 1)
        } else {
            let (from, next) = self.first(head, floor, epoch);
            (from, next, head.min(next.max(floor) + limit - 1))
        };
        let subscriber = Subscriber(self.history.names.subscribers.intern("historian"));
        let session = self.session(subscriber, room, Kind::History, from);
        session.limit = limit;
        let id = session.session;
        if next < floor {
            self.see(id, Seen::Gap { from: next, to: floor - 1, reason: GapReason::Retention });
        }
        for offset in next.max(floor)..=last {
            let hash = self.rooms[room].log[offset as usize - 1];
            self.see(id, Seen::Record { offset, hash });
        }
        self.see(id, Seen::End { more: last < head });
    }

    fn tell_floor(&mut self) {
        let room = self.random.below(self.rooms.len() as u64) as usize;
        let (node, invoked) = (self.node(), self.tick());
        let (floor, returned) = (self.rooms[room].floor, self.tick());
        self.history.floors.push(Floor { room: Room(room as u32), node, floor, invoked, returned });
    }

    fn trim(&mut self) {
        let room = self.random.below(self.rooms.len() as u64) as usize;
        let highest = (self.rooms[room].head() + 1).saturating_sub(KEPT);
        let floor = self.rooms[room].floor;
        if highest > floor {
            self.rooms[room].floor = self.random.range(floor, highest);
        }
        _ = self.tick();
    }

    /// Every node stops at once: sessions end, publishes in flight are unknown, and power loss takes the ends of logs.
    fn fault(&mut self) {
        let kind = if self.shape.losses { FaultKind::PowerLoss } else { FaultKind::Kill };
        let (node, time) = (self.node(), self.tick());
        self.history.faults.push(Fault { node, kind, on: true, time });
        self.readers.iter_mut().for_each(|reader| reader.open = None);
        let mut writers = std::mem::take(&mut self.writers);
        writers.iter_mut().for_each(|writer| writer.disconnect(self));
        for room in 0..self.rooms.len() {
            let most = (self.rooms[room].head() + 1).saturating_sub(self.rooms[room].floor).min(5);
            let lost = if self.shape.losses { self.random.range(0, most) } else { 0 };
            let epoch = self.rooms[room].epoch() + self.random.range(1, 1000);
            let model = &mut self.rooms[room];
            let head = model.head() - lost;
            model.log.truncate(head as usize);
            model.lineage.push((epoch, head + 1));
        }
        writers.iter_mut().for_each(|writer| writer.forget_lost(self));
        self.writers = writers;
    }

    /// The run ends: everything is delivered, and the logs are read.
    fn settle(&mut self) {
        let mut writers = std::mem::take(&mut self.writers);
        writers.iter_mut().for_each(|writer| writer.disconnect(self));
        for i in 0..self.readers.len() {
            if self.readers[i].epoch.is_none() || self.random.one_in(5) {
                continue;
            }
            if self.readers[i].open.is_none() {
                self.join(i);
            }
            while !self.readers[i].caught_up || self.readers[i].next <= self.rooms[self.readers[i].room].head() {
                self.deliver(i);
            }
            if let Some(session) = self.readers[i].open {
                self.see(session, Seen::Settled);
            }
        }
        for room in 0..self.rooms.len() {
            for node in 0..self.shape.nodes {
                for (epoch, first) in self.rooms[room].lineage.clone() {
                    let line = Lineage { room: Room(room as u32), node: Node(node), epoch, first };
                    self.history.lineages.push(line);
                }
                if self.shape.final_logs {
                    self.read_final_log(room, Node(node));
                }
            }
        }
    }

    fn read_final_log(&mut self, room: usize, node: Node) {
        let subscriber = Subscriber(self.history.names.subscribers.intern("final-log"));
        let session = self.session(subscriber, room, Kind::FinalLog, From::Oldest);
        session.node = node;
        let id = session.session;
        for offset in self.rooms[room].floor..=self.rooms[room].head() {
            let hash = self.rooms[room].log[offset as usize - 1];
            self.see(id, Seen::Record { offset, hash });
        }
    }
}
