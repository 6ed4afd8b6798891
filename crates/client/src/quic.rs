//! Raw QUIC as a link.

use std::{
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use crate::{
    error::Error,
    link::{Halves, Link, Priority, RecvHalf, SendHalf},
};

/// One QUIC connection.
#[derive(Debug)]
pub(crate) struct Quic {
    connection: quinn::Connection,
}

impl Quic {
    pub(crate) async fn new(connecting: quinn::Connecting) -> Result<Self, Error> {
        Ok(Self { connection: established(connecting).await? })
    }
}

/// The connection once its handshake is done.
pub(crate) async fn established(connecting: quinn::Connecting) -> Result<quinn::Connection, Error> {
    connecting.await.map_err(|error| match error_of(&error) {
        Error::Disconnected(reason) => Error::Connect(reason),
        other => other,
    })
}

impl Link for Quic {
    fn open(&self, priority: Priority) -> BoxFuture<'_, Result<Halves, Error>> {
        async move {
            let (send, recv) = self.connection.open_bi().await.map_err(|error| error_of(&error))?;
            let _ = send.set_priority(priority as i32);
            Ok(Halves { send: Box::new(send), recv: Box::new(recv) })
        }
        .boxed()
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        self.connection.closed().map(|error| error_of(&error)).boxed()
    }

    fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl SendHalf for quinn::SendStream {
    fn poll_write(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<(), Error>> {
        // `write_chunks` holds no state between polls, so a future that lives for one poll is as good as a lasting one.
        pin!(self.write_chunks(chunks)).poll(context).map(|result| match result {
            Ok(_) => Ok(()),
            Err(WriteError::ConnectionLost(error)) => Err(error_of(&error)),
            Err(error) => Err(Error::disconnected(error)),
        })
    }

    fn finish(&mut self) {
        // Fails only if the stream has ended already.
        let _ = quinn::SendStream::finish(self);
    }
}

impl RecvHalf for quinn::RecvStream {
    fn poll_read(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<Option<usize>, Error>> {
        // As above.
        pin!(self.read_chunks(chunks)).poll(context).map_err(|error| match error {
            ReadError::ConnectionLost(error) => error_of(&error),
            error => Error::disconnected(error),
        })
    }
}

/// What the end of a connection means. Reasons of the protocol travel in frames and never in QUIC's close.
pub(crate) fn error_of(error: &ConnectionError) -> Error {
    match error {
        ConnectionError::TransportError(reason) if is_tls(reason.code) => Error::Tls(reason.to_string().into()),
        ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => Error::Tls(close.to_string().into()),
        ConnectionError::LocallyClosed => Error::Closed,
        _ => Error::disconnected(error),
    }
}

fn is_tls(code: quinn::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}
