//! What all sessions of a node share: the rooms, who is admitted, how many there are, whether the node is draining.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use loquic_wire::{
    Code, SessionId, Time,
    control::{Auth, SessionLimits},
    limits::PAYLOAD_BYTES_MAX_DEFAULT,
};
use rustls::crypto::SecureRandom;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    auth::{Admission, Authenticator},
    stats::Stats,
    window::Windows,
};
use crate::{
    config::limits,
    presence::{self, Presence},
    room::{Refusal, Rooms},
    transport::tls,
};

/// What sessions are told about the node and what they may use.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name.
    pub node: Arc<str>,
    /// Where else clients may go: URLs.
    pub nodes: Vec<Arc<str>>,
    /// Sessions at once; one more is refused with `too_many_sessions`.
    pub sessions_max: usize,
    /// What one session may use.
    pub session: SessionLimits,
    /// How often clients send `Ping`.
    pub ping_interval: Duration,
    /// How long a session's first frame may take, and then admitting it.
    pub hello_timeout: Duration,
    /// Publishes of one stream that may wait for an answer; more end the stream with `flow_control`.
    pub in_flight_max: u32,
    /// Unacknowledged bytes kept for a connection: at first and at least, and at most.
    pub send_window: RangeInclusive<u64>,
    /// The same of all connections together, beyond the least of each.
    pub send_windows_max: u64,
    /// Who is in the rooms.
    pub presence: presence::Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "loquic".into(),
            nodes: Vec::new(),
            sessions_max: limits::SESSIONS_MAX,
            session: SessionLimits {
                rooms_max: limits::ROOMS_MAX,
                reads_max: limits::READS_MAX,
                publish_max: limits::PUBLISH_MAX,
                payload_bytes_max: PAYLOAD_BYTES_MAX_DEFAULT as u32,
            },
            ping_interval: limits::PING_INTERVAL,
            hello_timeout: limits::HELLO_TIMEOUT,
            in_flight_max: limits::IN_FLIGHT_MAX,
            send_window: limits::SEND_WINDOW_MIN..=limits::SEND_WINDOW_MAX,
            send_windows_max: limits::SEND_WINDOWS_MAX,
            presence: presence::Options::default(),
        }
    }
}

/// The node is going away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// When the sessions that are left are closed.
    pub deadline: Instant,
    /// How long clients wait before they come back to this node.
    pub delay: Duration,
    /// Where else they may go: URLs; empty means back to this node.
    pub nodes: Vec<Arc<str>>,
}

/// Shared by all sessions.
pub struct Shared {
    pub(super) rooms: Rooms,
    pub(super) authenticator: Box<dyn Authenticator>,
    pub(super) config: Config,
    pub(super) windows: Arc<Windows>,
    presence: Arc<Presence>,
    /// Drives the presence.
    _driver: JoinSet<()>,
    stats: Stats,
    drain: watch::Sender<Option<Drain>>,
    /// Sessions that are served, or not refused yet.
    sessions: AtomicUsize,
    /// Sessions that are only here to be refused.
    refusals: AtomicUsize,
    /// One of the two has become 0.
    emptied: Notify,
    random: &'static dyn SecureRandom,
}

impl Shared {
    /// What [`run`](super::run) needs. Must be called inside a runtime.
    pub fn new(rooms: Rooms, authenticator: impl Authenticator, config: Config) -> Arc<Self> {
        let presence = Presence::new(config.presence.clone());
        let mut driver = JoinSet::new();
        let driven = presence.clone();
        driver.spawn(async move { match driven.drive().await {} });
        Arc::new(Self {
            rooms,
            presence,
            _driver: driver,
            authenticator: Box::new(authenticator),
            windows: Windows::new(config.send_window.clone(), config.send_windows_max),
            config,
            stats: Stats::default(),
            drain: watch::Sender::new(None),
            sessions: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            emptied: Notify::new(),
            random: tls::provider().secure_random,
        })
    }

    /// What sessions count.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Who is in the rooms.
    pub fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Tells every session to go, and refuses new ones. A second call moves the deadline of sessions that hear of it.
    pub fn drain(&self, drain: Drain) {
        self.drain.send_replace(Some(drain));
    }

    /// Waits until no session is left. Without a [`drain`](Self::drain) new ones may come at any time.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.sessions.load(Ordering::Acquire) == 0 && self.refusals.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The rooms, for those who come without a session.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Who the client at `peer` is, or why it is not admitted.
    pub async fn authenticate(&self, auth: &Auth, peer: SocketAddr) -> Result<Admission, Refusal> {
        let admission = self.authenticator.authenticate(auth, peer);
        let slow = |_| Err(Refusal { code: Code::INTERNAL, message: "authentication took too long".to_owned() });
        timeout(self.config.hello_timeout, admission).await.unwrap_or_else(slow)
    }

    /// What becomes `Some` when the node begins to go away.
    pub fn drain_watch(&self) -> watch::Receiver<Option<Drain>> {
        self.drain.subscribe()
    }

    /// Whether there is a place for another session. `None`: not even one to be refused in.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let place = |refused| Place { shared: self.clone(), refused };
        if take(&self.sessions, self.config.sessions_max) {
            return Some(place(None));
        }
        take(&self.refusals, limits::REFUSALS_MAX).then(|| place(Some(Code::TOO_MANY_SESSIONS)))
    }

    pub(super) fn session_id(&self) -> Option<SessionId> {
        let mut id = [0; 16];
        self.random.fill(&mut id).ok().map(|()| SessionId(id))
    }
}

/// Room for one session; dropping it makes room for another one.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// What the session is refused with, if it is only here for that.
    pub(super) refused: Option<Code>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let count = if self.refused.is_some() { &self.shared.refusals } else { &self.shared.sessions };
        if count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.emptied.notify_waiters();
        }
    }
}

fn take(count: &AtomicUsize, max: usize) -> bool {
    count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |count| (count < max).then_some(count + 1)).is_ok()
}

/// The node's clock. What orders records is the partition's, not this.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::saturating(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
