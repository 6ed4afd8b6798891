//! What a publish carries, so that whoever receives it can tell what it is, how long it took and whether it is whole.
//! Pure.
//!
//! ```text
//! crc32c of the rest u32 | run u32 | publisher u32 | sequence u32 | intended ns u64 | send lag µs u32 | filler
//! ```
//!
//! Little-endian. Times count from the start of the run on the generator's monotonic clock.

use bytes::Bytes;

use crate::schedule::Random;

/// The least a payload can be.
pub(crate) const STAMP_BYTES: usize = 28;

/// What one payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    /// Counts the publishes of this publisher from 0.
    pub(crate) sequence: u32,
    /// When it was due.
    pub(crate) intended: u64,
    /// How much later it left.
    pub(crate) lag_us: u32,
}

/// Makes and reads the payloads of one run.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    run: u32,
    filler: Bytes,
}

impl Payloads {
    /// `size` is at least [`STAMP_BYTES`]. The filler is random: compression anywhere on the way gains nothing.
    pub(crate) fn new(run: u32, size: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let filler: Vec<u8> = (STAMP_BYTES..size).map(|_| random.next() as u8).collect();
        Self { run, filler: filler.into() }
    }

    pub(crate) fn write(&self, stamp: Stamp) -> Bytes {
        let mut out = Vec::with_capacity(STAMP_BYTES + self.filler.len());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.run.to_le_bytes());
        out.extend_from_slice(&stamp.publisher.to_le_bytes());
        out.extend_from_slice(&stamp.sequence.to_le_bytes());
        out.extend_from_slice(&stamp.intended.to_le_bytes());
        out.extend_from_slice(&stamp.lag_us.to_le_bytes());
        out.extend_from_slice(&self.filler);
        let sum = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&sum.to_le_bytes());
        out.into()
    }

    /// `None` if it is not, to the last bit, a payload of this run.
    pub(crate) fn read(&self, payload: &[u8]) -> Option<Stamp> {
        if payload.len() != STAMP_BYTES + self.filler.len() {
            return None;
        }
        let (sum, rest) = payload.split_first_chunk()?;
        if u32::from_le_bytes(*sum) != crc32c::crc32c(rest) {
            return None;
        }
        let (run, rest) = rest.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (intended, rest) = rest.split_first_chunk()?;
        let (lag, _) = rest.split_first_chunk()?;
        let stamp = Stamp {
            publisher: u32::from_le_bytes(*publisher),
            sequence: u32::from_le_bytes(*sequence),
            intended: u64::from_le_bytes(*intended),
            lag_us: u32::from_le_bytes(*lag),
        };
        (u32::from_le_bytes(*run) == self.run).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back_and_no_bit_may_flip(
            publisher: u32, sequence: u32, intended: u64, lag_us: u32, size in STAMP_BYTES..300usize, bit: prop::sample::Index,
        ) {
            let payloads = Payloads::new(7, size, 1);
            let stamp = Stamp { publisher, sequence, intended, lag_us };
            let written = payloads.write(stamp);
            prop_assert_eq!(written.len(), size);
            prop_assert_eq!(payloads.read(&written), Some(stamp));
            prop_assert_eq!(Payloads::new(8, size, 1).read(&written), None);
            prop_assert_eq!(payloads.read(&written[..size - 1]), None);
            let mut flipped = written.to_vec();
            let bit = bit.index(size * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(payloads.read(&flipped), None);
        }
    }
}
