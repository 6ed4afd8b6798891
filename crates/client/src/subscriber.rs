//! The task behind one room: joins it in one session after the other and hands over what comes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use loquic_wire::{
    Code, Epoch, Offset,
    code::Action,
    control::Marked,
    join::{Credit as CreditFrame, Joined, Mark},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, broadcast, oneshot},
    time::sleep,
};

use crate::{
    backoff::Jitter,
    core::Core,
    error::Error,
    event::Event,
    frames::Frames,
    link::Priority,
    presence::Presence,
    session::Session,
    stream::{self, Receiver, Sender},
    subscription::{Batch, Credit, Ending, Subscription},
    sync::lock,
};

/// What has come and has not been taken, between the task and the application. Bounded by the credit.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Credit has become free.
    freed: Notify,
    /// The application has read further.
    read: Notify,
}

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Taken {
    Events(Batch),
    /// The user's read mark, of several only the newest.
    Marked(Offset),
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// The newest that has not been taken, and the epoch at its time. Alone, because no credit holds it back.
    presence: Option<(Epoch, Presence)>,
    /// How far the application says it has read: said again in each session, because a mark may be lost with one.
    mark: Option<Offset>,
    /// What the server says of the mark, if it was not taken yet.
    marked: Option<Offset>,
    /// `None` until the first session says how large it is.
    credit: Option<Credit>,
    /// The task has ended, and with which error, if any.
    ended: Option<Option<Error>>,
    waker: Option<Waker>,
}

impl Inbox {
    /// Takes the next batch and gives back the credit of the last one. `Err(None)` is a quiet end.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>, taken: u64) -> Poll<Result<Taken, Option<Error>>> {
        let mut state = lock(&self.state);
        let due = taken > 0 && state.credit.as_mut().is_some_and(|credit| credit.take(taken));
        if let Some(offset) = state.marked.take() {
            drop(state);
            if due {
                self.freed.notify_one();
            }
            return Poll::Ready(Ok(Taken::Marked(offset)));
        }
        let batch = match (state.batches.pop_front(), state.presence.take()) {
            (Some(mut batch), presence) => {
                batch.events.extend(presence.map(|(_, presence)| Event::Presence(presence)));
                Some(batch)
            }
            (None, Some((epoch, presence))) => {
                Some(Batch { epoch, events: vec![Event::Presence(presence)], ..Batch::default() })
            }
            (None, None) => None,
        };
        let result = match (batch, &mut state.ended) {
            (Some(batch), _) => Poll::Ready(Ok(Taken::Events(batch))),
            (None, Some(error)) => Poll::Ready(Err(error.take())),
            (None, None) => {
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    state.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        };
        drop(state);
        if due {
            self.freed.notify_one();
        }
        result
    }

    fn push(&self, mut batch: Batch) {
        let mut state = lock(&self.state);
        let presence = batch.presence.take().map(|presence| (batch.epoch, presence));
        let mut due = false;
        if let Some(credit) = &mut state.credit {
            credit.queue(batch.bytes);
            due = batch.events.is_empty() && credit.take(batch.bytes);
        }
        let mut waker = None;
        if !batch.events.is_empty() || presence.is_some() {
            waker = state.waker.take();
        }
        if !batch.events.is_empty() {
            state.batches.push_back(batch);
        }
        state.presence = presence.or(state.presence.take());
        drop(state);
        if due {
            self.freed.notify_one();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The application has read up to here.
    pub(crate) fn mark(&self, offset: Offset) {
        let mut state = lock(&self.state);
        state.mark = state.mark.max(Some(offset));
        drop(state);
        self.read.notify_one();
    }

    fn marked(&self, offset: Offset) {
        let mut state = lock(&self.state);
        state.marked = Some(offset);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn end(&self, error: Option<Error>) {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(error);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What to join with, as soon as the application has taken enough.
    async fn credit(&self, window: u64) -> u64 {
        loop {
            if let Some(credit) = lock(&self.state).credit.get_or_insert_with(|| Credit::new(window)).join() {
                return credit;
            }
            self.freed.notified().await;
        }
    }

    fn grant(&self) -> Option<u64> {
        lock(&self.state).credit.as_mut().and_then(Credit::grant)
    }
}

/// The task.
pub(crate) struct Subscriber {
    core: Arc<Core>,
    inbox: Arc<Inbox>,
    subscription: Subscription,
    /// The window that was asked for, in place of the client's.
    credit: Option<u64>,
    /// Whoever waits for the first `Joined`.
    opened: Option<oneshot::Sender<Result<Joined, Error>>>,
    jitter: Jitter,
    attempt: u32,
}

/// How often a room that is opened is asked for again when the server has one too many, by its count.
const REFUSED_MAX: u32 = 3;

impl Subscriber {
    pub(crate) fn new(
        core: Arc<Core>,
        inbox: Arc<Inbox>,
        subscription: Subscription,
        credit: Option<u64>,
        opened: oneshot::Sender<Result<Joined, Error>>,
    ) -> Self {
        Self { core, inbox, subscription, credit, opened: Some(opened), jitter: Jitter::new(), attempt: 0 }
    }

    pub(crate) async fn run(mut self) {
        let error = self.work().await;
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(error.clone()));
        }
        self.inbox.end(if matches!(error, Error::Closed) { None } else { Some(error) });
    }

    /// Returns why the room is left for good.
    async fn work(&mut self) -> Error {
        let mut last: Option<Arc<Session>> = None;
        loop {
            let session = match self.core.session(last.as_deref()).await {
                Ok(session) => session,
                Err(error) => return error,
            };
            let Err(error) = self.attend(&session).await;
            session.close_if_broken(&error);
            if self.is_final(&error) {
                return error;
            }
            if !session.link.is_closed() {
                self.wait(&session, error).await;
            }
            last = Some(session);
        }
    }

    /// Stays in the room for as long as it lasts.
    async fn attend(&mut self, session: &Arc<Session>) -> Result<std::convert::Infallible, Error> {
        let _permit = self.permit(session).await?;
        let wanted = self.credit.unwrap_or(self.core.config.credit);
        let credit = self.inbox.credit(wanted.min(session.credit_share)).await;
        let join = self.subscription.join(credit);
        let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Bulk, &join).await?;
        let mut marks = session.marks.subscribe();
        if lock(&self.inbox.state).mark.is_some() {
            self.inbox.read.notify_one();
        }
        loop {
            self.step(&mut sender, &mut receiver, &mut marks).await?;
        }
    }

    async fn permit(&self, session: &Session) -> Result<OwnedSemaphorePermit, Error> {
        let rooms = Arc::clone(&session.rooms);
        if self.opened.is_some() {
            return rooms.try_acquire_owned().map_err(|_| Error::RoomsFull { max: session.rooms_max });
        }
        // After a reconnect the rooms that were joined before queue up, if the new session allows fewer.
        rooms.acquire_owned().await.map_err(|_| Error::Closed)
    }

    async fn step(
        &mut self,
        sender: &mut Sender,
        receiver: &mut Receiver,
        marks: &mut broadcast::Receiver<Marked>,
    ) -> Result<(), Error> {
        tokio::select! {
            // Reading first: it is what the credit was given for.
            biased;
            frames = receiver.read() => match frames? {
                Some(frames) => self.handle(frames),
                None => Err(Error::disconnected("the join stream ended")),
            },
            () = self.inbox.freed.notified() => match self.inbox.grant() {
                Some(bytes) => sender.write_frame(&CreditFrame { bytes }).await,
                None => Ok(()),
            },
            () = self.inbox.read.notified() => {
                let mark = lock(&self.inbox.state).mark;
                match mark {
                    Some(offset) => sender.write_frame(&Mark { offset }).await,
                    None => Ok(()),
                }
            }
            // One that was missed is overtaken by the next; there is no other one to wait for.
            Ok(marked) = marks.recv() => {
                if marked.room == *self.subscription.room() {
                    self.inbox.marked(marked.offset);
                }
                Ok(())
            }
        }
    }

    fn handle(&mut self, mut frames: Frames) -> Result<(), Error> {
        let (batch, ending) = self.subscription.handle(&mut frames)?;
        self.inbox.push(batch);
        if let Some(joined) = self.subscription.joined() {
            self.attempt = 0;
            if let Some(opened) = self.opened.take() {
                let _ = opened.send(Ok(joined.clone()));
            }
        }
        match ending {
            None => Ok(()),
            Some(Ending::Refused(refused)) => Err(refused.into()),
            Some(Ending::Left(left)) => Err(Error::code_only(left.code, Default::default())),
        }
    }

    fn is_final(&self, error: &Error) -> bool {
        match error {
            // One stream too many is a matter of time: the server has not yet seen the end of another one.
            Error::Refused { code: Code::TOO_MANY_STREAMS, .. } => self.opened.is_some() && self.attempt >= REFUSED_MAX,
            Error::Refused { code, .. } => matches!(code.action(), Action::FixRequest | Action::Reauthenticate),
            Error::Protocol(_) | Error::RoomsFull { .. } => true,
            _ => false,
        }
    }

    async fn wait(&mut self, session: &Session, error: Error) {
        tracing::debug!(%error, "the join stream ended");
        let floor = error.retry_after().unwrap_or_default();
        let delay = self.core.config.backoff.delay(self.attempt, floor, self.jitter.next());
        self.attempt = self.attempt.saturating_add(1);
        tokio::select! {
            () = sleep(delay) => {}
            _ = session.link.closed() => {}
        }
    }
}
