//! The journal's applier on this node: brings rooms and producers into memory, builds batches of what waits, applies
//! them, and lets out what has become safe. Runs on the journal's thread alone, so it owns all of its state.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
    time::Instant,
};

use loquic_wire::{
    Code, Epoch, Offset, Partition, Position, Time,
    publish::{Ack, AckRun, Nack},
};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{
    Context, Refusal,
    apply::{self, Delta, Outcome, Outcomes, RoomDelta, RoomState, apply},
    duplicates::Duplicates,
    ephemerals::Ephemerals,
    floor,
    forget::forget,
    inbox::{Opening, Request},
    live::{Answer, Fresh, Queue, Reply, Room, Submission, View},
    marks::{self, MarkKey},
    start::Epochs,
    tail::Tail,
    targets, trim,
};
use crate::{
    config::limits,
    journal::{Applied, Applier, Batch, Item, Op, Refusing, RoomKey},
    log::{
        self, Store, StoreError, keys,
        rows::{self, Level, MarkRow, PartitionRow, ProducerKey, ProducerRow, RoomRow, encode},
    },
};

/// The applier of a node's rooms.
pub(super) struct Machine {
    context: Arc<Context>,
    partitions: Vec<Held>,
    refusing: Option<Refusing>,
    pending: Vec<Pending>,
    next_handle: u32,
    next_token: u64,
    ticked: Option<Instant>,
    /// Read marks that have moved and are not safe yet.
    marked: Vec<(MarkKey, Offset)>,
}

/// A partition and its rooms in memory.
struct Held {
    partition: Partition,
    state: apply::Partition,
    epochs: Arc<Epochs>,
    live: HashMap<RoomKey, Live>,
}

/// A room in memory, as far as it is not state.
struct Live {
    room: Weak<Room>,
    producers: HashMap<Arc<ProducerKey>, Open>,
    used: Instant,
    /// Where the next look for forgotten producers begins.
    forget_from: Vec<u8>,
}

/// An open producer.
struct Open {
    token: u64,
    /// The only id it may send next; `None` while it may start with any.
    expected: Option<u64>,
    reply: mpsc::UnboundedSender<Reply>,
}

/// A batch that has been applied and not been let out.
struct Pending {
    partition: usize,
    delta: Delta,
    routes: Vec<Option<Route>>,
    fresh: Vec<Vec<Fresh>>,
}

/// Where the outcomes of an operation go.
struct Route {
    room: Arc<Room>,
    reply: mpsc::UnboundedSender<Reply>,
    producer: Arc<ProducerKey>,
}

impl Machine {
    /// Reads the partitions. The batch that comes with it opens a new epoch in each that did not end in good order; it
    /// has to be written and synced before the machine is used.
    pub(super) fn open(context: Arc<Context>, clean: bool, now: Time) -> Result<(Self, log::Batch), StoreError> {
        let mut machine = Self {
            context,
            partitions: Vec::new(),
            refusing: None,
            pending: Vec::new(),
            next_handle: 1,
            next_token: 1,
            ticked: None,
            marked: Vec::new(),
        };
        let batch = machine.load(clean, now)?;
        Ok((machine, batch))
    }

    fn load(&mut self, clean: bool, now: Time) -> Result<log::Batch, StoreError> {
        let mut batch = log::Batch::default();
        self.partitions.clear();
        for partition in Partition::all() {
            let row = match self.context.store.get(log::Space::Meta, &keys::partition(partition))? {
                Some(bytes) => rows::decode(bytes).map_err(|error| corrupt("partition", error))?,
                None => PartitionRow::default(),
            };
            let mut state = apply::Partition { row, rooms: HashMap::new() };
            if !clean || state.row.epochs.is_empty() {
                let ops = vec![Op::Base { epoch: Epoch::saturating(now.get()) }];
                let delta = apply(&state, &Batch { time: now, ops });
                state.install(&delta);
                batch.put(log::Space::Meta, keys::partition(partition), encode(&state.row));
            }
            let epochs = Arc::new(Epochs::of(&state.row));
            self.partitions.push(Held { partition, state, epochs, live: HashMap::new() });
        }
        Ok(batch)
    }

    /// The next housekeeping ticks, however short ago the last tick was.
    #[cfg(test)]
    pub(super) fn tick_next(&mut self) {
        self.ticked = None;
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Attach { key, reply } => {
                let _ = reply.send(self.attach(&key));
            }
            Request::Open { room, producer, replies, reply } => {
                let _ = reply.send(self.open_producer(&room, producer, replies));
            }
            Request::Close { room, producer, token } => self.close_producer(&room, &producer, token),
        }
    }

    fn attach(&mut self, key: &RoomKey) -> Result<Arc<Room>, Refusal> {
        let handle = self.next_handle;
        let now = crate::journal::local::now();
        let context = self.context.clone();
        let held = self.held(key);
        if let Some(room) = held.live.get(key).and_then(|live| live.room.upgrade()) {
            return Ok(room);
        }
        if !held.state.rooms.contains_key(key) {
            let row = load_room(&*context.store, key).map_err(|error| unreadable(key, &error))?;
            held.state.rooms.insert(key.clone(), RoomState { row, ..RoomState::default() });
        }
        let row = held.state.rooms.get(key).and_then(|room| room.row.clone());
        let mut row = row.unwrap_or_else(|| RoomRow::new(0, context.policy(key)));
        floor::advance(&mut row, now.max(held.state.row.time));
        let view = View {
            tail: Tail::new(row.head),
            row: Arc::new(row),
            epochs: held.epochs.clone(),
            appended: Instant::now(),
            ephemerals: Ephemerals::default(),
            retired: None,
        };
        let room = Arc::new(Room {
            key: key.clone(),
            slot: key.slot(),
            handle,
            view: parking_lot::Mutex::new(view),
            changed: Default::default(),
            retiring: Default::default(),
            queue: parking_lot::Mutex::new(Queue::default()),
            drained: Default::default(),
            context,
        });
        let live = Live {
            room: Arc::downgrade(&room),
            producers: HashMap::new(),
            used: Instant::now(),
            forget_from: Vec::new(),
        };
        held.live.insert(key.clone(), live);
        self.context.stats.rooms_opened.fetch_add(1, Ordering::Relaxed);
        self.next_handle = self.next_handle.checked_add(1).unwrap_or(1);
        Ok(room)
    }

    fn open_producer(
        &mut self,
        room: &Arc<Room>,
        producer: Arc<ProducerKey>,
        reply: mpsc::UnboundedSender<Reply>,
    ) -> Result<Opening, Refusal> {
        let token = self.next_token;
        let store = self.context.store.clone();
        let held = self.held(&room.key);
        let (Some(live), Some(state)) = (held.live.get_mut(&room.key), held.state.rooms.get_mut(&room.key)) else {
            return Err(reopened());
        };
        if live.room.as_ptr() != Arc::as_ptr(room) {
            return Err(reopened());
        }
        if let Some(row) = &state.row
            && !state.producers.contains_key(&producer)
        {
            let key = keys::producer(row.id(room.slot), &producer);
            if let Some(known) =
                load_row::<ProducerRow>(&*store, "producer", &key).map_err(|error| unreadable(&room.key, &error))?
            {
                state.producers.insert(producer.clone(), known);
            }
        }
        let last_id = state.producers.get(&producer).map_or(0, |row| row.last_id);
        let open = Open { token, expected: None, reply };
        if let Some(older) = live.producers.insert(producer, open) {
            let _ = older.reply.send(Reply::Ended(Code::FENCED));
        }
        self.next_token += 1;
        Ok(Opening { token, last_id })
    }

    fn close_producer(&mut self, key: &RoomKey, producer: &Arc<ProducerKey>, token: u64) {
        let held = self.held(key);
        let Some(live) = held.live.get_mut(key) else { return };
        if live.producers.get(producer).is_some_and(|open| open.token == token) {
            live.producers.remove(producer);
            if let Some(state) = held.state.rooms.get_mut(key) {
                state.producers.remove(producer);
            }
        }
    }

    fn held(&mut self, key: &RoomKey) -> &mut Held {
        &mut self.partitions[usize::from(key.slot().partition().get())]
    }

    /// Takes what waits for one partition, applies it, and adds what it changes to `out`.
    fn apply_partition(&mut self, index: usize, now: Time, out: &mut Applied) {
        let taken = self.context.inbox.drain(self.partitions[index].partition);
        if taken.is_empty() {
            return;
        }
        let (mut ops, mut routes) = (Vec::new(), Vec::new());
        for (room, submissions) in taken {
            self.add_ops(index, &room, submissions, &mut ops, &mut routes);
        }
        if ops.is_empty() {
            return;
        }
        let held = &mut self.partitions[index];
        targets::bring(&*self.context.store, &mut held.state, &ops);
        let held = &*held;
        let delta = apply(&held.state, &Batch { time: now, ops });
        let fresh = store_delta(held, &delta, &mut out.batch);
        out.sync |= delta.rooms.iter().any(|room| !room.chunks.is_empty() && room.row.policy.level == Level::Disk);
        targets::drop(&mut self.partitions[index].state, &delta);
        self.pending.push(Pending { partition: index, delta, routes, fresh });
    }

    fn add_ops(
        &mut self,
        index: usize,
        room: &Arc<Room>,
        submissions: Vec<Submission>,
        ops: &mut Vec<Op>,
        routes: &mut Vec<Option<Route>>,
    ) {
        let refusing = self.refusing;
        let wanted = self.context.policy(&room.key);
        let held = &mut self.partitions[index];
        let state = held.state.rooms.get(&room.key);
        // A room that was opened anew meanwhile does not know these publishers, which does not mean that they are
        // fenced.
        let live = held.live.get_mut(&room.key).filter(|live| live.room.as_ptr() == Arc::as_ptr(room));
        let (Some(live), Some(state)) = (live, state) else {
            return submissions.iter().for_each(|waiting| waiting.end(Code::NOT_YET_APPLIED));
        };
        let mut prepared = false;
        for submission in submissions {
            let open = live.producers.get_mut(&submission.producer).filter(|open| open.token == submission.token);
            let Some(open) = open else {
                submission.end(Code::FENCED);
                continue;
            };
            match refusing {
                Some(Refusing::Poisoned) => {
                    submission.end(Code::LOG_POISONED);
                    continue;
                }
                Some(Refusing::DiskFull) => {
                    submission.refuse(open, Code::DISK_FULL);
                    continue;
                }
                None => {}
            }
            if !std::mem::replace(&mut prepared, true) {
                let op = match &state.row {
                    None => Some(Op::RoomCreate { room: room.key.clone(), policy: wanted }),
                    Some(row) if row.policy != wanted => {
                        Some(Op::RoomPolicy { room: room.key.clone(), policy: wanted })
                    }
                    Some(_) => None,
                };
                routes.extend(op.as_ref().map(|_| None));
                ops.extend(op);
            }
            let starts_at = open.expected;
            let route = Route { room: room.clone(), reply: submission.reply, producer: submission.producer.clone() };
            let producer = submission.producer;
            // Two submissions of one stream in one batch: the second's start is what the first leaves behind.
            if let Some(Op::Append { room: last, producer: before, items, .. }) = ops.last_mut()
                && *last == room.key
                && *before == producer
            {
                items.extend(submission.items);
                continue;
            }
            ops.push(Op::Append { room: room.key.clone(), producer, starts_at, items: submission.items });
            routes.push(Some(route));
        }
    }

    /// Writes the read marks that sessions have said since the last time.
    fn mark(&mut self, now: Time, batch: &mut log::Batch) {
        let mut ops: HashMap<Partition, Vec<Op>> = HashMap::new();
        for ((room, user), offset) in self.context.marks.take() {
            ops.entry(room.slot().partition()).or_default().push(Op::Mark { room, user, offset });
        }
        self.marked.clear();
        for held in &mut self.partitions {
            let Some(ops) = ops.remove(&held.partition) else { continue };
            let brought = marks::bring(&*self.context.store, &mut held.state, &ops);
            let delta = apply(&held.state, &Batch { time: now, ops });
            held.settle(&delta, batch);
            self.marked.extend(marks::drop(&mut held.state, brought, &delta));
        }
    }

    /// Lets out what is safe at `level`.
    fn release(&mut self, level: Level) {
        for pending in &self.pending {
            release(&mut self.partitions[pending.partition], pending, level, &self.context);
        }
    }
}

impl Applier for Machine {
    fn apply(&mut self, now: Time) -> Applied {
        for request in self.context.inbox.take_requests() {
            self.serve(request);
        }
        let mut applied = Applied::default();
        for index in 0..self.partitions.len() {
            self.apply_partition(index, now, &mut applied);
        }
        self.release(Level::Memory);
        applied
    }

    fn written(&mut self) {
        for pending in &self.pending {
            let held = &mut self.partitions[pending.partition];
            if pending.delta.changes_something(&held.state) {
                held.state.install(&pending.delta);
            }
            note_expected(held, pending);
        }
        self.release(Level::Process);
        for pending in &self.pending {
            stored(&self.partitions[pending.partition], pending, |level| level == Level::Memory);
        }
    }

    fn synced(&mut self) {
        self.release(Level::Disk);
        for pending in &self.pending {
            stored(&self.partitions[pending.partition], pending, |level| level != Level::Memory);
        }
        self.pending.clear();
    }

    fn failed(&mut self, reason: Refusing) {
        self.refusing = Some(reason);
        let code = match reason {
            Refusing::DiskFull => Code::DISK_FULL,
            Refusing::Poisoned => Code::LOG_POISONED,
        };
        for pending in self.pending.drain(..) {
            let levels = pending.levels();
            for route in pending.routes.iter().flatten() {
                self.partitions[pending.partition].revert(&route.room);
                // At level memory the answer is out already.
                if levels.get(&route.room.key) != Some(&Level::Memory) {
                    let _ = route.reply.send(Reply::Ended(code));
                }
            }
        }
    }

    fn recover(&mut self, now: Time) -> Result<log::Batch, StoreError> {
        let rooms = self.partitions.iter().flat_map(|held| held.live.values());
        rooms.filter_map(|live| live.room.upgrade()).for_each(|room| room.retire(Code::NOT_YET_APPLIED));
        self.refusing = None;
        self.load(false, now)
    }

    fn housekeep(&mut self, now: Time, refusing: Option<Refusing>) -> log::Batch {
        self.refusing = refusing;
        let mut batch = log::Batch::default();
        // Where nothing is written the marks wait.
        if refusing.is_none() {
            self.mark(now, &mut batch);
        }
        let tick = self.ticked.is_none_or(|at| at.elapsed() >= limits::TICK_INTERVAL);
        for held in &mut self.partitions {
            held.forget_idle();
            // A disk that is nearly full is helped by trimming; a log that cannot be written is not.
            if refusing != Some(Refusing::Poisoned) {
                if tick {
                    held.tick(now, &mut batch);
                    held.forget_producers(&*self.context.store, now, &mut batch);
                }
                held.trim(&*self.context.store, &mut batch);
            }
        }
        if tick {
            self.context.marks.sweep();
            self.ticked = Some(Instant::now());
            trim::drop_windows(&*self.context.store, now);
        }
        batch
    }

    fn housekept(&mut self) {
        self.context.marks.written(std::mem::take(&mut self.marked));
    }

    fn applied(&self) -> Vec<u64> {
        self.partitions.iter().map(|held| held.state.row.applied).collect()
    }
}

impl Held {
    /// Forgets what was written and is not safe, so that whoever attaches the room from now on does not see it.
    fn revert(&mut self, room: &Room) {
        let Some(state) = self.state.rooms.get_mut(&room.key) else { return };
        let shown = room.view.lock().row.clone();
        if state.row.as_ref().is_some_and(|row| row.head > shown.head) {
            state.row = (shown.number > 0).then(|| (*shown).clone());
            state.producers.clear();
        }
    }

    /// Forgets rooms that nobody has used for a while. Their log stays.
    fn forget_idle(&mut self) {
        let rooms = &mut self.state.rooms;
        self.live.retain(|key, live| {
            if let Some(room) = live.room.upgrade() {
                live.used = Instant::now();
                room.rest();
                return true;
            }
            let trimming = rooms.get(key).and_then(|room| room.row.as_ref()).is_some_and(trim::is_due);
            if live.used.elapsed() < limits::ROOM_IDLE_MAX || trimming {
                return true;
            }
            rooms.remove(key);
            false
        });
    }

    /// Moves the floors of the rooms in memory whose records get too old.
    fn tick(&mut self, now: Time, batch: &mut log::Batch) {
        let due = self.state.rooms.iter().filter(|(_, room)| {
            let Some(row) = &room.row else { return false };
            let mut then = row.clone();
            floor::advance(&mut then, now.max(self.state.row.time));
            then != *row
        });
        let mut rooms: Vec<RoomKey> = due.map(|(key, _)| key.clone()).collect();
        if rooms.is_empty() {
            return;
        }
        rooms.sort();
        let delta = apply(&self.state, &Batch { time: now, ops: vec![Op::Tick { rooms }] });
        self.settle(&delta, batch);
    }

    /// Takes over what housekeeping changed, and shows where it moved floors.
    fn settle(&mut self, delta: &Delta, batch: &mut log::Batch) {
        if !delta.changes_something(&self.state) {
            return;
        }
        store_delta(self, delta, batch);
        self.state.install(delta);
        for change in &delta.rooms {
            if let Some(room) = self.live.get(&change.key).and_then(|live| live.room.upgrade()) {
                room.commit(&Arc::new(change.row.clone()), &self.epochs, &[]);
                room.changed.notify_waiters();
            }
        }
    }

    /// Frees the rows of producers that the rooms in memory have forgotten, some at a time.
    fn forget_producers(&mut self, store: &dyn Store, now: Time, batch: &mut log::Batch) {
        for (key, live) in &mut self.live {
            let row = self.state.rooms.get(key).and_then(|room| room.row.as_ref());
            let Some(row) = row.filter(|row| row.floor > Offset::FIRST) else { continue };
            let (time, from) = (now.max(self.state.row.time), std::mem::take(&mut live.forget_from));
            let is_open = |producer: &ProducerKey| live.producers.contains_key(producer);
            match forget(store, row.id(key.slot()), row, time, from, is_open, batch) {
                Ok(go_on) => live.forget_from = go_on,
                Err(error) => warn!(room = %key.room, %error, "cannot look for forgotten producers now"),
            }
        }
    }

    /// Removes what lies below the floors of rooms whose space is not dropped as a whole.
    fn trim(&mut self, store: &dyn Store, batch: &mut log::Batch) {
        for (key, room) in &mut self.state.rooms {
            let Some(row) = room.row.as_mut().filter(|row| trim::is_due(row)) else { continue };
            let id = row.id(key.slot());
            match trim::trim(store, id, row, batch) {
                Ok(()) => batch.put(log::Space::Meta, keys::room(&key.tenant, &key.room), encode(row)),
                Err(error) => warn!(room = %key.room, %error, "cannot trim the room now"),
            }
        }
    }
}

/// Adds what a delta changes to the batch, and returns the frames of each room's chunks as parts of what is stored.
fn store_delta(held: &Held, delta: &Delta, batch: &mut log::Batch) -> Vec<Vec<Fresh>> {
    if !delta.changes_something(&held.state) {
        return delta.rooms.iter().map(|_| Vec::new()).collect();
    }
    let fresh = delta.rooms.iter().map(|room| store_room(held, room, batch)).collect();
    batch.put(log::Space::Meta, keys::partition(held.partition), encode(&delta.row));
    fresh
}

fn store_room(held: &Held, change: &RoomDelta, batch: &mut log::Batch) -> Vec<Fresh> {
    let id = change.row.id(change.slot);
    let before = held.state.rooms.get(&change.key);
    let mut fresh = Vec::with_capacity(change.chunks.len());
    for new in &change.chunks {
        let (bytes, frames) = new.chunk.encode();
        let (first, last) = (new.chunk.first, new.chunk.last());
        batch.put(new.space, keys::chunk(id, last), bytes);
        for (producer, row) in &new.dedupe {
            let last_id = row.runs.last().map_or(0, rows::Run::last_id);
            batch.put(new.space, keys::dedupe(id, producer, last_id), encode(row));
        }
        fresh.push(Fresh { first, last, frames });
    }
    for (space, chunk) in &change.rewritten {
        let (bytes, frames) = chunk.encode();
        batch.put(*space, keys::chunk(id, chunk.last()), bytes);
        fresh.push(Fresh { first: chunk.first, last: chunk.last(), frames });
    }
    for (user, offset) in &change.marks {
        batch.put(log::Space::Meta, keys::mark(id, user), encode(&MarkRow { offset: *offset }));
    }
    for (producer, row) in &change.producers {
        if before.and_then(|room| room.producers.get(producer)) != Some(row) {
            batch.put(log::Space::Meta, keys::producer(id, producer), encode(row));
        }
    }
    if before.and_then(|room| room.row.as_ref()) != Some(&change.row) {
        batch.put(log::Space::Meta, keys::room(&change.key.tenant, &change.key.room), encode(&change.row));
    }
    fresh
}

/// Lets out what one batch made safe at `level`: first the view, so that an ack is never ahead of a read, then the
/// acks, then the subscribers.
fn release(held: &mut Held, pending: &Pending, level: Level, context: &Context) {
    let mut rooms = Vec::new();
    for (change, fresh) in pending.delta.rooms.iter().zip(&pending.fresh) {
        if change.row.policy.level != level {
            continue;
        }
        let Some(room) = held.live.get(&change.key).and_then(|live| live.room.upgrade()) else { continue };
        if !fresh.is_empty() || room.view.lock().row.floor < change.row.floor {
            room.commit(&Arc::new(change.row.clone()), &held.epochs, fresh);
            context.watches.moved(&change.key, held.epochs.current(), change.row.head);
            rooms.push(room);
        }
    }
    let levels = pending.levels();
    for (route, outcomes) in pending.routes.iter().zip(&pending.delta.outcomes) {
        let Some(route) = route else { continue };
        // A room that does not exist has nothing to wait for.
        if levels.get(&route.room.key).copied().unwrap_or(Level::Memory) == level {
            let answers = answers(route, outcomes, &pending.delta, context);
            let _ = route.reply.send(Reply::Answers(answers));
        }
    }
    crate::failpoint!("journal::before_fanout");
    rooms.iter().for_each(|room| room.changed.notify_waiters());
}

fn answers(route: &Route, outcomes: &Outcomes, delta: &Delta, context: &Context) -> Vec<Answer> {
    let (epoch, time) = (delta.row.epoch(), delta.row.time);
    let fresh = delta.rooms.iter().find(|room| room.key == route.room.key).map_or(&[][..], |room| &room.chunks);
    let mut duplicates = Duplicates::new(&*context.store, &route.room, &route.producer, epoch, time, fresh);
    let answer = |outcome: &Outcome| match outcome {
        Outcome::Appended(run) if run.count == 1 => Answer::Ack(Ack {
            id: run.id,
            position: Position { epoch, offset: run.offset },
            time,
            duplicate: loquic_wire::publish::Duplicate::No,
        }),
        Outcome::Appended(run) => {
            Answer::AckRun(AckRun { epoch, first_id: run.id, count: run.count, first_offset: run.offset, time })
        }
        Outcome::Known(publish) => duplicates.answer(publish),
        Outcome::Refused { id, code, expected } => Answer::Nack(nack(*id, *code, *expected)),
    };
    outcomes.of.iter().map(answer).collect()
}

pub(super) fn nack(id: u64, code: Code, expected: u64) -> Nack {
    let retry_after = if code == Code::OVERLOADED { limits::OVERLOAD_RETRY_AFTER } else { code.default_delay() };
    Nack { id, code, expected, retry_after: retry_after.into() }
}

fn note_expected(held: &mut Held, pending: &Pending) {
    for (route, outcomes) in pending.routes.iter().zip(&pending.delta.outcomes) {
        let Some(route) = route else { continue };
        let open = held.live.get_mut(&route.room.key).and_then(|live| live.producers.get_mut(&route.producer));
        if let Some(open) = open {
            open.expected = outcomes.expected;
        }
    }
}

fn stored(held: &Held, pending: &Pending, of: impl Fn(Level) -> bool) {
    for change in pending.delta.rooms.iter().filter(|change| of(change.row.policy.level)) {
        if let Some(room) = held.live.get(&change.key).and_then(|live| live.room.upgrade()) {
            room.stored(change.row.head);
        }
    }
}

impl Pending {
    fn levels(&self) -> HashMap<&RoomKey, Level> {
        self.delta.rooms.iter().map(|room| (&room.key, room.row.policy.level)).collect()
    }
}

impl Delta {
    fn changes_something(&self, state: &apply::Partition) -> bool {
        let same = |room: &RoomDelta| {
            room.chunks.is_empty()
                && room.marks.is_empty()
                && state.rooms.get(&room.key).is_some_and(|before| before.row.as_ref() == Some(&room.row))
        };
        self.row.epochs != state.row.epochs || !self.rooms.iter().all(same)
    }
}

impl Submission {
    fn end(&self, code: Code) {
        let _ = self.reply.send(Reply::Ended(code));
    }

    /// Refuses all of it without applying anything; nothing behind it may slip in before it.
    fn refuse(&self, open: &mut Open, code: Code) {
        let Some(first) = self.items.first().map(Item::id) else { return };
        let expected = *open.expected.get_or_insert(first);
        let code_of = |index| if index == 0 { code } else { Code::SKIPPED };
        let nacks = self.items.iter().enumerate().map(|(index, item)| nack(item.id(), code_of(index), expected));
        let _ = self.reply.send(Reply::Answers(nacks.map(Answer::Nack).collect()));
    }
}

pub(super) fn load_room(store: &dyn Store, key: &RoomKey) -> Result<Option<RoomRow>, StoreError> {
    load_row(store, "room", &keys::room(&key.tenant, &key.room))
}

fn load_row<T: loquic_wire::coding::Decode>(
    store: &dyn Store,
    what: &'static str,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    let bytes = store.get(log::Space::Meta, key)?;
    bytes.map(|bytes| rows::decode(bytes).map_err(|error| corrupt(what, error))).transpose()
}

fn corrupt(what: &str, error: loquic_wire::coding::DecodeError) -> StoreError {
    StoreError::Corrupt(format!("the {what} row does not decode: {error}"))
}

fn unreadable(key: &RoomKey, error: &StoreError) -> Refusal {
    error!(room = %key.room, %error, "the room cannot be read");
    let code = match error {
        StoreError::Corrupt(_) => Code::LOG_CORRUPT,
        StoreError::Full(_) | StoreError::Failed(_) => Code::INTERNAL,
    };
    Refusal { code, message: format!("the room cannot be read: {error}") }
}

fn reopened() -> Refusal {
    Refusal { code: Code::NOT_YET_APPLIED, message: "the room is being opened again".into() }
}
