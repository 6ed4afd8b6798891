//! Publishing into a room, with or without being subscribed to it.

use std::sync::Arc;

use loquic_wire::{Offset, RoomName};
use tokio::sync::TryAcquireError;

use crate::{
    client::Handle,
    completion::{Ack, Pending, PendingBatch, Waiter},
    error::Error,
    message::Message,
    queue::Queue,
};

/// Publishes into one room. Cheap to clone; all clones, and all publishers of the same client and room, share one
/// numbered stream, so what one task publishes is in the room in the order it was handed over.
///
/// While there is no connection, publishes wait in the outbox, which is bounded
/// ([`OutboxBounds`](crate::OutboxBounds)): once it is full, [`publish`](Self::publish) waits and
/// [`try_publish`](Self::try_publish) refuses. After a reconnect they are sent again under the same numbers, so that
/// each is in the log exactly once.
#[derive(Debug, Clone)]
pub struct Publisher {
    queue: Arc<Queue>,
    handle: Arc<Handle>,
}

impl Publisher {
    pub(crate) fn new(queue: Arc<Queue>, handle: Arc<Handle>) -> Self {
        Self { queue, handle }
    }

    /// The room.
    pub fn room(&self) -> &RoomName {
        &self.queue.room
    }

    /// Publishes, and waits until the record is safe at the room's level of durability.
    ///
    /// If the future is dropped after it was polled, the publish may still happen.
    pub async fn publish(&self, message: impl Into<Message>) -> Result<Ack, Error> {
        self.enqueue(message).await?.await
    }

    /// Waits for space in the outbox and hands the message over; the answer comes later. For pipelining: what is
    /// enqueued one after the other is appended in that order.
    pub async fn enqueue(&self, message: impl Into<Message>) -> Result<Pending, Error> {
        let message = self.checked(message.into())?;
        let cost = self.queue.cost(&message);
        self.queue.space.acquire_many(cost).await.map_err(|_| Error::Closed)?.forget();
        self.push(message, cost)
    }

    /// Hands the message over if the outbox has space, else [`Error::OutboxFull`].
    pub fn try_publish(&self, message: impl Into<Message>) -> Result<Pending, Error> {
        let message = self.checked(message.into())?;
        let cost = self.queue.cost(&message);
        match self.queue.space.try_acquire_many(cost) {
            Ok(permits) => permits.forget(),
            Err(TryAcquireError::NoPermits) => return Err(Error::OutboxFull),
            Err(TryAcquireError::Closed) => return Err(Error::Closed),
        }
        self.push(message, cost)
    }

    /// Deletes an earlier record, and waits until that is safe: its content goes, its offset stays. The ack is that of
    /// the record that says so, which everybody in the room gets.
    ///
    /// `forbidden` if the record is somebody else's, `bad_record` if it is not there or not a message.
    pub async fn delete(&self, offset: Offset) -> Result<Ack, Error> {
        self.publish(Message::delete(offset)).await
    }

    /// Publishes many, in order, and waits for all; one outcome for each.
    ///
    /// Costs less than the same number of single publishes: one allocation and one wake-up for the whole batch.
    pub async fn publish_batch(&self, messages: Vec<Message>) -> Vec<Result<Ack, Error>> {
        let count = messages.len();
        match self.enqueue_batch(messages).await {
            Ok(pending) => pending.await,
            Err(error) => vec![Err(error); count],
        }
    }

    /// Waits for space in the outbox and hands all messages over; the answers come later. An error says that none was
    /// taken, because one of them is too large; other failures are outcomes of single messages.
    pub async fn enqueue_batch(&self, messages: Vec<Message>) -> Result<PendingBatch, Error> {
        messages.iter().try_for_each(|message| self.check(message))?;
        let (batch, pending) = PendingBatch::new(self.queue.room.clone(), messages.len());
        let mut waiters = (0..).map(|index| Waiter::Part(Arc::clone(&batch), index));
        let mut messages = messages.into_iter().peekable();
        let mut part = Vec::new();
        while messages.peek().is_some() {
            let mut sum = 0;
            // One message that is larger than a part goes alone.
            let fits =
                |sum: u32, message: &Message| sum == 0 || sum + self.queue.cost(message) <= self.queue.cost_part();
            while let Some(message) = messages.next_if(|message| fits(sum, message)) {
                let cost = self.queue.cost(&message);
                sum += cost;
                part.extend(waiters.next().map(|waiter| (message, cost, waiter)));
            }
            self.queue.space.acquire_many(sum).await.map_err(|_| Error::Closed)?.forget();
            self.queue.push_all(&mut part);
        }
        Ok(pending)
    }

    /// Waits until everything that was handed over has its answer.
    pub async fn flush(&self) {
        self.queue.drained().await;
    }

    fn push(&self, message: Message, cost: u32) -> Result<Pending, Error> {
        let (waiter, pending) = Pending::new(self.queue.room.clone());
        self.queue.push(message, cost, waiter)?;
        Ok(pending)
    }

    fn checked(&self, message: Message) -> Result<Message, Error> {
        self.check(&message).map(|()| message)
    }

    /// What the server would refuse anyway, without the round trip.
    fn check(&self, message: &Message) -> Result<(), Error> {
        let max = self.handle.payload_bytes_max();
        let length = message.payload.len();
        if length > max { Err(Error::PayloadTooLarge { length, max }) } else { Ok(()) }
    }
}
