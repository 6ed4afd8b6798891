//! Clients whose publishes and deliveries are recorded for the checker.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use loquic_check::{
    self as check, GapReason as Reason, History, Kind, Outcome, Promise, Publish, Reading, Recorder, Report, Subscriber,
};
use loquic_client::{Ack, Client, Duplicate, Error, Event, From, GapReason, Message, Pending, Position, Record, Room};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

use super::Random;

/// A run: everything that its clients did and saw. Clones share it.
#[derive(Clone)]
pub struct Run {
    shared: Arc<Shared>,
}

struct Shared {
    recorder: Recorder,
    node: check::Node,
    start: Instant,
    /// Every publish, from when it was handed over; the outcome is filled in when it comes.
    publishes: Mutex<Vec<Publish>>,
    acked: watch::Sender<u64>,
    delivered: watch::Sender<u64>,
    names: Mutex<Interned>,
}

/// Names in the order in which the recorder numbered them.
#[derive(Default)]
struct Interned {
    rooms: Vec<String>,
    producers: Vec<String>,
}

impl Run {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let start = Instant::now();
        let recorder = Recorder::new("clients", move || start.elapsed().as_nanos() as u64);
        let (node, acked, delivered) = (recorder.node("server"), watch::Sender::new(0), watch::Sender::new(0));
        Self {
            shared: Arc::new(Shared {
                recorder,
                node,
                start,
                publishes: Mutex::default(),
                acked,
                delivered,
                names: Mutex::default(),
            }),
        }
    }

    /// For what is not recorded here.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// The server, as the history names it.
    pub fn node(&self) -> check::Node {
        self.shared.node
    }

    /// Acks that have come so far.
    pub fn acked(&self) -> u64 {
        *self.shared.acked.borrow()
    }

    /// Waits for this many further acks: that the server works, and is at work.
    pub async fn more_acks(&self, count: u64) {
        more(&self.shared.acked, count).await;
    }

    /// Waits until this many further records have come to subscribers: that they are back as well.
    pub async fn more_deliveries(&self, count: u64) {
        more(&self.shared.delivered, count).await;
    }

    /// Publishes so far, as they are known now: what has no answer yet may or may not be in the log.
    pub fn publishes(&self) -> Vec<Publish> {
        let now = self.shared.recorder.now();
        let mut publishes = self.ledger().clone();
        for publish in publishes.iter_mut().filter(|publish| publish.outcome == Outcome::Unknown) {
            publish.returned = now;
        }
        publishes
    }

    /// The history, once everything that records has ended.
    pub fn history(&self) -> History {
        let mut history = self.shared.recorder.finish();
        history.publishes = self.publishes();
        history
    }

    /// Another recorder with the same clock and the same names for rooms and producers, for a history that branches
    /// off.
    pub fn branch(&self, process: &str) -> Recorder {
        let start = self.shared.start;
        let branch = Recorder::new(process, move || start.elapsed().as_nanos() as u64);
        let names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.rooms.iter().for_each(|room| _ = branch.room(room));
        names.producers.iter().for_each(|producer| _ = branch.producer(producer));
        branch
    }

    fn room(&self, name: &str) -> check::Room {
        let mut names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.rooms.iter().any(|known| known == name) {
            names.rooms.push(name.into());
        }
        self.shared.recorder.room(name)
    }

    fn producer(&self, name: String) -> check::Producer {
        let mut names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = self.shared.recorder.producer(&name);
        if !names.producers.contains(&name) {
            names.producers.push(name);
        }
        producer
    }

    fn ledger(&self) -> MutexGuard<'_, Vec<Publish>> {
        self.shared.publishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, publish: Publish) -> usize {
        let mut ledger = self.ledger();
        ledger.push(publish);
        ledger.len() - 1
    }

    fn end(&self, slot: usize, outcome: Outcome) {
        let returned = self.shared.recorder.now();
        let mut ledger = self.ledger();
        let publish = &mut ledger[slot];
        (publish.outcome, publish.returned) = (outcome, returned);
        drop(ledger);
        if matches!(outcome, Outcome::Acked { .. }) {
            self.shared.acked.send_modify(|acked| *acked += 1);
        }
    }
}

async fn more(counter: &watch::Sender<u64>, count: u64) {
    let wanted = *counter.borrow() + count;
    let mut counted = counter.subscribe();
    let came = timeout(Duration::from_secs(60), counted.wait_for(|counted| *counted >= wanted)).await;
    let came = came.map(|counted| *counted.expect("the run holds the sender"));
    came.unwrap_or_else(|_| panic!("{count} more did not come, {} are missing", wanted - *counter.borrow()));
}

/// Checks a history and fails the test if a promise was broken.
pub fn judge(history: &History, promise: &Promise) -> Report {
    let report = check::check(history, promise);
    assert!(report.is_clean(), "{report}");
    report
}

/// What makes a record itself: who published it, and its content. Not its id: where acknowledged records are lost, as a
/// level may allow, the client numbers anew what is behind them.
pub fn hash(sender: &str, tag: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (sender, tag, payload).hash(&mut hasher);
    hasher.finish()
}

/// The same of a record that came.
pub fn hash_of(record: &Record) -> u64 {
    hash(record.sender.as_str(), &record.producer.0, &record.payload)
}

/// How somebody publishes.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The name the client has.
    pub sender: String,
    /// Publishes without an answer at once.
    pub in_flight: usize,
    /// Bytes of a payload.
    pub bytes: Range<u64>,
    /// Stop after this many.
    pub count: u64,
    /// One publish so often, where the answers allow it; as fast as they allow if it is nothing.
    pub every: Duration,
    /// Decides the sizes.
    pub seed: u64,
}

impl Pace {
    /// Sixteen at once, of some hundred bytes, until told to stop.
    pub fn of(sender: &str, seed: u64) -> Self {
        Self { sender: sender.into(), in_flight: 16, bytes: 20..300, count: u64::MAX, every: Duration::ZERO, seed }
    }
}

/// What a publisher has to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Publishes handed over.
    pub sent: u64,
    /// Acks.
    pub acked: u64,
    /// Of them, those that said the record had been there.
    pub duplicates: u64,
    /// Of these, those that said the record had been trimmed since.
    pub trimmed: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.duplicates += other.duplicates;
        self.trimmed += other.trimmed;
    }
}

/// Publishes pipelined until `stop` says so, then waits for all answers. The client must publish nothing else into the
/// room.
pub async fn publish(run: Run, client: Client, room: String, pace: Pace, stop: watch::Receiver<bool>) -> Tally {
    let mut publisher = Publishing::new(&run, &client, &room, pace);
    // An interval of nothing is no interval.
    let mut clock = (!publisher.pace.every.is_zero()).then(|| interval(publisher.pace.every));
    while !*stop.borrow() && publisher.tally.sent < publisher.pace.count {
        if let Some(clock) = &mut clock {
            clock.tick().await;
            publisher.settle_ready();
        }
        while publisher.pending.len() >= publisher.pace.in_flight {
            publisher.settle().await;
        }
        publisher.send().await;
    }
    while !publisher.pending.is_empty() {
        publisher.settle().await;
    }
    publisher.tally
}

struct Publishing {
    run: Run,
    publisher: loquic_client::Publisher,
    tag: [u8; 4],
    pace: Pace,
    blank: Publish,
    random: Random,
    pending: VecDeque<(usize, Pending)>,
    tally: Tally,
}

impl Publishing {
    fn new(run: &Run, client: &Client, room: &str, pace: Pace) -> Self {
        let producer = client.producer();
        let blank = Publish {
            room: run.room(room),
            producer: run.producer(format!("{}-{producer}", pace.sender)),
            id: 0,
            hash: 0,
            node: run.node(),
            retry: false,
            invoked: 0,
            returned: 0,
            outcome: Outcome::Unknown,
        };
        let publisher = client.publisher(room).expect("the room has a name");
        let (random, pending, tally) = (Random::new(pace.seed), VecDeque::new(), Tally::default());
        Self { run: run.clone(), publisher, tag: producer.tag().0, pace, blank, random, pending, tally }
    }

    async fn send(&mut self) {
        self.tally.sent += 1;
        // The client numbers what it is given from 1 on, in this order.
        let id = self.tally.sent;
        let length = self.random.between(self.pace.bytes.start, self.pace.bytes.end) as usize;
        let payload = format!("{id}:{:0<length$}", self.random.next());
        let hash = hash(&self.pace.sender, &self.tag, payload.as_bytes());
        let slot = self.run.begin(Publish { id, hash, invoked: self.run.recorder().now(), ..self.blank });
        let pending = self.publisher.enqueue(Message::text(payload)).await.expect("the outbox takes it");
        self.pending.push_back((slot, pending));
    }

    async fn settle(&mut self) {
        if let Some((slot, pending)) = self.pending.pop_front() {
            let answer = pending.await;
            self.note(slot, answer);
        }
    }

    /// Takes the answers that are there.
    fn settle_ready(&mut self) {
        while let Some((slot, pending)) = self.pending.front_mut() {
            let (slot, Some(answer)) = (*slot, pending.now_or_never()) else { return };
            self.pending.pop_front();
            self.note(slot, answer);
        }
    }

    fn note(&mut self, slot: usize, answer: Result<Ack, Error>) {
        let ack = match answer {
            Ok(ack) => ack,
            // The outcome stays unknown.
            Err(Error::Closed) => return,
            Err(error) => panic!("a publish failed: {error}"),
        };
        let duplicate = ack.duplicate != Duplicate::No;
        self.tally.acked += 1;
        self.tally.duplicates += u64::from(duplicate);
        self.tally.trimmed += u64::from(ack.duplicate == Duplicate::Trimmed);
        let (epoch, offset) = (ack.position.epoch.get(), ack.position.offset.get());
        if ack.duplicate == Duplicate::Trimmed {
            // It was appended, and nobody can say any more where; the checker knows that as unknown.
            return;
        }
        self.run.end(slot, Outcome::Acked { epoch, offset, duplicate });
    }
}

/// Up to where a subscriber has to get; nothing while it goes on.
pub type Target = watch::Receiver<Option<u64>>;

/// What a subscriber has to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Follow {
    /// Records that came.
    pub records: u64,
    /// Times it went on in a new epoch or a new session of its own.
    pub resumes: u64,
    /// Gaps told, and the records in them.
    pub gaps: u64,
    /// Records in gaps.
    pub gapped: u64,
    /// Resets told.
    pub resets: u64,
    /// Seams told.
    pub caught_up: u64,
    /// Records whose id is not the one they were first sent under.
    pub renumbered: u64,
    /// The last offset.
    pub last: u64,
}

/// Follows a room until the target is reached, and claims then that it has everything.
pub async fn follow(run: Run, client: Client, room: String, name: String, from: From, mut target: Target) -> Follow {
    let mut follower = Follower::new(&run, &client, &room, &name);
    let mut room = follower.open(from).await;
    let done = follower.run(&mut room, &mut target, u64::MAX).await;
    assert!(done, "only the target ends it");
    follower.settle()
}

/// Follows a room from the oldest record, and whenever some of `events` have come leaves it, forgets the client, and
/// goes on with another one from the position it kept.
pub async fn resume_often(
    run: Run,
    connect: impl Fn() -> Client,
    room: String,
    name: String,
    (seed, events): (u64, Range<u64>),
    mut target: Target,
) -> Follow {
    let mut random = Random::new(seed);
    let client = connect();
    let mut follower = Follower::new(&run, &client, &room, &name);
    drop(client);
    let mut from = From::Oldest;
    loop {
        let mut joined = follower.open(from).await;
        if follower.run(&mut joined, &mut target, random.between(events.start, events.end)).await {
            return follower.settle();
        }
        from = From::After(follower.last.expect("something came"));
        drop(joined);
        follower.client = connect();
        follower.tally.resumes += 1;
    }
}

/// One subscriber over all its sessions.
pub struct Follower {
    run: Run,
    client: Client,
    name: String,
    subscriber: Subscriber,
    room: check::Room,
    reading: Option<Reading>,
    /// Nothing has come since the room was opened.
    fresh: bool,
    epoch: u64,
    last: Option<Position>,
    tally: Follow,
}

impl Follower {
    /// A subscriber that has seen nothing.
    pub fn new(run: &Run, client: &Client, room: &str, name: &str) -> Self {
        let recorder = run.recorder();
        Self {
            run: run.clone(),
            client: client.clone(),
            name: room.into(),
            subscriber: recorder.subscriber(name),
            room: run.room(room),
            reading: None,
            fresh: true,
            epoch: 0,
            last: None,
            tally: Follow::default(),
        }
    }

    /// Where it is.
    pub fn position(&self) -> Option<Position> {
        self.last
    }

    /// It goes on with another client.
    pub fn go_on_with(&mut self, client: &Client) {
        self.client = client.clone();
    }

    /// Opens the room; a second time this is a resume.
    pub async fn open(&mut self, from: From) -> Room {
        let (recorder, node) = (self.run.recorder(), self.run.node());
        self.reading = Some(match self.last {
            Some(last) => recorder.resume(self.subscriber, self.room, node, Kind::Live, position(last)),
            None => recorder.subscribe(self.subscriber, self.room, node, Kind::Live, start(from)),
        });
        self.fresh = true;
        self.client.room(&self.name).from(from).open().await.expect("open the room")
    }

    /// Takes events until the target is reached (`true`), or this many have come.
    pub async fn run(&mut self, room: &mut Room, target: &mut Target, events_max: u64) -> bool {
        let mut left = events_max;
        while left > 0 {
            let reached = target.borrow_and_update().is_some_and(|target| self.tally.last >= target && !self.fresh);
            if reached {
                return true;
            }
            tokio::select! {
                event = room.next() => {
                    let event = event.expect("the client goes on").expect("the room stays open");
                    self.handle(room, &event).await;
                    left -= 1;
                }
                changed = target.changed() => changed.expect("somebody sets the target"),
            }
        }
        false
    }

    /// Records one event.
    pub async fn handle(&mut self, room: &Room, event: &Event) {
        let now = room.position().expect("an event was taken");
        let epoch = now.epoch.get();
        if std::mem::take(&mut self.fresh) {
            self.epoch = epoch;
            self.reading().joined(epoch, room.head_at_open().get(), room.floor_at_open().get());
        } else if epoch != self.epoch {
            self.next_session(epoch).await;
        }
        let tally = &mut self.tally;
        match event {
            Event::Record(record) => {
                tally.records += 1;
                self.run.shared.delivered.send_modify(|delivered| *delivered += 1);
                tally.renumbered += u64::from(!record.payload.starts_with(format!("{}:", record.id).as_bytes()));
            }
            Event::Gap(gap) => {
                tally.gaps += 1;
                tally.gapped += gap.to.get() - gap.from.get() + 1;
            }
            Event::Reset(_) => tally.resets += 1,
            Event::CaughtUp(_) => tally.caught_up += 1,
            _ => {}
        }
        tally.last = now.offset.get();
        self.last = Some(now);
        match event {
            Event::Record(record) => self.reading().deliver(record.offset.get(), hash_of(record)),
            Event::Gap(gap) => self.reading().gap(gap.from.get(), gap.to.get(), reason(gap.reason)),
            Event::Reset(reset) => self.reading().reset(reset.epoch.get(), reset.valid_to.get()),
            Event::CaughtUp(caught_up) => self.reading().caught_up(caught_up.head.get()),
            _ => {}
        }
    }

    /// The client has resumed by itself, and the server is in a new epoch. What it answered to the join is not shown by
    /// the client; where the room is now is as true.
    async fn next_session(&mut self, epoch: u64) {
        let (recorder, node) = (self.run.recorder(), self.run.node());
        let last = position(self.last.expect("the last session brought something"));
        let mut next = recorder.resume(self.subscriber, self.room, node, Kind::Live, last);
        let status = super::status(&self.client, &self.name).await;
        next.joined(epoch, status.head.get(), status.floor.get());
        self.reading = Some(next);
        self.epoch = epoch;
        self.tally.resumes += 1;
    }

    /// Claims that nothing is missing, and ends.
    pub fn settle(mut self) -> Follow {
        self.reading().settled();
        self.tally
    }

    /// Ends without a claim.
    pub fn end(self) -> Follow {
        self.tally
    }

    fn reading(&mut self) -> &mut Reading {
        self.reading.as_mut().expect("the room was opened")
    }
}

/// A position in the checker's words.
pub fn position(position: Position) -> check::Position {
    check::Position { epoch: position.epoch.get(), offset: position.offset.get() }
}

fn start(from: From) -> check::From {
    match from {
        From::Live => check::From::Live,
        From::Oldest => check::From::Oldest,
        From::AtOffset(offset) => check::From::AtOffset { offset: offset.get() },
        From::After(at) => check::From::After { epoch: at.epoch.get(), offset: at.offset.get() },
        From::Last(count) => check::From::Last { count },
        From::AtTime(_) => check::From::AtTime,
    }
}

fn reason(reason: GapReason) -> Reason {
    match reason {
        GapReason::Retention => Reason::Retention,
        GapReason::Skipped => Reason::Skipped,
        GapReason::Lost => Reason::Lost,
    }
}
