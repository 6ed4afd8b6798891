//! A room in memory, as sessions share it: what may be seen of it, and the publishes that wait for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use loquic_wire::{
    Code, Epoch, Offset, Slot, UserName,
    ephemeral::Ephemeral,
    publish::{Ack, AckRun, Nack},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{Context, Refusal, ephemerals::Ephemerals, start::Epochs, tail::Tail};
use crate::{
    config::limits,
    journal::{Item, RoomKey},
    log::rows::{ProducerKey, RoomRow},
};

/// A room in memory.
pub struct Room {
    pub(super) key: RoomKey,
    pub(super) slot: Slot,
    pub(super) handle: u32,
    pub(super) view: Mutex<View>,
    /// Wakes readers when the view has changed.
    pub(super) changed: Notify,
    /// Wakes readers that wait for credit and not for records, when the room is retired or they are interrupted.
    pub(super) retiring: Notify,
    pub(super) queue: Mutex<Queue>,
    /// Wakes publishers when the queue has been drained.
    pub(super) drained: Notify,
    pub(super) context: Arc<Context>,
}

/// What may be seen of a room: what has reached its level, and nothing else.
pub(super) struct View {
    pub(super) row: Arc<RoomRow>,
    pub(super) epochs: Arc<Epochs>,
    pub(super) tail: Tail,
    /// When something was last appended.
    pub(super) appended: Instant,
    pub(super) ephemerals: Ephemerals,
    /// Set once and for all when the room has to be attached anew.
    pub(super) retired: Option<Code>,
}

/// Where a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The epoch that is being written.
    pub epoch: Epoch,
    /// The last offset, 0 if there is none.
    pub head: Offset,
    /// The oldest offset that may be read; head + 1 if there is none.
    pub floor: Offset,
}

/// Publishes that wait for a room.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Submission>,
    pub(super) bytes: usize,
    /// What the room may still take in this round (deficit round-robin).
    pub(super) deficit: usize,
    /// Whether the room stands in its partition's round.
    pub(super) ready: bool,
}

/// Publishes of one stream that travel together.
pub(super) struct Submission {
    pub(super) producer: Arc<ProducerKey>,
    /// Which `Open` of the producer it comes from.
    pub(super) token: u64,
    pub(super) items: Vec<Item>,
    pub(super) bytes: usize,
    pub(super) reply: mpsc::UnboundedSender<Reply>,
}

/// What comes back to a publisher.
#[derive(Debug)]
pub(super) enum Reply {
    /// Answers, in the order of the publishes.
    Answers(Vec<Answer>),
    /// No answer can be given any more; whether the publishes are in the log is not known.
    Ended(Code),
}

/// An answer to publishes: exactly one for each publish, in the order in which they were offered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// One is safe.
    Ack(Ack),
    /// A run is safe.
    AckRun(AckRun),
    /// One is not in the log.
    Nack(Nack),
}

impl Room {
    /// The node's number for the room.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Which room it is.
    pub fn key(&self) -> &RoomKey {
        &self.key
    }

    /// Where it is.
    pub fn status(&self) -> Status {
        self.view.lock().status()
    }

    /// Takes a submission unless the queue is full. One that fits nowhere is taken by an empty queue.
    pub(super) fn submit(self: &Arc<Self>, submission: Submission) -> Result<(), Submission> {
        let full = |queue: &Queue| queue.bytes + submission.bytes > self.context.inbox_bytes_max;
        {
            let mut queue = self.queue.lock();
            if full(&queue) && !queue.waiting.is_empty() {
                return Err(submission);
            }
            queue.push(submission);
            if std::mem::replace(&mut queue.ready, true) {
                return Ok(());
            }
        }
        self.context.inbox.ready(self.clone());
        Ok(())
    }

    /// Takes a submission of refused publishes even when the queue is full: it takes no room in the log.
    pub(super) fn submit_refused(self: &Arc<Self>, submission: Submission) {
        let ready = {
            let mut queue = self.queue.lock();
            queue.push(submission);
            std::mem::replace(&mut queue.ready, true)
        };
        if !ready {
            self.context.inbox.ready(self.clone());
        }
    }

    /// Shows what has become safe: what was appended, and what was redacted. A reader that holds a page of the old
    /// bytes may still send them; the delete comes to it behind them.
    pub(super) fn commit(&self, row: &Arc<RoomRow>, epochs: &Arc<Epochs>, fresh: &[Fresh]) {
        let mut view = self.view.lock();
        let before = view.tail.bytes();
        for Fresh { first, last, frames } in fresh {
            if *first > view.tail.end() {
                view.tail.push(*first, *last, frames.clone());
            } else {
                view.tail.replace(*first, *last, frames.clone());
            }
        }
        view.row = row.clone();
        view.epochs = epochs.clone();
        if !fresh.is_empty() {
            view.appended = Instant::now();
        }
        self.context.tails.add(before, view.tail.bytes());
    }

    /// Lets the tail shrink to its budget, now that everything up to `stored` can be read from the log.
    pub(super) fn stored(&self, stored: Offset) {
        let mut view = self.view.lock();
        let before = view.tail.bytes();
        view.tail.evict(self.context.tails.budget(), stored);
        self.context.tails.add(before, view.tail.bytes());
    }

    /// Lets go of the tail of a room in which nothing happens.
    pub(super) fn rest(&self) {
        let mut view = self.view.lock();
        view.ephemerals.forget(Instant::now(), limits::EPHEMERAL_KEPT);
        if view.appended.elapsed() >= limits::TAIL_IDLE_MAX {
            let (before, stored) = (view.tail.bytes(), view.row.head);
            view.tail.evict(0, stored);
            self.context.tails.add(before, view.tail.bytes());
        }
    }

    /// Tells subscribers what is true for a moment. `false` if it is out of date or too long.
    pub fn say(&self, mut ephemeral: Ephemeral) -> bool {
        ephemeral.handle = self.handle;
        let is_news = self.view.lock().ephemerals.say(ephemeral, Instant::now());
        if is_news {
            self.changed.notify_waiters();
        }
        is_news
    }

    /// Notes how far a user has read; what is behind the head counts as the head. `false` if too many marks wait.
    pub fn mark(&self, user: &UserName, offset: Offset) -> bool {
        let offset = offset.min(self.view.lock().row.head);
        offset == Offset::ZERO || self.context.marks.note((self.key.clone(), user.clone()), offset)
    }

    /// Ends every subscription; who wants to go on attaches the room anew.
    pub(super) fn retire(&self, code: Code) {
        self.view.lock().retired = Some(code);
        self.changed.notify_waiters();
        self.retiring.notify_waiters();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.context.stats.rooms_closed.fetch_add(1, Ordering::Relaxed);
        self.context.tails.add(self.view.get_mut().tail.bytes(), 0);
    }
}

/// Records that have become safe.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) frames: Bytes,
}

impl View {
    pub(super) fn status(&self) -> Status {
        Status { epoch: self.epochs.current(), head: self.row.head, floor: self.row.floor }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        match self.retired {
            Some(code) => Err(Refusal { code, message: "the room is being opened again".into() }),
            None => Ok(()),
        }
    }
}

impl Queue {
    fn push(&mut self, submission: Submission) {
        self.bytes += submission.bytes;
        self.waiting.push_back(submission);
    }
}

/// The memory that all tails take together.
#[derive(Debug)]
pub(super) struct Tails {
    held: AtomicUsize,
    one_max: usize,
    all_max: usize,
}

impl Tails {
    pub(super) fn new(one_max: usize, all_max: usize) -> Self {
        Self { held: AtomicUsize::new(0), one_max, all_max }
    }

    /// What they hold now.
    pub(super) fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn add(&self, before: usize, after: usize) {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// What one tail may hold now: its own budget, or a page when all together hold too much.
    fn budget(&self) -> usize {
        if self.bytes() > self.all_max { limits::PAGE_BYTES_MAX } else { self.one_max }
    }
}
