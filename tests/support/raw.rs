//! Frames by hand, for what a well-behaved client hides or would never do.

use std::{fs, net::Ipv4Addr, sync::Arc};

use loquic_client::{ProducerId, RoomName, UserName};
use loquic_wire::{
    ALPN, Frame, VERSION,
    control::{Auth, Hello},
    frame::Decoder,
    publish::{Open, Publish},
    record::{Flags, Format, Kind},
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::Site;

/// A connection on which nothing happens by itself.
pub struct Raw {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl Raw {
    /// Connects to the site's node, and trusts its development certificate.
    pub async fn connect(site: &Site) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = fs::read(site.home().join("certs/dev.pem")).expect("read the certificate");
        roots.add(CertificateDer::from_pem_slice(&pem).expect("it is PEM")).expect("it is a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a suite for QUIC")));
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        let address = (Ipv4Addr::LOCALHOST, site.port()).into();
        let connecting = endpoint.connect_with(config, address, "127.0.0.1").expect("connect");
        Self { connection: connecting.await.expect("connect"), _endpoint: endpoint }
    }

    /// The connection itself.
    pub fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    /// Opens a stream with these frames.
    pub async fn stream(&self, first: impl IntoIterator<Item = Frame>) -> Stream {
        let (send, recv) = self.connection.open_bi().await.expect("open a stream");
        let mut stream = Stream { send, recv, decoder: Decoder::new() };
        stream.send(first).await;
        stream
    }

    /// The control stream, behind its `Welcome`.
    pub async fn greet(&self, name: &str) -> Stream {
        let auth = Auth::Anonymous { name: UserName::new(name).expect("a name") };
        let hello = Hello { versions: vec![VERSION], auth, client: "raw".into(), previous: None };
        let mut control = self.stream([hello.into()]).await;
        let welcome = control.next().await;
        assert!(matches!(welcome, Some(Frame::Welcome(_))), "no Welcome: {welcome:?}");
        control
    }
}

/// A stream of frames.
pub struct Stream {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: Decoder,
}

impl Stream {
    /// Sends frames.
    pub async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut bytes = Vec::new();
        frames.into_iter().for_each(|frame| frame.encode(&mut bytes));
        self.send_bytes(&bytes).await;
    }

    /// Sends what may not be frames.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("send");
    }

    /// The next frame; nothing once the stream or the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("the server sends frames") {
                return Some(frame);
            }
            let chunk = self.recv.read_chunk(64 * 1024, true).await.ok().flatten()?;
            self.decoder.push(&chunk.bytes).expect("the server sends frames");
        }
    }
}

/// The first frame of a publish stream.
pub fn open(room: &str, producer: u8) -> Frame {
    Open { room: RoomName::new(room).expect("a name"), producer: ProducerId([producer; 16]) }.into()
}

/// A publish of text.
pub fn text(id: u64, text: &str) -> Frame {
    let payload = text.as_bytes().to_vec().into();
    Publish { id, kind: Kind::MESSAGE, format: Format::Text, flags: Flags::NONE, refers: None, payload }.into()
}
