//! Cutting a stream into frames and decoding them, in pieces of tens of kilobytes and not frame by frame.
//!
//! Does the same as [`loquic_wire::Decoder`], which costs several atomic operations and one allocation per record: a
//! piece is one buffer, every payload is a slice of it, and the sender's name is shared between the records of one
//! sender.

use bytes::Bytes;
use loquic_wire::{
    Record, UserName,
    coding::{Decode, DecodeError, Reader},
    frame::{self, Body},
    limits,
};

use crate::error::Error;

/// The frames of a stream that have not been cut: the beginning of one whose end has not come.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    partial: Bytes,
}

impl Cutter {
    /// Takes what came and returns the frames that are whole. `chunks` are left empty.
    pub(crate) fn push(&mut self, chunks: &mut [Bytes]) -> Result<Frames, Error> {
        let length = self.partial.len() + chunks.iter().map(Bytes::len).sum::<usize>();
        let mut buffer = Vec::with_capacity(length);
        buffer.extend_from_slice(&self.partial);
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            *chunk = Bytes::new();
        }
        let mut whole = Bytes::from(buffer);
        self.partial = whole.split_off(complete(&whole)?);
        Ok(Frames::new(whole))
    }

    /// Whether the stream may end here.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.partial.is_empty() { Ok(()) } else { Err(frame::FrameError::Truncated.into()) }
    }
}

/// How many bytes at the start are whole frames.
fn complete(bytes: &[u8]) -> Result<usize, Error> {
    let mut at = 0;
    while let Some((header, body)) = frame::header(&bytes[at..])? {
        if bytes.len() - at < header + body {
            break;
        }
        at += header + body;
    }
    Ok(at)
}

/// Whole frames, read one after the other. Frames whose kind the caller does not know are skipped by not reading them.
#[derive(Debug)]
pub(crate) struct Frames {
    reader: Reader,
    /// Where the frame that is being read ends.
    end: usize,
}

/// What a frame begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    /// Of the whole frame.
    pub(crate) size: usize,
}

impl Frames {
    fn new(whole: Bytes) -> Self {
        Self { reader: Reader::new(whole), end: 0 }
    }

    #[cfg(test)]
    pub(crate) fn of(frames: &[loquic_wire::Frame]) -> Self {
        let mut out = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        Self::new(out.into())
    }

    /// The number of bytes that have not been read.
    pub(crate) fn remaining(&self) -> usize {
        self.reader.remaining()
    }

    /// Goes to the next frame, whatever was read of this one.
    pub(crate) fn next(&mut self) -> Result<Option<Header>, Error> {
        let rest = self.end - self.reader.position();
        if rest > 0 {
            self.reader.slice(rest)?;
        }
        if self.reader.remaining() == 0 {
            return Ok(None);
        }
        let start = self.reader.position();
        let length = self.reader.varint()? as usize;
        // A kind past 65,535 is one that nobody knows yet.
        let kind = u16::try_from(self.reader.varint()?).unwrap_or(u16::MAX);
        self.end = self.reader.position() + length;
        Ok(Some(Header { kind, size: self.end - start }))
    }

    /// Reads the body.
    pub(crate) fn body<B: Body>(&mut self) -> Result<B, Error> {
        let body = B::decode(&mut self.reader)?;
        self.check_end()?;
        Ok(body)
    }

    /// Reads the body of a record.
    pub(crate) fn record(&mut self, senders: &mut Senders) -> Result<Record, Error> {
        let input = &mut self.reader;
        let record = Record {
            offset: Decode::decode(input)?,
            time: Decode::decode(input)?,
            kind: Decode::decode(input)?,
            format: Decode::decode(input)?,
            flags: Decode::decode(input)?,
            sender: senders.read(input)?,
            producer: Decode::decode(input)?,
            id: Decode::decode(input)?,
            refers: Decode::decode(input)?,
            payload: payload(input)?,
        };
        self.check_end()?;
        Ok(record)
    }

    /// All frames are in one buffer, so a body that is cut short would be read from the frame behind it.
    fn check_end(&self) -> Result<(), Error> {
        if self.reader.position() > self.end { Err(DecodeError::Truncated.into()) } else { Ok(()) }
    }
}

fn payload(input: &mut Reader) -> Result<Bytes, DecodeError> {
    let length = input.length("a payload", limits::PAYLOAD_BYTES_MAX_HARD)?;
    input.slice(length)
}

/// The senders of the last records. Most records of a room come from a few people, and a name that is known needs
/// neither a check nor an allocation.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    known: [Option<UserName>; SENDERS],
}

/// A power of two; a busy room has tens of people talking at once. Costs 16 bytes and a name each.
const SENDERS: usize = 16;

impl Senders {
    fn read(&mut self, input: &mut Reader) -> Result<UserName, DecodeError> {
        let text = input.text("a sender", limits::USER_BYTES_MAX)?;
        let bytes = text.as_bytes();
        let last = bytes.last().copied().unwrap_or_default();
        let slot = &mut self.known[(bytes.len() ^ usize::from(last)) & (SENDERS - 1)];
        match slot {
            Some(known) if known.as_str() == text => Ok(known.clone()),
            _ => Ok(slot.insert(UserName::new(text)?).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::{
        Decoder, Flags, Format, Frame, Kind, Offset, ProducerTag, Time,
        join::{CaughtUp, Gap, GapReason},
    };
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let record = (1u64..1 << 53, 0u64..1 << 53, "[a-z]{1,20}", prop::option::of(1u64..1 << 53), 0usize..700)
            .prop_map(|(offset, id, sender, refers, length)| {
                Frame::from(Record {
                    offset: Offset::saturating(offset),
                    time: Time::saturating(id),
                    kind: Kind::MESSAGE,
                    format: Format::Text,
                    flags: Flags::NONE,
                    sender: UserName::new(&sender).expect("a name"),
                    producer: ProducerTag([1, 2, 3, 4]),
                    id,
                    refers: refers.map(Offset::saturating),
                    payload: vec![b'x'; length].into(),
                })
            });
        let offset = || (0u64..1 << 53).prop_map(Offset::saturating);
        prop_oneof![
            4 => record,
            1 => offset().prop_map(|head| CaughtUp { head }.into()),
            1 => (offset(), offset()).prop_map(|(from, to)| Gap { from, to, reason: GapReason::Lost }.into()),
        ]
    }

    const READ: [u16; 3] = [Record::KIND, Gap::KIND, CaughtUp::KIND];

    /// Reads what a reader knows of, and counts the frames that it does not look into.
    fn read_all(frames: &mut Frames, senders: &mut Senders, into: &mut Vec<Frame>) -> Result<usize, Error> {
        let mut others = 0;
        while let Some(Header { kind, .. }) = frames.next()? {
            match kind {
                Record::KIND => into.push(frames.record(senders)?.into()),
                Gap::KIND => into.push(frames.body::<Gap>()?.into()),
                CaughtUp::KIND => into.push(frames.body::<CaughtUp>()?.into()),
                _ => others += 1,
            }
        }
        Ok(others)
    }

    proptest! {
        /// Any cutting into pieces gives the same frames as the wire crate's decoder.
        #[test]
        fn pieces_do_not_matter(frames in prop::collection::vec(frame(), 0..12), cuts in prop::collection::vec(1usize..400, 1..40)) {
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| frame.encode(&mut bytes));
            let (mut cutter, mut senders, mut got) = (Cutter::default(), Senders::default(), Vec::new());
            let mut rest = Bytes::from(bytes);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let mut chunks = [rest.split_to((*cut).min(rest.len())), rest.split_to((*cut / 2).min(rest.len()))];
                read_all(&mut cutter.push(&mut chunks)?, &mut senders, &mut got)?;
            }
            cutter.finish()?;
            prop_assert_eq!(got, frames);
        }

        /// Bytes of any sort give what the wire crate's decoder gives, or an error where it gives one.
        #[test]
        fn bad_bytes_are_refused_alike(frame in frame(), at in 0usize..60, with: u8) {
            let mut bytes = frame.to_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = with;
            bytes.extend_from_slice(&frame.to_bytes());
            let (mut decoder, mut wanted) = (Decoder::new(), Vec::new());
            let mut ok = decoder.push(&bytes).is_ok();
            while ok {
                match decoder.next_frame() {
                    Ok(Some(frame)) => wanted.push(frame),
                    Ok(None) => break,
                    Err(_) => ok = false,
                }
            }
            wanted.retain(|frame| READ.contains(&frame.kind()));
            let mut got = Vec::new();
            let read = Cutter::default()
                .push(&mut [bytes.into()])
                .and_then(|mut frames| read_all(&mut frames, &mut Senders::default(), &mut got));
            match read {
                _ if ok => {
                    prop_assert!(read.is_ok());
                    prop_assert_eq!(got, wanted);
                }
                // The decoder also refuses a bad body of a kind that is not looked into here.
                Ok(others) => prop_assert!(others > 0),
                Err(_) => {}
            }
        }
    }
}
