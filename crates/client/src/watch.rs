//! Following the heads of rooms that are not joined.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use loquic_wire::{
    RoomName,
    code::Action,
    control::Refused,
    frame::Body,
    watch::{Head, Watch as WatchFrame},
};
use tokio::time::sleep;

use crate::{
    backoff::Jitter,
    client::Handle,
    core::Core,
    error::Error,
    frames::{Frames, Header},
    link::Priority,
    session::Session,
    stream,
    sync::{Owned, lock},
};

/// Which rooms to follow.
pub use loquic_wire::watch::Watch as Watched;

/// The heads of rooms, each as often as it moves and the application takes it: of several moves of one room only the
/// newest is kept. After a reconnect the server says again where they are.
#[derive(Debug)]
pub struct Watch {
    heads: Arc<Heads>,
    _task: Owned,
    _handle: Arc<Handle>,
}

impl Watch {
    pub(crate) async fn open(handle: Arc<Handle>, what: Watched) -> Result<Self, Error> {
        let heads = Arc::new(Heads::default());
        // A limit that is reached is told to the caller, not to a task in the background.
        let session = handle.core.session_after(0).await?;
        if session.rooms.available_permits() == 0 {
            return Err(Error::RoomsFull { max: session.rooms_max });
        }
        let watcher = Watcher { core: Arc::clone(&handle.core), heads: Arc::clone(&heads), what };
        Ok(Self { heads, _task: Owned::spawn(watcher.run()), _handle: handle })
    }

    /// The next head that has moved; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Head, Error>> {
        poll_fn(|context| self.heads.poll_take(context)).await
    }
}

impl Stream for Watch {
    type Item = Result<Head, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.heads.poll_take(context)
    }
}

/// Heads that have not been taken, at most one for each room.
#[derive(Debug, Default)]
struct Heads(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    order: VecDeque<RoomName>,
    newest: HashMap<RoomName, Head>,
    ended: Option<Option<Error>>,
    waker: Option<Waker>,
}

impl Heads {
    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Result<Head, Error>>> {
        let mut state = lock(&self.0);
        while let Some(room) = state.order.pop_front() {
            if let Some(head) = state.newest.remove(&room) {
                return Poll::Ready(Some(Ok(head)));
            }
        }
        if let Some(error) = &mut state.ended {
            return Poll::Ready(error.take().map(Err));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn push(&self, head: Head) {
        self.change(|state| {
            let room = head.room.clone();
            if state.newest.insert(room.clone(), head).is_none() {
                state.order.push_back(room);
            }
        });
    }
}

/// The task behind a watch.
struct Watcher {
    core: Arc<Core>,
    heads: Arc<Heads>,
    what: WatchFrame,
}

impl Watcher {
    async fn run(self) {
        let error = self.work().await;
        let reason = if matches!(error, Error::Closed) { None } else { Some(error) };
        self.heads.change(|state| state.ended = Some(reason));
    }

    /// Returns why the watch is over.
    async fn work(&self) -> Error {
        let mut last: Option<Arc<Session>> = None;
        let (mut jitter, mut attempt) = (Jitter::new(), 0);
        loop {
            let session = match self.core.session(last.as_deref()).await {
                Ok(session) => session,
                Err(error) => return error,
            };
            let Err(error) = self.follow(&session, &mut attempt).await;
            session.close_if_broken(&error);
            if !session.link.is_closed() {
                let is_final = error
                    .code()
                    .is_some_and(|code| matches!(code.action(), Action::FixRequest | Action::Reauthenticate));
                if is_final {
                    return error;
                }
                let delay =
                    self.core.config.backoff.delay(attempt, error.retry_after().unwrap_or_default(), jitter.next());
                attempt = attempt.saturating_add(1);
                tokio::select! {
                    () = sleep(delay) => {}
                    _ = session.link.closed() => {}
                }
            }
            last = Some(session);
        }
    }

    async fn follow(&self, session: &Session, attempt: &mut u32) -> Result<std::convert::Infallible, Error> {
        let _permit = session.rooms.acquire().await.map_err(|_| Error::Closed)?;
        // The stream lasts as long as its sending half is open.
        let (_sender, mut receiver) = stream::open(&*session.link, Priority::Bulk, &self.what).await?;
        while let Some(mut frames) = receiver.read().await? {
            self.handle(&mut frames)?;
            *attempt = 0;
        }
        Err(Error::disconnected("the watch stream ended"))
    }

    fn handle(&self, frames: &mut Frames) -> Result<(), Error> {
        while let Some(Header { kind, .. }) = frames.next()? {
            match kind {
                Head::KIND => self.heads.push(frames.body()?),
                Refused::KIND => return Err(frames.body::<Refused>()?.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
