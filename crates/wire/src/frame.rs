//! Frames: `length kind body`. The length is that of the body alone; both numbers are varints.
//!
//! [`Decoder`] cuts a stream into frames. It checks a frame's length against the maximum of its kind before it keeps
//! a byte of the body, skips frames of unknown kinds, and ignores what follows the fields it knows in a body.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    coding::{Decode, DecodeError, Encode, Reader, put_varint, split_varint},
    limits,
    record::Record,
};

/// A frame's body as a type.
pub trait Body: Encode + Decode {
    /// The number on the wire.
    const KIND: u16;

    /// The name in the documentation and the vectors.
    const NAME: &'static str;

    /// Longest body in bytes.
    const BODY_BYTES_MAX: usize;
}

/// Appends a frame. The body must keep to its maximum; a peer ends the session over one that does not.
pub fn put_frame<B: Body>(out: &mut Vec<u8>, body: &B) {
    const { assert!(B::KIND <= 250, "the kind takes one byte") };
    let start = out.len();
    out.extend_from_slice(&[0, B::KIND as u8]);
    body.encode(out);
    let length = out.len() - start - 2;
    debug_assert!(length <= B::BODY_BYTES_MAX, "{} of {length} bytes", B::NAME);
    match u8::try_from(length) {
        Ok(short @ 0..=250) => out[start] = short,
        _ => {
            let mut long = Vec::with_capacity(LENGTH_BYTES_MAX);
            put_varint(&mut long, length as u64);
            out.splice(start..=start, long);
        }
    }
}

/// A frame as bytes.
pub fn to_bytes<B: Body>(body: &B) -> Bytes {
    let mut out = Vec::with_capacity(64);
    put_frame(&mut out, body);
    out.into()
}

/// Declares the frames, and [`Frame`] over all of them.
macro_rules! frames {
    ($($(#[$meta:meta])* $kind:literal $name:ident, $max:expr => $source:path;)*) => {
        /// Any frame.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Frame {
            $($(#[$meta])* $name($source)),*
        }

        $(impl Body for $source {
            const KIND: u16 = $kind;
            const NAME: &'static str = stringify!($name);
            const BODY_BYTES_MAX: usize = $max;
        })*

        $(impl From<$source> for Frame {
            fn from(body: $source) -> Self {
                Self::$name(body)
            }
        })*

        impl Frame {
            /// The kinds and names of all frames, with the longest body of each.
            pub const ALL: &[(u16, &'static str, usize)] = &[$(($kind, stringify!($name), $max)),*];

            /// The number on the wire.
            pub fn kind(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $kind),*
                }
            }

            /// The name in the documentation and the vectors.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name)),*
                }
            }

            /// Appends the frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(body) => put_frame(out, body)),*
                }
            }

            /// Reads a body; `None` if the kind is unknown. What follows the last field is ignored: a later version put
            /// it there.
            fn decode_body(kind: u64, input: &mut Reader) -> Result<Option<Self>, DecodeError> {
                match kind {
                    $($kind => <$source>::decode(input).map(|body| Some(Self::$name(body))),)*
                    _ => Ok(None),
                }
            }

            fn body_bytes_max(kind: u64) -> usize {
                match kind {
                    $($kind => $max,)*
                    _ => limits::UNKNOWN_FRAME_BODY_MAX,
                }
            }
        }
    };
}

const SMALL: usize = limits::SMALL_FRAME_BODY_MAX;
const LIST: usize = limits::LIST_FRAME_BODY_MAX;
const PAYLOAD: usize = limits::PAYLOAD_FRAME_BODY_MAX;

frames! {
    /// Client, control: first frame of a session.
    0x01 Hello, LIST => crate::control::Hello;
    /// Server, control: the session is open.
    0x02 Welcome, LIST => crate::control::Welcome;
    /// Server, any stream: what its first frame asked for is refused.
    0x03 Refused, SMALL => crate::control::Refused;
    /// Client, control: a new token.
    0x04 Refresh, LIST => crate::control::Refresh;
    /// Server, control: the new token is accepted.
    0x05 Refreshed, SMALL => crate::control::Refreshed;
    /// Server, control: the token is about to expire.
    0x06 Expiring, SMALL => crate::control::Expiring;
    /// Client, control: are you there.
    0x07 Ping, SMALL => crate::control::Ping;
    /// Server, control: answer to `Ping`.
    0x08 Pong, SMALL => crate::control::Pong;
    /// Client, control: where are these rooms.
    0x09 Peek, LIST => crate::control::Peek;
    /// Server, control: answer to `Peek`, in the order asked.
    0x0a Peeked, LIST => crate::control::Peeked;
    /// Server, control: the principal's read mark in a room has moved.
    0x0b Marked, SMALL => crate::control::Marked;
    /// Server, control: go elsewhere, or wait and come back.
    0x0c Goaway, LIST => crate::control::Goaway;
    /// Both, control: the session ends, and why.
    0x0d Closing, SMALL => crate::control::Closing;

    /// Client, first frame: attach to a room.
    0x10 Join, SMALL => crate::join::Join;
    /// Server: attached.
    0x11 Joined, SMALL => crate::join::Joined;
    /// Server: one record; byte-identical for every subscriber and in the log.
    0x12 Record, PAYLOAD => Record;
    /// Server: these offsets will not come.
    0x13 Gap, SMALL => crate::join::Gap;
    /// Server: the position does not hold; what is held follows.
    0x14 Reset, SMALL => crate::join::Reset;
    /// Server: everything up to here has been sent; what follows is live.
    0x15 CaughtUp, SMALL => crate::join::CaughtUp;
    /// Both: an ephemeral where datagrams cannot be used.
    0x16 Ephemeral, SMALL => crate::ephemeral::Ephemeral;
    /// Server: who is in the room.
    0x17 Presence, LIST => crate::join::Presence;
    /// Server: the room is left, and why; the stream ends.
    0x18 Left, SMALL => crate::join::Left;
    /// Client: this many more bytes of records may be sent.
    0x19 Credit, SMALL => crate::join::Credit;
    /// Client: read up to here.
    0x1a Mark, SMALL => crate::join::Mark;

    /// Client, first frame: watch the heads of rooms that are not joined.
    0x20 Watch, LIST => crate::watch::Watch;
    /// Server: a room's head has moved.
    0x21 Head, SMALL => crate::watch::Head;

    /// Client, first frame: publish into a room.
    0x30 Open, SMALL => crate::publish::Open;
    /// Server: publishes are taken.
    0x31 Opened, SMALL => crate::publish::Opened;
    /// Client: one record to append.
    0x32 Publish, PAYLOAD => crate::publish::Publish;
    /// Server: one publish is safe.
    0x33 Ack, SMALL => crate::publish::Ack;
    /// Server: a run of publishes is safe.
    0x34 AckRun, SMALL => crate::publish::AckRun;
    /// Server: one publish is not in the log.
    0x35 Nack, SMALL => crate::publish::Nack;

    /// Client, first frame: read part of a room's log.
    0x40 Read, SMALL => crate::read::Read;
    /// Server: where the room is; records follow.
    0x41 ReadHead, SMALL => crate::read::ReadHead;
    /// Server: the last frame of a read.
    0x42 ReadEnd, SMALL => crate::read::ReadEnd;

    /// Client, first frame: who is in a room.
    0x50 Who, SMALL => crate::who::Who;
    /// Server: the answer to `Who`, and the last frame of the stream.
    0x51 Members, LIST => crate::who::Members;
}

impl Frame {
    /// The frame as bytes.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        self.encode(&mut out);
        out.into()
    }
}

/// Why a stream is not a sequence of frames. The stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length and the kind do not decode.
    #[error("a frame's header is malformed: {0}")]
    Header(DecodeError),
    /// The body does not decode.
    #[error("a {name} frame is malformed: {error}")]
    Body {
        /// The frame's name.
        name: &'static str,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The body is longer than its kind allows.
    #[error("a frame{} has {length} bytes, its maximum is {max}", kind.map(|kind| format!(" of kind {kind:#x}")).unwrap_or_default())]
    TooLarge {
        /// The kind on the wire; `None` if the length is too large for any, so that the kind was not looked at.
        kind: Option<u64>,
        /// The length announced.
        length: u64,
        /// The longest that is allowed.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ends inside a frame")]
    Truncated,
}

impl FrameError {
    /// What the peer is told.
    pub fn code(&self) -> crate::Code {
        match self {
            Self::Body { error: DecodeError::Name(_), .. } => crate::Code::BAD_NAME,
            Self::Header(_) | Self::Body { .. } | Self::Truncated => crate::Code::BAD_FRAME,
            Self::TooLarge { .. } => crate::Code::FRAME_TOO_LARGE,
        }
    }
}

/// Cuts a stream of bytes, which come in any pieces, into frames.
///
/// Holds at most one incomplete frame and the whole frames not yet taken: a caller that takes all frames after each
/// piece holds less than one frame's maximum and one piece. When it is empty it holds no memory.
///
/// A header that is malformed or announces too long a body ends it: frames before that header can still be taken,
/// every further piece is dropped and gets the same error. A malformed body does not, because the frame's end is known;
/// whether to go on behind it is the caller's decision.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame whose end has not come.
    partial: BytesMut,
    /// Whole frames, not yet taken, with headers known to be sound.
    whole: Bytes,
    /// The header that ended it.
    failed: Option<FrameError>,
}

impl Decoder {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream.
    ///
    /// An error says that a header is malformed or announces too long a body; frames before it can still be taken.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.partial.extend_from_slice(piece);
        let (complete, error) = complete_frames(&self.partial);
        if complete > 0 {
            let fresh = self.partial.split_to(complete).freeze();
            self.whole = if self.whole.is_empty() { fresh } else { [&self.whole[..], &fresh[..]].concat().into() };
        }
        if self.partial.is_empty() || error.is_some() {
            self.partial = BytesMut::new();
        }
        self.failed.clone_from(&error);
        error.map_or(Ok(()), Err)
    }

    /// The next frame of a known kind; `None` if no whole one is held.
    ///
    /// An error is that of one frame's body; the next call goes on behind that frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(Header { size, kind, body }) = read_header(&self.whole)? {
            let mut frame = self.whole.split_to(size + body);
            frame.advance(size);
            if let Some(frame) = decode(kind, frame)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Whether the stream may end here.
    pub fn finish(&self) -> Result<(), FrameError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.partial.is_empty() => Ok(()),
            None => Err(FrameError::Truncated),
        }
    }

    /// Whether no byte is held, whole frames included.
    pub fn is_empty(&self) -> bool {
        self.held() == 0
    }

    /// How many bytes are held: those of whole frames that have not been taken and of one that is incomplete.
    pub fn held(&self) -> usize {
        self.partial.len() + self.whole.len()
    }
}

fn decode(kind: u64, body: Bytes) -> Result<Option<Frame>, FrameError> {
    let name =
        || Frame::ALL.iter().find(|(number, ..)| u64::from(*number) == kind).map_or("unknown", |(_, name, _)| name);
    Frame::decode_body(kind, &mut Reader::new(body)).map_err(|error| FrameError::Body { name: name(), error })
}

/// How many bytes at the start of `bytes` are whole frames, and what is wrong with the header behind them, if anything.
fn complete_frames(bytes: &[u8]) -> (usize, Option<FrameError>) {
    let mut at = 0;
    loop {
        match header(&bytes[at..]) {
            Ok(Some((header, body))) if bytes.len() - at >= header + body => at += header + body,
            Ok(_) => return (at, None),
            Err(error) => return (at, Some(error)),
        }
    }
}

/// The sizes of the header and the body of the frame that `bytes` begin with; `None` if the header is not whole.
///
/// An error as soon as the bytes that are there rule out a sound header within its kind's maximum.
pub fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    Ok(read_header(bytes)?.map(|Header { size, body, .. }| (size, body)))
}

/// What a frame begins with.
struct Header {
    /// The bytes it takes itself.
    size: usize,
    kind: u64,
    /// The bytes behind it, within the kind's maximum.
    body: usize,
}

fn read_header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some((length, length_size)) = split_varint(bytes).map_err(FrameError::Header)? else { return Ok(None) };
    if length > PAYLOAD as u64 {
        return Err(FrameError::TooLarge { kind: None, length, max: PAYLOAD });
    }
    let rest = &bytes[length_size..];
    let Some((kind, kind_size)) = split_varint(rest).map_err(FrameError::Header)? else { return Ok(None) };
    let max = Frame::body_bytes_max(kind);
    if length > max as u64 {
        return Err(FrameError::TooLarge { kind: Some(kind), length, max });
    }
    Ok(Some(Header { size: length_size + kind_size, kind, body: length as usize }))
}

/// The longest varint of a length that any kind allows.
const LENGTH_BYTES_MAX: usize = 5;
const _: () = assert!(SMALL <= PAYLOAD && LIST <= PAYLOAD && limits::UNKNOWN_FRAME_BODY_MAX <= PAYLOAD);
