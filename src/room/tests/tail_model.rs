//! Goal: the tail gives exactly the records that were pushed and not evicted, within every bound of a read.
//!
//! Method: a deque of single records takes the same random pushes (of one or more records, dense or after a jump) and
//! evictions; after each step random reads are compared with a naive walk over it.

use std::collections::VecDeque;

use bytes::Bytes;
use loquic_wire::{Offset, Record, Time};
use proptest::prelude::*;

use super::super::tail::{Read, Tail};
use super::node::{sized, twin};

#[derive(Debug, Clone)]
enum Step {
    Push { jump: u64, sizes: Vec<usize> },
    Evict { bytes: usize, stored: u64 },
    Read { from: i64, until: i64, bytes: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![15 => Just(0u64), 1 => 1..5u64];
    let until = prop_oneof![Just(i64::MAX), -5..15i64];
    let bytes = prop_oneof![1 => Just(u64::MAX), 1 => Just(0), 4 => 0..700u64];
    prop_oneof![
        3 => (jump, prop::collection::vec(0..120usize, 1..5)).prop_map(|(jump, sizes)| Step::Push { jump, sizes }),
        1 => (0..1_500usize, 0..40u64).prop_map(|(bytes, stored)| Step::Evict { bytes, stored }),
        6 => (-3..15i64, until, bytes).prop_map(|(from, until, bytes)| Step::Read { from, until, bytes }),
    ]
}

struct Held {
    offset: u64,
    frame: Vec<u8>,
    /// The last offset of what it was pushed with: the tail lets go of it as a whole.
    pushed_to: u64,
}

fn frame(offset: u64, size: usize) -> Vec<u8> {
    let (key, publish) = (twin(1), sized(offset, size));
    let record = Record {
        offset: Offset::saturating(offset),
        time: Time::saturating(1),
        kind: publish.kind,
        format: publish.format,
        flags: publish.flags,
        sender: key.user.clone(),
        producer: key.producer.tag(),
        id: offset,
        refers: None,
        payload: publish.payload,
    };
    let mut out = Vec::new();
    record.put_frame(&mut out);
    out
}

fn read(held: &VecDeque<Held>, end: u64, from: u64, until: u64, bytes_max: u64) -> Read {
    if from > end.min(until) {
        return Read::AtEnd;
    }
    if held.front().is_none_or(|oldest| from < oldest.offset) {
        return Read::Evicted;
    }
    let (mut bytes, mut next) = (Vec::new(), from);
    for record in held.iter().filter(|record| record.offset >= from && record.offset <= until) {
        if (bytes.len() + record.frame.len()) as u64 > bytes_max {
            break;
        }
        bytes.extend_from_slice(&record.frame);
        next = record.offset + 1;
    }
    let length = bytes.len() as u64;
    match length {
        0 => Read::TooLong,
        _ => Read::Frames { frames: vec![bytes.into()], bytes: length, next: Offset::saturating(next) },
    }
}

fn joined(read: Read) -> Read {
    match read {
        Read::Frames { frames, bytes, next } => Read::Frames { frames: vec![frames.concat().into()], bytes, next },
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn a_tail_gives_what_a_list_of_records_gives(
        begin in 0..5u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut tail = Tail::new(Offset::saturating(begin));
        let (mut held, mut end) = (VecDeque::<Held>::new(), begin);
        for step in steps {
            match step {
                Step::Push { jump, sizes } => {
                    if jump > 0 {
                        held.clear();
                    }
                    let first = end + jump + 1;
                    let frames: Vec<_> = (first..).zip(&sizes).map(|(offset, size)| frame(offset, *size)).collect();
                    end = first + sizes.len() as u64 - 1;
                    let last = Offset::saturating(end);
                    tail.push(Offset::saturating(first), last, Bytes::from(frames.concat()));
                    let pushed = (first..).zip(frames);
                    held.extend(pushed.map(|(offset, frame)| Held { offset, frame, pushed_to: end }));
                }
                Step::Evict { bytes, stored } => {
                    tail.evict(bytes, Offset::saturating(stored));
                    while let Some(oldest) = held.front().map(|record| record.pushed_to) {
                        let sum: usize = held.iter().map(|record| record.frame.len()).sum();
                        if sum <= bytes || oldest > stored {
                            break;
                        }
                        held.retain(|record| record.pushed_to != oldest);
                    }
                }
                Step::Read { from, until, bytes } => {
                    let start = tail.start().get() as i64;
                    let (from, until) = ((start + from).max(1), until.saturating_add(start).max(0));
                    let (from, until) = (Offset::saturating(from as u64), Offset::saturating(until as u64));
                    let expected = read(&held, end, from.get(), until.get(), bytes);
                    prop_assert_eq!(joined(tail.read(from, until, bytes, u64::MAX)), expected);
                }
            }
            prop_assert_eq!(tail.end().get(), end);
            prop_assert_eq!(tail.start().get(), held.front().map_or(end + 1, |record| record.offset));
            prop_assert_eq!(tail.bytes(), held.iter().map(|record| record.frame.len()).sum::<usize>());
        }
    }
}
