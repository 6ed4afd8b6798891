//! More of everything than is allowed.

use loquic_wire::{
    Code, Frame,
    coding::{put_bytes, put_varint},
    control::Peek,
    join::{Credit, From},
    limits::NUMBER_MAX,
    read::Range,
};

use crate::{
    raw::{Peer, frame, hello, join, open, read, room},
    world::World,
};

#[tokio::test]
async fn more_streams_of_a_sort_than_allowed_are_refused_one_by_one() {
    let mut world = World::with("limits.rooms_max = 2\nlimits.publish_max = 2\nlimits.reads_max = 1\n").await;
    let mut session = world.session().await;
    let limits = session.welcome.limits.clone();
    assert_eq!((limits.rooms_max, limits.publish_max, limits.reads_max), (2, 2, 1));

    let (mut first, _) = session.join("bad:1", From::Live, 0).await;
    let watch: Frame = loquic_wire::watch::Watch::Prefix("honest".into()).into();
    let mut second = session.open(&watch.to_bytes()).await;
    assert!(matches!(second.next().await, Some(Frame::Head(_))));
    for number in 3..20 {
        let join = join(&format!("bad:{number}"), From::Live, 0);
        session.open(&join.to_bytes()).await.refused(Code::TOO_MANY_STREAMS).await;
    }
    // One that is left makes room for another.
    first.finish();
    first.left(Code::DONE).await;
    let _third = session.join("bad:3", From::Live, 0).await;

    let _publishers = (session.publisher("bad:1", 1).await, session.publisher("bad:2", 2).await);
    session.open(&open("bad:3", 3).to_bytes()).await.refused(Code::TOO_MANY_STREAMS).await;
    session.lives().await;
    session.peer.close().await;
    world.exchange(3).await;
    world.finish().await;
}

#[tokio::test]
async fn reads_at_once_have_a_limit() {
    let world = World::with("limits.reads_max = 1\n").await;
    let client = world.client("filler").await;
    let publisher = client.publisher("big").unwrap();
    let messages = (0..200).map(|_| vec![7; 32 * 1024].into()).collect();
    assert!(publisher.publish_batch(messages).await.iter().all(Result::is_ok));
    client.close().await;
    // The first read waits for its window, because nobody takes what it brings.
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(16_384_u32.into());
    let mut session = Peer::connect_with(world.port(), transport).await.greet().await;
    let mut first = session.open(&read("big", Range::Newest, 1_000).to_bytes()).await;
    assert!(matches!(first.next().await, Some(Frame::ReadHead(_))));
    session.open(&read("big", Range::Newest, 1).to_bytes()).await.refused(Code::TOO_MANY_STREAMS).await;
    let mut records = 0;
    while let Some(frame) = first.next().await {
        records += u32::from(matches!(frame, Frame::Record(_)));
    }
    assert_eq!(records, 200);
    let mut next = session.open(&read("big", Range::Newest, 1).to_bytes()).await;
    assert!(matches!(next.next().await, Some(Frame::ReadHead(_))));
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_read_of_no_records_is_refused_and_one_of_too_many_is_cut() {
    let world = World::start().await;
    let mut session = world.session().await;
    session.open(&read("bad", Range::Newest, 0).to_bytes()).await.refused(Code::BAD_FRAME).await;
    let client = world.client("filler").await;
    let publisher = client.publisher("bad").unwrap();
    assert!(publisher.publish_batch((0..1_100).map(|_| "x".into()).collect()).await.iter().all(Result::is_ok));
    client.close().await;
    let mut stream = session.open(&read("bad", Range::Newest, u32::MAX).to_bytes()).await;
    let (mut records, mut end) = (0, None);
    while let Some(frame) = stream.next().await {
        match frame {
            Frame::Record(_) => records += 1,
            Frame::ReadEnd(read_end) => end = Some(read_end),
            _ => {}
        }
    }
    assert_eq!((records, end.map(|end| end.more)), (1_000, Some(true)));
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_peek_of_more_than_a_hundred_rooms_is_malformed() {
    let world = World::start().await;
    let mut session = world.session().await;
    session.control.say(Peek { rooms: (0..100).map(|number| room(&format!("r:{number}"))).collect() }).await;
    assert!(matches!(session.control.next().await, Some(Frame::Peeked(peeked)) if peeked.rooms.len() == 100));
    let mut body = Vec::new();
    put_varint(&mut body, 101);
    (0..101).for_each(|_| put_bytes(&mut body, b"a"));
    session.control.write(&frame(0x09, &body)).await;
    session.ends_with(Code::BAD_FRAME).await;
    world.finish().await;
}

#[tokio::test]
async fn many_peeks_at_once_are_answered_in_turn() {
    let world = World::start().await;
    let mut session = world.session().await;
    let mut all = Vec::new();
    for number in 0..200 {
        Frame::from(Peek { rooms: vec![room("r"); number % 100] }).encode(&mut all);
    }
    session.control.write(&all).await;
    for number in 0..200 {
        match session.control.next().await {
            Some(Frame::Peeked(peeked)) => assert_eq!(peeked.rooms.len(), number % 100),
            other => panic!("{other:?}"),
        }
    }
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn credit_that_no_number_holds_ends_the_subscription() {
    let world = World::start().await;
    let mut session = world.session().await;
    let (mut stream, _) = session.join("bad", From::Live, NUMBER_MAX).await;
    stream.say(Credit { bytes: 1 }).await;
    stream.left(Code::FLOW_CONTROL).await;
    let (mut stream, _) = session.join("bad", From::Live, 0).await;
    stream.say(Credit { bytes: NUMBER_MAX }).await;
    stream.say(Credit { bytes: NUMBER_MAX }).await;
    stream.left(Code::FLOW_CONTROL).await;
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_session_more_than_the_node_holds_is_refused() {
    // The two honest ones, and one more.
    let world = World::with("limits.sessions_max = 3\n").await;
    let third = world.session().await;
    for _ in 0..3 {
        let peer = Peer::connect(world.port()).await;
        let mut control = peer.open(&hello("mallory").to_bytes()).await;
        match control.next().await {
            Some(Frame::Refused(refused)) => {
                assert_eq!(refused.code, Code::TOO_MANY_SESSIONS);
                assert!(refused.code.default_delay() > std::time::Duration::ZERO, "the code says when to come back");
            }
            other => panic!("{other:?}"),
        }
        peer.close().await;
    }
    // One that goes makes room; the server may need a moment to see that it is gone.
    third.peer.close().await;
    crate::raw::soon("a place", async {
        loop {
            let peer = Peer::connect(world.port()).await;
            let mut control = peer.open(&hello("mallory").to_bytes()).await;
            let is_in = matches!(control.next().await, Some(Frame::Welcome(_)));
            peer.close().await;
            if is_in {
                return;
            }
        }
    })
    .await;
    world.finish().await;
}
