//! From a request for an upgrade to a session: who may have one, and what becomes of it.

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    handshake::server::create_response_with_body,
    http::{
        HeaderMap, HeaderValue, Request, Response,
        header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL},
    },
};
use tracing::{Instrument, debug, debug_span};

use super::{Link, SUBPROTOCOL, config, socket::Socket};
use crate::{
    config::{limits, origin::Origin},
    transport::endpoint::Serve,
};

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A session that has not begun by then is dropped.
    pub connect_timeout: Duration,
    /// A session of which nothing arrives for this long is dropped.
    pub idle_timeout: Duration,
    /// From where web pages may open sessions.
    pub origins: Vec<Origin>,
}

/// What became of requests for a WebSocket, since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Upgraded.
    pub upgraded: AtomicU64,
    /// Refused for their origin, their subprotocol, or because too many were waiting.
    pub refused: AtomicU64,
    /// Upgraded, but no session followed.
    pub unused: AtomicU64,
}

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no request for an upgrade.
    #[error("this is for WebSockets: {0}")]
    NoUpgrade(String),
    /// Without the subprotocol nobody knows what the messages are.
    #[error("the only subprotocol here is {SUBPROTOCOL}")]
    Subprotocol,
    /// The page is a stranger's.
    #[error("the origin {0} is not in origins.allow")]
    Origin(String),
    /// Too many are being opened.
    #[error("too many WebSockets are being opened")]
    Busy,
}

/// Leave to upgrade a connection, for one session.
#[derive(Debug)]
pub struct Ticket {
    _permit: OwnedSemaphorePermit,
}

/// Makes sessions of the WebSockets of all ports.
pub struct Acceptor {
    options: Options,
    serve: Box<dyn Fn(Link) -> BoxFuture<'static, ()> + Send + Sync>,
    /// A permit for each upgrade without a session yet.
    upgrades: Arc<Semaphore>,
    /// One for each session.
    tasks: Mutex<JoinSet<()>>,
    stats: Stats,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Acceptor").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Runs `serve` for each session. When it is dropped they are all cut off.
    pub fn new(options: Options, serve: impl Serve) -> Arc<Self> {
        let serve = Box::new(move |link| -> BoxFuture<'static, ()> { Box::pin(serve.clone().serve(link)) });
        let upgrades = Arc::new(Semaphore::new(limits::WEBSOCKET_UPGRADES_MAX));
        Arc::new(Self { options, serve, upgrades, tasks: Mutex::default(), stats: Stats::default() })
    }

    /// What became of requests.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The answer to a request for a WebSocket. Whoever gets a ticket hands it in with [`serve`](Self::serve).
    pub fn answer<B>(&self, request: &Request<B>) -> Result<(Response<()>, Ticket), Refused> {
        let answer = self.check(request);
        if let Err(refused) = &answer {
            debug!(%refused, "a WebSocket was refused");
            self.stats.refused.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(Response<()>, Ticket), Refused> {
        let mut response =
            create_response_with_body(request, || ()).map_err(|error| Refused::NoUpgrade(error.to_string()))?;
        // As for WebTransport: browsers always name the origin, others need not.
        for origin in request.headers().get_all(ORIGIN) {
            if !origin.to_str().is_ok_and(|origin| self.options.origins.iter().any(|allowed| allowed.allows(origin))) {
                return Err(Refused::Origin(format!("{origin:?}")));
            }
        }
        if !offers(request.headers()) {
            return Err(Refused::Subprotocol);
        }
        let permit = self.upgrades.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok((response, Ticket { _permit: permit }))
    }

    /// Serves the session on the connection that comes of an upgrade.
    pub fn serve<S, E>(
        self: &Arc<Self>,
        ticket: Ticket,
        peer: SocketAddr,
        upgraded: impl Future<Output = Result<S, E>> + Send + 'static,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        E: fmt::Display + Send,
    {
        self.stats.upgraded.fetch_add(1, Ordering::Relaxed);
        let mut tasks = self.tasks.lock();
        // What has ended makes room.
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "the task of a WebSocket panicked");
            }
        }
        let (options, acceptor) = (self.options.clone(), Arc::downgrade(self));
        let task = async move {
            let begun = timeout(options.connect_timeout, Box::pin(begin(upgraded, peer, &options))).await;
            drop(ticket);
            let Some(acceptor) = acceptor.upgrade() else { return };
            let link = match begun {
                Ok(Ok(link)) => link,
                Ok(Err(error)) => return acceptor.unused(&error),
                Err(_) => return acceptor.unused("it did not begin in time"),
            };
            let served = (acceptor.serve)(link);
            drop(acceptor);
            served.await;
        };
        tasks.spawn(task.instrument(debug_span!("websocket", %peer)));
    }

    /// Cuts off whoever is left.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }

    fn unused(&self, why: &str) {
        debug!(why, "a WebSocket got no session");
        self.stats.unused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits for the upgrade, then for the peer's side of the session.
async fn begin<S, E>(
    upgraded: impl Future<Output = Result<S, E>>,
    peer: SocketAddr,
    options: &Options,
) -> Result<Link, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: fmt::Display,
{
    let stream = upgraded.await.map_err(|error| error.to_string())?;
    let session = qmux::Session::accept(Socket::accept(stream).await, config(options)).await;
    let session = session.map_err(|error| error.to_string())?;
    Ok(Link { session, peer, is_closed_here: Arc::new(AtomicBool::new(false)) })
}

fn offers(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|offer| offer.trim() == SUBPROTOCOL)
}
