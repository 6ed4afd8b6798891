//! The control stream after the welcome: pings, peeks, refreshed tokens, the announcement of a drain.

use std::{collections::VecDeque, sync::Arc};

use loquic_wire::{
    Code, Frame, Offset, RoomName, SessionId, Time, VERSION,
    control::{
        Auth, Closing, Expiring, Goaway, GoawayReason, Hello, Marked, Peek, Peeked, Pong, Refresh, Refreshed,
        RoomStatus, Welcome,
    },
    frame::{Body, to_bytes},
};
use tokio::time::{Instant, timeout};

use super::{
    auth::{Action, Admission},
    context::Context,
    shared::{Drain, Shared, now},
    state::{Fault, unexpected},
    stream::{Frames, FramesError, Stream, priority, shorten},
};
use crate::{
    config::limits,
    room::{Refusal, Room, Status},
    transport::{Link, SendStream},
};

/// The control stream.
pub(super) struct Control<L: Link> {
    send: L::Send,
    frames: Frames<L::Recv>,
    /// After the welcome.
    context: Option<Arc<Context<L>>>,
    /// Waiting for their turn, one at a time: answers come in the order of the questions.
    requests: VecDeque<Request>,
    /// One is being answered.
    is_busy: bool,
}

/// A question whose answer takes time.
#[derive(Debug)]
pub(super) enum Request {
    Peek(Peek),
    Refresh(Refresh),
}

/// What came of a [`Request`].
pub(super) enum Answer {
    Peeked(Peeked),
    Refreshed(Result<Refreshed, Refusal>),
}

/// What the peer's frame asks of the session.
pub(super) enum Told {
    /// Nothing more.
    Done,
    /// The peer ends the session.
    Bye,
    /// The peer broke the protocol.
    Fault(Fault),
}

/// The peer does not take what is written, or is gone.
#[derive(Debug)]
pub(super) struct Unwritable;

impl<L: Link> Control<L> {
    pub(super) fn new(stream: Stream<L>) -> Self {
        stream.send.set_priority(priority::CONTROL);
        let Stream { send, frames } = stream;
        Self { send, frames, context: None, requests: VecDeque::new(), is_busy: false }
    }

    /// From now on it is one stream of several, and goes before the others.
    pub(super) fn enter(&mut self, context: Arc<Context<L>>) {
        self.context = Some(context);
    }

    /// Waits for the peer's next frame, for ever while too many requests wait. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FramesError> {
        if self.requests.len() >= limits::REQUESTS_MAX {
            std::future::pending::<()>().await;
        }
        self.frames.next().await
    }

    /// Answers a frame, or queues it.
    pub(super) async fn handle_frame(&mut self, frame: Result<Option<Frame>, FramesError>) -> Result<Told, Unwritable> {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            // Who ends its control stream has nothing more to say.
            Ok(None) | Err(FramesError::Stream(_)) => return Ok(Told::Bye),
            Err(FramesError::Frame(error)) => return Ok(Told::Fault(Fault::new(error.code(), error.to_string()))),
        };
        match frame {
            Frame::Ping(ping) => self.write(&Pong { token: ping.token, server_time: now() }).await?,
            Frame::Peek(peek) => self.requests.push_back(Request::Peek(peek)),
            Frame::Refresh(refresh) => self.requests.push_back(Request::Refresh(refresh)),
            Frame::Closing(_) => return Ok(Told::Bye),
            Frame::Hello(_) => return Ok(Told::Fault(Fault::new(Code::ALREADY_GREETED, "a second Hello"))),
            frame => return Ok(Told::Fault(unexpected(&frame, "on the control stream"))),
        }
        Ok(Told::Done)
    }

    /// The next request to answer, if none is being answered; [`Control::handle_answer`] has to follow.
    pub(super) fn poll_request(&mut self) -> Option<Request> {
        if self.is_busy {
            return None;
        }
        let request = self.requests.pop_front();
        self.is_busy = request.is_some();
        request
    }

    pub(super) async fn handle_answer(&mut self, answer: Answer) -> Result<Told, Unwritable> {
        self.is_busy = false;
        match answer {
            Answer::Peeked(peeked) => self.write(&peeked).await?,
            Answer::Refreshed(Ok(refreshed)) => self.write(&refreshed).await?,
            Answer::Refreshed(Err(refusal)) => return Ok(Told::Fault(Fault::new(refusal.code, refusal.message))),
        }
        Ok(Told::Done)
    }

    pub(super) async fn welcome(
        &mut self,
        shared: &Shared,
        admission: &Admission,
    ) -> Result<Result<SessionId, Fault>, Unwritable> {
        let Some(session) = shared.session_id() else {
            return Ok(Err(Fault::new(Code::INTERNAL, "the system gives no random numbers")));
        };
        let welcome = Welcome {
            version: VERSION,
            session,
            node: shared.config.node.clone(),
            principal: admission.principal.clone(),
            limits: shared.config.session.clone(),
            ping_interval: shared.config.ping_interval.into(),
            expires_at: admission.expires_at,
            server_time: now(),
            nodes: shared.config.nodes.clone(),
        };
        self.write(&welcome).await.map(|()| Ok(session))
    }

    pub(super) async fn marked(&mut self, room: RoomName, offset: Offset) -> Result<(), Unwritable> {
        self.write(&Marked { room, offset }).await
    }

    pub(super) async fn goaway(&mut self, drain: &Drain) -> Result<(), Unwritable> {
        let goaway = Goaway {
            reason: GoawayReason::Shutdown,
            deadline: drain.deadline.saturating_duration_since(Instant::now()).into(),
            delay: drain.delay.into(),
            nodes: drain.nodes.clone(),
        };
        self.write(&goaway).await
    }

    /// Says that the token expires soon.
    pub(super) async fn expiring(&mut self, at: Time) -> Result<(), Unwritable> {
        self.write(&Expiring { at }).await
    }

    /// Says that the session ends, and why, and ends the stream.
    pub(super) async fn close(&mut self, fault: &Fault) -> Result<(), Unwritable> {
        let closing = Closing { code: fault.code, reason: shorten(fault.reason.as_ref().into()) };
        self.write(&closing).await?;
        self.send.finish();
        Ok(())
    }

    /// Writes a frame that is the last word of a session that was not welcomed.
    pub(super) async fn refuse<B: Body>(&mut self, body: &B) -> Result<(), Unwritable> {
        self.write(body).await?;
        self.send.finish();
        Ok(())
    }

    /// Nothing else of the session goes on during the write, therefore it must not take long. It does not for a peer
    /// that reads its control stream: credit keeps records out of its way.
    async fn write<B: Body>(&mut self, body: &B) -> Result<(), Unwritable> {
        let mut frame = [to_bytes(body)];
        let send = &mut self.send;
        let write = async {
            match &self.context {
                Some(context) => context.write_all_ahead(send, &mut frame).await,
                None => send.write_all_chunks(&mut frame).await,
            }
        };
        match timeout(limits::CONTROL_WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unwritable),
        }
    }
}

/// Who the client is, or why it is not admitted.
pub(super) async fn admit<L: Link>(shared: &Shared, link: &L, hello: &Hello) -> Result<Admission, Refusal> {
    if !hello.versions.contains(&VERSION) {
        let message = format!("this server speaks version {VERSION}");
        return Err(Refusal { code: Code::UNSUPPORTED_VERSION, message });
    }
    shared.authenticate(&hello.auth, link.peer()).await
}

/// Answers a request, in a task of its own.
pub(super) async fn answer<L: Link>(context: Arc<Context<L>>, link: L, request: Request) -> Answer {
    match request {
        Request::Peek(peek) => Answer::Peeked(self::peek(&context, peek).await),
        Request::Refresh(refresh) => Answer::Refreshed(self::refresh(&context, &link, refresh).await),
    }
}

async fn peek<L: Link>(context: &Context<L>, peek: Peek) -> Peeked {
    let mut found = Vec::with_capacity(peek.rooms.len());
    for room in &peek.rooms {
        let is_allowed = context.check(Action::Read, room).is_ok();
        found.push(if is_allowed { context.shared.rooms.attach(&context.key(room)).await.ok() } else { None });
    }
    let allowed = found.iter().flatten().cloned().collect();
    let mut marks = context.shared.rooms.marks(&context.principal.user, allowed).await.into_iter();
    let mut status = |room: Arc<Room>| {
        // The mark was read before the head, so it is not past it.
        let (mark, Status { epoch, head, floor }) = (marks.next().flatten(), room.status());
        RoomStatus { epoch, head, floor, mark }
    };
    Peeked { rooms: found.into_iter().map(|room| room.map(&mut status)).collect() }
}

/// Takes a new token of the same principal; another principal's ends the session.
async fn refresh<L: Link>(context: &Context<L>, link: &L, refresh: Refresh) -> Result<Refreshed, Refusal> {
    let admission = context.shared.authenticate(&Auth::Bearer { token: refresh.token }, link.peer()).await?;
    if admission.principal != context.principal {
        let message = "the token is another principal's".to_owned();
        return Err(Refusal { code: Code::PRINCIPAL_CHANGED, message });
    }
    context.replace_permissions(admission.permissions);
    Ok(Refreshed { expires_at: admission.expires_at })
}
