//! A node without its thread: the test takes the journal's turns itself, with a clock of its own, so that every run of
//! the same operations is the same run.

use std::sync::Arc;

use loquic_wire::{ProducerId, Time, publish::Publish};
use tokio::sync::{mpsc, oneshot};

use super::super::{
    Context, Options, ProducerKey, Publisher, Reader, Refusal, Room,
    inbox::{Inbox, Request},
    live::Tails,
    machine::Machine,
    marks::Marks,
    reader::Event,
    watch::Watches,
};
use super::key;
use crate::{
    journal::{Applier, Refusing},
    log::{Memory, Store, StoreError},
};

pub(super) struct Node {
    pub(super) store: Arc<Memory>,
    pub(super) context: Arc<Context>,
    pub(super) machine: Machine,
    pub(super) now: Time,
}

impl Node {
    pub(super) fn open(store: Arc<Memory>, options: &Options, now: Time) -> Self {
        let context = Arc::new(Context {
            inbox: Inbox::new(),
            store: store.clone(),
            tails: Tails::new(options.tail_bytes_max, options.tails_bytes_max),
            watches: Watches::default(),
            append_turns: Default::default(),
            marks: Marks::default(),
            policies: options.policies.clone(),
            payload_bytes_max: options.payload_bytes_max,
            inbox_bytes_max: options.inbox_bytes_max,
            stats: Default::default(),
        });
        let (machine, opening) = Machine::open(context.clone(), false, now).unwrap();
        store.write(&opening).unwrap();
        store.sync().unwrap();
        Self { store, context, machine, now }
    }

    /// What the journal's thread does in one turn.
    pub(super) fn turn(&mut self) {
        let applied = self.machine.apply(self.now);
        let written = if applied.batch.is_empty() { Ok(()) } else { self.store.write(&applied.batch) };
        if let Err(error) = written {
            return self.fail(&error);
        }
        self.machine.written();
        if applied.sync
            && let Err(error) = self.store.sync()
        {
            return self.fail(&error);
        }
        self.machine.synced();
    }

    fn fail(&mut self, error: &StoreError) {
        let reason = if matches!(error, StoreError::Full(_)) { Refusing::DiskFull } else { Refusing::Poisoned };
        self.machine.failed(reason);
    }

    pub(super) fn attach(&mut self, name: &str) -> Arc<Room> {
        let (reply, mut answer) = oneshot::channel();
        self.context.inbox.request(Request::Attach { key: key(name), reply });
        self.turn();
        answer.try_recv().unwrap().unwrap()
    }

    pub(super) fn open_producer(&mut self, room: &Arc<Room>, producer: ProducerKey) -> Result<Publisher, Refusal> {
        let (reply, mut answer) = oneshot::channel();
        let (replies, answers) = mpsc::unbounded_channel();
        let producer = Arc::new(producer);
        let request = Request::Open { room: room.clone(), producer: producer.clone(), replies: replies.clone(), reply };
        self.context.inbox.request(request);
        self.turn();
        Ok(Publisher::new(room.clone(), producer, answer.try_recv().unwrap()?, (replies, answers)))
    }

    /// The journal's housekeeping, with a tick of the rooms' time.
    pub(super) fn housekeep(&mut self) {
        self.machine.tick_next();
        let batch = self.machine.housekeep(self.now, None);
        self.store.write(&batch).unwrap();
        self.store.sync().unwrap();
        self.machine.housekept();
    }

    pub(super) fn later(&mut self, millis: u64) {
        self.now = Time::saturating(self.now.get() + millis);
    }
}

/// A producer of the user ann. Those with even and odd numbers share their tags by twos.
pub(super) fn twin(number: u8) -> ProducerKey {
    let mut id = [number; 16];
    id[..4].fill(number / 2);
    ProducerKey { user: "ann".parse().unwrap(), producer: ProducerId(id) }
}

pub(super) fn sized(id: u64, bytes: usize) -> Publish {
    let text = format!("{id}.");
    super::publish(id, &text.repeat(bytes / text.len() + 1))
}

/// Polls `next` once with a future of its own, so that every poll is also a cancellation; goes on only while the store
/// is being read.
pub(super) fn poll_next(reader: &mut Reader, credit: u64) -> Option<Event> {
    use std::task::{Context, Poll, Waker};
    loop {
        let poll = {
            let next = std::pin::pin!(reader.next(credit));
            next.poll(&mut Context::from_waker(Waker::noop()))
        };
        match poll {
            Poll::Ready(event) => return Some(event),
            Poll::Pending if reader.is_reading() => std::thread::yield_now(),
            Poll::Pending => return None,
        }
    }
}
