//! A WebSocket as a [`Link`]: QMux makes QUIC's streams and datagrams of its messages (draft-ietf-quic-qmux-02).
//!
//! For networks that let no UDP through. There is one more queue than over QUIC: what QMux has taken waits for the
//! socket, at most eight records, and is sent by priority. The library cannot change the number of streams that a
//! client may have once the session has begun, so all of them are allowed at first, and the session counts.

mod accept;
mod socket;

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use loquic_wire::Code;
use qmux::{Config, Error, Protocol, Version};
use web_transport_trait::{RecvStream as _, SendStream as _, Session as _};

pub use accept::{Acceptor, Options, Refused, Stats};

use super::{DatagramError, LinkError, StreamError};
use crate::config::limits;

/// The subprotocol: the version of QMux, and the protocol in it.
pub const SUBPROTOCOL: &str = "qmux-02.loquic-1";

/// An open QMux session.
#[derive(Clone)]
pub struct Link {
    session: qmux::Session,
    peer: SocketAddr,
    /// The library tells the same of both.
    is_closed_here: Arc<AtomicBool>,
}

fn config(options: &Options) -> Config {
    let mut config = Config::new(Version::QMux02);
    config.protocol = Protocol::Negotiated(loquic_wire::ALPN.to_owned());
    config.max_streams_bidi = limits::STREAMS_MAX.into();
    config.max_streams_uni = 0;
    config.max_data = limits::WEBSOCKET_RECEIVE_WINDOW;
    config.max_stream_data_bidi_remote = limits::WEBSOCKET_STREAM_WINDOW;
    config.max_stream_data_bidi_local = limits::WEBSOCKET_STREAM_WINDOW;
    config.max_stream_data_uni = 0;
    config.max_idle_timeout = u64::try_from(options.idle_timeout.as_millis()).unwrap_or(u64::MAX);
    config.max_record_size = limits::WEBSOCKET_RECORD_BYTES_MAX as u64;
    config.max_datagram_frame_size = limits::WEBSOCKET_DATAGRAM_BYTES_MAX;
    config.handshake_timeout = options.connect_timeout;
    // Clients measure with their own pings.
    config.rtt_interval = Duration::ZERO;
    config
}

impl Link {
    fn error(&self, error: Error) -> LinkError {
        link_error(error, &self.is_closed_here)
    }

    fn halves(&self, (send, recv): (qmux::SendStream, qmux::RecvStream)) -> (SendStream, RecvStream) {
        let is_closed_here = self.is_closed_here.clone();
        let recv = RecvStream { stream: recv, is_ended: false, is_closed_here: is_closed_here.clone() };
        let priority = AtomicI32::new(0);
        (SendStream { stream: send, priority, priority_set: 0, is_ended: false, is_closed_here }, recv)
    }
}

impl super::Link for Link {
    type Send = SendStream;
    type Recv = RecvStream;

    async fn accept(&self) -> Result<(SendStream, RecvStream), LinkError> {
        let halves = self.session.accept_bi().await.map_err(|error| self.error(error))?;
        Ok(self.halves(halves))
    }

    async fn open(&self) -> Result<(SendStream, RecvStream), LinkError> {
        let halves = self.session.open_bi().await.map_err(|error| self.error(error))?;
        Ok(self.halves(halves))
    }

    fn send_datagram(&self, datagram: Bytes) -> Result<(), DatagramError> {
        self.session.send_datagram(datagram).map_err(|error| match error {
            Error::FrameTooLarge => DatagramError::TooLarge,
            Error::DatagramsUnsupported => DatagramError::Unsupported,
            error => self.error(error).into(),
        })
    }

    async fn receive_datagram(&self) -> Result<Bytes, LinkError> {
        self.session.recv_datagram().await.map_err(|error| self.error(error))
    }

    fn datagram_bytes_max(&self) -> Option<usize> {
        Some(self.session.max_datagram_size()).filter(|bytes| *bytes > 0)
    }

    fn close(&self, code: Code, reason: &str) {
        self.is_closed_here.store(true, Ordering::Release);
        self.session.close(code.0.into(), reason);
    }

    async fn closed(&self) -> LinkError {
        self.error(self.session.closed().await)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn transport(&self) -> &'static str {
        "websocket"
    }

    /// TCP follows the path by itself; here it is only what is kept for it.
    fn congestion_window(&self) -> u64 {
        limits::WEBSOCKET_SEND_BYTES / 2
    }

    fn set_send_window(&self, _: u64) {}

    fn set_streams_max(&self, _: u32) {}
}

/// The half of a stream that is written.
pub struct SendStream {
    stream: qmux::SendStream,
    /// Given on with the next write.
    priority: AtomicI32,
    priority_set: i32,
    is_ended: bool,
    is_closed_here: Arc<AtomicBool>,
}

impl SendStream {
    /// Hands QMux as much of `piece` as flow control allows at once.
    async fn write_some(&mut self, piece: Bytes) -> Result<usize, StreamError> {
        let written = AtomicUsize::new(0);
        let mut rest = Piece { rest: piece, written: &written };
        // The library goes on until everything is written. What it does is complete between two waits.
        let mut writing = pin!(self.stream.write_buf(&mut rest));
        let outcome = poll_fn(|context| match (writing.as_mut().poll(context), written.load(Ordering::Relaxed)) {
            (Poll::Ready(Err(error)), 0) => Poll::Ready(Err(error)),
            (Poll::Pending, 0) => Poll::Pending,
            (_, bytes) => Poll::Ready(Ok(bytes)),
        });
        outcome.await.map_err(|error| stream_error(error, &self.is_closed_here))
    }
}

impl super::SendStream for SendStream {
    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<usize, StreamError> {
        let priority = self.priority.load(Ordering::Relaxed);
        if priority != self.priority_set {
            self.priority_set = priority;
            self.stream.set_priority(priority);
        }
        let piece = gather(chunks);
        let written = if piece.is_empty() { 0 } else { self.write_some(piece).await? };
        Ok(advance(chunks, written))
    }

    fn finish(&mut self) {
        self.is_ended = true;
        // It fails only on a stream that was ended before.
        let _ = self.stream.finish();
    }

    fn reset(&mut self, code: Code) {
        self.is_ended = true;
        self.stream.reset(code.0.into());
    }

    fn set_priority(&self, priority: i32) {
        self.priority.store(priority, Ordering::Relaxed);
    }
}

impl Drop for SendStream {
    /// As for a QUIC stream: a part is not to be taken for the whole.
    fn drop(&mut self) {
        if !self.is_ended {
            self.stream.reset(Code::DONE.0.into());
        }
    }
}

/// What is being written, and how much of it is.
struct Piece<'a> {
    rest: Bytes,
    written: &'a AtomicUsize,
}

impl Buf for Piece<'_> {
    fn remaining(&self) -> usize {
        self.rest.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rest.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
        self.written.fetch_add(count, Ordering::Relaxed);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.written.fetch_add(count, Ordering::Relaxed);
        self.rest.copy_to_bytes(count)
    }
}

/// The front of what is to be written, in one piece: each piece becomes a record, and small ones cost as much as large
/// ones.
fn gather(chunks: &[Bytes]) -> Bytes {
    let length = chunks.iter().map(Bytes::len).sum::<usize>().min(RECORD_PAYLOAD_BYTES);
    if let Some(first) = chunks.iter().find(|chunk| !chunk.is_empty()).filter(|first| first.len() >= length) {
        return first.slice(..length);
    }
    let mut piece = BytesMut::with_capacity(length);
    for chunk in chunks {
        piece.extend_from_slice(&chunk[..chunk.len().min(length - piece.len())]);
    }
    piece.freeze()
}

/// What fits into a record with the head of its only frame.
const RECORD_PAYLOAD_BYTES: usize = limits::WEBSOCKET_RECORD_BYTES_MAX - 32;

/// Takes `count` bytes off the front, and says how many chunks are empty now.
fn advance(chunks: &mut [Bytes], mut count: usize) -> usize {
    let mut whole = 0;
    for chunk in chunks {
        let taken = count.min(chunk.len());
        chunk.advance(taken);
        count -= taken;
        if !chunk.is_empty() {
            break;
        }
        whole += 1;
    }
    whole
}

/// The half of a stream that is read.
pub struct RecvStream {
    stream: qmux::RecvStream,
    is_ended: bool,
    is_closed_here: Arc<AtomicBool>,
}

impl super::RecvStream for RecvStream {
    async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        let Some((first, rest)) = chunks.split_first_mut() else { return Ok(Some(0)) };
        let read = self.stream.read_chunk(usize::MAX).await;
        self.is_ended |= !matches!(read, Ok(Some(_)));
        match read.map_err(|error| stream_error(error, &self.is_closed_here))? {
            Some(chunk) => *first = chunk,
            None => return Ok(None),
        }
        let mut filled = 1;
        for chunk in rest {
            // An end or an error is told again when there is nothing before it.
            let Some(Ok(Some(read))) = self.stream.read_chunk(usize::MAX).now_or_never() else { break };
            *chunk = read;
            filled += 1;
        }
        Ok(Some(filled))
    }

    fn stop(&mut self, code: Code) {
        self.is_ended = true;
        self.stream.stop(code.0.into());
    }
}

impl Drop for RecvStream {
    /// The library would say 0.
    fn drop(&mut self) {
        if !self.is_ended {
            self.stream.stop(Code::DONE.0.into());
        }
    }
}

fn stream_error(error: Error, is_closed_here: &AtomicBool) -> StreamError {
    match error {
        Error::StreamReset(number) => StreamError::Reset(code(number.into_inner())),
        Error::StreamStop(number) => StreamError::Stopped(code(number.into_inner())),
        Error::StreamClosed => StreamError::Ended,
        error => link_error(error, is_closed_here).into(),
    }
}

fn link_error(error: Error, is_closed_here: &AtomicBool) -> LinkError {
    match error {
        _ if is_closed_here.load(Ordering::Acquire) => LinkError::ClosedHere,
        Error::ConnectionClosed { code: number, reason } => {
            LinkError::ClosedByPeer { code: code(number.into_inner()), reason }
        }
        Error::IdleTimeout => LinkError::TimedOut,
        error => LinkError::Broken(error.to_string()),
    }
}

fn code(number: u64) -> Code {
    Code(u16::try_from(number).unwrap_or(u16::MAX))
}
