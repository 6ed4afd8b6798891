//! The one UDP port: binds the socket, shakes hands, and hands each connection to what its ALPN protocol names.

use std::{
    future::Future,
    io,
    net::{SocketAddr, UdpSocket},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use loquic_wire::Code;
use quinn::{
    Connecting, ConnectionId, ConnectionIdGenerator, EndpointConfig, Incoming, ServerConfig, TokioRuntime,
    TransportConfig, ValidationTokenConfig, VarInt,
    crypto::rustls::{HandshakeData, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tracing::{Instrument, debug, debug_span, info};

use super::{
    Link, quic,
    tls::{self, Certificates},
    webtransport,
};
use crate::config::{limits, origin::Origin};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket cannot be had.
    #[error("bind UDP {address}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// TLS cannot be set up; a fault of this build.
    #[error("set up TLS for QUIC: {0}")]
    Tls(String),
}

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A handshake that takes longer is dropped.
    pub handshake_timeout: Duration,
    /// A connection on which nothing arrives for this long is dropped.
    pub idle_timeout: Duration,
    /// Unacknowledged bytes kept for a connection at first.
    pub send_window: u64,
    /// A connection for WebTransport on which no session is asked for within this time is dropped.
    pub connect_timeout: Duration,
    /// From where web pages may open sessions.
    pub origins: Vec<Origin>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            send_window: limits::SEND_WINDOW_MIN,
            connect_timeout: limits::HELLO_TIMEOUT,
            origins: Vec::new(),
        }
    }
}

/// What the kernel gave the socket. Linux counts its own bookkeeping in, so it is up to twice what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketBuffers {
    /// Bytes for what arrives.
    pub receive_bytes: usize,
    /// Bytes for what is sent.
    pub send_bytes: usize,
}

/// What became of handshakes, since the start.
#[derive(Debug, Default)]
pub struct HandshakeStats {
    /// Begun.
    pub opened: AtomicU64,
    /// Finished with a connection.
    pub completed: AtomicU64,
    /// Failed, or too slow.
    pub failed: AtomicU64,
    /// Sent back for a proof of the address.
    pub retried: AtomicU64,
    /// Dropped because too many were open.
    pub dropped: AtomicU64,
    /// WebTransport connections without a session: none was asked for in time, or too many were waiting.
    pub unused: AtomicU64,
    /// Requests for a WebTransport session that were refused for their path or origin.
    pub refused: AtomicU64,
}

/// What is done with a link. A trait and no closure because every transport has a link of its own type.
pub trait Serve: Clone + Send + Sync + 'static {
    /// Uses the link until it is closed.
    fn serve<L: Link>(self, link: L) -> impl Future<Output = ()> + Send;
}

/// A UDP port that speaks QUIC.
#[derive(Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    address: SocketAddr,
    buffers: SocketBuffers,
    options: Options,
    /// Handshakes that are open.
    handshakes: AtomicUsize,
    /// A permit for each WebTransport connection on which no session was asked for yet.
    connects: Semaphore,
    stats: HandshakeStats,
}

impl Endpoint {
    /// Binds `address`; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr, certificates: Certificates, options: Options) -> Result<Arc<Self>, BindError> {
        let endpoint_config = endpoint_config(&certificates);
        let config = server_config(certificates, &options)?;
        let bound = || -> io::Result<Self> {
            let (socket, buffers) = bind_socket(address)?;
            let address = socket.local_addr()?;
            let runtime = Arc::new(TokioRuntime);
            let quinn = quinn::Endpoint::new(endpoint_config, Some(config), socket, runtime)?;
            let (handshakes, connects) = (AtomicUsize::new(0), Semaphore::new(limits::CONNECTS_MAX));
            Ok(Self { quinn, address, buffers, options, handshakes, connects, stats: HandshakeStats::default() })
        };
        bound().map(Arc::new).map_err(|error| BindError::Socket { address, error })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// What the kernel gave the socket.
    pub fn socket_buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// What became of handshakes.
    pub fn handshake_stats(&self) -> &HandshakeStats {
        &self.stats
    }

    /// Connections that are open or closing, handshakes included.
    pub fn connections(&self) -> usize {
        self.quinn.open_connections()
    }

    /// Takes connections until `stop` resolves, and runs `serve` for each; then waits for those that are still served.
    /// Owns all of their tasks: when it is dropped they are aborted and their connections closed.
    pub async fn run<S: Serve>(self: Arc<Self>, serve: S, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut stop = pin!(stop);
        let mut is_stopped = false;
        loop {
            tokio::select! {
                // Nothing here waits for long, so fairness is not needed, and an ended task is cheap.
                biased;
                Some(result) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(error) = result {
                        tracing::error!(%error, "a connection's task panicked");
                    }
                }
                () = &mut stop, if !is_stopped => {
                    is_stopped = true;
                    self.quinn.set_server_config(None);
                }
                incoming = self.quinn.accept(), if !is_stopped => match incoming {
                    Some(incoming) => self.handle_incoming(incoming, &mut tasks, &serve),
                    None => is_stopped = true,
                },
                else => return,
            }
        }
    }

    /// Closes every connection at once and waits until the peers have been told, at most `limits::CLOSING_TIMEOUT`.
    pub async fn close(&self) {
        self.quinn.close(VarInt::from_u32(Code::DRAINING.0.into()), b"the node stops");
        if timeout(limits::CLOSING_TIMEOUT, self.quinn.wait_idle()).await.is_err() {
            debug!("some peers did not answer the close");
        }
    }

    fn handle_incoming<S: Serve>(self: &Arc<Self>, incoming: Incoming, tasks: &mut JoinSet<()>, serve: &S) {
        let open = self.handshakes.load(Ordering::Relaxed);
        if open >= limits::HANDSHAKES_MAX {
            self.stats.dropped.fetch_add(1, Ordering::Relaxed);
            incoming.ignore();
            return;
        }
        if open >= limits::HANDSHAKES_MAX / 2 && !incoming.remote_address_validated() {
            self.stats.retried.fetch_add(1, Ordering::Relaxed);
            // It fails only for an address that is validated.
            let _ = incoming.retry();
            return;
        }
        let handshake = Handshake::begin(self.clone());
        let span = debug_span!("connection", peer = %incoming.remote_address());
        let (endpoint, serve) = (self.clone(), serve.clone());
        // Handshakes are boxed because their futures are large and dead for all of the session's life, and one kind of
        // session so that the other does not take its room.
        let task = async move {
            match Box::pin(handshake.finish(incoming)).await {
                Some((Application::Loquic, connection)) => serve.serve(quic::Link::new(connection)).await,
                Some((Application::Http3, connection)) => {
                    if let Some(link) = Box::pin(endpoint.connect(connection)).await {
                        Box::pin(link.clone().finish(serve.serve(link))).await;
                    }
                }
                None => {}
            }
        };
        tasks.spawn(task.instrument(span));
    }

    /// Waits for the request for a WebTransport session and answers it.
    async fn connect(&self, connection: quinn::Connection) -> Option<webtransport::Link> {
        let Ok(_permit) = self.connects.try_acquire() else {
            self.stats.unused.fetch_add(1, Ordering::Relaxed);
            connection.close(H3_EXCESSIVE_LOAD, b"");
            return None;
        };
        let accept = webtransport::accept(connection.clone(), &self.options.origins);
        match timeout(self.options.connect_timeout, accept).await {
            Ok(Ok(link)) => return Some(link),
            Ok(Err(error @ webtransport::Rejected::Refused { .. })) => {
                debug!(%error, "a session was refused");
                self.stats.refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(error)) => {
                debug!(%error, "a connection got no session");
                self.stats.unused.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                debug!("no session was asked for in time");
                self.stats.unused.fetch_add(1, Ordering::Relaxed);
            }
        }
        connection.close(H3_NO_ERROR, b"");
        None
    }
}

/// Nothing is wrong, but nothing will come of it either (RFC 9114 section 8.1).
const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// There are too many.
const H3_EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);

/// What a connection's ALPN protocol names.
#[derive(Debug, Clone, Copy)]
enum Application {
    Loquic,
    Http3,
}

/// The ALPN protocols, best first.
const PROTOCOLS: &[&[u8]] = &[loquic_wire::ALPN.as_bytes(), webtransport::ALPN];

impl Application {
    fn of(protocol: &[u8]) -> Option<Self> {
        match protocol {
            webtransport::ALPN => Some(Self::Http3),
            protocol => (protocol == loquic_wire::ALPN.as_bytes()).then_some(Self::Loquic),
        }
    }
}

/// An open handshake; dropping it makes room for another one.
struct Handshake {
    endpoint: Arc<Endpoint>,
}

impl Handshake {
    fn begin(endpoint: Arc<Endpoint>) -> Self {
        endpoint.handshakes.fetch_add(1, Ordering::Relaxed);
        endpoint.stats.opened.fetch_add(1, Ordering::Relaxed);
        Self { endpoint }
    }

    async fn finish(self, incoming: Incoming) -> Option<(Application, quinn::Connection)> {
        let stats = &self.endpoint.stats;
        match timeout(self.endpoint.options.handshake_timeout, shake_hands(incoming)).await {
            Ok(Ok(connection)) => {
                stats.completed.fetch_add(1, Ordering::Relaxed);
                return Some(connection);
            }
            Ok(Err(error)) => debug!(error, "a handshake failed"),
            Err(_) => debug!("a handshake took too long"),
        }
        stats.failed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.endpoint.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn shake_hands(incoming: Incoming) -> Result<(Application, quinn::Connection), String> {
    let mut connecting = incoming.accept().map_err(|error| error.to_string())?;
    let application = application(&mut connecting).await?;
    let connection = connecting.await.map_err(|error| error.to_string())?;
    Ok((application, connection))
}

async fn application(connecting: &mut Connecting) -> Result<Application, String> {
    let data = connecting.handshake_data().await.map_err(|error| error.to_string())?;
    let data = data.downcast::<HandshakeData>().map_err(|_| "the handshake is not one of rustls")?;
    data.protocol.as_deref().and_then(Application::of).ok_or_else(|| "the client names no protocol of ours".to_owned())
}

/// After a crash the next process does not know the connections of the last one, and whoever is still sending on them
/// is told with a reset that only the holder of the same secret can make. Otherwise clients would find out by silence
/// alone, 10 to 15 s later.
fn endpoint_config(certificates: &Certificates) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, certificates.reset_secret())));
    config.cid_generator(|| Box::new(RandomIds));
    // All the clients of a crashed node come at once, and a reset is smaller than the packet that it answers.
    config.min_reset_interval(Duration::from_millis(1));
    config
}

/// Connection ids of which every one may be ours: quinn's own can only tell those of the running process, and leaves
/// all others without an answer.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CONNECTION_ID_BYTES];
        // It fails only if the system has no random numbers, and then there are no handshakes either.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// As quinn's own.
const CONNECTION_ID_BYTES: usize = 8;

fn server_config(certificates: Certificates, options: &Options) -> Result<ServerConfig, BindError> {
    let tls = tls::server_config(certificates, PROTOCOLS).map_err(|error| BindError::Tls(error.to_string()))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| BindError::Tls(error.to_string()))?;
    // Clients get no tokens that would spare them the proof of their address: what was used of them would have to be
    // kept, 10 MB of it, and a Retry costs them one round trip.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .validation_token_config(tokens)
        .transport_config(Arc::new(transport_config(options)))
        .max_incoming(limits::HANDSHAKES_MAX)
        .incoming_buffer_size(limits::INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(limits::INCOMING_BYTES_TOTAL_MAX);
    Ok(config)
}

/// Finite in every respect: quinn's defaults let one peer take about 250 MB.
fn transport_config(options: &Options) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = u32::try_from(options.idle_timeout.as_millis()).unwrap_or(u32::MAX);
    config
        .max_concurrent_bidi_streams(limits::STREAMS_START.into())
        .max_concurrent_uni_streams(limits::STREAMS_UNI.into())
        .stream_receive_window(limits::STREAM_RECEIVE_WINDOW.into())
        .receive_window(limits::RECEIVE_WINDOW.into())
        .send_window(options.send_window)
        .max_idle_timeout(Some(VarInt::from_u32(idle).into()))
        .datagram_receive_buffer_size(Some(limits::DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(limits::DATAGRAM_BUFFER_BYTES)
        // Unfair sending finishes one stream before the next, so a room in catch-up, whose stream is never empty,
        // would starve the others.
        .send_fairness(true);
    config
}

/// The bound socket with large buffers, and what they came to.
fn bind_socket(address: SocketAddr) -> io::Result<(UdpSocket, SocketBuffers)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Linux cuts it to its maximum; other systems refuse, and the default stays.
    let _ = socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    let buffers = SocketBuffers { receive_bytes: socket.recv_buffer_size()?, send_bytes: socket.send_buffer_size()? };
    if buffers.receive_bytes < limits::SOCKET_BUFFER_BYTES {
        info!(?buffers, wanted = limits::SOCKET_BUFFER_BYTES, "the kernel gives the UDP socket small buffers");
    }
    Ok((socket.into(), buffers))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use quinn::{ClientConfig, crypto::rustls::QuicClientConfig};
    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer},
    };
    use tokio::sync::oneshot;

    use super::*;
    use crate::transport::{LinkError, RecvStream, SendStream, StreamError};

    fn make_certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        (made.cert.der().clone(), key)
    }

    async fn connect(to: SocketAddr, trust: &CertificateDer<'static>, alpn: &[u8]) -> Result<quic::Link, String> {
        let mut roots = RootCertStore::empty();
        roots.add(trust.clone()).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(tls::provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, to, "localhost").unwrap();
        connecting.await.map(quic::Link::new).map_err(|error| error.to_string())
    }

    /// Sends back what it reads, stream by stream, then closes.
    #[derive(Clone)]
    struct Echo;

    impl Serve for Echo {
        async fn serve<L: Link>(self, link: L) {
            while let Ok((mut send, mut recv)) = link.accept().await {
                let mut chunks = vec![Bytes::new(); 16];
                while let Ok(Some(count)) = recv.read_chunks(&mut chunks).await {
                    send.write_all_chunks(&mut chunks[..count]).await.unwrap();
                }
                if link.congestion_window() < 1_200 {
                    send.reset(Code::INTERNAL);
                }
                send.finish();
            }
        }
    }

    /// Says half of it and goes.
    #[derive(Clone)]
    struct Half;

    impl Serve for Half {
        async fn serve<L: Link>(self, link: L) {
            let (mut send, _recv) = link.accept().await.unwrap();
            send.write_all_chunks(&mut ["half".into()]).await.unwrap();
            drop(send);
            link.closed().await;
        }
    }

    async fn read_all(recv: &mut quic::RecvStream) -> Result<Vec<u8>, StreamError> {
        let (mut all, mut chunks) = (Vec::new(), vec![Bytes::new(); 16]);
        while let Some(count) = recv.read_chunks(&mut chunks).await? {
            chunks[..count].iter().for_each(|chunk| all.extend_from_slice(chunk));
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_connection_is_served_and_closed() {
        let (certificate, key) = make_certificate();
        let certificates = Certificates::new(vec![certificate.clone()], key).unwrap();
        let endpoint =
            Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), certificates.clone(), Options::default()).unwrap();
        assert!(endpoint.socket_buffers().receive_bytes > 0);
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(endpoint.clone().run(Echo, async move { stopped.await.unwrap_or(()) }));

        let link = connect(endpoint.local_address(), &certificate, b"loquic-1").await.unwrap();
        for size in [1, 100_000, 1_000_000] {
            let (mut send, mut recv) = link.open().await.unwrap();
            let sent: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let write = async {
                send.write_all_chunks(&mut [sent.clone().into()]).await.unwrap();
                send.finish();
            };
            let ((), received) = tokio::join!(write, read_all(&mut recv));
            assert_eq!(received.unwrap(), sent);
        }

        // A renewed certificate is for the next handshake.
        let (renewed, key) = make_certificate();
        certificates.replace(vec![renewed.clone()], key).unwrap();
        connect(endpoint.local_address(), &certificate, b"loquic-1").await.unwrap_err();
        let second = connect(endpoint.local_address(), &renewed, b"loquic-1").await.unwrap();
        connect(endpoint.local_address(), &renewed, b"other").await.unwrap_err();

        second.close(Code::DONE, "");
        stop.send(()).unwrap();
        link.close(Code::DONE, "done");
        assert_eq!(link.closed().await, LinkError::ClosedHere);
        timeout(Duration::from_secs(10), run).await.expect("it stops when all are served").unwrap();
        endpoint.close().await;
        let stats = endpoint.handshake_stats();
        assert_eq!(stats.completed.load(Ordering::Relaxed), 2);
        assert_eq!(stats.retried.load(Ordering::Relaxed) + stats.dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn half_a_page_is_not_taken_for_a_whole() {
        let (certificate, key) = make_certificate();
        let certificates = Certificates::new(vec![certificate.clone()], key).unwrap();
        let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), certificates, Options::default()).unwrap();
        let _run = tokio::spawn(endpoint.clone().run(Half, std::future::pending()));
        let link = connect(endpoint.local_address(), &certificate, b"loquic-1").await.unwrap();
        let (mut send, mut recv) = link.open().await.unwrap();
        send.write_all_chunks(&mut ["x".into()]).await.unwrap();
        assert_eq!(read_all(&mut recv).await, Err(StreamError::Reset(Code::DONE)));
    }

    #[tokio::test]
    async fn a_full_node_asks_for_a_proof_of_the_address() {
        let (certificate, key) = make_certificate();
        let certificates = Certificates::new(vec![certificate.clone()], key).unwrap();
        let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), certificates, Options::default()).unwrap();
        let half: Vec<_> = (0..limits::HANDSHAKES_MAX / 2).map(|_| Handshake::begin(endpoint.clone())).collect();
        let _run = tokio::spawn(endpoint.clone().run(Echo, std::future::pending()));
        let link = connect(endpoint.local_address(), &certificate, b"loquic-1").await.unwrap();
        let (mut send, mut recv) = link.open().await.unwrap();
        send.finish();
        // Now the server has seen the end of the handshake as well.
        read_all(&mut recv).await.unwrap();
        assert_eq!(endpoint.handshake_stats().retried.load(Ordering::Relaxed), 1);
        drop(half);
        assert_eq!(endpoint.handshakes.load(Ordering::Relaxed), 0);
    }
}
