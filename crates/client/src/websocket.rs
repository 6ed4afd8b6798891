//! A WebSocket as a link: QMux makes QUIC's streams of its messages. For networks that let no UDP through.

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{
    FutureExt, StreamExt,
    channel::mpsc::{self, Receiver, Sender},
    future::BoxFuture,
};
use qmux::{Session, Version, ws::Upgraded};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};
use web_transport_trait::{RecvStream as _, SendStream as _, Session as _};

use crate::{
    address::Address,
    endpoint::{CONNECTION_WINDOW_BYTES, IDLE_TIMEOUT, STREAM_WINDOW_BYTES},
    error::Error,
    link::{Halves, Link, Priority, RecvHalf, SendHalf},
};

/// What TLS agrees on.
pub(crate) const ALPN: &str = "http/1.1";

/// The version of QMux, and the protocol in it.
const SUBPROTOCOL: &str = "qmux-02.loquic-1";

/// Where servers have their sessions.
const PATH: &str = "/v1/ws";

/// Bytes of a record of QMux, which is one message: its default, and what servers take.
const RECORD_BYTES_MAX: usize = 16_382;

/// What fits into a record with the head of its only frame.
const RECORD_PAYLOAD_BYTES: usize = RECORD_BYTES_MAX - 32;

/// Bytes of the buffer that is read into. Whatever of it is not taken yet keeps all of it.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// A session on a connection of its own.
pub(crate) struct WebSocket {
    session: Session,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("WebSocket")
    }
}

impl WebSocket {
    /// Connects to the first of the host's addresses that takes the connection. The caller sets the deadline.
    pub(crate) async fn connect(address: &Address, tls: Arc<ClientConfig>) -> Result<Self, Error> {
        let failed = |error: &dyn fmt::Display| Error::Connect(error.to_string().into());
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| failed(&error))?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(address.host.clone()).map_err(|error| failed(&error))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|error| {
            let is_tls = error.get_ref().is_some_and(|source| source.is::<rustls::Error>());
            if is_tls { Error::Tls(error.to_string().into()) } else { failed(&error) }
        })?;
        Self::open(address, stream).await.map_err(|error| failed(&error))
    }

    async fn open(
        address: &Address,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, tungstenite::Error> {
        let url = address.to_string().replacen("https", "wss", 1) + PATH;
        let mut request = url.into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(RECORD_BYTES_MAX))
            .max_frame_size(Some(RECORD_BYTES_MAX));
        // It fails as well if the server does not agree on the subprotocol.
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
        let upgraded = Upgraded::new(stream).with_alpn(SUBPROTOCOL).with_session_config(session_config());
        Ok(Self { session: upgraded.connect() })
    }
}

/// As over QUIC; the client opens all streams.
fn session_config() -> qmux::Config {
    let mut config = qmux::Config::new(Version::QMux02);
    config.max_streams_bidi = 0;
    config.max_streams_uni = 0;
    config.max_data = CONNECTION_WINDOW_BYTES.into();
    config.max_stream_data_bidi_local = STREAM_WINDOW_BYTES.into();
    config.max_stream_data_bidi_remote = 0;
    config.max_stream_data_uni = 0;
    config.max_idle_timeout = u64::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    config.max_record_size = RECORD_BYTES_MAX as u64;
    // Whether the server lives is known from our own pings.
    config.rtt_interval = Duration::ZERO;
    config
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.close();
    }
}

impl Link for WebSocket {
    fn open(&self, priority: Priority) -> BoxFuture<'_, Result<Halves, Error>> {
        async move {
            let (mut send, recv) = self.session.open_bi().await.map_err(Error::disconnected)?;
            send.set_priority(priority as i32);
            let (pieces, written) = mpsc::channel(0);
            tokio::spawn(write(send, written));
            Ok(Halves { send: Box::new(SendPieces { pieces }), recv: Box::new(RecvPieces { stream: recv }) })
        }
        .boxed()
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        self.session.closed().map(Error::disconnected).boxed()
    }

    fn is_closed(&self) -> bool {
        self.session.closed().now_or_never().is_some()
    }

    fn close(&self) {
        self.session.close(0, "");
    }
}

/// Writes what comes, and ends the stream behind it. A task, because the library's writes have to be polled to their
/// end: what wakes them goes with them.
async fn write(mut stream: qmux::SendStream, mut pieces: Receiver<Bytes>) {
    while let Some(piece) = pieces.next().await {
        if stream.write_chunk(piece).await.is_err() {
            return;
        }
    }
    // It fails only if the stream has ended already.
    let _ = stream.finish();
}

struct SendPieces {
    pieces: Sender<Bytes>,
}

impl SendHalf for SendPieces {
    fn poll_write(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<(), Error>> {
        ready!(self.pieces.poll_ready(context)).map_err(Error::disconnected)?;
        Poll::Ready(self.pieces.start_send(gather(chunks)).map_err(Error::disconnected))
    }

    fn finish(&mut self) {
        self.pieces.close_channel();
    }
}

/// Takes the front in one piece: each becomes a record, and small ones cost as much as large ones.
fn gather(chunks: &mut [Bytes]) -> Bytes {
    let length = chunks.iter().map(Bytes::len).sum::<usize>().min(RECORD_PAYLOAD_BYTES);
    if let Some(first) = chunks.iter_mut().find(|chunk| !chunk.is_empty()).filter(|first| first.len() >= length) {
        return first.split_to(length);
    }
    let mut piece = BytesMut::with_capacity(length);
    for chunk in chunks {
        let taken = chunk.len().min(length - piece.len());
        piece.extend_from_slice(&chunk[..taken]);
        chunk.advance(taken);
    }
    piece.freeze()
}

struct RecvPieces {
    stream: qmux::RecvStream,
}

impl RecvHalf for RecvPieces {
    fn poll_read(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<Option<usize>, Error>> {
        let mut filled = 0;
        for chunk in chunks {
            // A read holds no state between polls, so a future that lives for one poll is as good as a lasting one.
            let read = pin!(self.stream.read_chunk(usize::MAX)).poll(context);
            match read {
                Poll::Ready(Ok(Some(piece))) => *chunk = piece,
                // An end or an error is told again when there is nothing before it.
                _ if filled > 0 => break,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::disconnected(error))),
                Poll::Pending => return Poll::Pending,
            }
            filled += 1;
        }
        Poll::Ready(Ok(Some(filled)))
    }
}
