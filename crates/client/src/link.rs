//! What a transport offers a session. Two implementations now, raw QUIC in [`quic`](crate::quic) and
//! [`webtransport`](crate::webtransport); WebSocket fits behind the same three traits.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Error;

/// One connection.
pub(crate) trait Link: fmt::Debug + Send + Sync {
    /// Opens a bidirectional stream; waits while the peer allows no more of them.
    fn open(&self, priority: Priority) -> BoxFuture<'_, Result<Halves, Error>>;

    /// Waits for the end of the connection and says why it ended.
    fn closed(&self) -> BoxFuture<'_, Error>;

    fn is_closed(&self) -> bool;

    /// Closes at once; what is buffered is dropped. Reasons travel in frames.
    fn close(&self);
}

/// A bidirectional stream.
pub(crate) struct Halves {
    pub(crate) send: Box<dyn SendHalf>,
    pub(crate) recv: Box<dyn RecvHalf>,
}

/// The sending half of a stream. Dropping it ends the stream after what was written.
pub(crate) trait SendHalf: Send {
    /// Takes as much as the windows allow; `chunks` that are taken are left empty.
    fn poll_write(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<(), Error>>;

    /// Ends the stream after what was written.
    fn finish(&mut self);
}

/// The receiving half of a stream. Dropping it tells the peer to stop.
pub(crate) trait RecvHalf: Send {
    /// Fills the front of `chunks` with what has come and says how many; `None` at the end of the stream.
    fn poll_read(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<Option<usize>, Error>>;
}

/// Which streams go first when the connection is the bottleneck.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Priority {
    /// Joins, watches and reads, on which next to nothing goes up.
    Bulk = 0,
    Publish = 1,
    /// Pings must not wait behind publishes, or a busy connection looks like a dead one.
    Control = 2,
}
