//! The client's side of a conversation.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use loquic_wire::{
    Code, Frame, Position, ProducerId, RoomName, TenantName, UserName,
    control::{Auth, Closing, Hello, Ping, Refused, Welcome},
    frame::Body,
    join::{From, Join, Joined, Mode, PresenceLevel},
    publish::{Ack, Duplicate, Open, Opened, Publish},
    record::{Flags, Format, Kind, Record},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    config::limits,
    room::{Refusal, testing},
    session::{
        self, Config, Shared,
        auth::{Action, Admission, Authenticator, DANGER_ADMIT_EVERYBODY, Permissions},
        stream::{Frames, FramesError},
    },
    transport::{Link, LinkError, SendStream, StreamError, memory},
};

/// Longer than anything a session waits for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn shared() -> Arc<Shared> {
    Shared::new(testing::rooms(), DANGER_ADMIT_EVERYBODY, Config::default())
}

pub(super) fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

pub(super) fn hello() -> Hello {
    let auth = Auth::Anonymous { name: UserName::new("ada").unwrap() };
    Hello { versions: vec![1], auth, client: "test".into(), previous: None }
}

pub(super) fn join(name: &str, from: From) -> Join {
    Join { room: room(name), from, mode: Mode::All, credit: 1 << 20, presence: PresenceLevel::None }
}

pub(super) fn open(name: &str, producer: u8) -> Open {
    Open { room: room(name), producer: ProducerId([producer; 16]) }
}

pub(super) fn publish(id: u64, payload: &str) -> Publish {
    let payload = payload.to_owned().into();
    Publish { id, kind: Kind::MESSAGE, format: Format::Text, flags: Flags::NONE, refers: None, payload }
}

/// Admits everybody and allows nothing.
pub(super) struct AllowNothing;

impl Authenticator for AllowNothing {
    fn authenticate<'a>(&'a self, auth: &'a Auth, peer: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>> {
        Box::pin(async move {
            let admission = DANGER_ADMIT_EVERYBODY.authenticate(auth, peer).await?;
            assert_eq!(admission.principal.tenant, TenantName::main());
            Ok(Admission { permissions: Arc::new(AllowNothing), ..admission })
        })
    }
}

impl Permissions for AllowNothing {
    fn may(&self, _: Action, _: &RoomName) -> bool {
        false
    }

    fn may_watch_prefix(&self, _: &str) -> bool {
        false
    }
}

/// Admits everybody and allows everything, to moderate too.
pub(super) struct AllowEverything;

impl Authenticator for AllowEverything {
    fn authenticate<'a>(&'a self, auth: &'a Auth, peer: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>> {
        Box::pin(async move {
            let admission = DANGER_ADMIT_EVERYBODY.authenticate(auth, peer).await?;
            Ok(Admission { permissions: Arc::new(AllowEverything), ..admission })
        })
    }
}

impl Permissions for AllowEverything {
    fn may(&self, _: Action, _: &RoomName) -> bool {
        true
    }

    fn may_watch_prefix(&self, _: &str) -> bool {
        true
    }
}

/// A client and the session that serves it.
pub(super) struct Peer {
    pub(super) link: memory::Link,
    session: JoinSet<()>,
}

impl Peer {
    pub(super) fn connect(shared: &Arc<Shared>) -> Self {
        let (link, server) = memory::pair(limits::STREAMS_START);
        let mut session = JoinSet::new();
        session.spawn(session::run(server, shared.clone()));
        Self { link, session }
    }

    /// Connects and is welcome.
    pub(super) async fn greet(shared: &Arc<Shared>) -> (Self, PeerStream) {
        let peer = Self::connect(shared);
        let mut control = peer.open(hello()).await;
        let _: Welcome = control.hear().await;
        (peer, control)
    }

    /// Opens a stream with its first frame.
    pub(super) async fn open(&self, frame: impl Into<Frame>) -> PeerStream {
        let mut stream = self.silent().await;
        stream.say(frame).await;
        stream
    }

    /// Opens a stream with no frame yet; the server does not learn of it.
    pub(super) async fn silent(&self) -> PeerStream {
        let opened = timeout(PATIENCE, self.link.open()).await.expect("a stream is allowed");
        let (send, recv) = opened.expect("the link is open");
        PeerStream { send, frames: Frames::new(recv) }
    }

    pub(super) async fn join(&self, name: &str, from: From) -> (PeerStream, Joined) {
        let mut stream = self.open(join(name, from)).await;
        let joined = stream.hear().await;
        (stream, joined)
    }

    pub(super) async fn publisher(&self, name: &str, producer: u8) -> (PeerStream, Opened) {
        let mut stream = self.open(open(name, producer)).await;
        let opened = stream.hear().await;
        (stream, opened)
    }

    /// Waits until the link is closed, whoever does it, and the session's task has ended.
    pub(super) async fn closed(&mut self) -> LinkError {
        let error = timeout(PATIENCE, self.link.closed()).await.expect("the link is closed");
        let ended = timeout(PATIENCE, self.session.join_next()).await.expect("the session ends");
        ended.unwrap().expect("the session does not panic");
        error
    }

    /// Waits until the server has closed by force, with `code`.
    pub(super) async fn closed_with(&mut self, code: Code) {
        match self.closed().await {
            LinkError::ClosedByPeer { code: closed, .. } => assert_eq!(closed, code),
            error => panic!("not closed by the server: {error}"),
        }
    }
}

/// The client's end of a stream.
pub(super) struct PeerStream {
    pub(super) send: memory::SendStream,
    frames: Frames<memory::RecvStream>,
}

impl PeerStream {
    pub(super) async fn say(&mut self, frame: impl Into<Frame>) {
        self.say_bytes(&frame.into().to_bytes()).await;
    }

    pub(super) async fn say_bytes(&mut self, bytes: &[u8]) {
        let mut chunks = [bytes.to_vec().into()];
        timeout(PATIENCE, self.send.write_all_chunks(&mut chunks)).await.expect("a write goes on").expect("it is read");
    }

    /// The next frame, whatever it is.
    pub(super) async fn frame(&mut self) -> Frame {
        let frame = timeout(PATIENCE, self.frames.next()).await.expect("something is heard");
        frame.expect("the stream goes on").expect("the stream has not ended")
    }

    /// The next frame, which must be of this kind.
    pub(super) async fn hear<B: Body + FromFrame>(&mut self) -> B {
        let frame = self.frame().await;
        B::from_frame(frame.clone()).unwrap_or_else(|| panic!("{frame:?} in place of {}", B::NAME))
    }

    /// The next frame must be `Refused` with this code, and the stream's end.
    pub(super) async fn refused(&mut self, code: Code) -> Refused {
        let refused: Refused = self.hear().await;
        assert_eq!(refused.code, code, "{}", refused.message);
        self.ended().await;
        refused
    }

    /// The next frame must be `Closing` with this code, and the stream's end.
    pub(super) async fn closing(&mut self, code: Code) {
        let closing: Closing = self.hear().await;
        assert_eq!(closing.code, code, "{}", closing.reason);
        self.ended().await;
    }

    pub(super) async fn ended(&mut self) {
        let end = timeout(PATIENCE, self.frames.next()).await.expect("the stream ends");
        assert!(matches!(end, Ok(None)), "{end:?}");
    }

    pub(super) async fn was_reset(&mut self) {
        let end = timeout(PATIENCE, self.frames.next()).await.expect("the stream ends");
        assert!(matches!(end, Err(FramesError::Stream(StreamError::Reset(_)))), "{end:?}");
    }

    pub(super) async fn is_alive(&mut self) {
        self.say(Ping { token: 7 }).await;
        assert!(matches!(self.frame().await, Frame::Pong(pong) if pong.token == 7));
    }

    /// The next `count` records, which may come in any company but only in order.
    pub(super) async fn records(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(self.hear().await);
        }
        records
    }

    /// The answers to the next `count` publishes, which must all be acknowledged; runs are taken apart.
    pub(super) async fn acks(&mut self, count: usize) -> Vec<Ack> {
        let mut acks = Vec::with_capacity(count);
        while acks.len() < count {
            match self.frame().await {
                Frame::Ack(ack) => acks.push(ack),
                Frame::AckRun(run) => acks.extend((0..run.count.into()).map(|step| Ack {
                    id: run.first_id + step,
                    position: Position { epoch: run.epoch, offset: run.first_offset.plus(step) },
                    time: run.time,
                    duplicate: Duplicate::No,
                })),
                frame => panic!("{frame:?} in place of an ack"),
            }
        }
        assert_eq!(acks.len(), count);
        acks
    }

    /// Nothing comes within `span`.
    pub(super) async fn is_silent_for(&mut self, span: Duration) {
        let frame = timeout(span, self.frames.next()).await;
        assert!(frame.is_err(), "{frame:?}");
    }
}

/// One kind of frame out of all of them.
pub(super) trait FromFrame: Sized {
    fn from_frame(frame: Frame) -> Option<Self>;
}

macro_rules! from_frame {
    ($($source:path => $name:ident),* $(,)?) => {
        $(impl FromFrame for $source {
            fn from_frame(frame: Frame) -> Option<Self> {
                if let Frame::$name(body) = frame { Some(body) } else { None }
            }
        })*
    };
}

from_frame! {
    Welcome => Welcome, Refused => Refused, Closing => Closing,
    loquic_wire::control::Expiring => Expiring, loquic_wire::control::Refreshed => Refreshed,
    loquic_wire::control::Marked => Marked, loquic_wire::control::Goaway => Goaway,
    loquic_wire::control::Peeked => Peeked,
    Joined => Joined, Record => Record, loquic_wire::join::Gap => Gap, loquic_wire::join::Reset => Reset,
    loquic_wire::join::CaughtUp => CaughtUp, loquic_wire::join::Left => Left,
    loquic_wire::join::Presence => Presence, loquic_wire::who::Members => Members,
    Opened => Opened, loquic_wire::publish::Nack => Nack,
    loquic_wire::read::ReadHead => ReadHead, loquic_wire::read::ReadEnd => ReadEnd,
    loquic_wire::watch::Head => Head,
}
