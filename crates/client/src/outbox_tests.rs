//! The outbox against a server that follows the rules, over a network that does not.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use loquic_wire::{Decoder, Frame, position::Millis};
use proptest::prelude::*;

use super::*;

/// The server's side of one producer: a log, and what it has promised on the open stream.
#[derive(Default)]
struct Server {
    /// Payload numbers in log order, each with the id it came in under. The offset is the index + 1.
    log: Vec<(u64, u64)>,
    /// Positions by id.
    known: HashMap<u64, usize>,
    last_id: u64,
    /// After a `Nack` only this id is taken on this stream.
    held: Option<u64>,
    /// Payload numbers that are always refused.
    poison: HashSet<u64>,
}

fn payload_number(payload: &Bytes) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().expect("eight bytes"))
}

impl Server {
    fn position(index: usize) -> Position {
        Position { epoch: Epoch::saturating(9), offset: Offset::saturating(index as u64 + 1) }
    }

    fn open(&mut self) -> u64 {
        self.held = None;
        self.last_id
    }

    fn take(&mut self, id: u64, number: u64, dice: u8) -> Frame {
        let expected = self.held.unwrap_or(if self.last_id == 0 { id } else { self.last_id + 1 });
        if self.last_id > 0 && id <= self.last_id {
            let Some(&index) = self.known.get(&id) else { return self.nack(id, Code::CONFLICT, 0) };
            if self.log[index].1 != number {
                return self.nack(id, Code::CONFLICT, 0);
            }
            return Ack { id, position: Self::position(index), time: Time::ZERO, duplicate: Duplicate::Yes }.into();
        }
        if id != expected {
            let code = if self.held.is_some() { Code::SKIPPED } else { Code::ID_GAP };
            return self.nack(id, code, 0);
        }
        if self.poison.contains(&number) {
            return self.nack(id, Code::BAD_RECORD, 0);
        }
        match dice {
            0..=9 => self.nack(id, Code::OVERLOADED, 5),
            10..=12 => self.nack(id, Code::INTERNAL, 0),
            13..=15 => self.nack(id, Code::NOT_YET_APPLIED, 0),
            _ => {
                self.held = None;
                self.last_id = id;
                self.log.push((id, number));
                self.known.insert(id, self.log.len() - 1);
                let position = Self::position(self.log.len() - 1);
                Ack { id, position, time: Time::ZERO, duplicate: Duplicate::No }.into()
            }
        }
    }

    fn nack(&mut self, id: u64, code: Code, retry_after: u32) -> Frame {
        let expected = if self.last_id == 0 { self.held.unwrap_or(id) } else { self.last_id + 1 };
        self.held = Some(expected);
        Nack { id, code, expected, retry_after: Millis(retry_after) }.into()
    }

    /// Loses the end of the log, and what was known of the ids in it.
    fn lose(&mut self, keep: usize) {
        self.log.truncate(keep);
        self.known.retain(|_, index| *index < keep);
        self.last_id = self.known.keys().copied().max().unwrap_or(0);
    }
}

/// One client, one server and the two directions of a stream between them.
struct World {
    outbox: Outbox<u64>,
    server: Server,
    up: Decoder,
    down: VecDeque<Frame>,
    outcomes: HashMap<u64, Result<Receipt, Code>>,
    pushed: u64,
    open: bool,
}

impl World {
    fn new(poison: HashSet<u64>) -> Self {
        Self {
            outbox: Outbox::new(),
            server: Server { poison, ..Server::default() },
            up: Decoder::new(),
            down: VecDeque::new(),
            outcomes: HashMap::new(),
            pushed: 0,
            open: false,
        }
    }

    fn push(&mut self) {
        let payload = self.pushed.to_le_bytes().to_vec();
        self.outbox.push(Message::new(payload), 1, self.pushed);
        self.pushed += 1;
    }

    fn open(&mut self, in_flight_max: u32) {
        if !self.open {
            self.outbox.handle_opened(self.server.open(), in_flight_max);
            self.open = true;
        }
    }

    fn cut(&mut self) {
        self.outbox.handle_disconnected();
        self.up = Decoder::new();
        self.down.clear();
        self.open = false;
    }

    fn send(&mut self, bytes_max: usize) {
        let mut out = Vec::new();
        if self.open && self.outbox.fill(&mut out, bytes_max) {
            self.up.push(&out).expect("frames");
        }
    }

    /// The server takes up to `count` publishes and answers each.
    fn serve(&mut self, count: usize, dice: &mut impl FnMut() -> u8) {
        for _ in 0..count {
            let Some(frame) = self.up.next_frame().expect("frames") else { return };
            let Frame::Publish(publish) = frame else { panic!("only publishes go up") };
            let answer = self.server.take(publish.id, payload_number(&publish.payload), dice());
            self.answer(answer);
        }
    }

    /// Puts an answer on its way, as part of a run where that is possible.
    fn answer(&mut self, answer: Frame) {
        let Frame::Ack(ack) = &answer else { return self.down.push_back(answer) };
        if ack.duplicate != Duplicate::No || ack.id % 3 == 0 {
            return self.down.push_back(answer);
        }
        if let Some(Frame::AckRun(run)) = self.down.back_mut() {
            let count = u64::from(run.count);
            if run.first_id + count == ack.id && run.first_offset.plus(count) == ack.position.offset {
                run.count += 1;
                return;
            }
        }
        let (epoch, first_offset) = (ack.position.epoch, ack.position.offset);
        self.down.push_back(AckRun { epoch, first_id: ack.id, count: 1, first_offset, time: ack.time }.into());
    }

    /// The client reads up to `count` answers.
    fn read(&mut self, count: usize) {
        let mut done = Vec::new();
        for _ in 0..count {
            let Some(frame) = self.down.pop_front() else { break };
            let step = match &frame {
                Frame::Ack(ack) => self.outbox.handle_ack(ack, &mut done),
                Frame::AckRun(run) => self.outbox.handle_ack_run(run, &mut done),
                Frame::Nack(nack) => self.outbox.handle_nack(nack, &mut done),
                other => panic!("{} does not come down", other.name()),
            };
            step.expect("the server follows the rules");
        }
        for Done { waiter, outcome, .. } in done {
            assert!(self.outcomes.insert(waiter, outcome).is_none(), "publish {waiter} resolved twice");
        }
    }

    /// Without faults from here on, everything gets its answer.
    fn settle(&mut self) {
        self.cut();
        for _ in 0..10_000 {
            self.open(16);
            self.send(4096);
            self.serve(usize::MAX, &mut || 255);
            self.read(usize::MAX);
            if self.outbox.is_empty() {
                return;
            }
        }
        panic!("the outbox does not empty: {:?}", self.outbox);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Push(u8),
    Open(u32),
    Send(u16),
    Serve(u8, u64),
    Read(u8),
    Cut,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u8..8).prop_map(Op::Push),
        3 => (1u32..12).prop_map(Op::Open),
        5 => (1u16..400).prop_map(Op::Send),
        6 => (1u8..10, any::<u64>()).prop_map(|(count, dice)| Op::Serve(count, dice)),
        5 => (1u8..10).prop_map(Op::Read),
        1 => Just(Op::Cut),
    ]
}

fn play(world: &mut World, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Push(count) => (0..*count).for_each(|_| world.push()),
            Op::Open(in_flight_max) => world.open(*in_flight_max),
            Op::Send(bytes) => world.send(usize::from(*bytes)),
            Op::Serve(count, dice) => {
                let mut dice = *dice;
                let mut roll = || {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (dice >> 56) as u8
                };
                world.serve(usize::from(*count), &mut roll);
            }
            Op::Read(count) => world.read(usize::from(*count)),
            Op::Cut => world.cut(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Goal: every publish is in the log exactly once and in order, or was refused for good; each resolves once,
    /// rightly. Method: random refusals, windows, partial reads and cuts that lose what was on its way in both
    /// directions.
    #[test]
    fn every_publish_ends_up_exactly_once(
        ops in prop::collection::vec(op(), 1..50), poison in prop::collection::hash_set(0u64..60, 0..4),
    ) {
        let mut world = World::new(poison.clone());
        play(&mut world, &ops);
        world.settle();
        prop_assert_eq!(world.outcomes.len() as u64, world.pushed);
        let numbers: Vec<u64> = world.server.log.iter().map(|(_, number)| *number).collect();
        let wanted: Vec<u64> = (0..world.pushed).filter(|number| !poison.contains(number)).collect();
        prop_assert_eq!(&numbers, &wanted);
        for (number, outcome) in &world.outcomes {
            match outcome {
                Ok(receipt) => {
                    let index = receipt.position.offset.get() as usize - 1;
                    prop_assert_eq!(world.server.log[index].1, *number);
                }
                Err(code) => prop_assert!(*code == Code::BAD_RECORD && poison.contains(number)),
            }
        }
    }

    /// Goal: when the server loses the end of its log, nothing is in it twice and what was not acknowledged comes back.
    #[test]
    fn data_loss_does_not_make_duplicates(
        before in prop::collection::vec(op(), 1..40), after in prop::collection::vec(op(), 0..40), keep in 0usize..40,
    ) {
        let mut world = World::new(HashSet::new());
        play(&mut world, &before);
        world.cut();
        let acked_before: HashSet<u64> = world.outcomes.keys().copied().collect();
        world.server.lose(keep);
        play(&mut world, &after);
        world.settle();
        let numbers: Vec<u64> = world.server.log.iter().map(|(_, number)| *number).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "twice or out of order: {:?}", numbers);
        for number in 0..world.pushed {
            prop_assert!(acked_before.contains(&number) || numbers.contains(&number), "{} is missing", number);
        }
    }
}

fn ack(id: u64, offset: u64) -> Ack {
    let position = Position { epoch: Epoch::saturating(9), offset: Offset::saturating(offset) };
    Ack { id, position, time: Time::ZERO, duplicate: Duplicate::No }
}

fn outbox(count: u64) -> Outbox<u64> {
    let mut outbox = Outbox::new();
    (0..count).for_each(|number| outbox.push(Message::new(number.to_le_bytes().to_vec()), 1, number));
    outbox
}

fn ids(outbox: &Outbox<u64>) -> Vec<u64> {
    outbox.entries.iter().map(|entry| entry.id).collect()
}

#[test]
fn ids_go_on_from_what_the_server_has() {
    let mut outbox = outbox(3);
    outbox.handle_opened(41, 2);
    let mut out = Vec::new();
    assert!(outbox.fill(&mut out, usize::MAX));
    assert_eq!(ids(&outbox), [42, 43, 0], "the window is two");
    assert!(!outbox.fill(&mut out, usize::MAX));
}

#[test]
fn a_refused_publish_gives_its_number_to_the_next() {
    let mut outbox = outbox(4);
    outbox.handle_opened(0, 3);
    outbox.fill(&mut Vec::new(), usize::MAX);
    let mut done = Vec::new();
    outbox.handle_ack(&ack(1, 1), &mut done).expect("in order");
    let nack = |id, code| Nack { id, code, expected: 2, retry_after: Millis(0) };
    assert_eq!(outbox.handle_nack(&nack(2, Code::PAYLOAD_TOO_LARGE), &mut done), Ok(None));
    assert!(!outbox.fill(&mut Vec::new(), usize::MAX), "one is still in flight");
    let pause = outbox.handle_nack(&nack(3, Code::SKIPPED), &mut done).expect("in order").expect("all answered");
    assert_eq!(pause.code, Code::PAYLOAD_TOO_LARGE);
    assert!(outbox.fill(&mut Vec::new(), usize::MAX));
    assert_eq!(ids(&outbox), [2, 3], "without a hole, also for what was never sent");
    let outcomes: Vec<_> = done.iter().map(|done| (done.waiter, done.outcome.is_ok())).collect();
    assert_eq!(outcomes, [(0, true), (1, false)]);
}

#[test]
fn what_may_be_in_the_log_keeps_its_number() {
    let mut outbox = outbox(4);
    outbox.handle_opened(0, 8);
    outbox.fill(&mut Vec::new(), usize::MAX);
    outbox.handle_disconnected();
    outbox.handle_opened(3, 8);
    outbox.fill(&mut Vec::new(), usize::MAX);
    let mut done = Vec::new();
    let nack = |id, code, expected| Nack { id, code, expected, retry_after: Millis(0) };
    outbox.handle_nack(&nack(1, Code::CONFLICT, 4), &mut done).expect("in order");
    outbox.handle_nack(&nack(2, Code::SKIPPED, 4), &mut done).expect("in order");
    outbox.handle_ack(&ack(3, 3), &mut done).expect("in order");
    outbox.handle_nack(&nack(4, Code::SKIPPED, 4), &mut done).expect("in order");
    assert_eq!(ids(&outbox), [2, 4], "2 is not past `expected`");
}

#[test]
fn an_answer_out_of_order_is_a_violation() {
    let mut outbox = outbox(2);
    outbox.handle_opened(0, 8);
    outbox.fill(&mut Vec::new(), usize::MAX);
    assert_eq!(outbox.handle_ack(&ack(2, 1), &mut Vec::new()), Err(Violation { got: 2, wanted: Some(1) }));
    assert_eq!(outbox.handle_ack(&ack(9, 1), &mut Vec::new()), Err(Violation { got: 9, wanted: Some(1) }));
}

#[test]
fn giving_up_hands_back_every_waiter_once() {
    let mut outbox = outbox(3);
    outbox.handle_opened(0, 8);
    outbox.fill(&mut Vec::new(), usize::MAX);
    outbox.handle_ack(&ack(1, 1), &mut Vec::new()).expect("in order");
    assert_eq!(outbox.take_all().map(|(waiter, _)| waiter).collect::<Vec<_>>(), [1, 2]);
    assert!(outbox.is_empty());
}
