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
    TransportConfig, VarInt,
    crypto::rustls::{HandshakeData, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{task::JoinSet, time::timeout};
use tracing::{Instrument, debug, debug_span, info};

use super::{
    quic,
    tls::{self, Certificates},
};
use crate::config::limits;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A handshake that takes longer is dropped.
    pub handshake_timeout: Duration,
    /// A connection on which nothing arrives for this long is dropped.
    pub idle_timeout: Duration,
    /// Unacknowledged bytes kept for a connection at first.
    pub send_window: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            send_window: limits::SEND_WINDOW_MIN,
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
}

/// A UDP port that speaks QUIC.
#[derive(Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    address: SocketAddr,
    buffers: SocketBuffers,
    handshake_timeout: Duration,
    /// Handshakes that are open.
    handshakes: AtomicUsize,
    stats: HandshakeStats,
}

impl Endpoint {
    /// Binds `address`; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr, certificates: Certificates, options: Options) -> Result<Arc<Self>, BindError> {
        let endpoint_config = endpoint_config(&certificates);
        let config = server_config(certificates, options)?;
        let bound = || -> io::Result<Self> {
            let (socket, buffers) = bind_socket(address)?;
            let address = socket.local_addr()?;
            let runtime = Arc::new(TokioRuntime);
            let quinn = quinn::Endpoint::new(endpoint_config, Some(config), socket, runtime)?;
            let (handshakes, stats) = (AtomicUsize::new(0), HandshakeStats::default());
            Ok(Self { quinn, address, buffers, handshake_timeout: options.handshake_timeout, handshakes, stats })
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
    pub async fn run<S, F>(self: Arc<Self>, serve: S, stop: impl Future<Output = ()>)
    where
        S: Fn(quic::Link) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
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

    fn handle_incoming<S, F>(self: &Arc<Self>, incoming: Incoming, tasks: &mut JoinSet<()>, serve: &S)
    where
        S: Fn(quic::Link) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
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
        let serve = serve.clone();
        // The handshake is boxed because its future is large and dead for all of the session's life.
        let task = async move {
            let connection = Box::pin(handshake.finish(incoming)).await;
            match connection {
                Some((Application::Loquic, connection)) => serve(quic::Link::new(connection)).await,
                None => {}
            }
        };
        tasks.spawn(task.instrument(span));
    }
}

/// What a connection's ALPN protocol names. WebTransport (`h3`) becomes the second one: it goes into [`PROTOCOLS`], it
/// takes over at `Connecting`, and needs `set_max_concurrent_uni_streams(3)` there, because the transport parameters
/// go out before the protocol is known.
#[derive(Debug, Clone, Copy)]
enum Application {
    Loquic,
}

/// The ALPN protocols, best first.
const PROTOCOLS: &[&[u8]] = &[loquic_wire::ALPN.as_bytes()];

impl Application {
    fn of(protocol: Option<&[u8]>) -> Option<Self> {
        (protocol == Some(loquic_wire::ALPN.as_bytes())).then_some(Self::Loquic)
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
        match timeout(self.endpoint.handshake_timeout, shake_hands(incoming)).await {
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
    Application::of(data.protocol.as_deref()).ok_or_else(|| "the client names no protocol of ours".to_owned())
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

fn server_config(certificates: Certificates, options: Options) -> Result<ServerConfig, BindError> {
    let tls = tls::server_config(certificates, PROTOCOLS).map_err(|error| BindError::Tls(error.to_string()))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| BindError::Tls(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config(options)))
        .max_incoming(limits::HANDSHAKES_MAX)
        .incoming_buffer_size(limits::INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(limits::INCOMING_BYTES_TOTAL_MAX);
    Ok(config)
}

/// Finite in every respect: quinn's defaults let one peer take about 250 MB.
fn transport_config(options: Options) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = u32::try_from(options.idle_timeout.as_millis()).unwrap_or(u32::MAX);
    config
        .max_concurrent_bidi_streams(limits::STREAMS_START.into())
        .max_concurrent_uni_streams(0_u32.into())
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
    use crate::transport::{Link, LinkError, RecvStream, SendStream, StreamError};

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
    async fn echo(link: quic::Link) {
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
        let run = tokio::spawn(endpoint.clone().run(echo, async move { stopped.await.unwrap_or(()) }));

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
        let half = |link: quic::Link| async move {
            let (mut send, _recv) = link.accept().await.unwrap();
            send.write_all_chunks(&mut ["half".into()]).await.unwrap();
            drop(send);
            link.closed().await;
        };
        let _run = tokio::spawn(endpoint.clone().run(half, std::future::pending()));
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
        let _run = tokio::spawn(endpoint.clone().run(echo, std::future::pending()));
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
