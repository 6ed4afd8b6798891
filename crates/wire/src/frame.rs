//! Frames: `length kind body`. The length is that of the body alone; both numbers are varints.
//!
//! [`Decoder`] cuts a stream into frames. It checks a frame's length against the maximum of its kind before it keeps
//! a byte of the body, skips frames of unknown kinds, and ignores what follows the fields it knows in a body.

use bytes::{Bytes, BytesMut};

use crate::{
    coding::{Decode, DecodeError, Encode, Reader, put_varint},
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

/// Appends a frame.
pub fn put_frame<B: Body>(out: &mut Vec<u8>, body: &B) {
    let mut bytes = Vec::with_capacity(64);
    body.encode(&mut bytes);
    debug_assert!(bytes.len() <= B::BODY_BYTES_MAX, "{} of {} bytes", B::NAME, bytes.len());
    put_varint(out, bytes.len() as u64);
    put_varint(out, u64::from(B::KIND));
    out.extend_from_slice(&bytes);
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

            /// Reads a body; `None` if the kind is unknown.
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
    #[error("a frame of kind {kind:#x} has {length} bytes, its maximum is {max}")]
    TooLarge {
        /// The kind on the wire.
        kind: u64,
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

/// Longest header: two varints of at most 9 bytes.
const HEADER_BYTES_MAX: usize = 18;

/// Cuts a stream of bytes, which come in any pieces, into frames.
///
/// Holds at most one incomplete frame and the last piece. When it is empty it holds no memory.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes behind the last complete frame.
    partial: BytesMut,
    /// Whole frames, not yet taken.
    whole: Bytes,
}

impl Decoder {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream.
    ///
    /// An error says that a header is malformed or names too long a body; frames before it can still be taken.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), FrameError> {
        self.partial.extend_from_slice(piece);
        let (complete, error) = complete_frames(&self.partial);
        if complete > 0 {
            let fresh = self.partial.split_to(complete).freeze();
            self.whole = if self.whole.is_empty() { fresh } else { [&self.whole[..], &fresh[..]].concat().into() };
        }
        if self.partial.is_empty() {
            self.partial = BytesMut::new();
        }
        error.map_or(Ok(()), Err)
    }

    /// The next frame of a known kind; `None` if no whole one is held.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        while !self.whole.is_empty() {
            let mut header = Reader::new(self.whole.clone());
            let length = header.varint().map_err(FrameError::Header)? as usize;
            let kind = header.varint().map_err(FrameError::Header)?;
            let mut frame = self.whole.split_to(header.position() + length);
            let body = frame.split_off(header.position());
            if let Some(frame) = decode(kind, body)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Whether the stream may end here.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.partial.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }

    /// Whether no byte is held, whole frames included.
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.whole.is_empty()
    }
}

fn decode(kind: u64, body: Bytes) -> Result<Option<Frame>, FrameError> {
    let name = || Frame::ALL.iter().find(|(number, ..)| u64::from(*number) == kind).map_or("unknown", |(_, name, _)| name);
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
pub fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let start = &bytes[..bytes.len().min(HEADER_BYTES_MAX)];
    let mut at = 0;
    let mut number = || -> Result<Option<u64>, FrameError> {
        let rest = &start[at..];
        let Some(&first) = rest.first() else { return Ok(None) };
        let size = match first {
            0..=250 => 1,
            251 => 3,
            252 => 5,
            253 => 9,
            _ => return Err(FrameError::Header(DecodeError::Varint)),
        };
        if rest.len() < size {
            return Ok(None);
        }
        at += size;
        if size == 1 {
            return Ok(Some(u64::from(first)));
        }
        Reader::new(Bytes::copy_from_slice(&rest[..size])).varint().map(Some).map_err(FrameError::Header)
    };
    let Some(length) = number()? else { return Ok(None) };
    if length > PAYLOAD as u64 {
        return Err(FrameError::TooLarge { kind: 0, length, max: PAYLOAD });
    }
    let Some(kind) = number()? else { return Ok(None) };
    let max = Frame::body_bytes_max(kind);
    if length > max as u64 {
        return Err(FrameError::TooLarge { kind, length, max });
    }
    Ok(Some((at, length as usize)))
}

const _: () = assert!(SMALL <= PAYLOAD && LIST <= PAYLOAD && limits::UNKNOWN_FRAME_BODY_MAX <= PAYLOAD);
