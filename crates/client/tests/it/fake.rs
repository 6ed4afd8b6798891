//! A server that does what the test says: real QUIC on loopback, and a conversation of frames on top.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use loquic_client::{Backoff, Builder, Client, SessionId};
use loquic_wire::{
    Decoder, Epoch, Flags, Format, Frame, Kind, Offset, Principal, ProducerTag, Record, TenantName, Time, UserName,
    control::{Hello, SessionLimits, Welcome},
    join::Joined,
    position::Millis,
    publish::{AckRun, Opened},
};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// Nothing in a test takes this long; a test that hangs fails with a message.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn patient<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub struct Fake {
    endpoint: quinn::Endpoint,
    pub url: String,
    pub pem: String,
    pub hash: [u8; 32],
}

impl Fake {
    pub fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().expect("TLS 1.3");
        let hash = suite.common.hash_provider.hash(certified.cert.der()).as_ref().try_into().expect("32 bytes");
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a key that fits");
        tls.alpn_protocols = vec![loquic_wire::ALPN.into()];
        let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("TLS 1.3")));
        let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let url = format!("https://127.0.0.1:{}", endpoint.local_addr().expect("an address").port());
        Self { endpoint, url, pem: certified.cert.pem(), hash }
    }

    /// A client of this server that does not lose time.
    pub fn client(&self) -> Builder {
        let backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(50) };
        Client::builder(&self.url).certificate_hash(self.hash).name("ada").backoff(backoff)
    }

    /// A connected client and its session.
    pub async fn connected(&self) -> (Client, Peer) {
        let (client, peer) = tokio::join!(self.client().connect(), self.session());
        (client.expect("a session"), peer)
    }

    /// Waits for a connection; handshakes that the client gives up are passed over.
    pub async fn connection(&self) -> quinn::Connection {
        loop {
            let incoming = patient("a connection", self.endpoint.accept()).await.expect("the endpoint is open");
            let connecting = incoming.accept().expect("a connection");
            if let Ok(connection) = patient("a handshake", connecting).await {
                return connection;
            }
        }
    }

    /// Waits for a session up to its `Hello`.
    pub async fn greeted(&self) -> Peer {
        let connection = self.connection().await;
        let (first, control) = accept(&connection).await;
        let Frame::Hello(hello) = first else { panic!("{} came before Hello", first.name()) };
        Peer { connection, control, hello }
    }

    /// Waits for a session and lets it in.
    pub async fn session(&self) -> Peer {
        let mut peer = self.greeted().await;
        peer.control.send(welcome()).await;
        peer
    }
}

pub fn welcome() -> Welcome {
    Welcome {
        version: 1,
        session: SessionId([1; 16]),
        node: "fake".into(),
        principal: Principal { tenant: TenantName::main(), user: UserName::new("ada").expect("a name") },
        limits: SessionLimits { rooms_max: 16, reads_max: 4, publish_max: 4, payload_bytes_max: 64 * 1024 },
        ping_interval: Millis(10_000),
        expires_at: None,
        server_time: Time::ZERO,
        nodes: Vec::new(),
    }
}

/// The server's side of one session.
pub struct Peer {
    pub connection: quinn::Connection,
    pub control: Line,
    pub hello: Hello,
}

impl Peer {
    /// The next stream and its first frame.
    pub async fn line(&self) -> (Frame, Line) {
        accept(&self.connection).await
    }

    /// Waits for a `Join` and answers it.
    pub async fn joined(&self, head: u64) -> (loquic_wire::join::Join, Line) {
        let (first, mut line) = self.line().await;
        let Frame::Join(join) = first else { panic!("{} is not Join", first.name()) };
        line.send(joined(7, head)).await;
        (join, line)
    }

    /// Waits for an `Open` and answers it.
    pub async fn opened(&self, last_id: u64) -> Line {
        let (first, mut line) = self.line().await;
        let Frame::Open(_) = first else { panic!("{} is not Open", first.name()) };
        line.send(Opened { last_id, in_flight_max: 100 }).await;
        line
    }

    /// Ends the connection without a word.
    pub fn cut(self) {
        self.connection.close(0u32.into(), b"");
    }

    /// Waits until the client has closed the connection.
    pub async fn closed(&self) {
        patient("the client to close", self.connection.closed()).await;
    }
}

async fn accept(connection: &quinn::Connection) -> (Frame, Line) {
    let (send, recv) = patient("a stream", connection.accept_bi()).await.expect("a stream");
    let mut line = Line { send, recv, decoder: Decoder::new() };
    (line.frame().await, line)
}

/// One stream as frames.
pub struct Line {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: Decoder,
}

impl Line {
    pub async fn send(&mut self, frame: impl Into<Frame>) {
        self.send.write_all(&frame.into().to_bytes()).await.expect("the stream is open");
    }

    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut out = Vec::new();
        frames.into_iter().for_each(|frame| frame.encode(&mut out));
        self.send.write_all(&out).await.expect("the stream is open");
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("frames") {
                return Some(frame);
            }
            let chunk = self.recv.read_chunk(65536, true).await.ok().flatten()?;
            self.decoder.push(&chunk.bytes).expect("frames");
        }
    }

    pub async fn frame(&mut self) -> Frame {
        patient("a frame", self.next()).await.expect("the stream goes on")
    }

    /// The ids and payloads of the next publishes.
    pub async fn publishes(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut publishes = Vec::new();
        for _ in 0..count {
            let frame = self.frame().await;
            let Frame::Publish(publish) = frame else { panic!("{} is not Publish", frame.name()) };
            publishes.push((publish.id, String::from_utf8_lossy(&publish.payload).into_owned()));
        }
        publishes
    }

    /// Nothing comes for a moment.
    pub async fn silent(&mut self) {
        if let Ok(frame) = tokio::time::timeout(Duration::from_millis(100), self.next()).await {
            panic!("{:?} came where nothing should", frame.map(|frame| frame.name()));
        }
    }

    pub fn finish(&mut self) {
        self.send.finish().expect("the stream is open");
    }
}

pub fn joined(epoch: u64, head: u64) -> Joined {
    Joined { handle: 1, epoch: Epoch::saturating(epoch), head: Offset::saturating(head), floor: Offset::FIRST }
}

pub fn record(offset: u64) -> Frame {
    sized_record(offset, 4)
}

pub fn sized_record(offset: u64, size: usize) -> Frame {
    Record {
        offset: Offset::saturating(offset),
        time: Time::saturating(1),
        kind: Kind::MESSAGE,
        format: Format::Bytes,
        flags: Flags::NONE,
        sender: UserName::new("bob").expect("a name"),
        producer: ProducerTag([9; 4]),
        id: offset,
        refers: None,
        payload: vec![b'x'; size].into(),
    }
    .into()
}

pub fn ack_run(first_id: u64, count: u32, first_offset: u64) -> AckRun {
    let (epoch, first_offset) = (Epoch::saturating(7), Offset::saturating(first_offset));
    AckRun { epoch, first_id, count, first_offset, time: Time::saturating(1) }
}
