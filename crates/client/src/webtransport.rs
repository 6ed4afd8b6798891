//! WebTransport as a link. The only place that knows HTTP/3.

use std::{
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use url::Url;
use web_transport_quinn::{ReadError, RecvStream, SendStream, Session, SessionError, WriteError};

use crate::{
    address::Address,
    error::Error,
    link::{Halves, Link, Priority, RecvHalf, SendHalf},
    quic,
};

/// What TLS agrees on.
pub(crate) const ALPN: &str = web_transport_quinn::ALPN;

/// Unidirectional streams that the server may open: what HTTP/3 is entitled to (RFC 9114 section 6.2).
pub(crate) const STREAMS_UNI: u32 = 3;

/// Where servers have their sessions.
const PATH: &str = "/v1";

/// A session on a connection of its own.
#[derive(Debug)]
pub(crate) struct WebTransport {
    connection: quinn::Connection,
    session: Session,
}

impl WebTransport {
    pub(crate) async fn new(connecting: quinn::Connecting, address: &Address) -> Result<Self, Error> {
        let connection = quic::established(connecting).await?;
        let failed = |reason: String| Error::Connect(reason.into());
        let url = Url::parse(&format!("{address}{PATH}")).map_err(|error| failed(error.to_string()))?;
        let session = Session::connect(connection.clone(), url).await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { connection, session })
    }
}

impl Drop for WebTransport {
    /// The library holds the connection for as long as the server does.
    fn drop(&mut self) {
        self.close();
    }
}

impl Link for WebTransport {
    fn open(&self, priority: Priority) -> BoxFuture<'_, Result<Halves, Error>> {
        async move {
            let (send, recv) = self.session.open_bi().await.map_err(error_of)?;
            let _ = send.set_priority(priority as i32);
            Ok(Halves { send: Box::new(send), recv: Box::new(recv) })
        }
        .boxed()
    }

    fn closed(&self) -> BoxFuture<'_, Error> {
        self.session.closed().map(error_of).boxed()
    }

    fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    fn close(&self) {
        self.connection.close(H3_NO_ERROR, b"");
    }
}

/// RFC 9114 section 8.1.
const H3_NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);

impl SendHalf for SendStream {
    fn poll_write(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<(), Error>> {
        // As over QUIC, a future that lives for one poll is as good as a lasting one.
        pin!(self.write_chunks(chunks)).poll(context).map(|result| match result {
            Ok(_) => Ok(()),
            Err(WriteError::SessionError(error)) => Err(error_of(error)),
            Err(error) => Err(Error::disconnected(error)),
        })
    }

    fn finish(&mut self) {
        // Fails only if the stream has ended already.
        let _ = SendStream::finish(self);
    }
}

impl RecvHalf for RecvStream {
    fn poll_read(&mut self, context: &mut Context<'_>, chunks: &mut [Bytes]) -> Poll<Result<Option<usize>, Error>> {
        // As above.
        pin!(self.read_chunks(chunks)).poll(context).map_err(|error| match error {
            ReadError::SessionError(error) => error_of(error),
            error => Error::disconnected(error),
        })
    }
}

fn error_of(error: SessionError) -> Error {
    match error {
        SessionError::ConnectionError(error) => quic::error_of(&error),
        error => Error::disconnected(error),
    }
}
