//! Connecting: UDP sockets, the transports' parameters, and which one is tried when.

use std::{
    future::Future,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

/// TLS and the transport's parameters; only this file and those of the transports look inside.
pub(crate) use quinn::ClientConfig;
use quinn::{EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    address::Address,
    error::Error,
    link::Link,
    liveness,
    quic::Quic,
    subscription::WINDOW_MIN,
    sync::lock,
    tls,
    transport::Transport,
    websocket::WebSocket,
    webtransport::{self, WebTransport},
};

/// A UDP socket that clients can share: thousands of sessions over a few sockets, each still with a connection of its
/// own.
///
/// A client that is not given one binds its own. It stays open until the last client that uses it is gone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: quinn::Endpoint,
}

impl Endpoint {
    /// Binds a socket; port 0 lets the system choose. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Connect(format!("cannot bind {address}: {error}").into());
        let socket = socket(address).map_err(failed)?;
        let config = EndpointConfig::default();
        let inner = quinn::Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).map_err(failed)?;
        Ok(Self { inner })
    }

    /// The address that it is bound to.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        self.inner.local_addr().map_err(|error| Error::Connect(error.to_string().into()))
    }

    fn connect(&self, config: ClientConfig, to: SocketAddr, name: &str) -> Result<quinn::Connecting, Error> {
        let to = if self.inner.local_addr().is_ok_and(|local| local.is_ipv6()) { mapped(to) } else { to };
        self.inner.connect_with(config, to, name).map_err(|error| Error::Connect(error.to_string().into()))
    }

    /// Waits until the other side has been told about closed connections, or has had the time to. Clients that share a
    /// socket do not wait for it when they are closed: whoever has closed the last one does.
    pub async fn wait_idle(&self) {
        let _ = tokio::time::timeout(CLOSE_WAIT_MAX, self.inner.wait_idle()).await;
    }
}

/// Telling the peer takes a packet; its acknowledgement is not worth more of the caller's time.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(300);

/// The sockets of one client: one for each address family, bound when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    shared: Option<Endpoint>,
    own: Mutex<[Option<Endpoint>; 2]>,
}

impl Endpoints {
    pub(crate) fn new(shared: Option<Endpoint>) -> Self {
        Self { shared, own: Mutex::default() }
    }

    /// Connects over the first transport that does.
    pub(crate) async fn connect(&self, address: &Address, ways: &Ways) -> Result<Arc<dyn Link>, Error> {
        match ways {
            Ways::Udp(transport, config) => self.connect_udp(address, *transport, config).await,
            Ways::Tcp(tls) => connect_tcp(address, tls).await,
            Ways::Either(config, tls) => {
                let quic = self.connect_udp(address, Transport::Quic, config);
                race(quic, connect_tcp(address, tls)).await
            }
        }
    }

    /// Connects to the first of the host's addresses that answers.
    async fn connect_udp(
        &self,
        address: &Address,
        transport: Transport,
        config: &ClientConfig,
    ) -> Result<Arc<dyn Link>, Error> {
        let unresolved = |reason| Error::Connect(format!("cannot resolve {}: {reason}", address.host).into());
        let resolved = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
        let mut last = unresolved("it has no address".to_owned());
        for to in resolved.map_err(|error| unresolved(error.to_string()))? {
            let attempt = async {
                let connecting = self.endpoint(to)?.connect(config.clone(), to, &address.host)?;
                let link: Arc<dyn Link> = match transport {
                    Transport::WebTransport => Arc::new(WebTransport::new(connecting, address).await?),
                    _ => Arc::new(Quic::new(connecting).await?),
                };
                Ok(link)
            };
            match tokio::time::timeout(ATTEMPT_MAX, attempt).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(error)) => last = error,
                Err(_) => last = Error::Connect(format!("{to} does not answer").into()),
            }
        }
        Err(last)
    }

    fn endpoint(&self, to: SocketAddr) -> Result<Endpoint, Error> {
        if let Some(shared) = &self.shared {
            return Ok(shared.clone());
        }
        let slot = &mut lock(&self.own)[usize::from(to.is_ipv6())];
        if let Some(endpoint) = slot {
            return Ok(endpoint.clone());
        }
        let any = if to.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
        Ok(slot.insert(Endpoint::bind(any)?).clone())
    }

    /// Waits for the goodbye to be on its way; a shared socket is not waited for, since others keep it busy.
    pub(crate) async fn wait_idle(&self) {
        let own = lock(&self.own).clone();
        for endpoint in own.iter().flatten() {
            endpoint.wait_idle().await;
        }
    }
}

async fn connect_tcp(address: &Address, tls: &Arc<rustls::ClientConfig>) -> Result<Arc<dyn Link>, Error> {
    match tokio::time::timeout(ATTEMPT_MAX, WebSocket::connect(address, tls.clone())).await {
        Ok(link) => Ok(Arc::new(link?)),
        Err(_) => Err(Error::Connect(format!("{address} does not answer over TCP").into())),
    }
}

/// Gives `first` a head start, then tries `second` as well, and takes the one that connects. If none does, it is the
/// first one's reason that counts.
async fn race<T>(
    first: impl Future<Output = Result<T, Error>>,
    second: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let early = tokio::time::timeout(HEAD_START, first.as_mut()).await;
    let reason = match early {
        Ok(Ok(link)) => return Ok(link),
        Ok(Err(reason)) => reason,
        Err(_) => tokio::select! {
            // If both are there, the cheaper one.
            biased;
            result = first.as_mut() => match result {
                Ok(link) => return Ok(link),
                Err(reason) => reason,
            },
            result = second.as_mut() => match result {
                Ok(link) => return Ok(link),
                Err(_) => return first.await,
            },
        },
    };
    second.await.map_err(|_| reason)
}

/// What QUIC needs to connect on nearly every path, and what nobody minds to wait where it cannot.
const HEAD_START: Duration = Duration::from_millis(500);

/// Longest wait for one address of a host. A handshake takes two round trips, with WebTransport three: 4.5 s on a path
/// of 1.5 s, and 3 s more if a packet has to be repeated there.
const ATTEMPT_MAX: Duration = Duration::from_secs(8);

/// A socket with room for what arrives while the process is not scheduled; the system may allow less, which only costs
/// speed.
fn socket(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// 20 ms at 1.6 Gbit/s, which is what one core takes in.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// An IPv4 address as a socket of the other family wants it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 => v6,
    }
}

/// The transport's side of a connection.
fn config(tls: rustls::ClientConfig, streams_uni: u32) -> Result<ClientConfig, Error> {
    let crypto =
        quinn::crypto::rustls::QuicClientConfig::try_from(tls).map_err(|error| Error::Tls(error.to_string().into()))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(streams_uni))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().map_err(|_| Error::Tls("a timeout out of range".into()))?));
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Bytes of records that all rooms of a session together may have on their way to the application.
pub(crate) const CREDIT_BYTES_SUM: u64 = 128 << 20;

/// What one room gets of it unless the builder says otherwise: more than what a fast peer sends while one grant is on
/// its way, 10 ms at 800 Mbit/s.
pub(crate) const CREDIT_BYTES_DEFAULT: u64 = 1 << 20;

/// The most that one room of a session may get, so that `rooms_max` of them stay within the sum.
pub(crate) fn credit_share(rooms_max: u32) -> u64 {
    (CREDIT_BYTES_SUM / u64::from(rooms_max.max(1))).max(WINDOW_MIN)
}

/// How many rooms the sum has space for, at most `rooms_max`.
pub(crate) fn rooms_max(rooms_max: u32) -> u32 {
    u32::try_from(CREDIT_BYTES_SUM / credit_share(rooms_max)).unwrap_or(u32::MAX).min(rooms_max)
}

/// Streams are always read, so a stream's window only has to cover one round trip; it must not be the narrow place.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// A bound, not an allocation: memory is used by what has come and has not been read.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 256 << 20;

/// Unacknowledged bytes going up.
const SEND_WINDOW_BYTES: u64 = 4 << 20;

/// Pings come more often than this, so only a dead connection reaches it.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const _: () = assert!(CREDIT_BYTES_SUM * 2 <= CONNECTION_WINDOW_BYTES as u64, "unread rooms may not stop the session");
const _: () = assert!(STREAM_WINDOW_BYTES as u64 >= CREDIT_BYTES_DEFAULT, "credit is what limits a room");
const _: () = assert!(CREDIT_BYTES_SUM / WINDOW_MIN >= 256, "the default limit of a server is reachable");
const _: () = assert!(liveness::INTERVAL_MAX.as_secs() * 2 <= IDLE_TIMEOUT.as_secs());

/// What a client needs to connect, and over what.
#[derive(Debug)]
pub(crate) enum Ways {
    Udp(Transport, ClientConfig),
    Tcp(Arc<rustls::ClientConfig>),
    /// QUIC with a head start.
    Either(ClientConfig, Arc<rustls::ClientConfig>),
}

impl Ways {
    pub(crate) fn new(trust: &tls::Trust, transport: Transport) -> Result<Self, Error> {
        let udp = |streams_uni| config(tls::config(trust, transport.alpn())?, streams_uni);
        let tcp = || tls::config(trust, Transport::WebSocket.alpn()).map(Arc::new);
        Ok(match transport {
            Transport::Quic => Self::Udp(transport, udp(0)?),
            Transport::WebTransport => Self::Udp(transport, udp(webtransport::STREAMS_UNI)?),
            Transport::WebSocket => Self::Tcp(tcp()?),
            Transport::Auto => Self::Either(udp(0)?, tcp()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(milliseconds: u64, outcome: Result<&'static str, &'static str>) -> Result<&'static str, Error> {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        outcome.map_err(|reason| Error::Connect(reason.into()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_way_is_tried_when_the_first_has_not_connected() {
        let start = tokio::time::Instant::now();
        for (first, second, outcome, took) in [
            (after(499, Ok("a")), after(0, Ok("b")), Ok("a"), 499),
            (after(10_000, Ok("a")), after(20, Ok("b")), Ok("b"), 520),
            (after(600, Ok("a")), after(200, Ok("b")), Ok("a"), 600),
            (after(10, Err("a")), after(20, Ok("b")), Ok("b"), 30),
            (after(600, Err("a")), after(200, Ok("b")), Ok("b"), 700),
            (after(10, Err("a")), after(20, Err("b")), Err("a"), 30),
            (after(5_000, Err("a")), after(20, Err("b")), Err("a"), 5_000),
            (after(5_000, Ok("a")), after(20, Err("b")), Ok("a"), 5_000),
        ] {
            let before = start.elapsed();
            let result = race(first, second).await.map_err(|error| error.to_string());
            assert_eq!(result, outcome.map_err(|reason| format!("cannot connect: {reason}")));
            assert_eq!((start.elapsed() - before).as_millis(), took);
        }
    }

    #[test]
    fn the_sum_of_the_credits_stays_within_half_the_window() {
        for limit in [0, 1, 16, 64, 256, 1024, u32::MAX] {
            assert!(credit_share(limit) * u64::from(rooms_max(limit)) <= CREDIT_BYTES_SUM, "{limit} rooms");
        }
        assert_eq!(rooms_max(256), 256);
    }
}
