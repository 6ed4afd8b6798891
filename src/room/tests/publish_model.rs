//! Goal: every publish has exactly one answer, in order; what is acknowledged is in the log where the answer says, and
//! what is refused is not; a fenced, poisoned or full log ends or refuses without leaving anything out. No room keeps
//! another one out of the next batch.
//!
//! Method: several publishers of several rooms offer at random into small inboxes, and the test takes the journal's
//! turns, with failing writes and syncs in between; at the end the answers are compared with what was offered and with
//! the log. Fairness is judged on what `Inbox::drain` takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use loquic_wire::{
    Code, RoomPattern,
    join::{From, Mode},
    publish::{Duplicate, Publish},
};
use proptest::prelude::*;

use super::super::{
    Answer, Options, Publisher, Room,
    live::{Reply, Submission},
    reader::Event,
};
use super::{
    key,
    node::{Node, poll_next, sized, twin},
    reader_model::{enter, take_answers},
};
use crate::{
    config::limits,
    journal::{Item, local},
    log::{
        Memory, StoreError,
        rows::{Level, Policy},
    },
};

#[derive(Debug, Clone)]
enum Step {
    Offer { by: usize, sizes: Vec<usize>, retry: u64 },
    Turn,
    Take { by: usize },
    Reopen { by: usize },
}

const BY: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(prop_oneof![20 => 0..400usize, 1 => 60_000..70_000usize], 1..6);
    let retry = prop_oneof![4 => Just(0u64), 1 => 1..4u64];
    prop_oneof![
        6 => (0..BY, sizes, retry).prop_map(|(by, sizes, retry)| Step::Offer { by, sizes, retry }),
        4 => Just(Step::Turn),
        2 => (0..BY).prop_map(|by| Step::Take { by }),
        1 => (0..BY).prop_map(|by| Step::Reopen { by }),
    ]
}

/// One client: a producer of a room, what it has sent and not heard of, and what it was told.
struct Client {
    room: usize,
    producer: u8,
    publisher: Publisher,
    next: u64,
    waiting: Vec<Publish>,
    ended: Option<Code>,
}

#[derive(Default)]
struct Told {
    /// By room and offset: what was acknowledged there.
    acked: BTreeMap<(usize, u64), (u8, Publish)>,
    /// By room and producer: ids that were never acknowledged but may be in the log.
    unknown: HashMap<(usize, u8), Vec<Publish>>,
}

impl Client {
    fn offer(&mut self, sizes: &[usize], retry: u64) {
        if self.ended.is_some() || self.publisher.is_paused() {
            return;
        }
        let first = self.next.saturating_sub(retry).max(1);
        let publishes: Vec<_> = (first..).zip(sizes).map(|(id, size)| sized(id, *size)).collect();
        self.next = self.next.max(first + publishes.len() as u64);
        self.waiting.extend(publishes.iter().cloned());
        self.publisher.offer(publishes);
    }

    fn take(&mut self, told: &mut Told) {
        if self.ended.is_some() {
            return;
        }
        for answers in take_answers(&mut self.publisher) {
            match answers {
                Ok(answers) => answers.iter().for_each(|answer| self.hear(answer, told)),
                Err(code) => {
                    self.ended = Some(code);
                    told.unknown.entry((self.room, self.producer)).or_default().append(&mut self.waiting);
                    return;
                }
            }
        }
        assert_eq!(self.publisher.in_flight() as usize, self.waiting.len());
    }

    fn hear(&mut self, answer: &Answer, told: &mut Told) {
        match answer {
            Answer::Ack(ack) => {
                let publish = self.waiting.remove(0);
                assert_eq!(ack.id, publish.id);
                let place = (self.room, ack.position.offset.get());
                match ack.duplicate {
                    Duplicate::No => assert!(told.acked.insert(place, (self.producer, publish)).is_none()),
                    Duplicate::Yes => {
                        // Known from an answer, or from a publisher that ended before it was answered.
                        let known = told.acked.entry(place).or_insert((self.producer, publish.clone()));
                        assert_eq!(*known, (self.producer, publish));
                    }
                    Duplicate::Trimmed => panic!("nothing is trimmed: {ack:?}"),
                }
            }
            Answer::AckRun(run) => {
                for index in 0..u64::from(run.count) {
                    let publish = self.waiting.remove(0);
                    assert_eq!(run.first_id + index, publish.id);
                    let place = (self.room, run.first_offset.plus(index).get());
                    assert!(told.acked.insert(place, (self.producer, publish)).is_none());
                }
            }
            Answer::Nack(nack) => {
                let publish = self.waiting.remove(0);
                assert_eq!(nack.id, publish.id);
                // What was refused is sent again from there.
                if self.waiting.is_empty() && nack.code != Code::CONFLICT {
                    self.next = nack.expected;
                }
            }
        }
    }
}

struct Model {
    node: Node,
    rooms: Vec<Arc<Room>>,
    clients: Vec<Client>,
    told: Told,
}

impl Model {
    fn new(level: Level, inbox_bytes_max: usize) -> Self {
        let policy = Policy { level, ..Policy::default() };
        let policies = vec![(RoomPattern::new("**").unwrap(), policy)];
        let options = Options { policies, inbox_bytes_max, ..Options::default() };
        let mut node = Node::open(Arc::new(Memory::default()), &options, local::now());
        let rooms: Vec<_> = ["a", "b"].iter().map(|name| node.attach(name)).collect();
        let mut model = Self { node, rooms, clients: Vec::new(), told: Told::default() };
        for by in 0..BY {
            let (room, producer) = (by / 2, (by % 2) as u8);
            let publisher = model.node.open_producer(&model.rooms[room], twin(producer)).unwrap();
            let (waiting, ended) = (Vec::new(), None);
            model.clients.push(Client { room, producer, publisher, next: 1, waiting, ended });
        }
        model
    }

    fn reopen(&mut self, by: usize) {
        let client = &mut self.clients[by];
        let open = self.node.open_producer(&self.rooms[client.room], twin(client.producer));
        client.take(&mut self.told);
        assert!(client.ended.is_some(), "an older publisher is fenced");
        client.publisher = open.unwrap();
        client.next = client.publisher.last_id() + 1;
        client.ended = None;
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Offer { by, sizes, retry } => self.clients[*by].offer(sizes, *retry),
            Step::Turn => self.node.turn(),
            Step::Take { by } => self.clients[*by].take(&mut self.told),
            Step::Reopen { by } => self.reopen(*by),
        }
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            self.node.turn();
            self.clients.iter_mut().for_each(|client| client.take(&mut self.told));
        }
    }

    /// What is acknowledged is in the log at its place, and everything in the log is acknowledged or was never
    /// answered.
    fn check_log(&mut self) {
        for (index, room) in self.rooms.iter().enumerate() {
            let (mut reader, status) = room.reader(From::Oldest, Mode::All).unwrap();
            let mut records = Vec::new();
            while let Some(Event::Records { frames, .. }) = poll_next(&mut reader, 1 << 20) {
                records.extend(super::decoded(&frames));
            }
            assert_eq!(records.len() as u64, status.head.get());
            for record in records {
                let publish = sized(record.id, 0);
                assert!(record.payload.starts_with(&publish.payload));
                match self.told.acked.remove(&(index, record.offset.get())) {
                    Some((producer, publish)) => {
                        let key = twin(producer);
                        assert_eq!((record.id, record.producer), (publish.id, key.producer.tag()));
                        assert_eq!(record.payload, publish.payload);
                    }
                    None => {
                        let unknown = self.told.unknown.iter().filter(|((room, _), _)| *room == index);
                        let sent = unknown.flat_map(|(_, sent)| sent).find(|publish| publish.id == record.id);
                        assert!(sent.is_some(), "{} was refused and is in the log", record.id);
                    }
                }
            }
        }
        assert!(self.told.acked.is_empty(), "acknowledged and not in the log: {:?}", self.told.acked.keys());
    }
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![2 => Just(Level::Disk), 1 => Just(Level::Process), 1 => Just(Level::Memory)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn every_publish_is_answered_once_and_in_order(
        level in level(),
        inbox_bytes_max in prop_oneof![1..2_000usize, Just(1 << 20)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let _enter = enter();
        let mut model = Model::new(level, inbox_bytes_max);
        steps.iter().for_each(|step| model.take(step));
        model.settle();
        for client in &model.clients {
            prop_assert_eq!((client.publisher.in_flight(), client.ended), (0, None));
        }
        model.check_log();
    }

    /// After a failure what was acknowledged is still there, nothing that was not is shown, and nothing more is taken.
    #[test]
    fn a_failing_log_ends_publishers_and_shows_only_what_is_safe(
        level in prop_oneof![Just(Level::Disk), Just(Level::Process)],
        before in prop::collection::vec(step(), 0..15),
        after in prop::collection::vec(step(), 0..15),
        full in any::<bool>(),
        sync in any::<bool>(),
    ) {
        let _enter = enter();
        let mut model = Model::new(level, 1 << 20);
        before.iter().for_each(|step| model.take(step));
        let error = if full { StoreError::Full("test".into()) } else { StoreError::Failed("test".into()) };
        let sync = sync && level == Level::Disk;
        if sync { model.node.store.fail_next_sync(error) } else { model.node.store.fail_next_write(error) };
        model.clients[0].offer(&[1], 0);
        model.node.turn();
        let shown: Vec<_> = model.rooms.iter().map(|room| room.status()).collect();
        model.settle();
        for step in &after {
            model.take(step);
        }
        model.settle();
        let names = ["a", "b"];
        let after: Vec<_> = model.rooms.iter().map(|room| room.status()).collect();
        prop_assert_eq!(after, shown, "nothing is appended any more");
        model.check_log();
        let shown: Vec<_> = model.rooms.iter().map(|room| room.status().head).collect();
        model.clients.clear();
        model.rooms.clear();
        let again: Vec<_> = names.iter().map(|name| model.node.attach(name).status().head).collect();
        prop_assert_eq!(again, shown, "what is not safe is not shown to who comes later either");
    }
}

/// What one room's turn takes, whatever another room has waiting.
#[test]
fn a_flood_keeps_no_other_room_out_of_the_next_batch() {
    let names: Vec<String> = (0..2_000).map(|number| format!("room:{number}")).collect();
    let partition = key("flood").slot().partition();
    let others: Vec<_> = names.iter().filter(|name| key(name).slot().partition() == partition).take(10).collect();
    let mut node = Node::open(Arc::new(Memory::default()), &Options::default(), local::now());
    let (reply, _answers) = tokio::sync::mpsc::unbounded_channel::<Reply>();
    let submission = |bytes: usize| {
        let items = vec![Item::Publish(sized(1, bytes))];
        let bytes = items[0].bytes();
        Submission { producer: Arc::new(twin(1)), token: 1, items, bytes, reply: reply.clone() }
    };
    for flood in [1_000usize, 60_000, 120_000] {
        let room = node.attach("flood");
        let count = 3 * limits::BATCH_BYTES_MAX / flood;
        (0..count).for_each(|_| assert!(room.submit(submission(flood)).is_ok()));
        let quiet: Vec<_> = others.iter().map(|name| node.attach(name)).collect();
        // Attaching takes turns, in which the flood is drained; it is poured in again.
        while room.submit(submission(flood)).is_ok() {}
        quiet.iter().for_each(|room| assert!(room.submit(submission(10)).is_ok()));
        let taken = node.context.inbox.drain(partition);
        for room in &quiet {
            let turns = taken.iter().filter(|(taken, submissions)| Arc::ptr_eq(taken, room) && !submissions.is_empty());
            assert_eq!(turns.count(), 1, "{} waits behind a flood of {flood}", room.key().room);
        }
        let bytes = |submissions: &[Submission]| submissions.iter().map(|waiting| waiting.bytes).sum::<usize>();
        let all: usize = taken.iter().map(|(_, submissions)| bytes(submissions)).sum();
        assert!(all >= limits::BATCH_BYTES_MAX && all < limits::BATCH_BYTES_MAX + 2 * limits::ROUND_BYTES + 2 * flood);
        while !node.context.inbox.drain(partition).is_empty() {}
    }
}

/// An inbox that stays full refuses what waits, in order, and says that it does.
#[tokio::test]
async fn an_inbox_that_stays_full_refuses_in_order() {
    let options = Options { inbox_bytes_max: 1_000, ..Options::default() };
    let mut node = Node::open(Arc::new(Memory::default()), &options, local::now());
    let room = node.attach("a");
    let mut publisher = node.open_producer(&room, twin(1)).unwrap();
    // The first 64 KiB are taken by the empty inbox; the rest waits, and nobody takes turns.
    publisher.offer((1..=6).map(|id| sized(id, 40_000)).collect());
    assert!(publisher.is_paused());
    let waited = tokio::time::timeout(limits::INBOX_WAIT_MAX + Duration::from_millis(100), publisher.next()).await;
    assert!(waited.is_err() && !publisher.is_paused());
    node.turn();
    let answers: Vec<_> = take_answers(&mut publisher).into_iter().flat_map(Result::unwrap).collect();
    let codes = answers.iter().map(|answer| match answer {
        Answer::Nack(nack) => (nack.id, nack.code, nack.expected),
        Answer::Ack(ack) => (ack.id, Code::DONE, 0),
        Answer::AckRun(run) => panic!("{run:?}"),
    });
    let skipped = |id| (id, Code::SKIPPED, 2);
    let expected = [(1, Code::DONE, 0), (2, Code::OVERLOADED, 2), skipped(3), skipped(4), skipped(5), skipped(6)];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert_eq!(publisher.in_flight(), 0);
    assert_eq!(room.context.stats.overloaded.load(std::sync::atomic::Ordering::Relaxed), 1);
}
