//! One stream as frames, and how streams end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::unfold;
use loquic_wire::{
    Code, Decoder, Frame, FrameError,
    control::Refused,
    frame::{Body, to_bytes},
    join::Left,
};

use super::state::Fault;
use crate::{
    room::Refusal,
    transport::{Link, RecvStream, SendStream, StreamError},
};

/// Which streams are sent first: what keeps a session alive and publishers going, then what is new, then the past.
pub(super) mod priority {
    pub(crate) const CONTROL: i32 = 3;
    pub(crate) const PUBLISH: i32 = 2;
    pub(crate) const LIVE: i32 = 1;
    /// Also what every stream starts with.
    pub(crate) const CATCH_UP: i32 = 0;
}

/// Pieces that a stream takes at once where little comes; a piece is what came in one packet, or less.
const PIECES: usize = 4;

/// Both halves of a stream.
pub(super) struct Stream<L: Link> {
    pub(super) send: L::Send,
    pub(super) frames: Frames<L::Recv>,
}

impl<L: Link> Stream<L> {
    pub(super) fn new((send, recv): (L::Send, L::Recv)) -> Self {
        Self { send, frames: Frames::new(recv) }
    }
}

/// The frames that come up a stream.
pub(super) struct Frames<R> {
    recv: R,
    decoder: Decoder,
    /// Comes behind the frames that are held.
    error: Option<Box<FrameError>>,
}

/// Why there is no next frame.
#[derive(Debug)]
pub(super) enum FramesError {
    /// The peer sent something that is no frame.
    Frame(FrameError),
    /// The peer ended the stream, or the link is gone.
    Stream(StreamError),
}

impl<R: RecvStream> Frames<R> {
    pub(super) fn new(recv: R) -> Self {
        Self { recv, decoder: Decoder::new(), error: None }
    }

    /// Waits for the next frame; `None` at the end of the stream. Cancel-safe: between what it reads and what it
    /// keeps there is no wait.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FramesError> {
        loop {
            if let Some(frame) = self.held()? {
                return Ok(Some(frame));
            }
            let mut pieces = [const { Bytes::new() }; PIECES];
            match self.recv.read_chunks(&mut pieces).await.map_err(FramesError::Stream)? {
                Some(count) => pieces[..count].iter().for_each(|piece| self.push(piece)),
                None => return self.decoder.finish().map(|()| None).map_err(FramesError::Frame),
            }
        }
    }

    /// The frames until the stream's end, one after the other, as something that can be polled over and over.
    pub(super) fn stream(&mut self) -> impl futures::Stream<Item = Result<Frame, FramesError>> {
        unfold(self, async |frames| frames.next().await.transpose().map(|frame| (frame, frames)))
    }

    /// Waits until frames are there and gives all of them to `take`; `false` at the end of the stream. Reads up to
    /// `pieces.len()` pieces at once. Cancel-safe, like [`Frames::next`].
    pub(super) async fn read(
        &mut self,
        pieces: &mut [Bytes],
        mut take: impl FnMut(Frame),
    ) -> Result<bool, FramesError> {
        let mut taken = self.take_held(&mut take)?;
        while !taken {
            let Some(count) = self.recv.read_chunks(pieces).await.map_err(FramesError::Stream)? else {
                self.decoder.finish().map_err(FramesError::Frame)?;
                return Ok(false);
            };
            for piece in &mut pieces[..count] {
                // One piece after the other: a decoder that holds whole frames copies them when it is given more.
                self.push(&std::mem::take(piece));
                taken |= self.take_held(&mut take)?;
            }
        }
        Ok(true)
    }

    /// Reads to the stream's end, or so many bytes, and looks at nothing.
    pub(super) async fn discard(&mut self, bytes_max: usize) {
        let mut pieces = [const { Bytes::new() }; PIECES];
        let mut bytes = 0;
        while bytes < bytes_max
            && let Ok(Some(count)) = self.recv.read_chunks(&mut pieces).await
        {
            bytes += pieces[..count].iter().map(Bytes::len).sum::<usize>();
        }
    }

    fn take_held(&mut self, take: &mut impl FnMut(Frame)) -> Result<bool, FramesError> {
        let mut taken = false;
        while let Some(frame) = self.held()? {
            take(frame);
            taken = true;
        }
        Ok(taken)
    }

    fn push(&mut self, piece: &[u8]) {
        if self.error.is_none() {
            self.error = self.decoder.push(piece).err().map(Box::new);
        }
    }

    /// The next frame that is there already.
    fn held(&mut self) -> Result<Option<Frame>, FramesError> {
        match self.decoder.next_frame() {
            Ok(None) => self.error.take().map_or(Ok(None), |error| Err(FramesError::Frame(*error))),
            result => result.map_err(FramesError::Frame),
        }
    }
}

/// How a stream ends.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    /// In good order, with nothing more to say.
    Finish,
    /// With `Refused`.
    Refuse(Refused),
    /// With `Left`.
    Leave(Code),
    /// Reset: the peer is gone, or does not want the rest.
    Abandon,
    /// The peer broke the protocol, and the whole session ends.
    Fault(Fault),
}

impl Ending {
    pub(super) fn refuse(code: Code, message: impl Into<Arc<str>>) -> Self {
        Self::Refuse(refused(code, message, code.default_delay()))
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::refuse(refusal.code, refusal.message)
    }
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StreamError> for Ending {
    fn from(_: StreamError) -> Self {
        Self::Abandon
    }
}

impl From<FramesError> for Ending {
    fn from(error: FramesError) -> Self {
        match error {
            FramesError::Stream(error) => error.into(),
            FramesError::Frame(error) if error.code() == Code::BAD_NAME => {
                Self::refuse(Code::BAD_NAME, error.to_string())
            }
            FramesError::Frame(error) => Self::Fault(Fault::new(error.code(), error.to_string())),
        }
    }
}

pub(super) fn refused(code: Code, message: impl Into<Arc<str>>, retry_after: Duration) -> Refused {
    Refused { code, message: shorten(message.into()), retry_after: retry_after.into() }
}

/// Cuts text for people at what a frame holds.
pub(super) fn shorten(text: Arc<str>) -> Arc<str> {
    let max = loquic_wire::limits::TEXT_BYTES_MAX;
    if text.len() <= max {
        return text;
    }
    // A character has at most four bytes.
    let end = (max - 3..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].into()
}

/// Writes one frame. Not cancel-safe.
pub(super) async fn write<S: SendStream, B: Body>(send: &mut S, body: &B) -> Result<(), StreamError> {
    send.write_all_chunks(&mut [to_bytes(body)]).await
}

/// Writes the last words of a stream. The half is not finished: that is for whoever counts streams, after it has
/// counted, so that a peer that sees the end can open the next stream.
pub(super) async fn conclude<S: SendStream>(send: &mut S, ending: Ending) -> Ending {
    let result = match &ending {
        Ending::Refuse(refused) => write(send, refused).await,
        Ending::Leave(code) => write(send, &Left { code: *code }).await,
        Ending::Finish | Ending::Abandon | Ending::Fault(_) => Ok(()),
    };
    if result.is_err() { Ending::Abandon } else { ending }
}
