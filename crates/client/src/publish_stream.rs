//! The two directions of one publish stream.

use std::{
    future::pending,
    sync::Mutex,
    time::{Duration, Instant},
};

use loquic_wire::{
    Code,
    code::Action,
    control::Refused,
    frame::Body,
    publish::{Ack, AckRun, Nack},
};
use tokio::time::{sleep, sleep_until};

use crate::{
    backoff::{Backoff, Jitter},
    completion::Waiter,
    error::Error,
    frames::{Frames, Header},
    outbox::{Done, Outbox, Pause},
    queue::{Next, Queue},
    session::Session,
    stream::{Receiver, Sender},
    sync::lock,
};

/// Why work on a stream ended.
pub(crate) enum Stop {
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

/// The receiving direction of a publish stream.
pub(crate) struct Answers<'a> {
    queue: &'a Queue,
    pause: &'a Mutex<Option<Pause>>,
    done: Vec<Done<Waiter>>,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(queue: &'a Queue, pause: &'a Mutex<Option<Pause>>) -> Self {
        Self { queue, pause, done: Vec::new() }
    }
}

impl Answers<'_> {
    pub(crate) async fn run(&mut self, receiver: &mut Receiver) -> Stop {
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

    pub(crate) fn handle(&mut self, frames: &mut Frames) -> Result<(), Error> {
        let pause = self.queue.answer(&mut self.done, |outbox, done| Self::apply(frames, outbox, done))?;
        if let Some(pause) = pause {
            *lock(self.pause) = Some(pause);
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
pub(crate) struct Writer<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) session: &'a Session,
    pub(crate) pause: &'a Mutex<Option<Pause>>,
    pub(crate) backoff: Backoff,
}

impl Writer<'_> {
    pub(crate) async fn run(&self, sender: &mut Sender, jitter: &mut Jitter) -> Stop {
        let mut size = 0;
        loop {
            let pause = lock(self.pause).take();
            if let Some(pause) = pause {
                self.pause(self.delay(pause, jitter)).await;
            }
            let leaving = self.is_leaving();
            // What was written last is a good guess for what comes now: one allocation, and not a large one for a
            // little.
            let bytes = Vec::with_capacity(size.min(WRITE_BYTES));
            match self.queue.next(bytes, WRITE_BYTES, !leaving) {
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
            () = self.queue.woken() => {}
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
