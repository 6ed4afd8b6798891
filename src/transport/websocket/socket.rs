//! A WebSocket as what QMux runs over: one record in each binary message.
//!
//! QMux counts payload, and queues its own frames without a bound. What a hostile peer can make of that is bounded
//! here: by what its records hold of memory until everything in them is read, and by how much is read of a peer that
//! does not read itself.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use qmux::{
    Error,
    transport::{Reader, Transport, Writer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::config::limits;

/// A WebSocket whose handshake is done.
pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Takes over a connection behind the answer to its upgrade.
    pub(super) async fn accept(stream: S) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::WEBSOCKET_BUFFER_BYTES)
            .write_buffer_size(limits::WEBSOCKET_BUFFER_BYTES)
            .max_write_buffer_size(limits::WEBSOCKET_WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(limits::WEBSOCKET_RECORD_BYTES_MAX))
            .max_frame_size(Some(limits::WEBSOCKET_RECORD_BYTES_MAX));
        Self { stream: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for Socket<S> {
    type Writer = SocketWriter<S>;
    type Reader = SocketReader<S>;

    fn split(self) -> (SocketWriter<S>, SocketReader<S>) {
        let (sink, stream) = self.stream.split();
        let jam = Arc::new(Jam::default());
        (SocketWriter { sink, jam: jam.clone() }, SocketReader { stream, jam, held: Arc::default() })
    }
}

/// Whether the peer takes what is written, and how much was read of it meanwhile.
#[derive(Default)]
struct Jam {
    /// A write waits for the peer.
    is_jammed: AtomicBool,
    /// Bytes read since the last write that does not wait any more.
    read: AtomicUsize,
    cleared: Notify,
}

impl Jam {
    fn begin(&self) {
        self.is_jammed.store(true, Ordering::Release);
    }

    fn clear(&self) {
        self.is_jammed.store(false, Ordering::Release);
        self.read.store(0, Ordering::Release);
        self.cleared.notify_one();
    }

    fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Waits until the peer has taken something, if it was read enough from without.
    async fn cleared(&self) {
        while self.is_jammed.load(Ordering::Acquire)
            && self.read.load(Ordering::Acquire) > limits::WEBSOCKET_UNANSWERED_BYTES_MAX
        {
            self.cleared.notified().await;
        }
    }
}

/// The half that is written.
pub(super) struct SocketWriter<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    jam: Arc<Jam>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Writer for SocketWriter<S> {
    async fn send(&mut self, record: Bytes) -> Result<(), Error> {
        self.feed(record).await?;
        self.flush().await
    }

    async fn feed(&mut self, record: Bytes) -> Result<(), Error> {
        self.jam.begin();
        let fed = self.sink.feed(Message::Binary(record)).await;
        self.jam.clear();
        fed.map_err(broken)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.jam.begin();
        let flushed = self.sink.flush().await;
        self.jam.clear();
        flushed.map_err(broken)
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.sink.close().await.map_err(broken)
    }
}

/// The half that is read.
pub(super) struct SocketReader<S> {
    stream: SplitStream<WebSocketStream<S>>,
    jam: Arc<Jam>,
    /// Bytes of records of which not everything is read.
    held: Arc<AtomicUsize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Reader for SocketReader<S> {
    async fn recv(&mut self) -> Result<Bytes, Error> {
        loop {
            // A peer that does not read has to wait with what it writes: answers to that would pile up.
            self.jam.cleared().await;
            match self.stream.next().await {
                Some(Ok(Message::Binary(record))) => return self.hold(&record),
                Some(Ok(Message::Text(_))) => return Err(fault("a text message; QMux has binary ones only")),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(Error::Closed),
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }
}

impl<S> SocketReader<S> {
    /// QMux hands out parts of the record, and each keeps all of it, so a single byte would cost a whole record.
    fn hold(&self, record: &[u8]) -> Result<Bytes, Error> {
        self.jam.read(record.len());
        if self.held.fetch_add(record.len(), Ordering::Relaxed) > limits::WEBSOCKET_HELD_BYTES_MAX {
            return Err(fault("more in small pieces than flow control is made for"));
        }
        // A copy, because what the library hands out keeps its whole read buffer.
        Ok(Bytes::from_owner(Held { record: record.into(), held: self.held.clone() }))
    }
}

/// A record of which not everything is read.
struct Held {
    record: Box<[u8]>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.record
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.record.len(), Ordering::Relaxed);
    }
}

fn fault(what: &'static str) -> Error {
    io::Error::new(io::ErrorKind::InvalidData, what).into()
}

fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Error::Closed,
        tungstenite::Error::Io(error) => error.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::duplex, time::timeout};

    use super::*;

    const RECORD: usize = 1_000;

    /// Everything that can be read; the clock moves once nothing else does.
    async fn read_all(reader: &mut SocketReader<tokio::io::DuplexStream>) -> usize {
        let mut bytes = 0;
        while let Ok(record) = timeout(Duration::from_secs(1), reader.recv()).await {
            bytes += record.unwrap().len();
        }
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_read_no_further_than_the_bound() {
        let (here, there) = duplex(4 * RECORD);
        let (mut writer, mut reader) = Socket::accept(here).await.split();
        let (mut sink, mut taken) = WebSocketStream::from_raw_socket(there, Role::Client, None).await.split();
        let record = || Bytes::from(vec![0; RECORD]);
        tokio::spawn(async move { while writer.send(record()).await.is_ok() {} });
        tokio::spawn(async move { while sink.send(Message::Binary(record())).await.is_ok() {} });
        let max = limits::WEBSOCKET_UNANSWERED_BYTES_MAX;
        let first = read_all(&mut reader).await;
        assert!((max..=max + 2 * RECORD).contains(&first), "{first} bytes");
        for _ in 0..100 {
            taken.next().await.unwrap().unwrap();
        }
        let then = read_all(&mut reader).await;
        assert!((max..=max + 200 * RECORD).contains(&then), "{then} bytes after it has taken some");
    }

    #[tokio::test]
    async fn records_count_until_everything_in_them_is_read() {
        let (here, there) = duplex(64 * 1024);
        let (_writer, mut reader) = Socket::accept(here).await.split();
        let mut peer = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
        let mut pieces = Vec::new();
        for _ in 0..3 {
            peer.send(Message::Binary(vec![0; RECORD].into())).await.unwrap();
            pieces.push(reader.recv().await.unwrap().slice(..1));
        }
        assert_eq!(reader.held.load(Ordering::Relaxed), 3 * RECORD);
        pieces.pop();
        assert_eq!(reader.held.load(Ordering::Relaxed), 2 * RECORD);
        reader.held.fetch_add(limits::WEBSOCKET_HELD_BYTES_MAX, Ordering::Relaxed);
        peer.send(Message::Binary(vec![0; RECORD].into())).await.unwrap();
        assert!(reader.recv().await.is_err());
    }
}
