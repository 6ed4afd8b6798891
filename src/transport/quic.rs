//! A raw QUIC connection as a [`Link`].

use std::net::SocketAddr;

use bytes::Bytes;
use loquic_wire::Code;
use quinn::{ConnectionError, ReadError, SendDatagramError, VarInt, WriteError};

use super::{DatagramError, LinkError, StreamError};

/// A QUIC connection after its handshake.
#[derive(Debug, Clone)]
pub struct Link {
    connection: quinn::Connection,
}

impl Link {
    /// Takes over a connection; its windows are those of the endpoint's configuration.
    pub fn new(connection: quinn::Connection) -> Self {
        Self { connection }
    }
}

impl super::Link for Link {
    type Send = SendStream;
    type Recv = RecvStream;

    async fn accept(&self) -> Result<(SendStream, RecvStream), LinkError> {
        self.connection.accept_bi().await.map(halves).map_err(link_error)
    }

    async fn open(&self) -> Result<(SendStream, RecvStream), LinkError> {
        self.connection.open_bi().await.map(halves).map_err(link_error)
    }

    fn send_datagram(&self, datagram: Bytes) -> Result<(), DatagramError> {
        self.connection.send_datagram(datagram).map_err(|error| match error {
            SendDatagramError::TooLarge => DatagramError::TooLarge,
            SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => DatagramError::Unsupported,
            SendDatagramError::ConnectionLost(error) => link_error(error).into(),
        })
    }

    async fn receive_datagram(&self) -> Result<Bytes, LinkError> {
        self.connection.read_datagram().await.map_err(link_error)
    }

    fn datagram_bytes_max(&self) -> Option<usize> {
        self.connection.max_datagram_size()
    }

    fn close(&self, code: Code, reason: &str) {
        self.connection.close(number(code), reason.as_bytes());
    }

    async fn closed(&self) -> LinkError {
        link_error(self.connection.closed().await)
    }

    fn peer(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    fn transport(&self) -> &'static str {
        "quic"
    }

    fn congestion_window(&self) -> u64 {
        self.connection.stats().path.cwnd
    }

    fn set_send_window(&self, bytes: u64) {
        self.connection.set_send_window(bytes);
    }

    fn set_streams_max(&self, count: u32) {
        self.connection.set_max_concurrent_bi_streams(count.into());
    }
}

/// The half of a QUIC stream that is written.
#[derive(Debug)]
pub struct SendStream {
    stream: quinn::SendStream,
    is_ended: bool,
}

impl super::SendStream for SendStream {
    async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<usize, StreamError> {
        self.stream.write_chunks(chunks).await.map(|written| written.chunks).map_err(|error| match error {
            WriteError::Stopped(number) => StreamError::Stopped(code(number)),
            WriteError::ConnectionLost(error) => link_error(error).into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamError::Ended,
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
    /// quinn would finish the stream, and the peer would take half a page for a whole one.
    fn drop(&mut self) {
        if !self.is_ended {
            let _ = self.stream.reset(number(Code::DONE));
        }
    }
}

/// The half of a QUIC stream that is read; quinn stops it when it is dropped before its end.
#[derive(Debug)]
pub struct RecvStream {
    stream: quinn::RecvStream,
}

impl super::RecvStream for RecvStream {
    async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        self.stream.read_chunks(chunks).await.map_err(|error| match error {
            ReadError::Reset(number) => StreamError::Reset(code(number)),
            ReadError::ConnectionLost(error) => link_error(error).into(),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => StreamError::Ended,
        })
    }

    fn stop(&mut self, code: Code) {
        let _ = self.stream.stop(number(code));
    }
}

fn halves((send, recv): (quinn::SendStream, quinn::RecvStream)) -> (SendStream, RecvStream) {
    (SendStream { stream: send, is_ended: false }, RecvStream { stream: recv })
}

fn number(code: Code) -> VarInt {
    VarInt::from_u32(code.0.into())
}

fn code(number: VarInt) -> Code {
    Code(u16::try_from(number.into_inner()).unwrap_or(u16::MAX))
}

pub(super) fn link_error(error: ConnectionError) -> LinkError {
    match error {
        ConnectionError::ApplicationClosed(close) => LinkError::ClosedByPeer {
            code: code(close.error_code),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::LocallyClosed => LinkError::ClosedHere,
        ConnectionError::TimedOut => LinkError::TimedOut,
        error => LinkError::Broken(error.to_string()),
    }
}
