//! Publishing: numbers, refusals, cuts, and the outbox's bounds.

use std::time::{Duration, Instant};

use loquic_client::{Code, Error, Message, Offset, OutboxBounds, ProducerId};
use loquic_wire::{
    Epoch, Frame, Position, Time,
    control::Refused,
    position::Millis,
    publish::{Ack, Duplicate, Nack},
};

use crate::fake::{Fake, ack_run, patient};

fn ack(id: u64, offset: u64, duplicate: Duplicate) -> Ack {
    let position = Position { epoch: Epoch::saturating(7), offset: Offset::saturating(offset) };
    Ack { id, position, time: Time::saturating(1), duplicate }
}

fn nack(id: u64, code: Code, expected: u64, retry_after: u32) -> Frame {
    Nack { id, code, expected, retry_after: Millis(retry_after) }.into()
}

fn numbered(ids: &[(u64, &str)]) -> Vec<(u64, String)> {
    ids.iter().map(|(id, payload)| (*id, (*payload).to_owned())).collect()
}

#[tokio::test]
async fn an_answer_that_was_lost_comes_as_a_duplicate() {
    let fake = Fake::start();
    let producer = ProducerId([5; 16]);
    let (client, peer) = tokio::join!(fake.client().producer(producer).connect(), fake.session());
    let publisher = client.expect("a session").publisher("r").expect("a name");
    let script = async {
        let mut line = peer.opened(0).await;
        assert_eq!(line.publishes(1).await, numbered(&[(1, "a")]));
        peer.cut();
        let peer = fake.session().await;
        let (first, mut line) = peer.line().await;
        assert!(matches!(first, Frame::Open(open) if open.producer == producer));
        line.send(loquic_wire::publish::Opened { last_id: 1, in_flight_max: 10 }).await;
        assert_eq!(line.publishes(1).await, numbered(&[(1, "a")]));
        line.send(ack(1, 31, Duplicate::Yes)).await;
        peer
    };
    let (ack, _peer) = tokio::join!(publisher.publish("a"), script);
    let ack = ack.expect("acknowledged");
    assert_eq!((ack.position.offset.get(), ack.duplicate), (31, Duplicate::Yes));
    assert_eq!(ack.room.as_str(), "r");
}

#[tokio::test]
async fn a_refusal_for_now_sends_everything_behind_it_again() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let publisher = client.publisher("r").expect("a name");
    let pending: Vec<_> = ["a", "b", "c"].map(|text| publisher.try_publish(text).expect("space")).into();
    let mut line = peer.opened(40).await;
    let sent = numbered(&[(41, "a"), (42, "b"), (43, "c")]);
    assert_eq!(line.publishes(3).await, sent);
    let late = publisher.try_publish("d").expect("space");
    line.publishes(1).await;
    let start = Instant::now();
    line.send_all([
        nack(41, Code::OVERLOADED, 41, 150),
        nack(42, Code::SKIPPED, 41, 0),
        nack(43, Code::SKIPPED, 41, 0),
    ])
    .await;
    line.silent().await;
    line.send(nack(44, Code::SKIPPED, 41, 0)).await;
    assert_eq!(line.publishes(3).await, sent);
    assert!(start.elapsed() >= Duration::from_millis(150), "the delay was not kept");
    line.send(ack_run(41, 4, 7)).await;
    for (index, pending) in pending.into_iter().chain([late]).enumerate() {
        let ack = patient("an answer", pending).await.expect("acknowledged");
        assert_eq!(ack.position.offset.get(), 7 + index as u64);
    }
}

#[tokio::test]
async fn a_refusal_for_good_fails_one_and_renumbers_the_rest() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let publisher = client.publisher("r").expect("a name");
    let messages = ["a", "b", "c"].map(Message::from).into();
    let script = async {
        let mut line = peer.opened(0).await;
        line.publishes(3).await;
        line.send_all([ack(1, 1, Duplicate::No).into(), nack(2, Code::BAD_RECORD, 2, 0), nack(3, Code::SKIPPED, 2, 0)])
            .await;
        assert_eq!(line.publishes(1).await, numbered(&[(2, "c")]));
        line.send(ack_run(2, 1, 2)).await;
        line
    };
    let (outcomes, _line) = tokio::join!(publisher.publish_batch(messages), script);
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map(|ack| ack.position.offset.get()).map_err(|e| e.code()))
        .collect();
    assert_eq!(outcomes, [Ok(1), Err(Some(Code::BAD_RECORD)), Ok(2)]);
}

#[tokio::test]
async fn a_fenced_producer_ends_for_good() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let publisher = client.publisher("r").expect("a name");
    let script = async {
        let mut line = peer.opened(0).await;
        line.publishes(1).await;
        line.send(Refused { code: Code::FENCED, message: "".into(), retry_after: Millis(0) }).await;
        line.finish();
    };
    let (outcome, ()) = tokio::join!(publisher.publish("a"), script);
    assert_eq!(outcome.expect_err("fenced").code(), Some(Code::FENCED));
    assert_eq!(publisher.publish("b").await.expect_err("still").code(), Some(Code::FENCED));
}

#[tokio::test]
async fn a_full_outbox_refuses_or_waits() {
    let fake = Fake::start();
    let bounds = OutboxBounds { count_max: 2, bytes_max: 1 << 20 };
    let (client, peer) = tokio::join!(fake.client().outbox(bounds).connect(), fake.session());
    let publisher = client.expect("a session").publisher("r").expect("a name");
    let first = publisher.try_publish("a").expect("space");
    let _second = publisher.try_publish("b").expect("space");
    assert!(matches!(publisher.try_publish("c"), Err(Error::OutboxFull)));
    let script = async {
        let mut line = peer.opened(0).await;
        line.publishes(2).await;
        line.silent().await;
        line.send(ack_run(1, 1, 1)).await;
        line.publishes(1).await;
        line.send(ack_run(2, 2, 2)).await;
        line
    };
    let (third, _line) = tokio::join!(publisher.publish("c"), script);
    assert_eq!(third.expect("acknowledged").position.offset.get(), 3);
    assert!(first.await.is_ok());
}

#[tokio::test]
async fn the_window_of_the_server_is_kept() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let publisher = client.publisher("r").expect("a name");
    let _pending: Vec<_> = (0..150).map(|_| publisher.try_publish("x").expect("space")).collect();
    let mut line = peer.opened(0).await;
    line.publishes(100).await;
    line.silent().await;
    line.send(ack_run(1, 10, 1)).await;
    line.publishes(10).await;
    line.silent().await;
}

#[tokio::test]
async fn draining_waits_for_the_answers_and_closes() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let pending = client.publisher("r").expect("a name").try_publish("a").expect("space");
    let script = async {
        let mut line = peer.opened(0).await;
        line.publishes(1).await;
        line.silent().await;
        line.send(ack_run(1, 1, 1)).await;
        peer.closed().await;
    };
    let (drained, ()) = tokio::join!(client.drain(Duration::from_secs(10)), script);
    drained.expect("everything was answered");
    pending.await.expect("acknowledged");
    let closed = client.publisher("r").expect("a name").try_publish("b");
    assert!(matches!(closed, Err(Error::Closed)));
}

#[tokio::test]
async fn closing_fails_what_waits() {
    let fake = Fake::start();
    let (client, _peer) = fake.connected().await;
    let pending = client.publisher("r").expect("a name").try_publish("a").expect("space");
    client.close().await;
    assert!(matches!(patient("an answer", pending).await, Err(Error::Closed)));
}

#[tokio::test]
async fn an_idle_stream_makes_way_for_another_room() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let serve = async {
        for _ in 0..12 {
            let mut line = peer.opened(0).await;
            let peer = &peer;
            tokio::spawn(async move {
                line.publishes(1).await;
                line.send(ack_run(1, 1, 1)).await;
                line.next().await
            });
            let _ = peer;
        }
    };
    let publish = async {
        for room in 0..12 {
            client.publisher(format!("r{room}")).expect("a name").publish("x").await.expect("acknowledged");
        }
    };
    patient("twelve rooms over four streams", async { tokio::join!(serve, publish) }).await;
}
