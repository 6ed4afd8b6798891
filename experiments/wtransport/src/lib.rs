//! One server over either library, and a client that writes HTTP/3 by hand.
//!
//! The server answers each stream of a session with the first byte that the stream brought, and closes the session with
//! [`CLOSE_CODE`] when that byte is [`CLOSE`].

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use quinn::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::task::JoinSet;

/// What makes the server close the session.
pub const CLOSE: u8 = 0xff;
/// The code that it closes with.
pub const CLOSE_CODE: u32 = 2_002;
/// What is not there by then does not come: everything here happens on loopback, in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// SETTINGS: extended CONNECT, datagrams, and WebTransport in two drafts.
const SETTINGS: &[u8] =
    &[0x04, 20, 0x08, 1, 0x33, 1, 0xab, 0x60, 0x37, 0x42, 1, 0xc0, 0, 0, 0, 0xc6, 0x71, 0x70, 0x6a, 1, 0x21, 7];

/// What a stream of the session on stream 0 begins with.
pub const HEADER: [u8; 3] = [0x40, 0x41, 0];

/// Who speaks HTTP/3 for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// The one that Loquic uses.
    WebTransportQuinn,
    /// The other one.
    Wtransport,
}

/// A certificate and its key, made for this run.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// For 127.0.0.1.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("make a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is a key");
        Self { certificate: made.cert.der().clone(), key }
    }

    /// As it goes into files.
    pub fn to_der(&self) -> (Vec<u8>, Vec<u8>) {
        (self.certificate.to_vec(), self.key.secret_der().to_vec())
    }

    /// Out of files.
    pub fn from_der(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self { certificate: certificate.into(), key: PrivateKeyDer::try_from(key).expect("it is a key") }
    }

    fn server(&self) -> ServerConfig {
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .expect("the key fits the certificate");
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("TLS for QUIC")));
        config.transport_config(transport());
        config
    }

    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is a certificate");
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS for QUIC")));
        config.transport_config(transport());
        config
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// As Loquic has it: 16 streams at first, and windows that are finite.
fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(17_u32.into())
        .max_concurrent_uni_streams(3_u32.into())
        .receive_window((1_u32 << 20).into())
        .stream_receive_window((1_u32 << 16).into())
        .max_idle_timeout(None);
    Arc::new(config)
}

/// Serves on a port of its own for as long as the returned endpoint and tasks are kept.
pub fn serve(library: Library, identity: &Identity) -> (Endpoint, JoinSet<()>) {
    let endpoint = Endpoint::server(identity.server(), (Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    let mut tasks = JoinSet::new();
    let accepting = endpoint.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Some(incoming) = accepting.accept().await {
            let Ok(connecting) = incoming.accept() else { continue };
            match library {
                Library::WebTransportQuinn => connections.spawn(web_transport_quinn(connecting)),
                Library::Wtransport => connections.spawn(wtransport(connecting)),
            };
        }
    });
    (endpoint, tasks)
}

async fn web_transport_quinn(connecting: quinn::Connecting) {
    let Ok(connection) = connecting.await else { return };
    let Ok(request) = ::web_transport_quinn::Request::accept(connection).await else { return };
    let Ok(session) = request.ok().await else { return };
    let mut streams = JoinSet::new();
    while let Ok((mut send, mut recv)) = session.accept_bi().await {
        let session = session.clone();
        streams.spawn(async move {
            let mut byte = [0];
            while recv.read_exact(&mut byte).await.is_ok() && send.write_all(&byte).await.is_ok() {
                if byte[0] == CLOSE {
                    session.close(CLOSE_CODE, b"draining");
                }
            }
        });
    }
    // Its end is that of HTTP/3.
    session.closed().await;
}

async fn wtransport(connecting: quinn::Connecting) {
    use ::wtransport::{VarInt, endpoint::IncomingSessionFuture};
    let Ok(request) = IncomingSessionFuture::with_quic_connecting(connecting).await else { return };
    let Ok(session) = request.accept().await else { return };
    let session = Arc::new(session);
    let mut streams = JoinSet::new();
    while let Ok((mut send, mut recv)) = session.accept_bi().await {
        let session = session.clone();
        streams.spawn(async move {
            let mut byte = [0];
            while recv.read_exact(&mut byte).await.is_ok() && send.write_all(&byte).await.is_ok() {
                if byte[0] == CLOSE {
                    session.close(VarInt::from_u32(CLOSE_CODE), b"draining");
                }
            }
        });
    }
    session.closed().await;
}

/// A session, by hand.
pub struct Session {
    /// Beneath.
    pub connection: Connection,
    /// The stream of the request.
    pub request: (SendStream, RecvStream),
    /// Its end would be that of the connection.
    pub control: SendStream,
}

impl Session {
    /// Connects from an endpoint and asks for a session.
    pub async fn connect(from: &Endpoint, identity: &Identity, port: u16) -> Self {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let connecting = from.connect_with(identity.client(), address, "127.0.0.1").expect("connect");
        let connection = connecting.await.expect("shake hands");
        let mut control = connection.open_uni().await.expect("a control stream");
        control.write_all(&[&[0], SETTINGS].concat()).await.expect("send SETTINGS");
        let mut request = connection.open_bi().await.expect("a stream");
        request.0.write_all(&connect_request(port)).await.expect("ask for a session");
        let mut head = [0; 2];
        request.1.read_exact(&mut head).await.expect("an answer");
        let mut section = vec![0; usize::from(head[1])];
        request.1.read_exact(&mut section).await.expect("the whole answer");
        // Whether it is 200, in one of many encodings, shows in whether there is a session.
        assert_eq!(head[0], 1, "the answer begins with HEADERS");
        Self { connection, request, control }
    }

    /// Opens a stream with these bytes, as they are.
    pub async fn open(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let mut stream = self.connection.open_bi().await.expect("a stream");
        stream.0.write_all(bytes).await.expect("write");
        stream
    }

    /// Whether the server answers a new stream.
    pub async fn answers(&self) -> bool {
        let Ok((mut send, mut recv)) = self.connection.open_bi().await else { return false };
        let mut byte = [0];
        let asked = send.write_all(&[&HEADER[..], &[7]].concat()).await.is_ok();
        asked && matches!(tokio::time::timeout(PATIENCE, recv.read_exact(&mut byte)).await, Ok(Ok(())))
    }
}

/// A socket to connect from.
pub fn client() -> Endpoint {
    Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket")
}

/// CONNECT, every field spelled out.
fn connect_request(port: u16) -> Vec<u8> {
    let authority = format!("127.0.0.1:{port}");
    let mut section = vec![0, 0];
    for (name, value) in [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", &*authority),
        (":path", "/v1"),
        (":protocol", "webtransport"),
    ] {
        // RFC 9204 section 4.5.6, names of 7 bytes and more need a second byte.
        match name.len() {
            length @ 0..7 => section.push(0x20 | length as u8),
            length => section.extend([0x27, (length - 7) as u8]),
        }
        section.extend(name.as_bytes());
        section.push(value.len() as u8);
        section.extend(value.as_bytes());
    }
    // A length of two bytes, RFC 9000 section 16.
    [vec![1], (0x4000 | section.len() as u16).to_be_bytes().to_vec(), section].concat()
}
