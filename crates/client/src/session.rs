//! One session: the greeting, and the control stream for as long as it lasts.

use std::{
    collections::VecDeque,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use loquic_wire::{
    Code, RoomName,
    control::{
        Auth, Closing, Expiring, Goaway, Hello, Marked, Peek, Peeked, Ping, Pong, Refresh, Refused, RoomStatus, Welcome,
    },
    frame::Body,
};
use tokio::{
    sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch},
    time::{sleep_until, timeout},
};

use crate::{
    core::Config,
    endpoint,
    error::Error,
    frames::{Frames, Header},
    link::{Link, Priority},
    liveness::{Liveness, Step},
    stream::{self, Receiver, Sender},
    token::TokenReason,
};

/// What streams need to know of the session they belong to.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Arc<dyn Link>,
    pub(crate) welcome: Welcome,
    /// Counts the sessions of a client.
    pub(crate) generation: u64,
    /// The most that a room's window of credit may be.
    pub(crate) credit_share: u64,
    pub(crate) rooms_max: u32,
    pub(crate) rooms: Arc<Semaphore>,
    pub(crate) publishes: Arc<Semaphore>,
    /// A publisher waits for a stream: idle ones give theirs back.
    pub(crate) publish_wanted: Notify,
    pub(crate) reads: Arc<Semaphore>,
    /// The server has asked to go: nothing new is published here.
    pub(crate) leaving: watch::Sender<bool>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// The user's read marks that have moved.
    pub(crate) marks: broadcast::Sender<Marked>,
}

/// Something to ask on the control stream.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) rooms: Vec<RoomName>,
    pub(crate) answer: oneshot::Sender<Vec<Option<RoomStatus>>>,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) error: Error,
    /// What the server asked to wait before the next session.
    pub(crate) delay: Duration,
    /// Where the server sends its clients.
    pub(crate) nodes: Vec<Arc<str>>,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        let delay = error.retry_after().unwrap_or_default();
        Self { error, delay, nodes: Vec::new() }
    }
}

/// Longest wait for `Welcome`, and for a write on the control stream: past it the server is as good as gone.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Requests that wait to be written; past it `peek` waits.
const REQUESTS_MAX: usize = 64;

/// Read marks that wait for the rooms' tasks; of more, the oldest are not told.
const MARKS_MAX: usize = 256;

/// A number of permits that `Semaphore` and `acquire_many` take, whatever the server says.
fn permits(limit: u32) -> usize {
    limit.clamp(1, 1 << 24) as usize
}

impl Session {
    fn new(link: Arc<dyn Link>, welcome: Welcome, generation: u64) -> (Self, mpsc::Receiver<Request>) {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let limits = &welcome.limits;
        let rooms_max = endpoint::rooms_max(limits.rooms_max);
        let session = Self {
            credit_share: endpoint::credit_share(limits.rooms_max),
            rooms_max,
            rooms: Arc::new(Semaphore::new(permits(rooms_max))),
            publishes: Arc::new(Semaphore::new(permits(limits.publish_max))),
            publish_wanted: Notify::new(),
            reads: Arc::new(Semaphore::new(permits(limits.reads_max))),
            leaving: watch::Sender::new(false),
            requests,
            marks: broadcast::Sender::new(MARKS_MAX),
            link,
            welcome,
            generation,
        };
        (session, inbox)
    }

    /// A peer that breaks the protocol is not talked to any further; the next connection may go better.
    pub(crate) fn close_if_broken(&self, error: &Error) {
        if matches!(error, Error::Protocol(_)) {
            tracing::warn!(%error, node = %self.welcome.node, "closing the connection");
            self.link.close();
        }
    }

    /// Waits until no publish waits for its answer any more.
    async fn published(&self) {
        let all = permits(self.welcome.limits.publish_max) as u32;
        let _ = self.publishes.acquire_many(all).await;
    }
}

/// Says hello and waits for the answer.
pub(crate) async fn greet(
    link: Arc<dyn Link>,
    hello: Hello,
    generation: u64,
    config: &Arc<Config>,
) -> Result<Control, Error> {
    let greeting = async {
        let (sender, mut receiver) = stream::open(&*link, Priority::Control, &hello).await?;
        let Some(mut frames) = receiver.read().await? else { return Err(Error::disconnected("no answer to Hello")) };
        let welcome = match frames.next()?.map(|header| header.kind) {
            Some(Welcome::KIND) => frames.body::<Welcome>()?,
            Some(Refused::KIND) => return Err(frames.body::<Refused>()?.into()),
            Some(Closing::KIND) => return Err(frames.body::<Closing>()?.into()),
            _ => return Err(Error::protocol("the answer to Hello is not Welcome")),
        };
        Ok((sender, receiver, frames, welcome))
    };
    let greeted = timeout(ANSWER_MAX, greeting).await.unwrap_or(Err(Error::TimedOut));
    let (sender, receiver, frames, welcome) = greeted.inspect_err(|_| link.close())?;
    let liveness = Liveness::new(welcome.ping_interval.into(), Instant::now());
    let (session, inbox) = Session::new(link, welcome, generation);
    let session = Arc::new(session);
    Ok(Control {
        session,
        sender,
        receiver,
        frames: Some(frames),
        inbox,
        asked: VecDeque::new(),
        liveness,
        refresh: None,
        goaway: None,
        config: Arc::clone(config),
    })
}

/// The control stream of one session. Driven by the supervisor.
pub(crate) struct Control {
    pub(crate) session: Arc<Session>,
    sender: Sender,
    receiver: Receiver,
    /// What came together with `Welcome`.
    frames: Option<Frames>,
    inbox: mpsc::Receiver<Request>,
    /// Requests that were written; answers come in the same order.
    asked: VecDeque<oneshot::Sender<Vec<Option<RoomStatus>>>>,
    liveness: Liveness,
    refresh: Option<BoxFuture<'static, Result<Auth, Error>>>,
    goaway: Option<(Goaway, Instant)>,
    config: Arc<Config>,
}

impl Control {
    /// Runs until the session is over, and closes the connection.
    pub(crate) async fn run(mut self) -> End {
        let end = loop {
            match self.step().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        self.session.link.close();
        end
    }

    async fn step(&mut self) -> Result<(), End> {
        if let Some(frames) = self.frames.take() {
            return self.handle_frames(frames).await;
        }
        let due = match self.liveness.poll(Instant::now()) {
            Step::Dead => return Err(Error::TimedOut.into()),
            Step::Ping(token) => return self.write(&Ping { token }).await,
            Step::Wait(due) => due,
        };
        let session = Arc::clone(&self.session);
        let leave_at = self.goaway.as_ref().map(|(_, at)| *at);
        // Answers before timers: a process that was not scheduled for a while has them both at hand, and is not dead.
        // Leaving comes before the rest, or a busy control stream could put it off.
        tokio::select! {
            biased;
            frames = self.receiver.read() => match frames? {
                Some(frames) => self.handle_frames(frames).await,
                None => Err(Error::disconnected("the control stream ended").into()),
            },
            error = session.link.closed() => Err(error.into()),
            () = left(&session, leave_at) => Err(self.leave()),
            Some(request) = self.inbox.recv() => self.handle_request(request).await,
            auth = ready(&mut self.refresh) => self.handle_refresh(auth).await,
            () = sleep_until(due.into()) => Ok(()),
        }
    }

    async fn handle_frames(&mut self, mut frames: Frames) -> Result<(), End> {
        while let Some(Header { kind, .. }) = frames.next()? {
            match kind {
                Pong::KIND => self.liveness.handle_pong(Instant::now()),
                Peeked::KIND => {
                    let Peeked { rooms } = frames.body()?;
                    if let Some(answer) = self.asked.pop_front() {
                        // The caller may have lost interest.
                        let _ = answer.send(rooms);
                    }
                }
                Marked::KIND => {
                    // Nobody listens where no room is joined.
                    let _ = self.session.marks.send(frames.body()?);
                }
                Expiring::KIND => self.handle_expiring(),
                Goaway::KIND => self.handle_goaway(frames.body()?),
                Closing::KIND => return Err(Error::from(frames.body::<Closing>()?).into()),
                Refused::KIND => return Err(Error::from(frames.body::<Refused>()?).into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn handle_expiring(&mut self) {
        if self.config.identity.is_fresh_each_time() && self.refresh.is_none() {
            let config = Arc::clone(&self.config);
            self.refresh = Some(Box::pin(async move { config.identity.auth(TokenReason::Expiring).await }));
        }
    }

    async fn handle_refresh(&mut self, auth: Result<Auth, Error>) -> Result<(), End> {
        self.refresh = None;
        match auth {
            Ok(Auth::Bearer { token }) => self.write(&Refresh { token }).await,
            Ok(Auth::Anonymous { .. }) => Ok(()),
            Err(error) => {
                // The session lasts until the token expires; the next one asks again.
                tracing::warn!(%error, "cannot refresh the token");
                Ok(())
            }
        }
    }

    /// What is in flight gets its answer here; everything else goes on in the next session.
    fn handle_goaway(&mut self, goaway: Goaway) {
        if self.goaway.is_none() {
            let at = Instant::now() + Duration::from(goaway.deadline);
            self.goaway = Some((goaway, at));
            self.session.leaving.send_replace(true);
        }
    }

    fn leave(&mut self) -> End {
        let (delay, nodes) =
            self.goaway.take().map(|(goaway, _)| (goaway.delay.into(), goaway.nodes)).unwrap_or_default();
        End { error: Error::code_only(Code::DRAINING, delay), delay, nodes }
    }

    async fn handle_request(&mut self, request: Request) -> Result<(), End> {
        self.asked.push_back(request.answer);
        self.write(&Peek { rooms: request.rooms }).await
    }

    async fn write<B: Body>(&mut self, body: &B) -> Result<(), End> {
        timeout(ANSWER_MAX, self.sender.write_frame(body)).await.unwrap_or(Err(Error::TimedOut))?;
        Ok(())
    }
}

/// Waits until a session that is to be left can be.
async fn left(session: &Session, at: Option<Instant>) {
    match at {
        Some(at) => {
            let _ = tokio::time::timeout_at(at.into(), session.published()).await;
        }
        None => pending().await,
    }
}

async fn ready(future: &mut Option<BoxFuture<'static, Result<Auth, Error>>>) -> Result<Auth, Error> {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
