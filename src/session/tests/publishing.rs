//! Publish streams, against rooms over the log in memory. The journal is a thread of its own, so time is real.

use std::time::Duration;

use bytes::Bytes;
use loquic_wire::{
    Code, Frame, Kind, Offset, ProducerId, TenantName,
    join::From,
    publish::{Duplicate, Nack, Opened, Publish},
};
use tokio::time::timeout;

use super::peer::{AllowEverything, Peer, join, open, publish, room, shared};
use crate::{
    config::limits,
    room::{Answer, ProducerKey, RoomKey, testing},
    session::{Config, Shared, auth::DANGER_ADMIT_EVERYBODY},
    transport::{SendStream, StreamError, memory},
};

#[tokio::test]
async fn publishes_are_acknowledged_in_order() {
    let shared = shared();
    let (peer, _control) = Peer::greet(&shared).await;
    let (mut publisher, opened) = peer.publisher("a", 1).await;
    assert_eq!(opened, Opened { last_id: 0, in_flight_max: limits::IN_FLIGHT_MAX });
    for id in 1..=100 {
        publisher.say(publish(id, "x")).await;
    }
    let acks = publisher.acks(100).await;
    for (ack, expected) in acks.iter().zip(1..) {
        assert_eq!((ack.id, ack.position.offset.get(), ack.duplicate), (expected, expected, Duplicate::No));
    }
    assert_eq!(shared.stats().publishes.get(), 100);
}

#[tokio::test]
async fn publishes_may_come_with_the_opening() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let mut bytes = Frame::from(open("a", 1)).to_bytes().to_vec();
    Frame::from(publish(1, "x")).encode(&mut bytes);
    Frame::from(publish(2, "y")).encode(&mut bytes);
    let mut publisher = peer.silent().await;
    publisher.say_bytes(&bytes).await;
    let _: Opened = publisher.hear().await;
    assert_eq!(publisher.acks(2).await.len(), 2);
}

#[tokio::test]
async fn a_publisher_that_ends_gets_every_answer() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    for id in 1..=1_000 {
        publisher.say(publish(id, "x")).await;
    }
    publisher.send.finish();
    assert_eq!(publisher.acks(1_000).await.len(), 1_000);
    publisher.ended().await;
    control.is_alive().await;
}

/// Goal: whether somebody may delete what is another's is decided by rights, for each publish.
#[tokio::test]
async fn who_may_moderate_deletes_what_others_have_sent() {
    for (moderates, is_taken) in [(false, false), (true, true)] {
        let rooms = testing::rooms();
        let sent = {
            let key = RoomKey { tenant: TenantName::main(), room: room("a") };
            let attached = rooms.attach(&key).await.unwrap();
            let bob = ProducerKey { user: "bob".parse().unwrap(), producer: ProducerId([7; 16]) };
            let mut bob = rooms.open_producer(&attached, bob).await.unwrap();
            bob.offer(vec![publish(1, "spam")]);
            bob.next().await.unwrap()
        };
        assert!(matches!(sent[..], [Answer::Ack(_)]), "{sent:?}");
        let shared = match moderates {
            true => Shared::new(rooms, AllowEverything, Config::default()),
            false => Shared::new(rooms, DANGER_ADMIT_EVERYBODY, Config::default()),
        };
        let (peer, _control) = Peer::greet(&shared).await;
        let (mut ada, _) = peer.publisher("a", 1).await;
        ada.say(Publish { kind: Kind::DELETE, refers: Some(Offset::FIRST), ..publish(1, "") }).await;
        match is_taken {
            true => assert_eq!(ada.acks(1).await[0].position.offset.get(), 2),
            false => assert_eq!(ada.hear::<Nack>().await.code, Code::FORBIDDEN),
        }
    }
}

#[tokio::test]
async fn a_retry_gets_the_first_position() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    publisher.say(publish(1, "x")).await;
    let first = publisher.acks(1).await.remove(0);
    let (mut publisher, opened) = peer.publisher("a", 1).await;
    assert_eq!(opened.last_id, 1);
    publisher.say(publish(1, "x")).await;
    let second = publisher.acks(1).await.remove(0);
    assert_eq!((second.position, second.time, second.duplicate), (first.position, first.time, Duplicate::Yes));
}

#[tokio::test]
async fn a_hole_in_the_ids_fails_what_follows() {
    let shared = shared();
    let (peer, _control) = Peer::greet(&shared).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    for id in [1, 3, 4] {
        publisher.say(publish(id, "x")).await;
    }
    publisher.acks(1).await;
    let gap: Nack = publisher.hear().await;
    assert_eq!((gap.id, gap.code, gap.expected), (3, Code::ID_GAP, 2));
    let skipped: Nack = publisher.hear().await;
    assert_eq!((skipped.id, skipped.expected), (4, 2));
    publisher.say(publish(2, "x")).await;
    assert_eq!(publisher.acks(1).await[0].position.offset.get(), 2);
    assert_eq!(shared.stats().nacks.get(), 2);
}

#[tokio::test]
async fn a_newer_publisher_fences_the_older() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let (mut older, _) = peer.publisher("a", 1).await;
    let (mut newer, _) = peer.publisher("a", 1).await;
    let (mut other, _) = peer.publisher("a", 2).await;
    older.refused(Code::FENCED).await;
    newer.say(publish(1, "x")).await;
    other.say(publish(1, "x")).await;
    assert_eq!((newer.acks(1).await.len(), other.acks(1).await.len()), (1, 1));
    control.is_alive().await;
}

#[tokio::test]
async fn a_subscriber_sees_what_is_published() {
    let shared = shared();
    let (ada, _control) = Peer::greet(&shared).await;
    let (bob, _control) = Peer::greet(&shared).await;
    let (mut stream, _) = bob.join("a", From::Live).await;
    let _: loquic_wire::join::CaughtUp = stream.hear().await;
    let (mut publisher, _) = ada.publisher("a", 1).await;
    for id in 1..=50 {
        publisher.say(publish(id, &format!("number {id}"))).await;
    }
    for (record, id) in stream.records(50).await.iter().zip(1_u64..) {
        assert_eq!((record.offset.get(), record.id, record.producer.0), (id, id, [1; 4]));
        assert_eq!(record.payload, Bytes::from(format!("number {id}")));
    }
    assert_eq!(shared.stats().records_delivered.get(), 50);
}

#[tokio::test]
async fn a_frame_of_another_sort_on_a_publish_stream_ends_the_session() {
    let (mut peer, mut control) = Peer::greet(&shared()).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    publisher.say(join("a", From::Live)).await;
    control.closing(Code::UNEXPECTED_FRAME).await;
    peer.closed_with(Code::UNEXPECTED_FRAME).await;
}

#[tokio::test]
async fn a_publisher_that_takes_no_answers_is_not_read_for_ever() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    // Retries of one publish: each is answered on its own, so the answers fill their direction.
    let retries: Vec<u8> = (0..1_000).flat_map(|_| Frame::from(publish(1, "x")).to_bytes()).collect();
    let mut written = 0;
    loop {
        let mut chunk = [Bytes::copy_from_slice(&retries)];
        let write = publisher.send.write_all_chunks(&mut chunk);
        match timeout(Duration::from_millis(300), write).await {
            Ok(Ok(())) => written += retries.len(),
            // Either nothing is read any more, or so much was in flight that the stream was refused.
            Ok(Err(StreamError::Stopped(_))) | Err(_) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
        assert!(written < 64 << 20, "the server takes publishes without end");
    }
    control.is_alive().await;
}

#[tokio::test]
async fn more_in_flight_than_allowed_is_refused() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let (mut publisher, _) = peer.publisher("a", 1).await;
    // More than one read takes; none of them can have been answered when the last of them is counted.
    let count = u64::from(limits::IN_FLIGHT_MAX) + 1;
    let burst: Vec<u8> = (1..=count).flat_map(|id| Frame::from(publish(id, "")).to_bytes()).collect();
    assert!(burst.len() < memory::BUFFER_BYTES_MAX);
    publisher.say_bytes(&burst).await;
    publisher.refused(Code::FLOW_CONTROL).await;
    control.is_alive().await;
}
