//! A peer that speaks raw bytes over raw QUIC, so that it can do what no decent client does.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use loquic_wire::{
    Code, Decoder, Frame, RoomName, UserName,
    coding::put_varint,
    control::{Auth, Hello, Welcome},
    join::{From, Join, Joined, Mode, PresenceLevel},
    publish::{Open, Opened, Publish},
    read::{Range, Read},
};
use quinn::{ClientConfig, ConnectionError, TransportConfig, crypto::rustls::QuicClientConfig};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::time::timeout;

/// Longer than any answer takes on a busy machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What comes of it, or a failure that says what did not.
#[track_caller]
pub fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move { timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come ({place})")) }
}

/// A connection with nothing said on it.
pub struct Peer {
    pub connection: quinn::Connection,
    endpoint: quinn::Endpoint,
}

/// TLS that takes any certificate.
pub fn tls(protocol: &str) -> rustls::ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.into()];
    tls
}

/// QUIC over that TLS.
pub fn config(tls: rustls::ClientConfig, transport: TransportConfig) -> ClientConfig {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(transport));
    config
}

/// A client's endpoint.
pub fn endpoint() -> quinn::Endpoint {
    quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

impl Peer {
    pub async fn connect(port: u16) -> Self {
        Self::connect_with(port, TransportConfig::default()).await
    }

    pub async fn connect_with(port: u16, transport: TransportConfig) -> Self {
        Self::try_connect(address(port), config(tls(loquic_wire::ALPN), transport)).await.unwrap()
    }

    pub async fn try_connect(to: SocketAddr, config: ClientConfig) -> Result<Self, ConnectionError> {
        let endpoint = endpoint();
        let connecting = endpoint.connect_with(config, to, "localhost").unwrap();
        let connection = soon("a connection", connecting).await?;
        Ok(Self { connection, endpoint })
    }

    /// A stream that begins with these bytes.
    pub async fn open(&self, bytes: &[u8]) -> Stream {
        let (send, recv) = soon("a stream", self.connection.open_bi()).await.unwrap();
        let mut stream = Stream { send, recv, decoder: Decoder::new() };
        stream.write(bytes).await;
        stream
    }

    /// A session of somebody well-behaved so far.
    pub async fn greet(self) -> Session {
        let mut control = self.open(&hello("mallory").to_bytes()).await;
        match control.next().await {
            Some(Frame::Welcome(welcome)) => Session { peer: self, control, welcome },
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// The code with which the server closes the connection.
    pub async fn closed(&self) -> Code {
        match soon("the end of the connection", self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => Code(u16::try_from(close.error_code.into_inner()).unwrap()),
            other => panic!("the connection was not closed by the server: {other}"),
        }
    }

    /// Closes the connection and waits until the server knows.
    pub async fn close(self) {
        self.connection.close(0_u32.into(), b"");
        soon("the end of the endpoint", self.endpoint.wait_idle()).await;
    }
}

/// A session.
pub struct Session {
    pub peer: Peer,
    pub control: Stream,
    pub welcome: Welcome,
}

impl Session {
    pub async fn connect(port: u16) -> Self {
        Peer::connect(port).await.greet().await
    }

    pub async fn open(&self, bytes: &[u8]) -> Stream {
        self.peer.open(bytes).await
    }

    /// A join from here on.
    pub async fn join(&self, room: &str, from: From, credit: u64) -> (Stream, Joined) {
        let mut stream = self.open(&join(room, from, credit).to_bytes()).await;
        match stream.next().await {
            Some(Frame::Joined(joined)) => (stream, joined),
            other => panic!("not joined: {other:?}"),
        }
    }

    /// A publish stream.
    pub async fn publisher(&self, room: &str, producer: u8) -> (Stream, Opened) {
        let mut stream = self.open(&open(room, producer).to_bytes()).await;
        match stream.next().await {
            Some(Frame::Opened(opened)) => (stream, opened),
            other => panic!("not opened: {other:?}"),
        }
    }

    /// The server ends the session for this reason and says so; this side closes.
    #[track_caller]
    pub fn ends_with(mut self, code: Code) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                match self.control.next().await {
                    Some(Frame::Closing(closing)) => {
                        assert_eq!(closing.code, code, "{} ({place})", closing.reason);
                        assert!(!closing.reason.is_empty(), "it says why");
                        assert_eq!(self.control.next().await, None, "nothing comes behind Closing");
                        return self.peer.close().await;
                    }
                    Some(Frame::Pong(_) | Frame::Peeked(_)) => {}
                    other => panic!("no Closing, but {other:?} ({place})"),
                }
            }
        }
    }

    /// The session is as good as before.
    pub async fn lives(&mut self) {
        self.control.say(loquic_wire::control::Ping { token: 77 }).await;
        match self.control.next().await {
            Some(Frame::Pong(pong)) if pong.token == 77 => {}
            other => panic!("no Pong, but {other:?}"),
        }
    }
}

/// A stream.
pub struct Stream {
    pub send: quinn::SendStream,
    pub recv: quinn::RecvStream,
    decoder: Decoder,
}

impl Stream {
    /// A server that has ended the stream does not read the rest; that is no failure of the writer.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = soon("flow control", self.send.write_all(bytes)).await;
    }

    pub async fn say(&mut self, frame: impl Into<Frame>) {
        self.write(&frame.into().to_bytes()).await;
    }

    pub fn finish(&mut self) {
        self.send.finish().unwrap();
    }

    /// The next frame; `None` at the end of the stream.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<Frame>> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                if let Some(frame) = self.decoder.next_frame().expect("the server sends sound frames") {
                    return Some(frame);
                }
                let chunk = soon("a frame", self.recv.read_chunk(usize::MAX, true)).await;
                match chunk.unwrap_or_else(|error| panic!("the stream broke: {error} ({place})")) {
                    Some(chunk) => self.decoder.push(&chunk.bytes).expect("the server sends sound frames"),
                    None => {
                        self.decoder.finish().expect("the server ends the stream between frames");
                        return None;
                    }
                }
            }
        }
    }

    /// The server refuses what the stream is for, and ends it.
    #[track_caller]
    pub fn refused(&mut self, code: Code) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some(Frame::Refused(refused)) => {
                    assert_eq!(refused.code, code, "{} ({place})", refused.message);
                    assert!(!refused.message.is_empty(), "it says why");
                }
                other => panic!("no Refused, but {other:?} ({place})"),
            }
            assert_eq!(self.next().await, None, "nothing comes behind Refused");
        }
    }

    /// The server ends the subscription.
    #[track_caller]
    pub fn left(&mut self, code: Code) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                match self.next().await {
                    Some(Frame::Left(left)) => {
                        assert_eq!(left.code, code, "{place}");
                        assert_eq!(self.next().await, None, "nothing comes behind Left");
                        return;
                    }
                    Some(Frame::CaughtUp(_) | Frame::Record(_)) => {}
                    other => panic!("no Left, but {other:?} ({place})"),
                }
            }
        }
    }
}

pub fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A frame of any kind with any body.
pub fn frame(kind: u64, body: &[u8]) -> Vec<u8> {
    let mut out = header(body.len() as u64, kind);
    out.extend_from_slice(body);
    out
}

/// What announces a frame.
pub fn header(length: u64, kind: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, length);
    put_varint(&mut out, kind);
    out
}

pub fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

pub fn hello(name: &str) -> Frame {
    let auth = Auth::Anonymous { name: UserName::new(name).unwrap() };
    Hello { versions: vec![loquic_wire::VERSION], auth, client: "raw".into(), previous: None }.into()
}

pub fn join(name: &str, from: From, credit: u64) -> Frame {
    Join { room: room(name), from, mode: Mode::All, credit, presence: PresenceLevel::None }.into()
}

pub fn open(name: &str, producer: u8) -> Frame {
    Open { room: room(name), producer: loquic_wire::ProducerId([producer; 16]) }.into()
}

pub fn publish(id: u64, payload: impl Into<bytes::Bytes>) -> Publish {
    use loquic_wire::{Flags, Format, Kind};
    let payload = payload.into();
    Publish { id, kind: Kind::MESSAGE, format: Format::Bytes, flags: Flags::NONE, refers: None, payload }
}

pub fn read(name: &str, range: Range, limit: u32) -> Frame {
    Read { room: room(name), range, limit }.into()
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
