//! A room as the application sees it: a stream of events, and a way to publish.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    vec,
};

use futures::Stream;
use loquic_wire::{
    Epoch, Offset, Position, RoomName, UserName,
    join::{From, Joined, Mode, PresenceLevel},
    name::NameError,
    read::Range,
    who::Members,
};
use tokio::sync::oneshot;

use crate::{
    client::Handle,
    completion::{Ack, Pending},
    error::Error,
    event::Event,
    history::{self, History},
    members,
    message::Message,
    publisher::Publisher,
    subscriber::{Inbox, Subscriber, Taken},
    subscription::Subscription,
    sync::Owned,
};

/// Says how to subscribe. Made by [`Client::room`](crate::Client::room).
#[derive(Debug)]
pub struct RoomBuilder {
    handle: Arc<Handle>,
    name: Result<RoomName, NameError>,
    start: From,
    mode: Mode,
    presence: PresenceLevel,
    credit: Option<u64>,
}

impl RoomBuilder {
    pub(crate) fn new(name: &str, handle: Arc<Handle>) -> Self {
        let (name, presence) = (RoomName::new(name), PresenceLevel::None);
        Self { handle, name, start: From::Live, mode: Mode::All, presence, credit: None }
    }

    /// Where to start. Default [`From::Live`].
    pub fn from(mut self, start: From) -> Self {
        self.start = start;
        self
    }

    /// What happens when the application is slow. Default [`Mode::All`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How much to say of who is in the room, as [`Event::Presence`]. Default nothing.
    pub fn presence(mut self, level: PresenceLevel) -> Self {
        self.presence = level;
        self
    }

    /// Bytes of records that may wait for the application, in place of the client's; at least 384 KiB.
    pub fn credit(mut self, bytes: u64) -> Self {
        self.credit = Some(bytes);
        self
    }

    /// Subscribes, and waits until the server has confirmed it.
    ///
    /// [`Error::RoomsFull`] if the session holds as many rooms as the server allows. While there is no connection it
    /// waits.
    pub async fn open(self) -> Result<Room, Error> {
        let name = self.name?;
        let inbox = Arc::new(Inbox::default());
        let (opened, answer) = oneshot::channel();
        let subscription = Subscription::new(name.clone(), self.start, self.mode).presence(self.presence);
        let core = Arc::clone(&self.handle.core);
        let subscriber = Subscriber::new(core, Arc::clone(&inbox), subscription, self.credit, opened);
        let task = Owned::spawn(subscriber.run());
        let joined = answer.await.unwrap_or(Err(Error::Closed))?;
        let position = if let From::After(position) = self.start { Some(position) } else { None };
        let events = Vec::new().into_iter();
        let publisher = OnceLock::new();
        let (epoch, handle) = (joined.epoch, self.handle);
        Ok(Room { name, joined, inbox, events, bytes: 0, epoch, position, publisher, handle, _task: task })
    }
}

/// A subscription to a room. Dropping it leaves the room.
///
/// It survives the connection: after a reconnect it goes on behind the last record, without repeating or missing one.
/// An application that takes its time costs a bounded amount of memory; the rest waits on the server.
///
/// As a [`Stream`] it yields events until the room is left for good: an error is the last item, and there is
/// none if this side has closed the client.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    joined: Joined,
    inbox: Arc<Inbox>,
    /// What was taken from the inbox together.
    events: vec::IntoIter<Event>,
    /// The credit that `events` took; it is given back when all of them are taken.
    bytes: u64,
    epoch: Epoch,
    position: Option<Position>,
    publisher: OnceLock<Publisher>,
    handle: Arc<Handle>,
    _task: Owned,
}

impl Room {
    /// Its name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// The last offset in the room when it was opened; 0 if there was no record.
    pub fn head_at_open(&self) -> Offset {
        self.joined.head
    }

    /// The oldest offset that was held when the room was opened; head + 1 if there was none.
    pub fn floor_at_open(&self) -> Offset {
        self.joined.floor
    }

    /// How far this subscription has delivered: what to save for resuming with [`From::After`] in another process.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next event; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// All events that are at hand, at least one; `None` after the end. Cheaper than one by one where there are very
    /// many.
    pub async fn next_batch(&mut self) -> Option<Result<Vec<Event>, Error>> {
        let first = match self.next().await? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut batch = Vec::with_capacity(1 + self.events.len());
        batch.push(first);
        while let Some(event) = self.events.next() {
            self.note(&event);
            batch.push(event);
        }
        Some(Ok(batch))
    }

    /// Publishes into the room, and waits until the record is safe at the room's level of durability.
    pub async fn publish(&self, message: impl Into<Message>) -> Result<Ack, Error> {
        self.publisher().publish(message).await
    }

    /// Hands a message over if the outbox has space, else [`Error::OutboxFull`]; the answer comes later.
    pub fn try_publish(&self, message: impl Into<Message>) -> Result<Pending, Error> {
        self.publisher().try_publish(message)
    }

    /// Deletes an earlier record; see [`Publisher::delete`].
    pub async fn delete(&self, offset: Offset) -> Result<Ack, Error> {
        self.publisher().delete(offset).await
    }

    /// Publishes many, in order, and waits for all; one outcome for each.
    pub async fn publish_batch(&self, messages: Vec<Message>) -> Vec<Result<Ack, Error>> {
        self.publisher().publish_batch(messages).await
    }

    /// A handle for publishing that can be cloned and outlives the subscription.
    pub fn publisher(&self) -> &Publisher {
        self.publisher.get_or_init(|| self.handle.publisher(self.name.clone()))
    }

    /// Says that the user has read everything up to here. A mark never goes back; what is past the head counts as the
    /// head. Does not wait: the server keeps it within about a second, over its restarts too, and tells it as
    /// [`Event::Marked`] to all sessions of the user that have joined the room or watch it. What is unread is the head
    /// less the mark; [`Client::peek`](crate::Client::peek) has both.
    pub fn mark_read(&self, offset: Offset) {
        self.inbox.mark(offset);
    }

    /// Reads a part of the room's log, at most 1,000 records at a time, independently of the subscription.
    pub async fn history(&self, range: Range, limit: u32) -> Result<History, Error> {
        history::read(&self.handle.core, self.name.clone(), range, limit).await
    }

    /// Who is in the room now: at most `limit` users, and at most 1,000, behind `after` in the order of the bytes of
    /// their names. For rooms of any size, and independent of the subscription.
    pub async fn members(&self, after: Option<&UserName>, limit: u32) -> Result<Members, Error> {
        members::members(&self.handle.core, self.name.clone(), after, limit).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        loop {
            if let Some(event) = self.events.next() {
                self.note(&event);
                return Poll::Ready(Some(Ok(event)));
            }
            match self.inbox.poll_take(context, std::mem::take(&mut self.bytes)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Taken::Marked(offset))) => return Poll::Ready(Some(Ok(Event::Marked(offset)))),
                Poll::Ready(Ok(Taken::Events(batch))) => {
                    self.epoch = batch.epoch;
                    self.bytes = batch.bytes;
                    self.events = batch.events.into_iter();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error.map(Err)),
            }
        }
    }

    /// Moves the position over an event that goes to the application.
    fn note(&mut self, event: &Event) {
        let offset = match event {
            Event::Record(record) => record.offset,
            Event::Gap(gap) => gap.to,
            Event::CaughtUp(caught_up) => self.position.map_or(caught_up.head, |last| last.offset.max(caught_up.head)),
            Event::Reset(reset) => {
                self.epoch = reset.epoch;
                reset.valid_to
            }
            Event::Presence(_) | Event::Marked(_) => return,
        };
        self.position = Some(Position { epoch: self.epoch, offset });
    }
}

impl Stream for Room {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(context)
    }
}
