//! Goal: what was acknowledged at a level survives what the level names: `process` the end of the process, `disk` a
//! power loss. Whoever was further than what came back is told so by a `Reset`, and never gets other data as if it were
//! what it had seen.
//!
//! Method: a node over the store in memory publishes into rooms of both levels and dies at random moments, each time by
//! a kill (the store keeps what was written) or by a power loss (it keeps what was synced). The model is the list of
//! unique payloads that each room may hold; every position that was ever given out is resumed after each start.

use std::{collections::BTreeMap, sync::Arc};

use loquic_wire::{
    Offset, Position, RoomPattern,
    join::{From, GapReason, Mode},
    publish::{Duplicate, Publish},
};
use proptest::prelude::*;

use super::super::{Answer, Options, Publisher, Reader, Room, reader::Event};
use super::{
    decoded,
    node::{Node, poll_next, twin},
    reader_model::{enter, take_answers},
};
use crate::{
    journal::local,
    log::{
        Memory,
        rows::{Level, Policy},
    },
};

const ROOMS: [(&str, Level); 3] = [("disk:a", Level::Disk), ("disk:b", Level::Disk), ("process:a", Level::Process)];

#[derive(Debug, Clone)]
enum Step {
    Publish { room: usize, count: u64 },
    Housekeep,
    Kill,
    LosePower,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize, 1..6u64).prop_map(|(room, count)| Step::Publish { room, count }),
        1 => Just(Step::Housekeep),
        1 => Just(Step::Kill),
        2 => Just(Step::LosePower),
    ]
}

struct Model {
    node: Node,
    options: Options,
    rooms: Vec<(Arc<Room>, Publisher)>,
    /// What each room holds, by offset - 1.
    logs: [Vec<Publish>; 3],
    /// Positions that were given out, with what was in the room up to there.
    given: BTreeMap<(usize, u64, u64), Vec<Publish>>,
    unique: u64,
    /// How many records were on disk for certain.
    synced: [usize; 3],
}

impl Model {
    fn new() -> Self {
        let policy = |level| Policy { level, ..Policy::default() };
        let policies = vec![
            (RoomPattern::new("disk:*").unwrap(), policy(Level::Disk)),
            (RoomPattern::new("process:*").unwrap(), policy(Level::Process)),
        ];
        let options = Options { policies, tail_bytes_max: 200, ..Options::default() };
        let node = Node::open(Arc::new(Memory::default()), &options, local::now());
        let mut model = Self {
            node,
            options,
            rooms: Vec::new(),
            logs: Default::default(),
            given: BTreeMap::new(),
            unique: 0,
            synced: [0; 3],
        };
        model.attach();
        model
    }

    fn attach(&mut self) {
        self.rooms.clear();
        for (name, _) in ROOMS {
            let room = self.node.attach(name);
            let publisher = self.node.open_producer(&room, twin(1)).unwrap();
            self.rooms.push((room, publisher));
        }
    }

    fn publish(&mut self, room: usize, count: u64) {
        let (shared, publisher) = &mut self.rooms[room];
        let first = self.logs[room].last().map_or(1, |last| last.id + 1);
        let texts = (first..first + count).map(|id| {
            self.unique += 1;
            super::publish(id, &format!("unique {}", self.unique))
        });
        let publishes: Vec<_> = texts.collect();
        publisher.offer(publishes.clone());
        self.node.turn();
        let mut offset = self.logs[room].len() as u64;
        for answer in take_answers(publisher).into_iter().flat_map(Result::unwrap) {
            match answer {
                Answer::Ack(ack) => {
                    assert_eq!((ack.position.offset.get(), ack.duplicate), (offset + 1, Duplicate::No));
                    offset += 1;
                }
                Answer::AckRun(run) => {
                    assert_eq!(run.first_offset.get(), offset + 1);
                    offset += u64::from(run.count);
                }
                Answer::Nack(nack) => panic!("{nack:?}"),
            }
        }
        self.logs[room].extend(publishes);
        assert_eq!(offset, self.logs[room].len() as u64);
        let status = shared.status();
        let log = self.logs[room].clone();
        self.given.insert((room, status.epoch.get(), status.head.get()), log);
        if ROOMS[room].1 == Level::Disk {
            self.note_sync();
        }
    }

    fn note_sync(&mut self) {
        self.synced = [0, 1, 2].map(|room| self.logs[room].len());
    }

    fn restart(&mut self, power: bool) {
        self.rooms.clear();
        let store = if power { Arc::new(self.node.store.after_power_loss()) } else { self.node.store.clone() };
        self.node.later(1);
        self.node = Node::open(store, &self.options, self.node.now);
        self.attach();
        for (index, log) in self.logs.iter_mut().enumerate() {
            let head = self.rooms[index].0.status().head.get() as usize;
            assert!(power || head == log.len(), "a kill loses nothing");
            assert!(head >= self.synced[index], "what was synced is there");
            log.truncate(head);
            assert_eq!(self.rooms[index].1.last_id(), log.last().map_or(0, |last| last.id));
        }
        self.note_sync();
        self.check();
    }

    /// Every position that was ever given out, resumed now.
    fn check(&self) {
        for ((index, epoch, offset), then) in &self.given {
            let (room, log) = (&self.rooms[*index].0, &self.logs[*index]);
            let epoch = loquic_wire::Epoch::saturating(*epoch);
            let from = From::After(Position { epoch, offset: Offset::saturating(*offset) });
            let (mut reader, _) = room.reader(from, Mode::All).unwrap();
            let same = then.iter().zip(log).take_while(|(then, now)| then == now).count();
            let mut first = *offset as usize;
            if same < then.len() {
                let event = poll_next(&mut reader, 1 << 20);
                let Some(Event::Reset(reset)) = event else { panic!("{event:?} where {same} of {offset} are held") };
                assert_eq!((reset.valid_to.get() as usize, reset.head.get() as usize), (same, log.len()));
                first = same;
            }
            follow(&mut reader, &log[first..], first);
        }
    }
}

fn follow(reader: &mut Reader, expected: &[Publish], behind: usize) {
    let mut seen = 0;
    loop {
        match poll_next(reader, 1 << 20) {
            Some(Event::Records { frames, .. }) => {
                for record in decoded(&frames) {
                    assert_eq!(record.offset.get() as usize, behind + seen + 1);
                    assert_eq!((record.id, &record.payload), (expected[seen].id, &expected[seen].payload));
                    seen += 1;
                }
            }
            Some(Event::CaughtUp(_)) => break assert_eq!(seen, expected.len()),
            Some(Event::Gap(gap)) if gap.reason == GapReason::Lost => panic!("{gap:?}"),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn what_was_promised_survives_and_what_is_lost_is_said(steps in prop::collection::vec(step(), 1..25)) {
        let _enter = enter();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Publish { room, count } => model.publish(room, count),
                Step::Housekeep => {
                    model.node.housekeep();
                    model.note_sync();
                }
                Step::Kill => model.restart(false),
                Step::LosePower => model.restart(true),
            }
        }
        model.restart(true);
    }
}
