//! A chunk: the consecutive records that one batch added to one room, as they go over the wire.
//!
//! `format u8 · codec u8 · crc32c u32 LE · epoch · first offset · count u32 · producers · records`, numbers as varints
//! where no size is given. The checksum covers everything behind it, so a chunk proves itself from end to end.

use bytes::Bytes;
use loquic_wire::{
    Epoch, Flags, Offset, Record, coded_struct,
    coding::{Decode, Encode, Reader, put_list, put_varint},
    frame,
};

use super::{
    reading::{first_record, skip_to},
    rows::ProducerKey,
};

const FORMAT: u8 = 1;
const CODEC_PLAIN: u8 = 0;
const CRC_AT: usize = 2;
const COVERED_AT: usize = 6;

coded_struct! {
    /// What one producer has in a chunk.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ChunkProducer {
        /// Who.
        pub key: ProducerKey,
        /// The last id.
        pub last_id: u64,
    }
}

/// Consecutive records of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The epoch in which they were appended.
    pub epoch: Epoch,
    /// The first offset.
    pub first: Offset,
    /// How many records, at least 1.
    pub count: u32,
    /// Whose they are.
    pub producers: Vec<ChunkProducer>,
    /// `count` encoded `Record` frames.
    pub frames: Bytes,
}

/// Why stored bytes are not a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Another format or codec than this build knows.
    #[error("it has format {0} and codec {1}; this build reads format 1, codec 0")]
    Format(u8, u8),
    /// The checksum is not that of the bytes.
    #[error("its checksum is {stored:08x}, that of its bytes is {computed:08x}")]
    Checksum {
        /// In the chunk.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The header does not decode.
    #[error("its header is malformed: {0}")]
    Header(#[from] loquic_wire::coding::DecodeError),
    /// The records are not what the header says.
    #[error("its records are not what its header says: {0}")]
    Records(String),
}

impl Chunk {
    /// The last offset.
    pub fn last(&self) -> Offset {
        self.first.plus(u64::from(self.count).saturating_sub(1))
    }

    /// The bytes to store, and `frames` as a part of them, so that memory and store share one buffer.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut out = Vec::with_capacity(self.frames.len() + 64 + 64 * self.producers.len());
        out.extend_from_slice(&[FORMAT, CODEC_PLAIN, 0, 0, 0, 0]);
        self.epoch.encode(&mut out);
        self.first.encode(&mut out);
        put_varint(&mut out, u64::from(self.count));
        put_list(&mut out, &self.producers);
        let header = out.len();
        out.extend_from_slice(&self.frames);
        let crc = crc32c::crc32c(&out[COVERED_AT..]);
        out[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_le_bytes());
        let bytes = Bytes::from(out);
        let frames = bytes.slice(header..);
        (bytes, frames)
    }

    /// Reads what [`Chunk::encode`] wrote and checks the checksum. The records are not looked at.
    pub fn decode(bytes: Bytes) -> Result<Self, ChunkError> {
        let mut input = Reader::new(bytes.clone());
        let (format, codec) = (u8::decode(&mut input)?, u8::decode(&mut input)?);
        if (format, codec) != (FORMAT, CODEC_PLAIN) {
            return Err(ChunkError::Format(format, codec));
        }
        let stored = u32::from_le_bytes(<[u8; 4]>::decode(&mut input)?);
        let computed = crc32c::crc32c(&bytes[COVERED_AT..]);
        if stored != computed {
            return Err(ChunkError::Checksum { stored, computed });
        }
        let epoch = Decode::decode(&mut input)?;
        let first = Decode::decode(&mut input)?;
        let count = Decode::decode(&mut input)?;
        let producers = Decode::decode(&mut input)?;
        Ok(Self { epoch, first, count, producers, frames: bytes.slice(input.position()..) })
    }

    /// Decodes the records and checks that they are what the header says: dense offsets from `first`.
    pub fn records(&self) -> Result<Vec<Record>, ChunkError> {
        let mut records = Vec::with_capacity(self.count as usize);
        let mut rest = self.frames.clone();
        while !rest.is_empty() {
            let (header, body) = match frame::header(&rest) {
                Ok(Some(sizes)) if rest.len() >= sizes.0 + sizes.1 => sizes,
                Ok(_) => return Err(ChunkError::Records("the last frame is cut off".into())),
                Err(error) => return Err(ChunkError::Records(error.to_string())),
            };
            let mut frame = rest.split_to(header + body);
            let record = Record::decode(&mut Reader::new(frame.split_off(header)))?;
            let expected = self.first.plus(records.len() as u64);
            if record.offset != expected {
                return Err(ChunkError::Records(format!("offset {} stands where {expected} belongs", record.offset)));
            }
            records.push(record);
        }
        if records.len() != self.count as usize {
            return Err(ChunkError::Records(format!("{} records, the header says {}", records.len(), self.count)));
        }
        Ok(records)
    }

    /// The record at an offset, if it is here.
    pub fn record(&self, offset: Offset) -> Option<Record> {
        let at = offset.get().checked_sub(self.first.get())?;
        first_record(&skip_to(&self.frames, at)).filter(|record| record.offset == offset)
    }

    /// The chunk with one of its records redacted; `None` if it is not here or redacted already. Everything else stays:
    /// its place in the log, and what dedupe rows say of it.
    pub fn redact(&self, offset: Offset) -> Option<Self> {
        let record = self.record(offset).filter(|record| !record.flags.contains(Flags::REDACTED))?;
        let rest = skip_to(&self.frames, offset.since(self.first));
        let behind = skip_to(&rest, 1);
        let mut frames = self.frames[..self.frames.len() - rest.len()].to_vec();
        record.redacted().put_frame(&mut frames);
        frames.extend_from_slice(&behind);
        Some(Self { frames: Bytes::from(frames), ..self.clone() })
    }
}
