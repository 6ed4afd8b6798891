//! The protocol by hand, over quinn: sessions, joins, publish streams, and counting records without decoding them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use loquic::transport::tls;
use loquic_wire::{
    Decoder, Flags, Format, Frame, Kind, ProducerId, RoomName, UserName,
    control::{Auth, Hello, Welcome},
    frame::{self, put_frame, to_bytes},
    join::{From, Join, Joined, Mode, PresenceLevel},
    publish::{Open, Publish},
};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use url::Url;

/// Endpoints on loopback, one socket each: a single socket's buffer does not hold what a thousand connections are sent.
pub fn endpoints(count: usize, alpn: &[u8]) -> Vec<Endpoint> {
    let config = client_config(alpn);
    let bind = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
        // As much as the kernel gives.
        let _ = socket.set_recv_buffer_size(8 << 20);
        let _ = socket.set_send_buffer_size(8 << 20);
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        let runtime = Arc::new(quinn::TokioRuntime);
        let mut endpoint =
            Endpoint::new(quinn::EndpointConfig::default(), None, socket.into(), runtime).expect("an endpoint");
        endpoint.set_default_client_config(config.clone());
        endpoint
    };
    (0..count).map(|_| bind()).collect()
}

/// A client whose windows never hold the server back, and which trusts every certificate.
fn client_config(alpn: &[u8]) -> ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("AES-128-GCM is there");
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(8 << 20))
        .receive_window(VarInt::from_u32(32 << 20))
        .send_window(8 << 20)
        .max_concurrent_bidi_streams(0_u32.into())
        // What HTTP/3 is entitled to.
        .max_concurrent_uni_streams(3_u32.into())
        .keep_alive_interval(Some(Duration::from_secs(8)))
        .max_idle_timeout(Some(VarInt::from_u32(120_000).into()));
    config.transport_config(Arc::new(transport));
    config
}

/// How a session is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Quic,
    WebTransport,
}

impl Carrier {
    pub const ALL: [Self; 2] = [Self::Quic, Self::WebTransport];

    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
        }
    }

    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Quic => loquic_wire::ALPN.as_bytes(),
            Self::WebTransport => web_transport_quinn::ALPN.as_bytes(),
        }
    }

    /// What a stream begins with: over WebTransport its type (0x41), and the session's stream, which is the first.
    fn header(self) -> &'static [u8] {
        match self {
            Self::Quic => &[],
            Self::WebTransport => &[0x40, 0x41, 0],
        }
    }
}

/// A session.
pub struct Session {
    pub connection: Connection,
    carrier: Carrier,
    /// Its end would be the session's.
    _web: Option<web_transport_quinn::Session>,
    pub welcome: Welcome,
    /// Kept open: its end is the session's.
    pub control: Stream,
}

impl Session {
    /// Connects over QUIC and says hello.
    pub async fn open(endpoint: &Endpoint, to: SocketAddr, name: &str) -> Self {
        Self::open_over(Carrier::Quic, endpoint, to, name).await
    }

    /// Connects and says hello; the endpoint must have the carrier's ALPN.
    pub async fn open_over(carrier: Carrier, endpoint: &Endpoint, to: SocketAddr, name: &str) -> Self {
        let connecting = endpoint.connect(to, "localhost").expect("the address can be connected to");
        let connection = connecting.await.expect("connected");
        let hello = Hello {
            versions: vec![loquic_wire::VERSION],
            auth: Auth::Anonymous { name: UserName::new(name).expect("a name") },
            client: "bench".into(),
            previous: None,
        };
        let web = match carrier {
            Carrier::Quic => None,
            Carrier::WebTransport => {
                let url: Url = format!("https://{to}/v1").parse().expect("an address");
                let session = web_transport_quinn::Session::connect(connection.clone(), url).await;
                Some(session.expect("a WebTransport session"))
            }
        };
        let mut control = Stream::open(&connection, carrier, &hello).await;
        match control.frame().await {
            Some(Frame::Welcome(welcome)) => Self { connection, carrier, _web: web, welcome, control },
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// Joins a room in mode `all`.
    pub async fn join(&self, room: &str, from: From, credit: u64) -> (Stream, Joined) {
        let room = RoomName::new(room).expect("a name");
        let join = Join { room, from, mode: Mode::All, credit, presence: PresenceLevel::None };
        let mut stream = Stream::open(&self.connection, self.carrier, &join).await;
        match stream.frame().await {
            Some(Frame::Joined(joined)) => (stream, joined),
            other => panic!("not joined: {other:?}"),
        }
    }

    /// Opens a publish stream under a producer made of `number`; returns the last id too.
    pub async fn publisher(&self, room: &str, number: u64) -> (Stream, u64) {
        let mut producer = [0x62; 16];
        producer[..8].copy_from_slice(&number.to_be_bytes());
        let room = RoomName::new(room).expect("a name");
        let mut stream =
            Stream::open(&self.connection, self.carrier, &Open { room, producer: ProducerId(producer) }).await;
        match stream.frame().await {
            Some(Frame::Opened(opened)) => (stream, opened.last_id),
            other => panic!("not opened: {other:?}"),
        }
    }
}

/// Both halves of a stream.
pub struct Stream {
    pub send: SendStream,
    pub recv: RecvStream,
    decoder: Decoder,
}

impl Stream {
    /// Opens a stream with its first frame.
    pub async fn open<B: frame::Body>(connection: &Connection, carrier: Carrier, first: &B) -> Self {
        let (mut send, recv) = connection.open_bi().await.expect("a stream");
        send.write_all(carrier.header()).await.expect("written");
        send.write_chunk(to_bytes(first)).await.expect("written");
        Self { send, recv, decoder: Decoder::new() }
    }

    /// The next frame; `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("a sound frame") {
                return Some(frame);
            }
            let chunk = self.recv.read_chunk(64 << 10, true).await.expect("readable")?;
            self.decoder.push(&chunk.bytes).expect("sound frames");
        }
    }

    /// Takes what the decoder holds, and leaves the stream to a [`Cutter`]. Nothing but whole frames may be held.
    pub fn into_halves(mut self) -> (SendStream, RecvStream, Vec<Frame>) {
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.next_frame().expect("a sound frame") {
            frames.push(frame);
        }
        assert!(self.decoder.is_empty(), "a frame is held in part");
        (self.send, self.recv, frames)
    }
}

/// Reads answers to publishes until everything up to `id` is acked; what comes with them may be acked too.
pub async fn acked_up_to(stream: &mut Stream, id: u64) -> u64 {
    loop {
        let last = match stream.frame().await {
            Some(Frame::Ack(ack)) => ack.id,
            Some(Frame::AckRun(run)) => run.first_id + u64::from(run.count) - 1,
            other => panic!("not acked: {other:?}"),
        };
        if last >= id {
            return last;
        }
    }
}

/// Publishes `count` times, pipelined, from id `first` on, and returns the next id when all are acked.
pub async fn publish_many(stream: &mut Stream, first: u64, count: u64, payload: &Bytes) -> u64 {
    // At most two bursts are under way, fewer than any node allows.
    const BURST: u64 = 256;
    let end = first + count;
    let (mut next, mut acked) = (first, first);
    while acked < end {
        while next < end && next < acked + 2 * BURST {
            let mut out = Vec::new();
            let until = end.min(next + BURST);
            (next..until).for_each(|id| put_publish(&mut out, id, payload.clone()));
            stream.send.write_chunk(out.into()).await.expect("written");
            next = until;
        }
        acked = acked_up_to(stream, next.min(acked + BURST) - 1).await + 1;
    }
    end
}

/// Fills a room: small submissions are answered before the next is sent, so that each is a chunk; large ones overlap
/// and are joined up to the size of a chunk.
pub async fn fill(to: SocketAddr, room: &str, records: u64, per_submission: u64, payload_bytes: usize) {
    let endpoint = endpoints(1, b"loquic-1").remove(0);
    let session = Session::open(&endpoint, to, "ada").await;
    let (mut stream, _) = session.publisher(room, 1).await;
    let ahead = if per_submission >= 256 { 16 * per_submission } else { per_submission };
    let payload = Bytes::from(vec![b'x'; payload_bytes]);
    let (mut sent, mut acked) = (0, 0);
    while acked < records {
        while sent < records && sent + per_submission <= acked + ahead {
            let (mut out, until) = (Vec::new(), records.min(sent + per_submission));
            (sent + 1..=until).for_each(|id| put_publish(&mut out, id, payload.clone()));
            sent = until;
            stream.send.write_chunk(out.into()).await.expect("the stream takes publishes");
        }
        acked += match stream.frame().await {
            Some(Frame::Ack(_)) => 1,
            Some(Frame::AckRun(run)) => u64::from(run.count),
            other => panic!("in place of an ack came {other:?}"),
        };
    }
    leave(&endpoint, &session).await;
}

/// A node that is to end waits for sessions that are open.
pub async fn leave(endpoint: &Endpoint, session: &Session) {
    session.connection.close(0u32.into(), b"");
    endpoint.wait_idle().await;
}

/// Appends a publish of bytes.
pub fn put_publish(out: &mut Vec<u8>, id: u64, payload: Bytes) {
    let (kind, format, flags) = (Kind::MESSAGE, Format::Bytes, Flags::NONE);
    put_frame(out, &Publish { id, kind, format, flags, refers: None, payload });
}

/// Cuts a stream into frames without decoding them.
#[derive(Debug, Default)]
pub struct Cutter {
    partial: Vec<u8>,
}

impl Cutter {
    /// Gives `take` each whole frame: its kind (of one byte) and its bytes.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(u8, &[u8])) {
        if self.partial.is_empty() {
            let used = cut(piece, &mut take);
            self.partial.extend_from_slice(&piece[used..]);
        } else {
            self.partial.extend_from_slice(piece);
            let used = cut(&self.partial, &mut take);
            self.partial.drain(..used);
        }
    }
}

fn cut(bytes: &[u8], take: &mut impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some((header, body)) = frame::header(&bytes[at..]).expect("a sound header") {
        let Some(frame) = bytes.get(at..at + header + body) else { break };
        take(frame[header - 1], frame);
        at += frame.len();
    }
    at
}

/// The kind of a `Record` on the wire.
pub const RECORD_KIND: u8 = <loquic_wire::Record as frame::Body>::KIND as u8;

#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &tls::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &tls::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
