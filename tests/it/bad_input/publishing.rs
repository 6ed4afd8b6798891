//! Publishes that cannot be appended. Whatever is said, ids that were acked stay what they are.

use bytes::Bytes;
use loquic_wire::{
    Code, Flags, Frame, Kind, Offset, Position,
    join::From,
    limits,
    publish::{Duplicate, Nack, Publish},
    read::Range,
};

use crate::{
    raw::{Session, Stream, open, publish, read},
    world::World,
};

/// The position of the one publish that this answer is for.
async fn acked(stream: &mut Stream, id: u64) -> (Position, Duplicate) {
    match stream.next().await {
        Some(Frame::Ack(ack)) if ack.id == id => (ack.position, ack.duplicate),
        Some(Frame::AckRun(run)) if (run.first_id, run.count) == (id, 1) => {
            (Position { epoch: run.epoch, offset: run.first_offset }, Duplicate::No)
        }
        other => panic!("no ack of {id}, but {other:?}"),
    }
}

#[track_caller]
fn nacked(frame: Option<Frame>, id: u64, code: Code, expected: u64) {
    match frame {
        Some(Frame::Nack(Nack { id: i, code: c, expected: e, .. })) => assert_eq!((i, c, e), (id, code, expected)),
        other => panic!("no Nack of {id}, but {other:?}"),
    }
}

/// A publisher whose ids 1 and 2 are in the log.
async fn two(session: &Session) -> Stream {
    let (mut stream, opened) = session.publisher("bad", 1).await;
    assert_eq!(opened.last_id, 0);
    for id in 1..=2 {
        stream.say(publish(id, format!("record {id}"))).await;
        assert_eq!(acked(&mut stream, id).await.0.offset.get(), id);
    }
    stream
}

/// What the room holds.
async fn payloads(session: &Session, room: &str) -> Vec<Bytes> {
    let mut stream = session.open(&read(room, Range::Newest, 1_000).to_bytes()).await;
    let mut payloads = Vec::new();
    while let Some(frame) = stream.next().await {
        if let Frame::Record(record) = frame {
            payloads.push(record.payload);
        }
    }
    payloads
}

#[tokio::test]
async fn an_id_past_the_next_one_is_refused_and_the_stream_goes_on() {
    let world = World::start().await;
    let session = world.session().await;
    let mut stream = two(&session).await;
    stream.say(publish(4, "too far")).await;
    nacked(stream.next().await, 4, Code::ID_GAP, 3);
    stream.say(publish((1 << 53) - 1, "much too far")).await;
    nacked(stream.next().await, (1 << 53) - 1, Code::ID_GAP, 3);
    stream.say(publish(3, "right")).await;
    assert_eq!(acked(&mut stream, 3).await.0.offset.get(), 3);
    assert_eq!(payloads(&session, "bad").await, ["record 1", "record 2", "right"]);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_behind_a_refused_publish_is_not_in_the_log() {
    let world = World::start().await;
    let session = world.session().await;
    let mut stream = two(&session).await;
    let reserved = Publish { kind: Kind::EDIT, ..publish(3, "reserved") };
    let mut pipelined = Vec::new();
    for frame in [reserved, publish(4, "behind"), publish(5, "behind")] {
        Frame::from(frame).encode(&mut pipelined);
    }
    stream.write(&pipelined).await;
    nacked(stream.next().await, 3, Code::BAD_RECORD, 3);
    for id in [4, 5] {
        match stream.next().await {
            Some(Frame::Nack(nack)) => {
                assert_eq!((nack.id, nack.expected), (id, 3));
                assert!([Code::SKIPPED, Code::ID_GAP].contains(&nack.code), "{}", nack.code);
            }
            other => panic!("no Nack of {id}, but {other:?}"),
        }
    }
    stream.say(publish(3, "right")).await;
    assert_eq!(acked(&mut stream, 3).await.0.offset.get(), 3);
    assert_eq!(payloads(&session, "bad").await, ["record 1", "record 2", "right"]);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn an_id_that_goes_backwards_is_a_duplicate_with_its_first_position() {
    let world = World::start().await;
    let session = world.session().await;
    let mut stream = two(&session).await;
    for id in [2, 1, 1] {
        stream.say(publish(id, format!("record {id}"))).await;
        let (position, duplicate) = acked(&mut stream, id).await;
        assert_eq!((position.offset.get(), duplicate), (id, Duplicate::Yes));
    }
    assert_eq!(payloads(&session, "bad").await, ["record 1", "record 2"]);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn an_id_with_other_content_is_a_conflict() {
    let world = World::start().await;
    let session = world.session().await;
    let mut stream = two(&session).await;
    let same = publish(2, "record 2");
    let others = [
        publish(2, "another"),
        Publish { kind: Kind(40), ..same.clone() },
        Publish { format: loquic_wire::Format::Text, ..same.clone() },
        Publish { flags: Flags::ENCRYPTED, ..same.clone() },
        Publish { refers: Some(Offset::FIRST), ..same.clone() },
    ];
    for other in others {
        stream.say(other).await;
        nacked(stream.next().await, 2, Code::CONFLICT, 3);
    }
    stream.say(same).await;
    assert_eq!(acked(&mut stream, 2).await.1, Duplicate::Yes);
    assert_eq!(payloads(&session, "bad").await, ["record 1", "record 2"]);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn an_id_of_zero_is_no_record() {
    let world = World::start().await;
    let session = world.session().await;
    let (mut unknown, _) = session.publisher("bad", 9).await;
    unknown.say(publish(0, "nothing")).await;
    assert!(matches!(unknown.next().await, Some(Frame::Nack(nack)) if nack.code == Code::BAD_RECORD));
    let mut stream = two(&session).await;
    stream.say(publish(0, "nothing")).await;
    nacked(stream.next().await, 0, Code::BAD_RECORD, 3);
    assert_eq!(payloads(&session, "bad").await.len(), 2);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn reserved_kinds_flags_and_references_are_no_records() {
    let world = World::start().await;
    let session = world.session().await;
    let mut stream = two(&session).await;
    let bad = |change: &dyn Fn(&mut Publish)| {
        let mut publish = publish(3, "bad");
        change(&mut publish);
        publish
    };
    let mut all: Vec<Publish> = (1..32).map(|kind| bad(&|publish| publish.kind = Kind(kind))).collect();
    all.extend([2, 3, 4, 128, 255].map(|flags| bad(&|publish| publish.flags = Flags(flags))));
    all.extend([0, 3, 4, 1 << 52].map(|offset| bad(&|publish| publish.refers = Some(Offset::saturating(offset)))));
    for publish in all {
        eprintln!("{publish:?}");
        stream.say(publish).await;
        nacked(stream.next().await, 3, Code::BAD_RECORD, 3);
    }
    stream.say(Publish { refers: Some(Offset::saturating(2)), kind: Kind(32), ..publish(3, "good") }).await;
    assert_eq!(acked(&mut stream, 3).await.0.offset.get(), 3);
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_payload_longer_than_the_server_allows_is_refused_and_one_longer_than_the_protocol_ends_the_session() {
    let world = World::with("limits.payload_bytes_max = '1KiB'\n").await;
    let session = world.session().await;
    assert_eq!(session.welcome.limits.payload_bytes_max, 1_024);
    let mut stream = two(&session).await;
    for length in [1_025, 64 * 1024, limits::PAYLOAD_BYTES_MAX_HARD] {
        stream.say(publish(3, vec![1; length])).await;
        nacked(stream.next().await, 3, Code::PAYLOAD_TOO_LARGE, 3);
    }
    stream.say(publish(3, vec![1; 1_024])).await;
    assert_eq!(acked(&mut stream, 3).await.0.offset.get(), 3);
    // It fits a frame, and no payload is that long.
    stream.say(publish(4, vec![1; limits::PAYLOAD_BYTES_MAX_HARD + 1])).await;
    session.ends_with(Code::BAD_FRAME).await;
    world.finish().await;
}

#[tokio::test]
async fn more_in_flight_than_allowed_ends_the_stream_and_nothing_acked_is_lost() {
    let mut world = World::with("limits.in_flight_max = 4\n").await;
    let mut session = world.session().await;
    let (mut stream, opened) = session.publisher("bad", 1).await;
    assert_eq!(opened.in_flight_max, 4);
    // In one packet, so that the server sees all of them at once.
    let mut burst = Vec::new();
    (1..=40).for_each(|id| Frame::from(publish(id, "burst")).encode(&mut burst));
    stream.write(&burst).await;
    let mut acked = 0;
    loop {
        match stream.next().await {
            Some(Frame::AckRun(run)) => acked += u64::from(run.count),
            Some(Frame::Ack(_)) => acked += 1,
            Some(Frame::Refused(refused)) => break assert_eq!(refused.code, Code::FLOW_CONTROL),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stream.next().await, None);
    assert!(payloads(&session, "bad").await.len() as u64 >= acked);
    session.lives().await;
    session.peer.close().await;
    world.exchange(5).await;
    world.finish().await;
}

#[tokio::test]
async fn a_newer_stream_of_a_producer_fences_the_older() {
    let world = World::start().await;
    let (first, second) = (world.session().await, world.session().await);
    let mut old = two(&first).await;
    // Of another session, but of the same principal.
    let (mut new, opened) = second.publisher("bad", 1).await;
    assert_eq!(opened.last_id, 2);
    old.refused(Code::FENCED).await;
    new.say(publish(3, "new")).await;
    assert_eq!(acked(&mut new, 3).await.0.offset.get(), 3);
    // Somebody else's producer of the same number is another one.
    let peer = crate::raw::Peer::connect(world.port()).await;
    let mut control = peer.open(&crate::raw::hello("eve").to_bytes()).await;
    assert!(matches!(control.next().await, Some(Frame::Welcome(_))));
    let mut other = peer.open(&open("bad", 1).to_bytes()).await;
    assert!(matches!(other.next().await, Some(Frame::Opened(opened)) if opened.last_id == 0));
    new.say(publish(4, "still mine")).await;
    assert_eq!(acked(&mut new, 4).await.0.offset.get(), 4);
    peer.close().await;
    first.peer.close().await;
    second.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_publisher_that_goes_in_the_middle_loses_nothing_that_was_acked() {
    let world = World::start().await;
    for round in 0..20_u8 {
        let session = world.session().await;
        let (mut stream, _) = session.publisher("bad", round).await;
        let mut burst = Vec::new();
        (1..=50).for_each(|id| Frame::from(publish(id, vec![round; 100])).encode(&mut burst));
        // Half a frame at the end.
        stream.write(&burst[..burst.len() - 20]).await;
        let acked = match stream.next().await {
            Some(Frame::AckRun(run)) => u64::from(run.count),
            Some(Frame::Ack(_)) => 1,
            other => panic!("{other:?}"),
        };
        session.peer.close().await;

        let session = world.session().await;
        let (_, opened) = session.publisher("bad", round).await;
        assert!((acked..50).contains(&opened.last_id), "{acked} were acked, {} are there", opened.last_id);
        session.peer.close().await;
    }
    let session = world.session().await;
    let (_, joined) = session.join("bad", From::Live, 0).await;
    assert!(joined.head.get() >= 20);
    session.peer.close().await;
    world.finish().await;
}
