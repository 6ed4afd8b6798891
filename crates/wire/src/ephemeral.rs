//! Ephemerals: typing, cursors and the like. Sent as datagrams, of which only the newest counts.

use bytes::Bytes;

use crate::{
    coded_struct,
    coding::{Decode, DecodeError, Encode, Reader},
    id::SessionId,
    limits,
};

coded_struct! {
    /// Something that is true for a moment. The receiver keeps the highest stamp of each (sender, slot). As a datagram
    /// it is this body alone, without length and kind, of at most 1,100 bytes; on a stream it is a frame.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Ephemeral {
        /// The node's number for the room, from `Joined`.
        pub handle: u32,
        /// Who says it; a client sends zeros and the server fills it in.
        pub sender: SessionId,
        /// Which of the sender's values.
        pub slot: u8,
        /// Grows with each value of a slot.
        pub stamp: u64,
        /// The value.
        pub payload: Bytes,
    }
}

impl Ephemeral {
    /// Reads a datagram.
    pub fn from_datagram(datagram: Bytes) -> Result<Self, DecodeError> {
        if datagram.len() > limits::DATAGRAM_BYTES_MAX {
            return Err(DecodeError::TooLong {
                what: "a datagram",
                length: datagram.len() as u64,
                max: limits::DATAGRAM_BYTES_MAX as u64,
            });
        }
        Self::decode(&mut Reader::new(datagram))
    }

    /// The datagram; `None` if it would be longer than [`limits::DATAGRAM_BYTES_MAX`].
    pub fn to_datagram(&self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(64 + self.payload.len());
        self.encode(&mut out);
        (out.len() <= limits::DATAGRAM_BYTES_MAX).then(|| out.into())
    }
}
