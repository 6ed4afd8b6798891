//! Goal: what a subscription gives is the room's records from where it starts, dense but for gaps that are true, one
//! `CaughtUp` at the seam, and it waits only when there is nothing to give or nothing that fits its credit.
//!
//! Method: a node whose turns the test takes publishes at random, evicts from the tail, trims, and retires the room at
//! the end, while a reader is polled with random credit. Every poll has a future of its own, so each is a cancellation.
//! The model is the list of payloads by offset. Where a position holds is compared with lists of records that are cut
//! back and written again, as a lost disk does it.

use std::sync::{Arc, LazyLock};

use loquic_wire::{
    Code, Decoder, Epoch, Frame, Offset, Position, Record, SessionId, Time,
    ephemeral::Ephemeral,
    join::{From, GapReason, Mode},
};
use proptest::prelude::*;

use super::super::{
    Options, Publisher, Reader, Room,
    reader::Event,
    start::{Epochs, Start, resolve},
};
use super::node::{Node, poll_next, sized, twin};
use crate::{
    journal::local,
    log::{
        Memory,
        rows::{Class, Level, PartitionRow, Policy, RoomRow, Stretch},
    },
};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap());

/// Where the futures of rooms may be polled.
pub(super) fn enter() -> tokio::runtime::EnterGuard<'static> {
    RUNTIME.enter()
}

#[derive(Debug, Clone)]
enum Step {
    Publish { pass: u64, sizes: Vec<usize> },
    Evict(usize),
    Housekeep,
    Say,
    Next { credit: u64, page_bytes: usize, times: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![60 => 0..300usize, 1 => 30_000..100_000usize];
    let credit = prop_oneof![1 => Just(0), 3 => 1..2_000u64, 3 => Just(1 << 20)];
    let page_bytes = prop_oneof![1..1_000usize, Just(1 << 16)];
    prop_oneof![
        4 => (0..50u64, prop::collection::vec(size, 1..8)).prop_map(|(pass, sizes)| Step::Publish { pass, sizes }),
        1 => prop_oneof![Just(0), 0..2_000usize].prop_map(Step::Evict),
        1 => Just(Step::Housekeep),
        1 => Just(Step::Say),
        6 => (credit, page_bytes, 1..4usize)
            .prop_map(|(credit, page_bytes, times)| Step::Next { credit, page_bytes, times }),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Begin {
    Live,
    Oldest,
    At(u64),
    After(u64),
    Last(u64),
    Time(u64),
}

fn begin() -> impl Strategy<Value = Begin> {
    prop_oneof![
        1 => Just(Begin::Live),
        2 => Just(Begin::Oldest),
        1 => (0..40u64).prop_map(Begin::At),
        1 => (0..40u64).prop_map(Begin::After),
        1 => (0..40u64).prop_map(Begin::Last),
        2 => (0..200u64).prop_map(Begin::Time),
    ]
}

struct Model {
    node: Node,
    room: Arc<Room>,
    publisher: Publisher,
    epoch: Epoch,
    began: Time,
    /// Payload length, time and frame length by offset.
    records: Vec<(usize, Time, u64)>,
    /// The stamp of the newest ephemeral.
    said: u64,
}

impl Model {
    fn new(policy: Policy, tail_bytes_max: usize) -> Self {
        let policies = vec![(loquic_wire::RoomPattern::new("**").unwrap(), policy)];
        let payload_bytes_max = loquic_wire::limits::PAYLOAD_BYTES_MAX_HARD;
        let options = Options { policies, tail_bytes_max, payload_bytes_max, ..Options::default() };
        let began = Time::saturating(local::now().get() + 1_000_000);
        let mut node = Node::open(Arc::new(Memory::default()), &options, began);
        let room = node.attach("a");
        let publisher = node.open_producer(&room, twin(1)).unwrap();
        let epoch = room.status().epoch;
        Self { node, room, publisher, epoch, began, records: Vec::new(), said: 0 }
    }

    fn publish(&mut self, pass: u64, sizes: &[usize]) {
        self.node.later(pass);
        let first = self.records.len() as u64 + 1;
        self.publisher.offer((first..).zip(sizes).map(|(id, size)| sized(id, *size)).collect());
        while self.publisher.in_flight() > 0 {
            self.node.turn();
            take_answers(&mut self.publisher);
        }
        let key = twin(1);
        for (id, size) in (first..).zip(sizes) {
            let (publish, time) = (sized(id, *size), self.node.now);
            let bytes = publish.payload.len();
            let offset = Offset::saturating(id);
            let frame = Record {
                offset,
                time,
                kind: publish.kind,
                format: publish.format,
                flags: publish.flags,
                sender: key.user.clone(),
                producer: key.producer.tag(),
                id,
                refers: None,
                payload: publish.payload,
            };
            self.records.push((bytes, time, frame.frame_len() as u64));
        }
        assert_eq!(self.room.status().head.get(), self.records.len() as u64);
    }

    fn say(&mut self) {
        self.said += 1;
        let (sender, payload) = (SessionId([1; 16]), vec![0; 3].into());
        assert!(self.room.say(Ephemeral { handle: 0, sender, slot: 1, stamp: self.said, payload }));
    }

    fn from(&self, begin: Begin) -> (From, u64) {
        let (head, floor) = (self.records.len() as u64, self.room.status().floor.get());
        let offset = Offset::saturating;
        match begin {
            Begin::Live => (From::Live, head + 1),
            Begin::Oldest => (From::Oldest, floor),
            Begin::At(at) => (From::AtOffset(offset(at.min(head + 1))), at.min(head + 1).max(1)),
            Begin::After(after) => {
                (From::After(Position { epoch: self.epoch, offset: offset(after.min(head)) }), after.min(head) + 1)
            }
            Begin::Last(count) => (From::Last(count), (head + 1).saturating_sub(count).max(floor)),
            Begin::Time(passed) => {
                let time = Time::saturating(self.began.get() + passed);
                let held = self.records.iter().enumerate().skip(floor as usize - 1);
                let first = held.clone().find(|(_, record)| record.1 >= time);
                (From::AtTime(time), first.map_or(head + 1, |(index, _)| index as u64 + 1))
            }
        }
    }
}

pub(super) fn take_answers(publisher: &mut Publisher) -> Vec<Result<Vec<super::super::Answer>, Code>> {
    use std::task::{Context, Poll, Waker};
    let mut all = Vec::new();
    loop {
        let next = std::pin::pin!(publisher.next());
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answers) => all.push(answers),
            Poll::Pending => return all,
        }
        if matches!(all.last(), Some(Err(_))) {
            return all;
        }
    }
}

/// Follows one reader and judges everything it gives.
struct Follower {
    reader: Reader,
    next: u64,
    latest: bool,
    caught_up: bool,
    failed: bool,
    seeking: bool,
    /// The stamp of the newest ephemeral it knows of.
    heard: u64,
}

impl Follower {
    fn poll(&mut self, model: &Model, credit: u64) -> bool {
        let status = model.room.status();
        let head = model.records.len() as u64;
        let Some(event) = poll_next(&mut self.reader, credit) else {
            let nothing = self.caught_up && self.next > head && self.heard == model.said;
            let starved = model.records.get(self.next as usize - 1).is_some_and(|record| record.2 > credit);
            assert!(nothing || starved, "waits at {} of {head} with credit {credit}", self.next);
            assert!(!self.failed || starved, "a retired room ends its readers");
            return false;
        };
        match event {
            Event::Records { frames, bytes, count } => {
                assert!(bytes <= credit, "{bytes} of {credit}");
                assert_eq!(bytes, frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
                let mut decoder = Decoder::new();
                let mut seen = 0;
                for frame in frames {
                    decoder.push(&frame).unwrap();
                    while let Some(frame) = decoder.next_frame().unwrap() {
                        let Frame::Record(record) = frame else { panic!("{frame:?}") };
                        self.judge(model, &record);
                        seen += 1;
                    }
                }
                assert!(decoder.is_empty() && seen == count && count > 0);
            }
            Event::Gap(gap) => {
                assert_eq!(gap.from.get(), self.next);
                assert!(gap.from <= gap.to && gap.to.get() <= head);
                match gap.reason {
                    GapReason::Retention => assert_eq!(gap.to.next(), status.floor),
                    GapReason::Skipped => assert!(self.latest),
                    GapReason::Lost => panic!("nothing is lost: {gap:?}"),
                }
                self.next = gap.to.get() + 1;
            }
            Event::CaughtUp(caught_up) => {
                assert!(!std::mem::replace(&mut self.caught_up, true), "caught up twice");
                assert_eq!((caught_up.head.get(), self.next), (head, head + 1));
            }
            Event::Interrupted => panic!("nobody interrupts it"),
            Event::Failed(code) => {
                assert!(self.failed && code == Code::NOT_YET_APPLIED, "{code}");
                return false;
            }
            Event::Reset(reset) => panic!("the position holds: {reset:?}"),
            Event::Ephemerals(values) => {
                assert!(self.caught_up && self.next > head, "records go first");
                let newest = values.last().unwrap();
                assert_eq!((values.len(), newest.ephemeral.stamp), (1, model.said), "one slot, its newest value");
                assert!(std::mem::replace(&mut self.heard, model.said) < model.said, "nothing comes twice");
            }
        }
        true
    }

    fn judge(&mut self, model: &Model, record: &Record) {
        let (bytes, time, _) = model.records[record.offset.get() as usize - 1];
        if std::mem::take(&mut self.seeking) {
            // Where a time leads is looked up at the first poll; until then the floor may have passed it.
            assert!(record.offset.get() >= self.next);
            self.next = record.offset.get();
        }
        assert_eq!(record.offset.get(), self.next);
        assert_eq!((record.id, record.payload.len(), record.time), (self.next, bytes, time));
        assert_eq!(record.payload, sized(record.id, bytes).payload[..bytes]);
        self.next += 1;
    }
}

fn retention() -> impl Strategy<Value = Policy> {
    let count = prop_oneof![2 => Just(None), 1 => (1..60u64).prop_map(Some)];
    let bytes = prop_oneof![2 => Just(None), 1 => (1..20_000u64).prop_map(Some)];
    let class = prop_oneof![2 => Just(Class::Keep), 1 => Just(Class::Hour)];
    let level = prop_oneof![Just(Level::Disk), Just(Level::Process), Just(Level::Memory)];
    (count, bytes, class, level).prop_map(|(count, bytes, class, level)| Policy {
        level,
        class,
        count,
        bytes,
        age_ms: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn a_reader_gives_every_record_once_or_says_why_not(
        policy in retention(),
        tail_bytes_max in prop_oneof![Just(0usize), 0..5_000usize],
        before in prop::collection::vec((0..50u64, prop::collection::vec(0..300usize, 1..8)), 0..6),
        begin in begin(),
        latest in prop::bool::weighted(0.2),
        steps in prop::collection::vec(step(), 1..30),
        retire in any::<bool>(),
    ) {
        let _enter = enter();
        let mut model = Model::new(policy, tail_bytes_max);
        for (pass, sizes) in before {
            model.publish(pass, &sizes);
        }
        let (from, next) = model.from(begin);
        let mode = if latest { Mode::Latest } else { Mode::All };
        let (reader, _) = model.room.reader(from, mode).unwrap();
        let seeking = matches!(begin, Begin::Time(_));
        let mut follower = Follower { reader, next, latest, caught_up: false, failed: false, seeking: false, heard: 0 };
        if seeking {
            // The search looks at the room as it is then.
            follower.poll(&model, 1 << 20);
        }
        for step in steps {
            match step {
                Step::Publish { pass, sizes } => model.publish(pass, &sizes),
                Step::Evict(bytes) => {
                    let mut view = model.room.view.lock();
                    let stored = view.row.head;
                    view.tail.evict(bytes, stored);
                }
                Step::Housekeep => model.node.housekeep(),
                Step::Say => model.say(),
                Step::Next { credit, page_bytes, times } => {
                    follower.reader.set_page_bytes(page_bytes);
                    (0..times).all(|_| follower.poll(&model, credit));
                }
            }
        }
        if retire {
            follower.poll(&model, 100);
            model.room.retire(Code::NOT_YET_APPLIED);
            follower.failed = true;
            let mut polls = 0;
            while follower.poll(&model, 0) {
                polls += 1;
                prop_assert!(polls < 3, "what is held is given up without credit");
            }
        } else {
            while follower.poll(&model, 1 << 20) {}
            prop_assert_eq!(follower.next, model.records.len() as u64 + 1);
        }
    }
}

/// A retired room ends a reader that holds a page it has no credit for.
#[test]
fn a_reader_without_credit_learns_that_its_room_is_retired() {
    let _enter = enter();
    let mut model = Model::new(Policy::default(), 0);
    model.publish(0, &[100, 100]);
    model.publish(0, &[100, 100]);
    let (mut reader, _) = model.room.reader(From::Oldest, Mode::All).unwrap();
    assert!(matches!(poll_next(&mut reader, 200), Some(Event::Records { count: 1, .. })));
    model.room.retire(Code::NOT_YET_APPLIED);
    let event = poll_next(&mut reader, 0);
    assert!(matches!(event, Some(Event::Failed(Code::NOT_YET_APPLIED))), "{event:?}");
}

/// What happened to a room in one epoch: it lost its newest records and got new ones.
fn lives() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec((1..4u64, 0..5u64, 0..5u64), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    /// A position holds iff everything up to it is the same now as when it was given out.
    #[test]
    fn a_position_holds_while_the_records_up_to_it_are_the_same(lives in lives()) {
        let (mut row, mut partition) = (RoomRow::new(1, Policy::default()), PartitionRow::default());
        let (mut log, mut given): (Vec<u64>, Vec<(u64, Vec<u64>)>) = (Vec::new(), Vec::new());
        // The room's row as it was written after each record, because a loss brings an old one back.
        let mut rows = vec![row.clone()];
        let (mut epoch, mut unique) = (0, 0);
        for (skip, lost, appended) in lives {
            epoch += skip;
            partition.epochs.push(Epoch::saturating(epoch));
            log.truncate(log.len().saturating_sub(lost as usize));
            rows.truncate(log.len() + 1);
            row = rows[log.len()].clone();
            for _ in 0..appended {
                unique += 1;
                log.push(unique);
                if row.lineage.last().is_none_or(|stretch| stretch.epoch.get() != epoch) {
                    let first = Offset::saturating(log.len() as u64);
                    row.lineage.push(Stretch { epoch: Epoch::saturating(epoch), first });
                }
                row.head = Offset::saturating(log.len() as u64);
                rows.push(row.clone());
            }
            given.push((epoch, log.clone()));
        }
        let epochs = Epochs::of(&partition);
        for asked in 0..=epoch + 1 {
            let then = given.iter().find(|(epoch, _)| *epoch == asked).map(|(_, log)| log);
            for offset in 0..=20u64 {
                let position = Position { epoch: Epoch::saturating(asked), offset: Offset::saturating(offset) };
                let start = resolve(From::After(position), &row, &epochs);
                let same = then.map(|then| then.iter().zip(&log).take_while(|(then, now)| then == now).count() as u64);
                match (same, start) {
                    (Some(same), Ok(Start::At(next))) => {
                        prop_assert!(offset <= same, "{position} does not hold");
                        prop_assert_eq!(next.get(), offset + 1);
                    }
                    (Some(same), Ok(Start::Reset(reset))) => {
                        prop_assert!(asked != epoch && offset > same, "{} holds", position);
                        prop_assert_eq!(reset.valid_to.get(), same);
                        prop_assert_eq!((reset.head, reset.epoch.get()), (row.head, epoch));
                    }
                    (Some(same), Err(refusal)) => {
                        prop_assert!(asked == epoch && offset > same);
                        prop_assert_eq!(refusal.code, Code::POSITION_AHEAD);
                    }
                    (None, Ok(Start::Reset(reset))) => prop_assert_eq!(reset.valid_to.get(), 0),
                    (same, start) => prop_assert!(false, "{position}: {same:?} {start:?}"),
                }
            }
        }
    }
}
