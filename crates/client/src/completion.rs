//! How the answers of publishes reach whoever waits for them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use loquic_wire::{Position, RoomName, Time, publish::Duplicate};
use tokio::sync::oneshot;

use crate::{error::Error, outbox::Receipt, sync::lock};

/// A publish is safe at its room's level of durability.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// The room.
    pub room: RoomName,
    /// Where the record is.
    pub position: Position,
    /// When it was appended.
    pub time: Time,
    /// Whether it had been appended before, by an attempt whose answer was lost.
    pub duplicate: Duplicate,
}

impl Ack {
    fn new(room: &RoomName, receipt: Receipt) -> Self {
        let Receipt { position, time, duplicate } = receipt;
        Self { room: room.clone(), position, time, duplicate }
    }
}

/// Who is told about the outcome of one publish.
#[derive(Debug)]
pub(crate) enum Waiter {
    One(oneshot::Sender<Result<Receipt, Error>>),
    /// One of a batch.
    Part(Arc<Batch>, u32),
}

impl Waiter {
    /// Whoever waited may have gone; that is no error.
    pub(crate) fn complete(self, outcome: Result<Receipt, Error>) {
        match self {
            Self::One(sender) => drop(sender.send(outcome)),
            Self::Part(batch, index) => batch.complete(index, outcome),
        }
    }
}

/// The outcomes of publishes that were handed over together: one allocation and one wake-up for all.
#[derive(Debug)]
pub(crate) struct Batch {
    outcomes: Mutex<Vec<Option<Result<Receipt, Error>>>>,
    missing: AtomicUsize,
    complete: Mutex<Option<oneshot::Sender<()>>>,
}

impl Batch {
    fn complete(&self, index: u32, outcome: Result<Receipt, Error>) {
        if let Some(slot) = lock(&self.outcomes).get_mut(index as usize) {
            *slot = Some(outcome);
        }
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(complete) = lock(&self.complete).take()
        {
            let _ = complete.send(());
        }
    }
}

/// The answer to one publish, some time later. Dropping it changes nothing about the publish.
#[derive(Debug)]
#[must_use = "the publish goes on without it, but only this says whether it got through"]
pub struct Pending {
    room: RoomName,
    receiver: oneshot::Receiver<Result<Receipt, Error>>,
}

impl Pending {
    pub(crate) fn new(room: RoomName) -> (Waiter, Self) {
        let (sender, receiver) = oneshot::channel();
        (Waiter::One(sender), Self { room, receiver })
    }
}

impl Future for Pending {
    type Output = Result<Ack, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.receiver).poll(context)).unwrap_or(Err(Error::Closed));
        Poll::Ready(outcome.map(|receipt| Ack::new(&self.room, receipt)))
    }
}

/// The answers to a batch, in its order, once all are there. Dropping it changes nothing about the publishes.
#[derive(Debug)]
#[must_use = "the publishes go on without it, but only this says whether they got through"]
pub struct PendingBatch {
    room: RoomName,
    batch: Arc<Batch>,
    complete: oneshot::Receiver<()>,
}

impl PendingBatch {
    pub(crate) fn new(room: RoomName, count: usize) -> (Arc<Batch>, Self) {
        let (sender, complete) = oneshot::channel();
        let batch = Arc::new(Batch {
            outcomes: Mutex::new(vec![None; count]),
            missing: AtomicUsize::new(count),
            // Nobody will ever complete a batch of none.
            complete: Mutex::new((count > 0).then_some(sender)),
        });
        (Arc::clone(&batch), Self { room, batch, complete })
    }
}

impl Future for PendingBatch {
    type Output = Vec<Result<Ack, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // An error means that the rest will not be answered any more.
        let _ = ready!(Pin::new(&mut self.complete).poll(context));
        let outcomes = std::mem::take(&mut *lock(&self.batch.outcomes));
        let ack = |outcome: Option<Result<Receipt, Error>>| {
            outcome.unwrap_or(Err(Error::Closed)).map(|receipt| Ack::new(&self.room, receipt))
        };
        Poll::Ready(outcomes.into_iter().map(ack).collect())
    }
}
