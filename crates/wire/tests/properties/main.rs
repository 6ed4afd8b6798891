//! What holds for every frame, every way of cutting a stream, every mutation and every name.

mod arbitrary;
mod names;

use bytes::Bytes;
use loquic_wire::{
    Decoder, Frame, FrameError,
    coding::{Encode, put_varint},
    ephemeral::Ephemeral,
    frame::{header, put_frame},
    limits::{DATAGRAM_BYTES_MAX, PAYLOAD_FRAME_BODY_MAX},
};
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};

/// Frames and an error, of a stream that comes in pieces, and the most that was held behind a piece.
struct Outcome {
    frames: Vec<Frame>,
    error: Option<FrameError>,
    held_max: usize,
}

/// Reads a stream as a session does: takes all frames behind each piece, stops at the first error.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new();
    let mut outcome = Outcome { frames: Vec::new(), error: None, held_max: 0 };
    for piece in pieces {
        let pushed = decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => outcome.frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        outcome.held_max = outcome.held_max.max(decoder.held());
        if let Err(error) = pushed {
            outcome.error = Some(error);
            return outcome;
        }
    }
    outcome.error = decoder.finish().err();
    outcome
}

/// `stream` cut at `cuts`, each taken modulo its length.
fn pieces<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([0, stream.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

fn join(frames: &[Frame]) -> Vec<u8> {
    let mut stream = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut stream));
    stream
}

/// A frame of a kind that nobody knows.
fn put_unknown(out: &mut Vec<u8>, kind: u64, body: &[u8]) {
    put_varint(out, body.len() as u64);
    put_varint(out, kind);
    out.extend_from_slice(body);
}

fn unknown_kind() -> impl Strategy<Value = u64> {
    arbitrary::number().prop_filter("unknown", |kind| Frame::ALL.iter().all(|(known, ..)| u64::from(*known) != *kind))
}

/// A header and a body longer by `extension`, which a later version may have put there.
fn extended(frame: &Frame, extension: &[u8]) -> Option<Vec<u8>> {
    let bytes = frame.to_bytes();
    let (size, body) = header(&bytes).expect("sound").expect("whole");
    let max = Frame::ALL.iter().find(|(kind, ..)| *kind == frame.kind()).map(|(.., max)| *max).expect("known");
    let mut out = Vec::new();
    put_unknown(&mut out, frame.kind().into(), &[&bytes[size..], extension].concat());
    (body + extension.len() <= max).then_some(out)
}

#[test]
fn every_kind_is_made() {
    let mut runner = TestRunner::deterministic();
    let mut kinds: Vec<u16> = arbitrary::kinds()
        .iter()
        .map(|strategy| strategy.new_tree(&mut runner).expect("a value").current().kind())
        .collect();
    kinds.sort_unstable();
    assert!(kinds.into_iter().eq(Frame::ALL.iter().map(|(kind, ..)| *kind)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_frame_comes_back_as_it_was(frame in arbitrary::frame()) {
        let bytes = frame.to_bytes();
        prop_assert_eq!(header(&bytes).map(|sizes| sizes.map(|(size, body)| size + body)), Ok(Some(bytes.len())));
        let outcome = read([&bytes[..]].into_iter());
        prop_assert_eq!((outcome.frames, outcome.error), (vec![frame], None));
    }

    #[test]
    fn a_record_knows_its_length(record in arbitrary::record()) {
        let (mut one_pass, mut generic) = (Vec::new(), Vec::new());
        record.put_frame(&mut one_pass);
        put_frame(&mut generic, &record);
        prop_assert_eq!(record.frame_len(), one_pass.len());
        prop_assert_eq!(one_pass, generic);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(prop_oneof![any::<u8>(), 0_u8..0x43, 250_u8..], 0..200), cuts: [usize; 3]) {
        let outcome = read(pieces(&bytes, &cuts).into_iter());
        prop_assert!(outcome.held_max <= bytes.len());
        let _ = Ephemeral::from_datagram(Bytes::from(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn pieces_of_any_size_give_the_same_frames(
        frames in vec(arbitrary::frame(), 0..6), cuts in vec(any::<usize>(), 0..12), each_byte: bool,
    ) {
        let stream = join(&frames);
        let pieces = if each_byte { stream.chunks(1).collect() } else { pieces(&stream, &cuts) };
        let outcome = read(pieces.into_iter());
        prop_assert_eq!((outcome.frames, outcome.error), (frames, None));
    }

    #[test]
    fn frames_that_are_not_taken_wait(frames in vec(arbitrary::frame(), 0..6), cuts: [usize; 4]) {
        let stream = join(&frames);
        let mut decoder = Decoder::new();
        for piece in pieces(&stream, &cuts) {
            prop_assert_eq!(decoder.push(piece), Ok(()));
        }
        prop_assert_eq!(decoder.held(), stream.len());
        for frame in frames {
            prop_assert_eq!(decoder.next_frame(), Ok(Some(frame)));
        }
        prop_assert_eq!(decoder.next_frame(), Ok(None));
        prop_assert!(decoder.is_empty() && decoder.finish().is_ok());
    }

    /// Whatever is wrong with a stream, the pieces it comes in change neither the frames before it nor the error.
    #[test]
    fn mutated_frames_never_panic(
        frames in vec(arbitrary::frame(), 1..4), changes in vec((any::<usize>(), any::<u8>()), 0..4), keep: usize,
        cuts: [usize; 4],
    ) {
        let mut stream = join(&frames);
        for (at, byte) in changes {
            let at = at % stream.len();
            stream[at] = byte;
        }
        stream.truncate(keep % (stream.len() * 4) + 1);
        let whole = read([&stream[..]].into_iter());
        let cut = read(pieces(&stream, &cuts).into_iter());
        prop_assert!(cut.held_max <= PAYLOAD_FRAME_BODY_MAX + 18);
        prop_assert_eq!((whole.frames, whole.error), (cut.frames, cut.error));
    }

    #[test]
    fn unknown_kinds_are_skipped(
        frames in vec((arbitrary::frame(), unknown_kind(), vec(any::<u8>(), 0..300)), 0..5), cuts: [usize; 4],
    ) {
        let mut stream = Vec::new();
        for (frame, kind, body) in &frames {
            put_unknown(&mut stream, *kind, body);
            frame.encode(&mut stream);
            put_unknown(&mut stream, *kind, &[]);
        }
        let outcome = read(pieces(&stream, &cuts).into_iter());
        let known: Vec<Frame> = frames.into_iter().map(|(frame, ..)| frame).collect();
        prop_assert_eq!((outcome.frames, outcome.error), (known, None));
    }

    #[test]
    fn what_follows_the_fields_is_ignored(frame in arbitrary::frame(), extension in vec(any::<u8>(), 1..50)) {
        if let Some(bytes) = extended(&frame, &extension) {
            let outcome = read([&bytes[..]].into_iter());
            prop_assert_eq!((outcome.frames, outcome.error), (vec![frame], None));
        }
    }

    #[test]
    fn frames_before_a_bad_header_are_delivered(
        frames in vec(arbitrary::frame(), 0..5), bad in prop::sample::select(vec![&[0xff][..], &[1, 0xfe], &[251, 1, 0]]),
        rest in vec(any::<u8>(), 0..20), cuts: [usize; 4],
    ) {
        let stream = [&join(&frames)[..], bad, &rest].concat();
        let outcome = read(pieces(&stream, &cuts).into_iter());
        prop_assert_eq!(outcome.frames, frames);
        prop_assert!(matches!(outcome.error, Some(FrameError::Header(_))));
    }

    #[test]
    fn datagrams_come_back_as_they_were(ephemeral in arbitrary::ephemeral()) {
        let mut body = Vec::new();
        ephemeral.encode(&mut body);
        prop_assert_eq!(ephemeral.to_datagram().is_some(), body.len() <= DATAGRAM_BYTES_MAX);
        if let Some(datagram) = ephemeral.to_datagram() {
            prop_assert_eq!(Ephemeral::from_datagram(datagram), Ok(ephemeral));
        } else {
            prop_assert!(Ephemeral::from_datagram(body.into()).is_err());
        }
    }
}

/// A decoder that met a bad header says so again, keeps nothing of what follows, and still has the frames before it.
#[test]
fn a_bad_header_ends_the_stream() {
    let ping = Frame::from(loquic_wire::control::Ping { token: 7 });
    let mut decoder = Decoder::new();
    let error = decoder.push(&[&ping.to_bytes()[..], &[0xff; 1_000]].concat()).expect_err("a bad header");
    assert_eq!(decoder.held(), ping.to_bytes().len());
    assert_eq!(decoder.push(&ping.to_bytes()), Err(error.clone()));
    assert_eq!(decoder.next_frame(), Ok(Some(ping)));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.finish(), Err(error));
    assert!(decoder.is_empty());
}

/// A body that does not decode ends where its header says, so a caller may go on behind it.
#[test]
fn a_bad_body_does_not_hide_what_follows() {
    let ping = Frame::from(loquic_wire::control::Ping { token: 7 });
    let mut decoder = Decoder::new();
    decoder.push(&[&[0, 7], &ping.to_bytes()[..]].concat()).expect("sound headers");
    assert!(matches!(decoder.next_frame(), Err(FrameError::Body { name: "Ping", .. })));
    assert_eq!(decoder.next_frame(), Ok(Some(ping)));
}

/// The longest bodies of all kinds pass, known or not, and are the most that is held.
#[test]
fn the_longest_bodies_pass() {
    for (kind, name, max) in Frame::ALL {
        let mut stream = Vec::new();
        put_unknown(&mut stream, u64::from(*kind), &vec![0; *max]);
        assert_eq!(header(&stream).expect(name).map(|(_, body)| body), Some(*max));
    }
    let mut stream = Vec::new();
    put_unknown(&mut stream, 9_999, &vec![0; PAYLOAD_FRAME_BODY_MAX]);
    let mut decoder = Decoder::new();
    for piece in stream.chunks(1_200) {
        assert_eq!(decoder.push(piece), Ok(()));
        assert!(decoder.held() <= stream.len());
    }
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.is_empty());
}
