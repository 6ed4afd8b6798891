//! The task behind all publishers of one room: moves the outbox over one publish stream after the other.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use loquic_wire::{
    Code, RoomName,
    code::Action,
    control::Refused,
    frame::Body,
    publish::{Ack, AckRun, Nack, Open, Opened},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{sleep, sleep_until, timeout},
};

use crate::{
    backoff::{Backoff, Jitter},
    completion::Waiter,
    core::{Core, OutboxBounds},
    error::Error,
    frames::{Frames, Header},
    link::Priority,
    message::Message,
    outbox::{Done, Outbox, Pause},
    session::Session,
    stream::{self, Receiver, Sender},
    sync::lock,
};

/// What publishers and their task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) room: RoomName,
    state: Mutex<State>,
    /// What the outbox has room for, in cost units; see [`Shared::cost`].
    pub(crate) space: Semaphore,
    cost_max: u32,
    cost_min: u32,
    /// There is something to send.
    wake: Notify,
    /// The outbox is empty.
    drained: Notify,
}

#[derive(Debug)]
struct State {
    outbox: Outbox<Waiter>,
    /// The task waits for `wake`; nobody else needs to pay for waking it.
    idle: bool,
    /// For good: the producer was fenced, or the client is closed.
    failed: Option<Error>,
}

/// What a publish holds besides its payload: the entry, the frame's fields and a waiter.
const COST_FIXED: usize = 128;

impl Shared {
    pub(crate) fn new(room: RoomName, bounds: OutboxBounds) -> Self {
        let largest = loquic_wire::limits::PAYLOAD_BYTES_MAX_HARD + COST_FIXED;
        let cost_max = bounds.bytes_max.clamp(largest, u32::MAX as usize >> 1);
        let cost_min = (cost_max / bounds.count_max.max(1)).clamp(1, largest);
        Self {
            room,
            state: Mutex::new(State { outbox: Outbox::new(), idle: false, failed: None }),
            space: Semaphore::new(cost_max),
            cost_max: cost_max as u32,
            cost_min: cost_min as u32,
            wake: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// What a message takes of the outbox. Never less than the share of one message, so that the bound on the bytes is
    /// also the bound on the count.
    pub(crate) fn cost(&self, message: &Message) -> u32 {
        let bytes = u32::try_from(message.payload.len() + COST_FIXED).unwrap_or(u32::MAX);
        bytes.clamp(self.cost_min, self.cost_max)
    }

    /// What a batch may take at once: a part, so that two batches interleave and acknowledgements overlap with sending.
    pub(crate) fn cost_part(&self) -> u32 {
        self.cost_max / 8
    }

    /// Puts a message whose cost has been taken from `space` into the outbox.
    pub(crate) fn push(&self, message: Message, cost: u32, waiter: Waiter) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(error) = state.failed.clone() {
            drop(state);
            self.space.add_permits(cost as usize);
            return Err(error);
        }
        state.outbox.push(message, cost, waiter);
        self.wake(state);
        Ok(())
    }

    /// The same for many, in order; if none is taken any more, their waiters are told.
    pub(crate) fn push_all(&self, messages: &mut Vec<(Message, u32, Waiter)>) {
        let mut state = lock(&self.state);
        if let Some(error) = state.failed.clone() {
            drop(state);
            for (_, cost, waiter) in messages.drain(..) {
                self.space.add_permits(cost as usize);
                waiter.complete(Err(error.clone()));
            }
            return;
        }
        messages.drain(..).for_each(|(message, cost, waiter)| state.outbox.push(message, cost, waiter));
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.wake.notify_one();
        }
    }

    /// Ends all that wait, and all that come.
    pub(crate) fn fail(&self, error: &Error) {
        lock(&self.state).failed.get_or_insert_with(|| error.clone());
        self.give_up(error);
    }

    /// Ends all that wait.
    fn give_up(&self, error: &Error) {
        let (waiters, costs): (Vec<_>, Vec<_>) = lock(&self.state).outbox.take_all().unzip();
        waiters.into_iter().for_each(|waiter| waiter.complete(Err(error.clone())));
        self.space.add_permits(costs.into_iter().map(|cost| cost as usize).sum());
        self.drained.notify_waiters();
    }

    /// Waits until nothing waits for an answer.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_empty() {
                return;
            }
            drained.await;
        }
    }

    fn is_empty(&self) -> bool {
        lock(&self.state).outbox.is_empty()
    }

    fn complete(&self, done: &mut Vec<Done<Waiter>>) {
        let mut cost = 0;
        for Done { waiter, cost: one, outcome } in done.drain(..) {
            cost += one as usize;
            waiter.complete(outcome.map_err(|code| Error::code_only(code, Duration::ZERO)));
        }
        self.space.add_permits(cost);
    }
}

/// Why work on a stream ended.
enum Stop {
    /// Nothing was left to do; the stream is given back.
    Idle,
    /// The session is to be left.
    Leaving,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An idle stream is kept this long, since the next publish is likely to come soon.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The same while others wait for a stream.
const IDLE_MAX_WANTED: Duration = Duration::from_millis(20);

/// Frames are collected up to about this many bytes and written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// The task. Runs until the producer fails for good, or nobody holds the publisher any more.
pub(crate) struct Publishing {
    core: Arc<Core>,
    shared: Arc<Shared>,
    jitter: Jitter,
    attempt: u32,
}

impl Publishing {
    pub(crate) fn new(core: Arc<Core>, shared: Arc<Shared>) -> Self {
        Self { core, shared, jitter: Jitter::new(), attempt: 0 }
    }

    pub(crate) async fn run(mut self) {
        let mut last: Option<Arc<Session>> = None;
        loop {
            if !self.work_to_do().await {
                return;
            }
            let session = match self.next_session(last.as_deref()).await {
                Ok(session) => session,
                Err(error) => return self.shared.fail(&error),
            };
            let stop = self.stream(&session).await;
            lock(&self.shared.state).outbox.handle_disconnected();
            if let Stop::Failed(error) = stop {
                if is_fenced(&error) {
                    return self.shared.fail(&error);
                }
                self.handle_failure(&session, error).await;
            }
            last = Some(session);
        }
    }

    /// Waits for something to send; `false` once nobody can bring anything any more.
    async fn work_to_do(&self) -> bool {
        loop {
            let has_work = |state: &mut State| {
                state.idle = state.outbox.is_empty();
                !state.idle
            };
            if has_work(&mut lock(&self.shared.state)) {
                return true;
            }
            if timeout(IDLE_MAX, self.shared.wake.notified()).await.is_err() && self.retire() {
                return false;
            }
        }
    }

    /// Leaves the client if nobody else has hold of this publisher. Handles are made and counted under the lock.
    fn retire(&self) -> bool {
        let mut publishers = lock(&self.core.publishers);
        // The map and this task have one each.
        let unused = Arc::strong_count(&self.shared) <= 2 && self.shared.is_empty();
        if unused {
            publishers.remove(&self.shared.room);
        }
        unused
    }

    /// A session in which something may be published.
    async fn next_session(&self, last: Option<&Session>) -> Result<Arc<Session>, Error> {
        let session = self.core.session(last).await?;
        if !*session.leaving.borrow() {
            return Ok(session);
        }
        self.core.session_after(session.generation).await
    }

    async fn handle_failure(&mut self, session: &Session, error: Error) {
        session.close_if_broken(&error);
        if session.link.is_closed() {
            return;
        }
        let floor = error.retry_after().unwrap_or_default();
        // One stream too many is a matter of time: the server has not yet seen the end of another one.
        let is_final = matches!(&error, Error::Refused { code, .. }
            if matches!(code.action(), Action::FixRequest) && *code != Code::TOO_MANY_STREAMS);
        if is_final {
            self.shared.give_up(&error);
        }
        tracing::debug!(room = %self.shared.room, %error, "the publish stream ended");
        let delay = self.core.config.backoff.delay(self.attempt, floor, self.jitter.next());
        self.attempt = self.attempt.saturating_add(1);
        tokio::select! {
            () = sleep(delay) => {}
            _ = session.link.closed() => {}
        }
    }

    /// Opens a stream and works on it until it ends.
    async fn stream(&mut self, session: &Session) -> Stop {
        match self.try_stream(session).await {
            Ok(stop) | Err(stop) => stop,
        }
    }

    async fn try_stream(&mut self, session: &Session) -> Result<Stop, Stop> {
        let _permit = match session.publishes.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                session.publish_wanted.notify_waiters();
                session.publishes.acquire().await.map_err(|_| Error::Closed)?
            }
        };
        let open = Open { room: self.shared.room.clone(), producer: self.core.config.producer };
        let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Publish, &open).await?;
        let Some(mut frames) = receiver.read().await? else {
            return Err(Error::disconnected("no answer to Open").into());
        };
        let opened = match frames.next()?.map(|header| header.kind) {
            Some(Opened::KIND) => frames.body::<Opened>()?,
            Some(Refused::KIND) => return Err(Error::from(frames.body::<Refused>()?).into()),
            _ => return Err(Error::protocol("the answer to Open is not Opened").into()),
        };
        lock(&self.shared.state).outbox.handle_opened(opened.last_id, opened.in_flight_max);
        self.attempt = 0;
        let pause = Mutex::new(None);
        let mut answers = Answers { shared: &self.shared, pause: &pause, done: Vec::new() };
        answers.handle(&mut frames)?;
        let writer = Writer { shared: &self.shared, session, pause: &pause, backoff: self.core.config.backoff };
        // One task for both directions: answers and sending take turns on the same state anyway.
        let stop = tokio::select! {
            stop = answers.run(&mut receiver) => stop,
            stop = writer.run(&mut sender, &mut self.jitter) => stop,
        };
        sender.finish();
        Ok(stop)
    }
}

fn is_fenced(error: &Error) -> bool {
    error.code() == Some(Code::FENCED)
}

/// The receiving direction of a publish stream.
struct Answers<'a> {
    shared: &'a Shared,
    pause: &'a Mutex<Option<Pause>>,
    done: Vec<Done<Waiter>>,
}

impl Answers<'_> {
    async fn run(&mut self, receiver: &mut Receiver) -> Stop {
        loop {
            let result = match receiver.read().await {
                Ok(Some(mut frames)) => self.handle(&mut frames),
                Ok(None) => Err(Error::disconnected("the publish stream ended")),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                return error.into();
            }
        }
    }

    /// All answers of one piece under one lock; whoever waits for them is told outside of it.
    fn handle(&mut self, frames: &mut Frames) -> Result<(), Error> {
        let mut state = lock(&self.shared.state);
        let result = Self::apply(frames, &mut state.outbox, &mut self.done);
        let empty = state.outbox.is_empty();
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        self.shared.complete(&mut self.done);
        if empty {
            self.shared.drained.notify_waiters();
        }
        if let Some(pause) = result? {
            *lock(self.pause) = Some(pause);
        }
        if idle {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    fn apply(
        frames: &mut Frames,
        outbox: &mut Outbox<Waiter>,
        done: &mut Vec<Done<Waiter>>,
    ) -> Result<Option<Pause>, Error> {
        let mut pause = None;
        while let Some(Header { kind, .. }) = frames.next()? {
            let step = match kind {
                AckRun::KIND => outbox.handle_ack_run(&frames.body::<AckRun>()?, done),
                Ack::KIND => outbox.handle_ack(&frames.body::<Ack>()?, done),
                Nack::KIND => {
                    let nack: Nack = frames.body()?;
                    if nack.code == Code::FENCED {
                        return Err(Error::code_only(nack.code, Duration::ZERO));
                    }
                    outbox.handle_nack(&nack, done)
                }
                Refused::KIND => return Err(frames.body::<Refused>()?.into()),
                _ => continue,
            };
            pause = step.map_err(Error::protocol)?.or(pause);
        }
        Ok(pause)
    }
}

/// The sending direction of a publish stream.
struct Writer<'a> {
    shared: &'a Shared,
    session: &'a Session,
    pause: &'a Mutex<Option<Pause>>,
    backoff: Backoff,
}

/// What the writer does next.
enum Next {
    Send(Vec<u8>),
    /// Nothing can be sent; `in_flight` says whether answers are due.
    Wait {
        in_flight: bool,
    },
}

impl Writer<'_> {
    async fn run(&self, sender: &mut Sender, jitter: &mut Jitter) -> Stop {
        let mut size = 0;
        loop {
            let pause = lock(self.pause).take();
            if let Some(pause) = pause {
                self.pause(self.delay(pause, jitter)).await;
            }
            let leaving = self.is_leaving();
            match self.next(leaving, size) {
                Next::Send(bytes) => {
                    size = bytes.len();
                    if let Err(error) = sender.write(bytes.into()).await {
                        return self.refused(error).await;
                    }
                }
                Next::Wait { in_flight: true } => self.woken().await,
                Next::Wait { in_flight: false } if leaving => return Stop::Leaving,
                Next::Wait { in_flight: false } => {
                    if self.idle().await {
                        return Stop::Idle;
                    }
                }
            }
        }
    }

    /// A server that refuses stops reading and says why on the other half, which is being read meanwhile.
    async fn refused(&self, error: Error) -> Stop {
        if !self.session.link.is_closed() {
            sleep(REASON_MAX).await;
        }
        error.into()
    }

    fn next(&self, leaving: bool, size: usize) -> Next {
        let mut state = lock(&self.shared.state);
        let mut bytes = Vec::with_capacity(size.min(WRITE_BYTES));
        if !leaving && state.outbox.fill(&mut bytes, WRITE_BYTES) {
            return Next::Send(bytes);
        }
        state.idle = true;
        Next::Wait { in_flight: state.outbox.in_flight() > 0 }
    }

    fn is_leaving(&self) -> bool {
        *self.session.leaving.borrow()
    }

    /// Nothing is in flight here, so the session can be left in the middle of it.
    async fn pause(&self, delay: Duration) {
        tokio::select! {
            () = sleep(delay) => {}
            () = self.left() => {}
        }
    }

    async fn woken(&self) {
        tokio::select! {
            () = self.shared.wake.notified() => {}
            () = self.left() => {}
        }
    }

    /// Waits until the session is to be left; for ever if that is known already.
    async fn left(&self) {
        let mut leaving = self.session.leaving.subscribe();
        if *leaving.borrow_and_update() || leaving.changed().await.is_err() {
            pending().await
        }
    }

    /// Waits for work; `true` if the stream should be given back.
    async fn idle(&self) -> bool {
        let wanted = self.session.publishes.available_permits() == 0;
        let until = Instant::now() + if wanted { IDLE_MAX_WANTED } else { IDLE_MAX };
        tokio::select! {
            biased;
            () = self.woken() => false,
            () = self.session.publish_wanted.notified() => true,
            () = sleep_until(until.into()) => true,
        }
    }

    /// How long to wait after going back. What the server decided about one publish is no reason to hold up the others.
    fn delay(&self, pause: Pause, jitter: &mut Jitter) -> Duration {
        let at_once =
            matches!(pause.code.action(), Action::RetryNow | Action::FixRequest) && pause.stalls < STALLS_AT_ONCE;
        if at_once {
            return pause.retry_after;
        }
        let floor = if pause.retry_after.is_zero() { pause.code.default_delay() } else { pause.retry_after };
        self.backoff.delay(pause.stalls, floor, jitter.next())
    }
}

/// How long the reason for a refusal may take behind the refusal.
const REASON_MAX: Duration = Duration::from_secs(1);

/// Going back this often without a single publish getting through is not an accident any more.
const STALLS_AT_ONCE: u32 = 3;
