//! Peers that fill every window and never read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use loquic_wire::{Frame, join::From, limits::NUMBER_MAX};
use quinn::TransportConfig;

use crate::{
    raw::{Peer, open, publish, soon},
    world::{ROOM, World},
};

/// What one hostile connection may cost: 40 tails, 4 MiB of windows, and what RocksDB has not flushed of a burst.
/// Without bounds it would be whatever the peer has sent.
const COST_MAX: u64 = 160 << 20;

/// RocksDB holds what is written in memory for a while, however honest the writer is: here for a short one.
const SMALL_BUFFERS: &str = "log.write_buffer_bytes = '8MiB'\nlog.cache_bytes = '8MiB'\n";

/// Honest exchanges during which a number does not move: then every window is full.
const STILL: usize = 300;

/// Waits until `progress` stands still while the honest go on.
async fn until_still(world: &mut World, progress: impl Fn() -> u64) -> u64 {
    soon("the end of all windows", async {
        loop {
            let before = progress();
            world.exchange(STILL).await;
            if progress() == before {
                return before;
            }
        }
    })
    .await
}

/// Windows so small that the server's answers soon have nowhere to go.
fn tiny(stream: u32, connection: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(stream.into()).receive_window(connection.into()).send_window(1 << 20);
    transport
}

#[tokio::test]
async fn a_publisher_that_never_reads_its_acks_stops_only_itself() {
    let mut world = World::with(SMALL_BUFFERS).await;
    // The same load by somebody decent, so that what follows is not the first use of memory.
    let client = world.client("filler").await;
    for number in 0..40 {
        let messages = (0..128).map(|_| vec![7; 16 * 1024].into()).collect();
        let outcomes = client.publisher(format!("bad:{number}")).unwrap().publish_batch(messages).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }
    client.close().await;
    let before = world.rss();
    let session = Peer::connect_with(world.port(), tiny(64, 2_048)).await.greet().await;
    let written = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    let mut streams = Vec::new();
    for number in 0..40 {
        streams.push(session.open(&open(&format!("bad:{number}"), number).to_bytes()).await);
    }
    for (number, stream) in (0..).zip(streams) {
        let written = written.clone();
        writers.spawn(async move {
            // The half that is never read stays open.
            let (mut send, _recv) = (stream.send, stream.recv);
            for id in 1.. {
                let frame = Frame::from(publish(id, vec![number; 16 * 1024])).to_bytes();
                if send.write_all(&frame).await.is_err() {
                    return;
                }
                written.fetch_add(frame.len() as u64, Ordering::Relaxed);
            }
        });
    }
    let written = || written.load(Ordering::Relaxed);
    // Nobody reads the acks, so nobody reads the publishes: first the server's window is filled, then nothing moves.
    soon("a full window", async {
        while written() < u64::from(loquic::config::limits::RECEIVE_WINDOW) {
            world.exchange(20).await;
        }
    })
    .await;
    let written = until_still(&mut world, written).await;
    let cost = world.rss().saturating_sub(before);
    assert!(cost < COST_MAX, "{written} bytes written cost {cost}");
    session.peer.close().await;
    writers.shutdown().await;
    world.finish().await;
}

#[tokio::test]
async fn a_subscriber_that_never_reads_costs_a_bounded_amount_and_stops_only_itself() {
    let mut world = World::with(SMALL_BUFFERS).await;
    let client = world.client("filler").await;
    let publisher = client.publisher("big").unwrap();
    let fill = async || {
        let messages = (0..256).map(|_| vec![7; 32 * 1024].into()).collect();
        assert!(publisher.publish_batch(messages).await.iter().all(Result::is_ok));
    };
    fill().await;
    let before = world.rss();
    let session = Peer::connect_with(world.port(), tiny(64 * 1024, 1 << 20)).await.greet().await;
    let mut joins = Vec::new();
    for _ in 0..100 {
        joins.push(session.open(&crate::raw::join("big", From::Oldest, NUMBER_MAX).to_bytes()).await);
    }
    let connection = session.peer.connection.clone();
    let received = until_still(&mut world, || connection.stats().frame_rx.stream).await;
    assert!(received > 0);
    // Whatever is published while nobody reads is not kept for those who do not.
    fill().await;
    until_still(&mut world, || connection.stats().frame_rx.stream).await;
    let cost = world.rss().saturating_sub(before);
    assert!(cost < COST_MAX, "a hundred readers that do not read cost {cost} bytes");
    session.peer.close().await;
    client.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_room_that_is_not_read_does_not_keep_the_session_s_other_rooms() {
    let mut world = World::start().await;
    let client = world.client("filler").await;
    let publisher = client.publisher("big").unwrap();
    let messages = (0..64).map(|_| vec![7; 32 * 1024].into()).collect();
    assert!(publisher.publish_batch(messages).await.iter().all(Result::is_ok));
    let mut session = Peer::connect_with(world.port(), tiny(64 * 1024, 1 << 20)).await.greet().await;
    let (_unread, _) = session.join("big", From::Oldest, NUMBER_MAX).await;
    let (mut read, joined) = session.join(ROOM, From::Live, 1 << 20).await;
    world.exchange(20).await;
    let mut next = joined.head.get() + 1;
    while next <= joined.head.get() + 20 {
        match read.next().await {
            Some(Frame::Record(record)) => {
                assert_eq!(record.offset.get(), next);
                next += 1;
            }
            Some(Frame::CaughtUp(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    session.lives().await;
    session.peer.close().await;
    client.close().await;
    world.finish().await;
}
