//! A WebTransport session as a [`Link`]: HTTP/3 up to the answer to CONNECT, and behind their headers the QUIC streams
//! themselves.
//!
//! Takes over a connection whose ALPN protocol is `h3`. Path and origin are looked at before there is a session. Each
//! connection has one session.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use loquic_wire::Code;
use quinn::SendDatagramError;
use tokio::time::timeout;
use web_transport_quinn::{
    ReadError, Request, Session, SessionError, WebTransportError, WriteError,
    http::{StatusCode, header::ORIGIN},
};

use super::{DatagramError, LinkError, StreamError, quic};
use crate::config::{limits, origin::Origin};

/// The ALPN protocol that names HTTP/3.
pub(super) const ALPN: &[u8] = b"h3";

/// The path of sessions, in the URL of the client.
const PATH: &str = "/v1";

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    /// The peer breaks the rules of HTTP/3, or does not want a session.
    #[error("no WebTransport session was asked for: {0}")]
    Broken(web_transport_quinn::ServerError),
    /// The peer was told so.
    #[error("refused with status {status}: {reason}")]
    Refused {
        /// Of HTTP.
        status: StatusCode,
        /// What is wrong, with the peer's words.
        reason: String,
    },
}

/// Waits for the request for a session and answers it. The caller sets the deadline, and closes the connection on an
/// error.
pub(super) async fn accept(connection: quinn::Connection, origins: &[Origin]) -> Result<Link, Rejected> {
    let request = Request::accept(connection.clone()).await.map_err(Rejected::Broken)?;
    if let Err((status, reason)) = check(&request, origins) {
        request.reject(status).await.map_err(Rejected::Broken)?;
        // Closing at once would throw the answer away.
        let _ = timeout(limits::CLOSING_TIMEOUT, connection.closed()).await;
        return Err(Rejected::Refused { status, reason });
    }
    let session = request.ok().await.map_err(Rejected::Broken)?;
    let link = Link { connection, session: Arc::new(Owned(session)) };
    super::Link::set_streams_max(&link, limits::STREAMS_START);
    Ok(link)
}

/// Browsers always name the origin of the page, which is what keeps strange pages away from a server that the user
/// reaches. Native clients name none; what they could name proves nothing.
fn check(request: &Request, origins: &[Origin]) -> Result<(), (StatusCode, String)> {
    if request.url.path() != PATH {
        return Err((StatusCode::NOT_FOUND, format!("the path is {:?}, not {PATH}", request.url.path())));
    }
    for origin in request.headers.get_all(ORIGIN) {
        if !origin.to_str().is_ok_and(|origin| origins.iter().any(|allowed| allowed.allows(origin))) {
            return Err((StatusCode::FORBIDDEN, format!("the origin {origin:?} is not in origins.allow")));
        }
    }
    Ok(())
}

/// An open WebTransport session.
#[derive(Debug, Clone)]
pub struct Link {
    connection: quinn::Connection,
    session: Arc<Owned>,
}

impl Link {
    /// Uses the link until `served` is done with it, then waits until the peer knows the end. The session is kept for
    /// so long because with it goes the control stream of HTTP/3, whose end browsers take for a broken connection.
    pub(super) async fn finish(self, served: impl Future<Output = ()>) {
        served.await;
        // No effect if it was closed before; the library waits no longer than three round trips.
        self.session.0.close(number(Code::DONE), b"");
        self.session.0.closed().await;
    }
}

/// The session itself: the library keeps it until the peer ends it, so the last owner has to.
#[derive(Debug)]
struct Owned(Session);

impl Drop for Owned {
    fn drop(&mut self) {
        // No effect if it was closed before.
        self.0.close(number(Code::DONE), b"");
    }
}

impl super::Link for Link {
    type Send = SendStream;
    type Recv = RecvStream;

    async fn accept(&self) -> Result<(SendStream, RecvStream), LinkError> {
        self.session.0.accept_bi().await.map(halves).map_err(link_error)
    }

    async fn open(&self) -> Result<(SendStream, RecvStream), LinkError> {
        self.session.0.open_bi().await.map(halves).map_err(link_error)
    }

    fn send_datagram(&self, datagram: Bytes) -> Result<(), DatagramError> {
        self.session.0.send_datagram(datagram).map_err(|error| match error {
            SessionError::SendDatagramError(SendDatagramError::TooLarge) => DatagramError::TooLarge,
            SessionError::SendDatagramError(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                DatagramError::Unsupported
            }
            error => link_error(error).into(),
        })
    }

    async fn receive_datagram(&self) -> Result<Bytes, LinkError> {
        loop {
            match self.session.0.read_datagram().await {
                // It is for another session than the only one there is, and may be dropped like any datagram.
                Err(SessionError::WebTransportError(WebTransportError::UnknownSession)) => {}
                received => return received.map_err(link_error),
            }
        }
    }

    fn datagram_bytes_max(&self) -> Option<usize> {
        Some(self.session.0.max_datagram_size()).filter(|bytes| *bytes > 0)
    }

    fn close(&self, code: Code, reason: &str) {
        self.session.0.close(number(code), reason.as_bytes());
    }

    async fn closed(&self) -> LinkError {
        link_error(self.session.0.closed().await)
    }

    fn peer(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    fn transport(&self) -> &'static str {
        "webtransport"
    }

    fn congestion_window(&self) -> u64 {
        self.connection.stats().path.cwnd
    }

    fn set_send_window(&self, bytes: u64) {
        self.connection.set_send_window(bytes);
    }

    fn set_streams_max(&self, count: u32) {
        // The request for the session is a stream of its own and stays open.
        self.connection.set_max_concurrent_bi_streams(count.saturating_add(1).into());
    }
}

/// The half of a stream that is written.
#[derive(Debug)]
pub struct SendStream {
    stream: web_transport_quinn::SendStream,
    is_ended: bool,
}

impl super::SendStream for SendStream {
    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<usize, StreamError> {
        self.stream.write_chunks(chunks).await.map(|written| written.chunks).map_err(|error| match error {
            WriteError::Stopped(number) => StreamError::Stopped(code(number)),
            WriteError::InvalidStopped(_) => StreamError::Stopped(Code::DONE),
            WriteError::SessionError(error) => link_error(error).into(),
            WriteError::ClosedStream => StreamError::Ended,
        })
    }

    fn finish(&mut self) {
        self.is_ended = true;
        // It fails only on a stream that was ended before.
        let _ = self.stream.finish();
    }

    fn reset(&mut self, code: Code) {
        self.is_ended = true;
        let _ = self.stream.reset(number(code));
    }

    fn set_priority(&self, priority: i32) {
        let _ = self.stream.set_priority(priority);
    }
}

impl Drop for SendStream {
    /// As for a QUIC stream: a part is not to be taken for the whole.
    fn drop(&mut self) {
        if !self.is_ended {
            let _ = self.stream.reset(number(Code::DONE));
        }
    }
}

/// The half of a stream that is read.
#[derive(Debug)]
pub struct RecvStream {
    stream: web_transport_quinn::RecvStream,
    is_ended: bool,
}

impl super::RecvStream for RecvStream {
    async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        let read = self.stream.read_chunks(chunks).await;
        self.is_ended |= !matches!(read, Ok(Some(_)));
        read.map_err(|error| match error {
            ReadError::Reset(number) => StreamError::Reset(code(number)),
            ReadError::InvalidReset(_) => StreamError::Reset(Code::DONE),
            ReadError::SessionError(error) => link_error(error).into(),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead => StreamError::Ended,
        })
    }

    fn stop(&mut self, code: Code) {
        self.is_ended = true;
        let _ = self.stream.stop(number(code));
    }
}

impl Drop for RecvStream {
    /// quinn would stop it with a code that is none of WebTransport's, and pages would see a broken stream.
    fn drop(&mut self) {
        if !self.is_ended {
            let _ = self.stream.stop(number(Code::DONE));
        }
    }
}

type Halves = (web_transport_quinn::SendStream, web_transport_quinn::RecvStream);

fn halves((send, recv): Halves) -> (SendStream, RecvStream) {
    (SendStream { stream: send, is_ended: false }, RecvStream { stream: recv, is_ended: false })
}

fn number(code: Code) -> u32 {
    code.0.into()
}

fn code(number: u32) -> Code {
    Code(u16::try_from(number).unwrap_or(u16::MAX))
}

fn link_error(error: SessionError) -> LinkError {
    match error {
        SessionError::ConnectionError(error)
        | SessionError::SendDatagramError(SendDatagramError::ConnectionLost(error)) => quic::link_error(error),
        SessionError::WebTransportError(WebTransportError::Closed(number, reason)) => {
            LinkError::ClosedByPeer { code: code(number), reason }
        }
        error => LinkError::Broken(error.to_string()),
    }
}
