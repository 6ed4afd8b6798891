//! What an application publishes.

use bytes::Bytes;
use loquic_wire::{
    Flags, Format, Kind, Offset,
    coding::{Encode, put_bytes, put_varint, varint_len},
    frame::Body,
    publish::Publish,
};

/// One record to append: a payload, and what it is. Made from a payload with `into()`:
///
/// ```
/// use loquic_client::{Format, Kind, Message};
///
/// let text = Message::from("hello");
/// assert_eq!(text.format, Format::Text);
/// let cursor = Message::from(vec![1, 2, 3]).kind(Kind(40));
/// assert_eq!((cursor.kind, cursor.format), (Kind(40), Format::Bytes));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What it is for; default [`Kind::MESSAGE`].
    pub kind: Kind,
    /// What the bytes are; default text for strings, bytes for bytes.
    pub format: Format,
    /// Properties; default none.
    pub flags: Flags,
    /// An earlier record that this one is about; default none.
    pub refers: Option<Offset>,
    /// The content.
    pub payload: Bytes,
}

impl Message {
    /// A message of bytes.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self { kind: Kind::MESSAGE, format: Format::Bytes, flags: Flags::NONE, refers: None, payload: payload.into() }
    }

    /// A message of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(text.into()).format(Format::Text)
    }

    /// A message that is a JSON document. The text is not checked.
    pub fn json(document: impl Into<String>) -> Self {
        Self::new(document.into()).format(Format::Json)
    }

    /// Takes the content from an earlier record of one's own; moderators may name others'. Its offset stays.
    pub fn delete(offset: Offset) -> Self {
        Self::new(Bytes::new()).kind(Kind::DELETE).refers(offset)
    }

    /// Sets what it is for.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets what the bytes are.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets the properties.
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Names the record that this one is about.
    pub fn refers(mut self, offset: Offset) -> Self {
        self.refers = Some(offset);
        self
    }

    /// Appends the `Publish` frame in one pass. The wire crate's general way encodes the body into a buffer of its own
    /// first; at several hundred thousand publishes per second that buffer is what the time goes into.
    pub(crate) fn put_frame(&self, id: u64, out: &mut Vec<u8>) {
        let length = self.body_len(id);
        out.reserve(length + 6);
        put_varint(out, length as u64);
        put_varint(out, u64::from(<Publish as Body>::KIND));
        put_varint(out, id);
        self.kind.encode(out);
        self.format.encode(out);
        self.flags.encode(out);
        self.refers.encode(out);
        put_bytes(out, &self.payload);
    }

    fn body_len(&self, id: u64) -> usize {
        let refers = self.refers.map_or(1, |offset| 1 + varint_len(offset.get()));
        varint_len(id) + 3 + refers + varint_len(self.payload.len() as u64) + self.payload.len()
    }
}

impl From<Bytes> for Message {
    fn from(payload: Bytes) -> Self {
        Self::new(payload)
    }
}

impl From<Vec<u8>> for Message {
    fn from(payload: Vec<u8>) -> Self {
        Self::new(payload)
    }
}

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Self::new(Bytes::copy_from_slice(payload))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::frame;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_pass_makes_the_same_frame(
            id in 0u64..1 << 53, kind: u8, format in 0u8..3, flags: u8, refers in proptest::option::of(0u64..1 << 53), length in 0usize..1000,
        ) {
            let format = [Format::Bytes, Format::Text, Format::Json][usize::from(format)];
            let (kind, flags, refers) = (Kind(kind), Flags(flags), refers.map(Offset::saturating));
            let payload = Bytes::from(vec![7; length]);
            let mut out = Vec::new();
            let message = Message { kind, format, flags, refers, payload: payload.clone() };
            message.put_frame(id, &mut out);
            prop_assert_eq!(Bytes::from(out), frame::to_bytes(&Publish { id, kind, format, flags, refers, payload }));
        }
    }
}
