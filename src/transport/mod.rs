//! What carries a session: bidirectional streams, datagrams, a close. The session code sees only [`Link`] and cannot
//! tell one transport from another.
//!
//! Owns the endpoint and the handshakes. Knows nothing of frames beyond the protocol's name.

pub mod endpoint;
pub mod memory;
pub mod quic;
pub mod tls;
pub mod websocket;
pub mod webtransport;

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;
use loquic_wire::Code;

/// One connection with a peer. Cheap to clone; when the last clone and the last stream are dropped, it closes.
pub trait Link: Clone + Send + Sync + 'static {
    /// The half of a stream that is written.
    type Send: SendStream;

    /// The half of a stream that is read.
    type Recv: RecvStream;

    /// Waits for the next stream that the peer opens. Cancel-safe.
    fn accept(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), LinkError>> + Send;

    /// Opens a stream; waits while the peer allows no more of them. The peer learns of it with the first write.
    /// Cancel-safe.
    fn open(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), LinkError>> + Send;

    /// Sends a datagram, or drops it: when it does not fit, when the peer takes none, and silently when the buffer
    /// for datagrams overflows (the oldest goes).
    fn send_datagram(&self, datagram: Bytes) -> Result<(), DatagramError>;

    /// Waits for the next datagram. Cancel-safe.
    fn receive_datagram(&self) -> impl Future<Output = Result<Bytes, LinkError>> + Send;

    /// The longest datagram that can be sent now, in bytes; `None` if the peer takes none.
    fn datagram_bytes_max(&self) -> Option<usize>;

    /// Closes at once. What was written and not delivered is lost, so say [`Closing`](loquic_wire::control::Closing)
    /// first. Not every transport carries the code. No effect on a closed link.
    fn close(&self, code: Code, reason: &str);

    /// Waits until the link is closed, by whichever side. Cancel-safe.
    fn closed(&self) -> impl Future<Output = LinkError> + Send;

    /// Where the peer is; may change while the link is open.
    fn peer(&self) -> SocketAddr;

    /// The transport's name for logs and metrics.
    fn transport(&self) -> &'static str;

    /// How many bytes the path takes at once, as far as the transport knows. May take a lock: not for each delivery.
    fn congestion_window(&self) -> u64;

    /// How many written and unacknowledged bytes are kept at most; a write past it waits.
    fn set_send_window(&self, bytes: u64);

    /// How many streams of the peer may be open at once.
    fn set_streams_max(&self, count: u32);
}

/// The half of a stream that is written. Dropped without [`finish`](Self::finish) it is reset, so that the peer never
/// takes a part for the whole.
pub trait SendStream: Send + 'static {
    /// Writes as much as can be written, waiting only if that is nothing. Returns how many chunks are written whole;
    /// those are empty afterwards, and a chunk that was written in part holds the rest. Cancel-safe: nothing is written
    /// unless it returns.
    fn write_chunks(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<usize, StreamError>> + Send;

    /// Writes everything. Not cancel-safe: an unknown part is written when it is dropped.
    fn write_all_chunks(&mut self, mut chunks: &mut [Bytes]) -> impl Future<Output = Result<(), StreamError>> + Send {
        async move {
            while !chunks.is_empty() {
                let written = self.write_chunks(chunks).await?;
                chunks = &mut chunks[written..];
            }
            Ok(())
        }
    }

    /// Ends the stream in good order: what was written is delivered.
    fn finish(&mut self);

    /// Ends the stream at once: what was written may be lost.
    fn reset(&mut self, code: Code);

    /// Streams of a higher priority are sent first; 0 is what every stream starts with.
    fn set_priority(&self, priority: i32);
}

/// The half of a stream that is read. Dropped before its end it is stopped.
pub trait RecvStream: Send + 'static {
    /// Waits until something is there, then fills `chunks` from the front and returns how many; `None` at the end of
    /// the stream. What comes is bounded by the number of chunks and by the stream's receive window. Cancel-safe: what
    /// it has not returned is still there.
    fn read_chunks(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<Option<usize>, StreamError>> + Send;

    /// Tells the peer that nothing more is read.
    fn stop(&mut self, code: Code);
}

/// Why a link is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer closed it.
    #[error("closed by the peer ({code}: {reason})")]
    ClosedByPeer {
        /// What the peer said, as far as the transport carries it.
        code: Code,
        /// The same for a person.
        reason: String,
    },
    /// This side closed it.
    #[error("closed by this side")]
    ClosedHere,
    /// Nothing was heard of the peer for too long.
    #[error("the peer is silent")]
    TimedOut,
    /// The transport failed, or the peer broke its rules.
    #[error("broken: {0}")]
    Broken(String),
}

/// Why a stream cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer reset the half that is read.
    #[error("reset by the peer ({0})")]
    Reset(Code),
    /// The peer does not read the half that is written.
    #[error("stopped by the peer ({0})")]
    Stopped(Code),
    /// This side has ended it before.
    #[error("ended before")]
    Ended,
    /// The link is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Why a datagram was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// It is longer than the path or the peer takes.
    #[error("the datagram is too long")]
    TooLarge,
    /// The peer or the transport takes no datagrams.
    #[error("datagrams are not supported")]
    Unsupported,
    /// The link is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
}
