//! The two halves of a stream as frames.

use std::future::poll_fn;

use bytes::Bytes;
use loquic_wire::frame::{self, Body};

use crate::{
    error::Error,
    frames::{Cutter, Frames},
    link::{Halves, Link, Priority, RecvHalf, SendHalf},
};

/// Opens a stream and says what it is.
pub(crate) async fn open<B: Body>(link: &dyn Link, priority: Priority, first: &B) -> Result<(Sender, Receiver), Error> {
    let Halves { send, recv } = link.open(priority).await?;
    let mut sender = Sender { half: send };
    sender.write(frame::to_bytes(first)).await?;
    Ok((sender, Receiver::new(recv)))
}

/// The sending half.
pub(crate) struct Sender {
    half: Box<dyn SendHalf>,
}

impl Sender {
    /// Writes all of it. Not cancel-safe: part of it may have been taken.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut chunks = [bytes];
        while !chunks[0].is_empty() {
            poll_fn(|context| self.half.poll_write(context, &mut chunks)).await?;
        }
        Ok(())
    }

    pub(crate) async fn write_frame<B: Body>(&mut self, body: &B) -> Result<(), Error> {
        self.write(frame::to_bytes(body)).await
    }

    pub(crate) fn finish(&mut self) {
        self.half.finish();
    }
}

/// The receiving half.
pub(crate) struct Receiver {
    half: Box<dyn RecvHalf>,
    cutter: Cutter,
    chunks: [Bytes; CHUNKS],
}

/// Pieces taken from the transport at once. One is what a packet carries, so this is about 45 KiB; it bounds how long
/// one task works on one stream, and the memory that a record which is kept holds fast.
const CHUNKS: usize = 32;

impl Receiver {
    fn new(half: Box<dyn RecvHalf>) -> Self {
        Self { half, cutter: Cutter::default(), chunks: [const { Bytes::new() }; CHUNKS] }
    }

    /// Waits for at least one whole frame; `None` at the end of the stream. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<Option<Frames>, Error> {
        loop {
            let chunks = &mut self.chunks;
            let Some(count) = poll_fn(|context| self.half.poll_read(context, chunks)).await? else {
                self.cutter.finish()?;
                return Ok(None);
            };
            let frames = self.cutter.push(&mut self.chunks[..count])?;
            if frames.remaining() > 0 {
                return Ok(Some(frames));
            }
        }
    }
}
