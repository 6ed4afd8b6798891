//! One producer in one room of the model: pipelines, retries, and never leaves a hole in its ids.

use std::collections::{HashMap, VecDeque};

use crate::{
    history::{Outcome, Position, Producer, Publish, Room},
    mutate::world::World,
};

#[derive(Debug, Clone, Copy)]
struct Flight {
    id: u64,
    hash: u64,
    invoked: u64,
    retry: bool,
    placed: Option<(Position, bool)>,
}

pub(super) struct Writer {
    room: u32,
    producer: Producer,
    next_id: u64,
    flights: VecDeque<Flight>,
    /// Outcome unknown: sent again in this order before anything new.
    unknown: VecDeque<(u64, u64)>,
    acked: Vec<(u64, u64, Position)>,
    /// The server's side: what it has of this producer.
    placed: HashMap<u64, Position>,
}

/// The code that refuses a used id with another payload, and one that refuses for any other reason.
const CONFLICT: u32 = 3008;
const RATE_LIMITED: u32 = 2001;

impl Writer {
    pub(super) fn new(room: u32, producer: Producer) -> Self {
        let (flights, unknown, acked, placed) = (VecDeque::new(), VecDeque::new(), Vec::new(), HashMap::new());
        Self { room, producer, next_id: 1, flights, unknown, acked, placed }
    }

    pub(super) fn step(&mut self, world: &mut World) {
        match world.random.below(40) {
            0..12 => self.send(world),
            12..24 => self.append(world),
            24..35 => self.acknowledge(world),
            35 => self.disconnect(world),
            36 => self.send_again(world),
            37 => self.send_conflict(world),
            38 => self.be_refused(world),
            _ if !self.unknown.is_empty() => {
                self.disconnect(world);
                *self = Self::new(self.room, world.producer());
            }
            _ => {}
        }
    }

    fn send(&mut self, world: &mut World) {
        let invoked = world.tick();
        let (id, hash, retry) = match self.unknown.pop_front() {
            Some((id, hash)) => (id, hash, true),
            None => {
                self.next_id += 1;
                (self.next_id - 1, world.random.number(), false)
            }
        };
        self.flights.push_back(Flight { id, hash, invoked, retry, placed: None });
    }

    fn append(&mut self, world: &mut World) {
        let Some(flight) = self.flights.iter_mut().find(|flight| flight.placed.is_none()) else { return };
        let room = &mut world.rooms[self.room as usize];
        let placed = match self.placed.get(&flight.id) {
            Some(position) => (*position, true),
            None => {
                room.log.push(flight.hash);
                let position = Position { epoch: room.epoch(), offset: room.head() };
                self.placed.insert(flight.id, position);
                (position, false)
            }
        };
        flight.placed = Some(placed);
    }

    fn acknowledge(&mut self, world: &mut World) {
        let Some((position, duplicate)) = self.flights.front().and_then(|flight| flight.placed) else { return };
        if let Some(flight) = self.flights.pop_front() {
            let Position { epoch, offset } = position;
            self.record(world, flight, Outcome::Acked { epoch, offset, duplicate });
            self.acked.push((flight.id, flight.hash, position));
        }
    }

    fn record(&self, world: &mut World, flight: Flight, outcome: Outcome) {
        let Flight { id, hash, invoked, retry, .. } = flight;
        let (room, producer, node, returned) = (Room(self.room), self.producer, world.node(), world.tick());
        world.history.publishes.push(Publish { room, producer, id, hash, node, retry, invoked, returned, outcome });
    }

    /// The connection breaks; some of what was on its way is appended all the same.
    pub(super) fn disconnect(&mut self, world: &mut World) {
        while self.flights.iter().any(|flight| flight.placed.is_none()) && world.random.one_in(2) {
            self.append(world);
        }
        let waiting = std::mem::take(&mut self.unknown);
        for flight in std::mem::take(&mut self.flights) {
            self.record(world, flight, Outcome::Unknown);
            self.unknown.push_back((flight.id, flight.hash));
        }
        self.unknown.extend(waiting);
    }

    /// The server has lost the end of the log: a producer that had been acked there starts anew.
    pub(super) fn forget_lost(&mut self, world: &mut World) {
        let head = world.rooms[self.room as usize].head();
        self.placed.retain(|_, position| position.offset <= head);
        if self.acked.iter().any(|(_, _, position)| position.offset > head) {
            *self = Self::new(self.room, world.producer());
        }
    }

    /// An acked publish is sent again, as after a reload.
    fn send_again(&mut self, world: &mut World) {
        let Some((id, hash, Position { epoch, offset })) = world.random.pick(&self.acked) else { return };
        let flight = Flight { id, hash, invoked: world.tick(), retry: true, placed: None };
        self.record(world, flight, Outcome::Acked { epoch, offset, duplicate: true });
    }

    fn send_conflict(&mut self, world: &mut World) {
        let Some((id, ..)) = world.random.pick(&self.acked) else { return };
        let (hash, invoked) = (world.random.number(), world.tick());
        self.record(
            world,
            Flight { id, hash, invoked, retry: true, placed: None },
            Outcome::Refused { code: CONFLICT },
        );
    }

    /// A refusal uses up no id.
    fn be_refused(&mut self, world: &mut World) {
        if !self.flights.is_empty() || !self.unknown.is_empty() {
            return;
        }
        let (id, hash, invoked) = (self.next_id, world.random.number(), world.tick());
        let flight = Flight { id, hash, invoked, retry: false, placed: None };
        self.record(world, flight, Outcome::Refused { code: RATE_LIMITED });
    }
}
