//! Positions that do not fit the room's history.

use loquic_wire::{Code, Epoch, Frame, Offset, Position, join::From};

use crate::{
    raw::{Session, Stream, join, publish},
    world::World,
};

const CREDIT: u64 = 1 << 20;

/// A room with three records.
async fn three(session: &Session) {
    let (mut stream, _) = session.publisher("bad", 1).await;
    for id in 1..=3 {
        stream.say(publish(id, format!("record {id}"))).await;
        assert!(matches!(stream.next().await, Some(Frame::AckRun(_) | Frame::Ack(_))));
    }
}

/// The offsets up to `CaughtUp`.
async fn offsets(stream: &mut Stream) -> Vec<u64> {
    let mut offsets = Vec::new();
    loop {
        match stream.next().await {
            Some(Frame::Record(record)) => offsets.push(record.offset.get()),
            Some(Frame::CaughtUp(_)) => return offsets,
            other => panic!("not a record: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_position_from_the_future_is_refused() {
    let world = World::start().await;
    let mut session = world.session().await;
    three(&session).await;
    let (_stream, joined) = session.join("bad", From::Live, 0).await;
    let after = |offset| From::After(Position { epoch: joined.epoch, offset });
    for from in [
        From::AtOffset(Offset::saturating(5)),
        From::AtOffset(Offset::MAX),
        after(Offset::saturating(4)),
        after(Offset::MAX),
    ] {
        session.open(&join("bad", from, CREDIT).to_bytes()).await.refused(Code::POSITION_AHEAD).await;
    }
    // The head itself, and the one behind it, are live.
    for from in [after(Offset::saturating(3)), From::AtOffset(Offset::saturating(4)), From::Last(0)] {
        let (mut stream, _) = session.join("bad", from, CREDIT).await;
        assert_eq!(offsets(&mut stream).await, [0; 0]);
    }
    // A room that nobody has published into has no position but the beginning.
    let from = From::AtOffset(Offset::saturating(2));
    session.open(&join("empty", from, CREDIT).to_bytes()).await.refused(Code::POSITION_AHEAD).await;
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_position_from_another_epoch_is_reset_and_everything_held_follows() {
    let world = World::start().await;
    let session = world.session().await;
    three(&session).await;
    for epoch in [Epoch::ZERO, Epoch::saturating(1), Epoch::MAX] {
        for offset in [Offset::ZERO, Offset::saturating(2), Offset::MAX] {
            let from = From::After(Position { epoch, offset });
            let (mut stream, joined) = session.join("bad", from, CREDIT).await;
            match stream.next().await {
                Some(Frame::Reset(reset)) => {
                    assert_eq!((reset.epoch, reset.valid_to, reset.head), (joined.epoch, Offset::ZERO, joined.head));
                }
                other => panic!("no Reset, but {other:?}"),
            }
            assert_eq!(offsets(&mut stream).await, [1, 2, 3]);
        }
    }
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn odd_places_to_start_are_what_the_text_says() {
    let world = World::start().await;
    let session = world.session().await;
    three(&session).await;
    for (from, expected) in [
        (From::AtOffset(Offset::ZERO), vec![1, 2, 3]),
        (From::Last(u64::MAX >> 11), vec![1, 2, 3]),
        (From::Last(2), vec![2, 3]),
        (From::AtTime(loquic_wire::Time::ZERO), vec![1, 2, 3]),
        (From::AtTime(loquic_wire::Time::MAX), vec![]),
    ] {
        let (mut stream, _) = session.join("bad", from, CREDIT).await;
        assert_eq!(offsets(&mut stream).await, expected, "{from:?}");
    }
    session.peer.close().await;
    world.finish().await;
}
