//! The task behind all publishers of one room: moves the outbox over one publish stream after the other.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use loquic_wire::{
    Code,
    code::Action,
    control::Refused,
    frame::Body,
    publish::{Open, Opened},
};
use tokio::time::{sleep, timeout};

use crate::{
    backoff::Jitter,
    core::Core,
    error::Error,
    link::Priority,
    publish_stream::{Answers, Stop, Writer},
    queue::Queue,
    session::Session,
    stream,
    sync::lock,
};

/// A publisher that has had nothing to do for this long, and that nobody holds, is forgotten.
const UNUSED_MAX: Duration = Duration::from_secs(30);

/// The task. Runs until the producer fails for good, or nobody holds the publisher any more.
pub(crate) struct Publishing {
    core: Arc<Core>,
    queue: Arc<Queue>,
    jitter: Jitter,
    attempt: u32,
}

impl Publishing {
    pub(crate) fn new(core: Arc<Core>, queue: Arc<Queue>) -> Self {
        Self { core, queue, jitter: Jitter::new(), attempt: 0 }
    }

    pub(crate) async fn run(mut self) {
        let mut last: Option<Arc<Session>> = None;
        loop {
            if !self.work_to_do().await {
                return;
            }
            let session = match self.next_session(last.as_deref()).await {
                Ok(session) => session,
                Err(error) => return self.queue.fail(&error),
            };
            let stop = self.stream(&session).await;
            self.queue.handle_disconnected();
            if let Stop::Failed(error) = stop {
                if is_fenced(&error) {
                    return self.queue.fail(&error);
                }
                self.handle_failure(&session, error).await;
            }
            last = Some(session);
        }
    }

    /// Waits for something to send; `false` once nobody can bring anything any more.
    async fn work_to_do(&self) -> bool {
        while timeout(UNUSED_MAX, self.queue.wait_for_work()).await.is_err() {
            if self.retire() {
                return false;
            }
        }
        true
    }

    /// Leaves the client if nobody else has hold of this publisher. Handles are made and counted under the lock.
    fn retire(&self) -> bool {
        let mut publishers = lock(&self.core.publishers);
        // The map and this task have one each.
        let unused = Arc::strong_count(&self.queue) <= 2 && self.queue.is_empty();
        if unused {
            publishers.remove(&self.queue.room);
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
            self.queue.give_up(&error);
        }
        tracing::debug!(room = %self.queue.room, %error, "the publish stream ended");
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
        let open = Open { room: self.queue.room.clone(), producer: self.core.config.producer };
        let (mut sender, mut receiver) = stream::open(&*session.link, Priority::Publish, &open).await?;
        let Some(mut frames) = receiver.read().await? else {
            return Err(Error::disconnected("no answer to Open").into());
        };
        let opened = match frames.next()?.map(|header| header.kind) {
            Some(Opened::KIND) => frames.body::<Opened>()?,
            Some(Refused::KIND) => return Err(Error::from(frames.body::<Refused>()?).into()),
            _ => return Err(Error::protocol("the answer to Open is not Opened").into()),
        };
        self.queue.handle_opened(opened.last_id, opened.in_flight_max);
        self.attempt = 0;
        let pause = Mutex::new(None);
        let mut answers = Answers::new(&self.queue, &pause);
        answers.handle(&mut frames)?;
        let writer = Writer { queue: &self.queue, session, pause: &pause, backoff: self.core.config.backoff };
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
