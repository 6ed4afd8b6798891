//! The recent end of one room's log in memory: encoded once, shared by every subscriber in this process.
//!
//! Owns encoded records under a byte budget. Does not wait, does not read the disk and does not know who is
//! subscribed: readers walk it with a position of their own.

use std::collections::VecDeque;

use bytes::Bytes;
use loquic_wire::Offset;

use crate::log::reading;

/// The recent end of a log.
///
/// Invariant: the segments are dense: each begins behind the last offset of the one before it, the first at `start`,
/// and the last one ends at `end`; `start == end + 1` if there is none. `bytes` is the sum of their lengths.
#[derive(Debug)]
pub struct Tail {
    segments: VecDeque<Segment>,
    end: Offset,
    bytes: usize,
}

#[derive(Debug)]
struct Segment {
    first: Offset,
    last: Offset,
    frames: Bytes,
}

/// What a reader at an offset can have.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// These frames; the next offset after them.
    Frames {
        /// Whole frames in order.
        frames: Vec<Bytes>,
        /// Their length together.
        bytes: u64,
        /// What comes behind them.
        next: Offset,
    },
    /// Nothing yet: the reader is at the end.
    AtEnd,
    /// There is something, but its first record is longer than the credit.
    TooLong,
    /// The offset is not in the tail any more.
    Evicted,
}

impl Tail {
    /// An empty tail behind `end`.
    pub fn new(end: Offset) -> Self {
        Self { segments: VecDeque::new(), end, bytes: 0 }
    }

    /// The first offset that is held; end + 1 if none is.
    pub fn start(&self) -> Offset {
        self.segments.front().map_or(self.end.next(), |segment| segment.first)
    }

    /// The last offset of the room.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// How many bytes are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the frames of `first` to `last`. They begin behind the end, or the tail starts anew with them.
    pub fn push(&mut self, first: Offset, last: Offset, frames: Bytes) {
        if first != self.end.next() {
            self.segments.clear();
            self.bytes = 0;
        }
        self.bytes += frames.len();
        self.segments.push_back(Segment { first, last, frames });
        self.end = last;
        self.assert_invariants();
    }

    /// Puts other frames in the place of those of `first` to `last`, if they are held. They were pushed together.
    pub fn replace(&mut self, first: Offset, last: Offset, frames: Bytes) {
        let at = self.segments.partition_point(|segment| segment.last < last);
        let Some(segment) = self.segments.get_mut(at).filter(|segment| segment.first == first) else { return };
        debug_assert_eq!(segment.last, last, "frames are replaced as they were pushed");
        self.bytes = self.bytes - segment.frames.len() + frames.len();
        segment.frames = frames;
        self.assert_invariants();
    }

    /// Lets go of the oldest records that are stored, until at most `bytes_max` are held.
    pub fn evict(&mut self, bytes_max: usize, stored: Offset) {
        while self.bytes > bytes_max && self.segments.front().is_some_and(|oldest| oldest.last <= stored) {
            if let Some(oldest) = self.segments.pop_front() {
                self.bytes -= oldest.frames.len();
            }
        }
    }

    /// What a reader whose next offset is `from` can have now: at most `credit` bytes, nothing behind `until`, and no
    /// further segment once `page` bytes are reached. Segments are only cut by credit: finding a place inside one takes
    /// a walk over its frames, which the reader would then have to repeat.
    pub fn read(&self, from: Offset, until: Offset, credit: u64, page: u64) -> Read {
        if from > self.end.min(until) {
            return Read::AtEnd;
        }
        if from < self.start() {
            return Read::Evicted;
        }
        let at = self.segments.partition_point(|segment| segment.last < from);
        let (mut frames, mut bytes, mut next) = (Vec::new(), 0, from);
        for segment in self.segments.range(at..) {
            if bytes >= page && !frames.is_empty() {
                break;
            }
            let rest = if next > segment.first {
                reading::skip_to(&segment.frames, next.since(segment.first))
            } else {
                segment.frames.clone()
            };
            let room = credit - bytes;
            if rest.len() as u64 <= room && segment.last <= until {
                bytes += rest.len() as u64;
                next = segment.last.next();
                frames.push(rest);
                continue;
            }
            let (part, count) = reading::cut(&rest, room, until.next().since(next));
            if count > 0 {
                bytes += part.len() as u64;
                next = next.plus(count);
                frames.push(part);
            }
            break;
        }
        if frames.is_empty() { Read::TooLong } else { Read::Frames { frames, bytes, next } }
    }

    fn assert_invariants(&self) {
        debug_assert_eq!(self.bytes, self.segments.iter().map(|segment| segment.frames.len()).sum::<usize>());
        debug_assert!(self.segments.iter().zip(self.segments.iter().skip(1)).all(|(a, b)| a.last.next() == b.first));
        debug_assert_eq!(self.segments.back().map_or(self.end, |segment| segment.last), self.end);
    }
}
