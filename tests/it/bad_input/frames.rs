//! Bytes that are no frames, and frames that are too much.

use loquic_wire::{
    Code, Frame,
    coding::{put_bytes, put_varint},
    control::Ping,
    join::From,
    limits,
    read::Range,
};

use crate::{
    raw::{frame, header, hello, join, open, publish, read},
    world::World,
};

/// Bytes behind which nothing can be read on.
const CREDIT: u64 = 1 << 20;

/// A valid first frame of each sort.
fn first_frames() -> [Vec<u8>; 5] {
    let watch = loquic_wire::watch::Watch::Prefix("bad".into());
    let frames = [
        hello("mallory"),
        join("bad", From::Live, CREDIT),
        open("bad", 1),
        read("bad", Range::Newest, 10),
        watch.into(),
    ];
    frames.map(|frame| frame.to_bytes().into())
}

/// A frame whose body ends one byte early, and says so.
fn shortened(whole: &[u8]) -> Vec<u8> {
    let (head, body) = whole.split_at(2);
    [&[head[0] - 1, head[1]], &body[..body.len() - 1]].concat()
}

/// `Join` with these bytes for its fields.
fn join_of(from: &[u8], mode: u8, credit: &[u8], presence: u8) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, b"bad");
    body.extend_from_slice(from);
    body.push(mode);
    body.extend_from_slice(credit);
    body.push(presence);
    frame(0x10, &body)
}

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, value);
    out
}

/// Each of these, as the first bytes of a stream of a session of its own, ends that session with this code.
async fn each_ends(world: &World, code: Code, cases: impl IntoIterator<Item = Vec<u8>>) {
    for case in cases {
        let session = world.session().await;
        let _stream = session.open(&case).await;
        eprintln!("{:02x?}", &case[..case.len().min(40)]);
        session.ends_with(code).await;
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_malformed() {
    let mut world = World::start().await;
    // A Hello comes too late here, and is malformed all the same.
    each_ends(&world, Code::BAD_FRAME, first_frames().iter().map(|whole| shortened(whole))).await;
    let mut session = world.session().await;
    session.control.write(&shortened(&Frame::from(Ping { token: 1000 }).to_bytes())).await;
    session.ends_with(Code::BAD_FRAME).await;
    world.exchange(5).await;
    world.finish().await;
}

#[tokio::test]
async fn a_malformed_frame_ends_the_session_on_every_sort_of_stream() {
    let world = World::start().await;
    // A publish of three bytes that says it has nine.
    let publish = frame(0x32, &[1, 0, 0, 0, 0, 9, b'a', b'b', b'c']);
    let session = world.session().await;
    let (mut stream, _) = session.publisher("bad", 1).await;
    stream.write(&publish).await;
    session.ends_with(Code::BAD_FRAME).await;

    let session = world.session().await;
    let (mut stream, _) = session.join("bad", From::Live, CREDIT).await;
    stream.write(&frame(0x19, &[254])).await;
    session.ends_with(Code::BAD_FRAME).await;

    let session = world.session().await;
    let watch: Frame = loquic_wire::watch::Watch::Prefix("bad".into()).into();
    let mut stream = session.open(&watch.to_bytes()).await;
    stream.write(&frame(0x19, &[255])).await;
    session.ends_with(Code::BAD_FRAME).await;
    world.finish().await;
}

#[tokio::test]
async fn what_came_before_the_malformed_frame_is_kept() {
    let world = World::start().await;
    let session = world.session().await;
    let (mut stream, _) = session.publisher("bad", 1).await;
    stream.say(publish(1, "kept")).await;
    assert!(matches!(stream.next().await, Some(Frame::AckRun(_) | Frame::Ack(_))));
    stream.write(&[254]).await;
    session.ends_with(Code::BAD_FRAME).await;

    let session = world.session().await;
    let (_stream, joined) = session.join("bad", From::Oldest, CREDIT).await;
    assert_eq!(joined.head.get(), 1, "what was acked is in the log");
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_malformed() {
    let world = World::start().await;
    let publish: Vec<u8> = Frame::from(publish(1, "whole")).to_bytes().into();
    for whole in first_frames() {
        for cut in [1, 2, whole.len() - 1] {
            let session = world.session().await;
            let mut stream = session.open(&whole[..cut]).await;
            stream.finish();
            session.ends_with(Code::BAD_FRAME).await;
        }
    }
    let session = world.session().await;
    let (mut stream, _) = session.publisher("bad", 1).await;
    stream.write(&publish[..publish.len() - 1]).await;
    stream.finish();
    session.ends_with(Code::BAD_FRAME).await;
    world.finish().await;
}

#[tokio::test]
async fn a_frame_longer_than_its_kind_allows_ends_the_session_at_its_header() {
    let mut world = World::start().await;
    for (kind, name, max) in Frame::ALL {
        let session = world.session().await;
        let _stream = session.open(&header(*max as u64 + 1, u64::from(*kind))).await;
        eprintln!("{name}");
        session.ends_with(Code::FRAME_TOO_LARGE).await;
    }
    // On streams whose first frame was sound.
    let session = world.session().await;
    let (mut stream, _) = session.publisher("bad", 1).await;
    stream.write(&header(limits::PAYLOAD_FRAME_BODY_MAX as u64 + 1, 0x32)).await;
    session.ends_with(Code::FRAME_TOO_LARGE).await;
    let session = world.session().await;
    let (mut stream, _) = session.join("bad", From::Live, CREDIT).await;
    stream.write(&header(limits::SMALL_FRAME_BODY_MAX as u64 + 1, 0x19)).await;
    session.ends_with(Code::FRAME_TOO_LARGE).await;
    world.exchange(5).await;
    world.finish().await;
}

#[tokio::test]
async fn hostile_lengths_cost_nothing() {
    let world = World::start().await;
    let before = world.rss();
    let too_large = [1 << 30, u64::from(u32::MAX), (1 << 53) - 1].map(|length| header(length, 0x32));
    each_ends(&world, Code::FRAME_TOO_LARGE, too_large).await;
    // 2^53 and more, the reserved first bytes, and numbers that are not in their shortest form; as length and as kind.
    let numbers: [&[u8]; 7] = [
        &[253, 0, 0, 0, 0, 0, 0, 32, 0],
        &[253, 255, 255, 255, 255, 255, 255, 255, 255],
        &[254],
        &[255],
        &[251, 250, 0],
        &[252, 255, 255, 0, 0],
        &[253, 255, 255, 255, 255, 0, 0, 0, 0],
    ];
    each_ends(&world, Code::BAD_FRAME, numbers.iter().map(|number| [number, &[0u8; 20][..]].concat())).await;
    each_ends(&world, Code::BAD_FRAME, numbers.iter().map(|number| [&[5], *number, &[0u8; 20][..]].concat())).await;
    // Counts and lengths inside a body that are more than what is left of it.
    let watch = |count: u64| frame(0x20, &[&[0][..], &varint(count)].concat());
    let open = |length: u64| frame(0x30, &varint(length));
    let inner = [watch(1_000), watch(1 << 40), open(199), open(1 << 40)];
    each_ends(&world, Code::BAD_FRAME, inner).await;
    let grown = world.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes were allocated by lengths that nobody had checked");
    world.finish().await;
}

#[tokio::test]
async fn unknown_variants_are_malformed() {
    let world = World::start().await;
    let hello = |auth: u8| frame(0x01, &[1, 1, auth, 1, b'm', 1, b'r', 0]);
    let cases = [
        join_of(&[6], 0, &[0], 0),
        join_of(&[250], 0, &[0], 0),
        join_of(&[0], 2, &[0], 0),
        join_of(&[0], 0, &[0], 3),
        frame(0x20, &[2, 0]),
        frame(0x40, &[1, b'a', 5, 1]),
        hello(2),
        // An option that is neither there nor not there.
        frame(0x01, &[1, 1, 0, 1, b'm', 1, b'r', 2]),
    ];
    each_ends(&world, Code::BAD_FRAME, cases).await;
    for body in [[1, 0, 3, 0, 0, 0], [1, 0, 0, 0, 2, 0]] {
        let session = world.session().await;
        let (mut stream, _) = session.publisher("bad", 1).await;
        stream.write(&frame(0x32, &body)).await;
        session.ends_with(Code::BAD_FRAME).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn numbers_inside_a_body_are_below_2_53() {
    let world = World::start().await;
    let cases = [
        join_of(&[0], 0, &[253, 0, 0, 0, 0, 0, 0, 32, 0], 0),
        join_of(&[2, 253, 0, 0, 0, 0, 0, 0, 32, 0], 0, &[0], 0),
        // A limit of 2^32 reads does not fit its 32 bits.
        frame(0x40, &[&[1, b'a', 3][..], &varint(1 << 32)].concat()),
    ];
    each_ends(&world, Code::BAD_FRAME, cases).await;
    world.finish().await;
}

#[tokio::test]
async fn unknown_kinds_are_skipped_on_every_sort_of_stream() {
    let world = World::start().await;
    let unknown =
        [frame(0x7f, b"from the future"), frame(1 << 40, &[]), frame(0x70, &vec![7; limits::UNKNOWN_FRAME_BODY_MAX])]
            .concat();
    let behind = |frame: Frame| [&unknown[..], &frame.to_bytes()].concat();

    let peer = crate::raw::Peer::connect(world.port()).await;
    let mut control = peer.open(&behind(hello("mallory"))).await;
    assert!(matches!(control.next().await, Some(Frame::Welcome(_))));
    control.write(&behind(Ping { token: 5 }.into())).await;
    assert!(matches!(control.next().await, Some(Frame::Pong(pong)) if pong.token == 5));

    let mut publisher = peer.open(&behind(open("bad", 1))).await;
    assert!(matches!(publisher.next().await, Some(Frame::Opened(_))));
    publisher.write(&behind(publish(1, "known").into())).await;
    assert!(matches!(publisher.next().await, Some(Frame::AckRun(_) | Frame::Ack(_))));

    let mut reader = peer.open(&behind(join("bad", From::Oldest, 0))).await;
    assert!(matches!(reader.next().await, Some(Frame::Joined(_))));
    reader.write(&behind(loquic_wire::join::Credit { bytes: CREDIT }.into())).await;
    assert!(matches!(reader.next().await, Some(Frame::Record(_))));

    let mut history = peer.open(&behind(read("bad", Range::Newest, 10))).await;
    assert!(matches!(history.next().await, Some(Frame::ReadHead(_))));
    peer.close().await;

    // But not without a bound.
    let session = world.session().await;
    let _stream = session.open(&header(limits::UNKNOWN_FRAME_BODY_MAX as u64 + 1, 0x70)).await;
    session.ends_with(Code::FRAME_TOO_LARGE).await;
    world.finish().await;
}

#[tokio::test]
async fn bytes_behind_the_last_field_are_a_later_version_s() {
    let world = World::start().await;
    let session = world.session().await;
    let known: Vec<u8> = join("bad", From::Live, CREDIT).to_bytes().into();
    let mut stream = session.open(&frame(0x10, &[&known[2..], b"and more"].concat())).await;
    assert!(matches!(stream.next().await, Some(Frame::Joined(_))));
    session.peer.close().await;
    world.finish().await;
}
