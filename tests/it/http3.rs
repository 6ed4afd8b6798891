//! As much HTTP/3 as a session over WebTransport needs, by hand, so that it can be wrong wherever a test wants.

use loquic_wire::Frame;
use quinn::{ConnectionError, RecvStream, SendStream, TransportConfig};

use crate::raw::{Peer, Stream, address, config, hello, soon, tls};

/// SETTINGS: extended CONNECT, datagrams, and WebTransport in two drafts.
const SETTINGS: &[u8] =
    &[0x04, 20, 0x08, 1, 0x33, 1, 0xab, 0x60, 0x37, 0x42, 1, 0xc0, 0, 0, 0, 0xc6, 0x71, 0x70, 0x6a, 1, 0x21, 7];

/// What a stream of the session on stream 0 begins with.
pub const HEADER: [u8; 3] = [0x40, 0x41, 0];

/// A connection on which HTTP/3 has begun.
pub struct Http3 {
    pub peer: Peer,
    /// Its end would be that of the connection.
    pub control: SendStream,
}

/// A session.
pub struct WebSession {
    pub http3: Http3,
    pub request: (SendStream, RecvStream),
}

impl Http3 {
    /// A connection on which nothing was sent yet.
    pub async fn silent(port: u16) -> Peer {
        Peer::try_connect(address(port), config(tls("h3"), TransportConfig::default())).await.unwrap()
    }

    pub async fn connect(port: u16) -> Self {
        let peer = Self::silent(port).await;
        let mut control = soon("a control stream", peer.connection.open_uni()).await.unwrap();
        control.write_all(&[&[0], SETTINGS].concat()).await.unwrap();
        Self { peer, control }
    }

    /// Sends a request, and returns the status of its answer and the stream; `None` if there is no answer.
    pub async fn request(&self, bytes: &[u8]) -> (Option<u16>, (SendStream, RecvStream)) {
        let (mut send, mut recv) = soon("a stream", self.peer.connection.open_bi()).await.unwrap();
        let _ = send.write_all(bytes).await;
        let mut head = [0; 2];
        if soon("an answer", recv.read_exact(&mut head)).await.is_err() {
            return (None, (send, recv));
        }
        assert_eq!(head[0], 1, "the answer begins with HEADERS");
        let mut section = vec![0; usize::from(head[1])];
        soon("the whole answer", recv.read_exact(&mut section)).await.unwrap();
        (Some(status(&section)), (send, recv))
    }

    pub async fn open(&self, port: u16, origin: &[&str]) -> Option<u16> {
        self.request(&connect_request(port, "/v1", origin)).await.0
    }

    /// How the server closes the connection.
    pub async fn closed(&self) -> u64 {
        match soon("the end of the connection", self.peer.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("the connection was not closed by the server: {other}"),
        }
    }
}

impl WebSession {
    pub async fn connect(port: u16) -> Self {
        let http3 = Http3::connect(port).await;
        let (status, request) = http3.request(&connect_request(port, "/v1", &[])).await;
        assert_eq!(status, Some(200));
        Self { http3, request }
    }

    /// A stream that begins with these bytes, behind its header.
    pub async fn open(&self, bytes: &[u8]) -> Stream {
        self.http3.peer.open(&[&HEADER, bytes].concat()).await
    }

    /// Closes the connection and waits until the server knows.
    pub async fn close(self) {
        self.http3.peer.close().await;
    }

    pub async fn greet(&self) -> Stream {
        let mut control = self.open(&hello("mallory").to_bytes()).await;
        match control.next().await {
            Some(Frame::Welcome(_)) => control,
            other => panic!("no welcome: {other:?}"),
        }
    }
}

/// The session that this control stream belongs to is as good as before.
pub async fn lives(control: &mut Stream) {
    control.say(loquic_wire::control::Ping { token: 77 }).await;
    match control.next().await {
        Some(Frame::Pong(pong)) if pong.token == 77 => {}
        other => panic!("no Pong, but {other:?}"),
    }
}

pub fn connect_request(port: u16, path: &str, origins: &[&str]) -> Vec<u8> {
    let authority = format!("127.0.0.1:{port}");
    let mut fields = vec![
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", &*authority),
        (":path", path),
        (":protocol", "webtransport"),
    ];
    fields.extend(origins.iter().map(|origin| ("origin", *origin)));
    headers(&fields)
}

/// A HEADERS frame in which every field is spelled out.
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        prefixed(&mut section, 0x20, 3, name.len());
        section.extend_from_slice(name.as_bytes());
        prefixed(&mut section, 0, 7, value.len());
        section.extend_from_slice(value.as_bytes());
    }
    http3_frame(1, &section)
}

/// A frame of HTTP/3.
pub fn http3_frame(kind: u64, body: &[u8]) -> Vec<u8> {
    let mut out = varint(kind);
    out.extend(varint(body.len() as u64));
    out.extend_from_slice(body);
    out
}

/// QUIC's variable-length integers.
pub fn varint(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// An integer of QPACK behind some flags.
fn prefixed(out: &mut Vec<u8>, flags: u8, bits: u8, value: usize) {
    let most = (1_usize << bits) - 1;
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The status in a section that has nothing else: one of the static table, or a value in digits.
fn status(section: &[u8]) -> u16 {
    match section[2..] {
        [0xd9, ..] => 200,
        [0xdb, ..] => 404,
        [0xff, 5, ..] => 403,
        ref line => {
            let digits = line.len() - 3;
            std::str::from_utf8(&line[digits..]).unwrap().parse().unwrap()
        }
    }
}
