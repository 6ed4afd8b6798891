//! A TCP port that speaks HTTP/1.1, with TLS or without.
//!
//! Hyper is driven here and not by `axum::serve`, which waits for ever for the rest of a request, and for a client that
//! takes no answer.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tracing::{debug, error, warn};

use super::caller::Peer;
use crate::config::limits;

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Connections at once; one more waits.
    pub connections_max: usize,
    /// How long the handshake of TLS and then the head of a request may take, and how long a client may take nothing of
    /// an answer.
    pub timeout: Duration,
}

/// What TLS agrees on.
pub const ALPN: &[u8] = b"http/1.1";

/// A TCP port.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: Options,
    tls: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
    opened: AtomicU64,
    closed: AtomicU64,
}

impl fmt::Debug for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds `address`; port 0 takes a free one. Without `tls` nothing is encrypted. Must be called inside a tokio
    /// runtime.
    pub fn bind(address: SocketAddr, options: Options, tls: Option<Arc<ServerConfig>>) -> io::Result<Arc<Self>> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        let (address, places) = (socket.local_addr()?, Arc::new(Semaphore::new(options.connections_max)));
        let (opened, closed) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Arc::new(Self { socket, address, options, tls: tls.map(TlsAcceptor::from), places, opened, closed }))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Connections done with.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Serves until `stop` resolves; then answers what was asked before. Owns the tasks of all connections: when it is
    /// dropped they are aborted.
    pub async fn run(self: Arc<Self>, router: Router, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let (stopping, stopped) = watch::channel(());
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                // What has ended makes room for what comes.
                biased;
                () = &mut stop => break,
                Some(result) = tasks.join_next(), if !tasks.is_empty() => note(result),
                (stream, peer, place) = self.accept() => {
                    tasks.spawn(self.clone().serve((stream, peer), place, router.clone(), stopped.clone()));
                }
            }
        }
        drop(stopping);
        while let Some(result) = tasks.join_next().await {
            note(result);
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else { return std::future::pending().await };
            match self.socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                // The peer has gone again.
                Err(error) if is_of_connection(&error) => debug!(%error, "a connection was not accepted"),
                Err(error) => {
                    warn!(%error, address = %self.address, "cannot accept connections now");
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        place: OwnedSemaphorePermit,
        router: Router,
        stopped: watch::Receiver<()>,
    ) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        // Answers are small, and written whole.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(limits::TCP_SEND_BUFFER_BYTES);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.options.timeout));
        let stream = Box::pin(stream);
        match &self.tls {
            None => self.answer(stream, peer, router, stopped).await,
            Some(tls) => match timeout(self.options.timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.answer(stream, peer, router, stopped).await,
                Ok(Err(error)) => debug!(%error, %peer, "a handshake of TLS failed"),
                Err(_) => debug!(%peer, "a handshake of TLS took too long"),
            },
        }
        self.closed.fetch_add(1, Ordering::Relaxed);
        drop(place);
    }

    async fn answer(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        router: Router,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.options.timeout)
            .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
            .max_headers(limits::HTTP_HEADERS_MAX);
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.call(request)
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let result = tokio::select! {
            result = connection.as_mut() => result,
            // Nothing is ever sent: this is the other half being dropped.
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!(%error, "an HTTP connection ended");
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn note(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        error!(%error, "the task of an HTTP connection panicked");
    }
}
