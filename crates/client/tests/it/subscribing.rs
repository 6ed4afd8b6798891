//! Rooms: resuming, credit, and what the server says instead of records.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use loquic_client::{Code, Epoch, Error, Event, From, GapReason, Mode, Offset, Position, Room};
use loquic_wire::{
    Frame,
    control::{Refused, SessionLimits, Welcome},
    join::{CaughtUp, Gap, Left, Reset},
    position::Millis,
    read::{Range, ReadEnd, ReadHead},
    watch::{Head, Watch},
};

use crate::fake::{Fake, joined, patient, record, sized_record, welcome};

fn offset(value: u64) -> Offset {
    Offset::saturating(value)
}

fn position(epoch: u64, at: u64) -> Position {
    Position { epoch: Epoch::saturating(epoch), offset: offset(at) }
}

async fn next(room: &mut Room) -> Event {
    patient("an event", room.next()).await.expect("the room goes on").expect("no error")
}

async fn next_offsets(room: &mut Room, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        if let Event::Record(record) = next(room).await {
            offsets.push(record.offset.get());
        }
    }
    offsets
}

#[tokio::test]
async fn a_cut_neither_loses_nor_repeats() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let (room, (join, mut line)) = tokio::join!(client.room("r").from(From::Oldest).open(), peer.joined(3));
    let mut room = room.expect("joined");
    assert_eq!((join.from, join.mode), (From::Oldest, Mode::All));
    line.send_all([record(1), record(2)]).await;
    assert_eq!(next_offsets(&mut room, 2).await, [1, 2]);
    assert_eq!(room.position(), Some(position(7, 2)));
    peer.cut();

    let peer = fake.session().await;
    assert_eq!(peer.hello.previous, Some(welcome().session));
    let (join, mut line) = peer.joined(4).await;
    assert_eq!(join.from, From::After(position(7, 2)));
    line.send_all([record(1), record(2), record(3), CaughtUp { head: offset(3) }.into(), record(4)]).await;
    assert_eq!(next_offsets(&mut room, 2).await, [3, 4]);
}

#[tokio::test]
async fn a_reset_and_a_gap_are_shown() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let from = From::After(position(6, 9));
    let (room, (_, mut line)) = tokio::join!(client.room("r").from(from).open(), peer.joined(8));
    let mut room = room.expect("joined");
    let reset = Reset { epoch: Epoch::saturating(7), valid_to: offset(3), head: offset(8) };
    let gap = Gap { from: offset(4), to: offset(6), reason: GapReason::Retention };
    line.send_all([reset.into(), gap.into(), record(7)]).await;
    assert_eq!(next(&mut room).await, Event::Reset(reset));
    assert_eq!(room.position(), Some(position(7, 3)));
    assert_eq!(next(&mut room).await, Event::Gap(gap));
    assert_eq!(next_offsets(&mut room, 1).await, [7]);
}

#[tokio::test]
async fn a_hole_ends_the_room_and_the_connection() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let (room, (_, mut line)) = tokio::join!(client.room("r").from(From::Oldest).open(), peer.joined(3));
    let mut room = room.expect("joined");
    line.send_all([record(1), record(3)]).await;
    // The record that came with the hole is not handed over: what it is worth is not known.
    let error = patient("the end", room.next()).await.expect("an item").expect_err("an error");
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(room.next().await.is_none());
    peer.closed().await;
}

/// Goal: an application that does not take its records costs a bounded amount, and gets all of them in the end.
/// Method: a server that sends as fast as the credit allows, and compares what it may send with what was taken.
#[tokio::test]
async fn a_slow_application_holds_back_the_credit() {
    const COUNT: u64 = 100;
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let (room, (join, mut line)) = tokio::join!(client.room("r").from(From::Oldest).open(), peer.joined(0));
    let mut room = room.expect("joined");
    let size = sized_record(1, 60_000).to_bytes().len() as u64;
    let taken = AtomicU64::new(0);
    let mut credit = join.credit;
    let server = async {
        for offset in 1..=COUNT {
            while credit < size {
                let Frame::Credit(grant) = line.frame().await else { panic!("not a grant") };
                credit += grant.bytes;
                let unread = (offset - 1 - taken.load(Ordering::Relaxed)) * size;
                assert!(credit + unread <= join.credit, "more than the window");
            }
            line.send(sized_record(offset, 60_000)).await;
            credit -= size;
        }
    };
    let application = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for offset in 1..=COUNT {
            assert_eq!(next_offsets(&mut room, 1).await, [offset]);
            taken.store(offset, Ordering::Relaxed);
        }
    };
    tokio::join!(server, application);
}

#[tokio::test]
async fn what_is_refused_for_good_is_an_error_of_open() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let script = async {
        let (_, mut line) = peer.line().await;
        line.send(Refused { code: Code::FORBIDDEN, message: "no".into(), retry_after: Millis(0) }).await;
        line.finish();
    };
    let (room, ()) = tokio::join!(client.room("r").open(), script);
    assert_eq!(room.expect_err("refused").code(), Some(Code::FORBIDDEN));
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let script = async {
        let (_, mut line) = peer.line().await;
        line.send(Refused { code: Code::NOT_YET_APPLIED, message: "".into(), retry_after: Millis(5) }).await;
        line.finish();
        peer.joined(0).await
    };
    let (room, (_, mut line)) = tokio::join!(client.room("r").open(), script);
    let mut room = room.expect("joined at the second attempt");
    line.send(Left { code: Code::OVERLOADED }).await;
    line.finish();
    let (join, mut line) = peer.joined(1).await;
    assert_eq!(join.from, From::After(position(7, 0)), "a live room goes on from the head it joined at");
    line.send(record(1)).await;
    assert_eq!(next_offsets(&mut room, 1).await, [1]);
    line.send(Left { code: Code::FORBIDDEN }).await;
    let error = patient("the end", room.next()).await.expect("an item").expect_err("rights were lost");
    assert_eq!(error.code(), Some(Code::FORBIDDEN));
}

#[tokio::test]
async fn more_rooms_than_allowed_are_a_typed_error() {
    let fake = Fake::start();
    let script = async {
        let mut peer = fake.greeted().await;
        let limits = SessionLimits { rooms_max: 1, ..welcome().limits };
        peer.control.send(Welcome { limits, ..welcome() }).await;
        peer
    };
    let (client, peer) = tokio::join!(fake.client().connect(), script);
    let client = client.expect("a session");
    let (first, (_, mut line)) = tokio::join!(client.room("a").open(), peer.joined(0));
    let first = first.expect("joined");
    assert!(matches!(client.room("b").open().await, Err(Error::RoomsFull { max: 1 })));
    drop(first);
    assert!(patient("the room to be left", line.next()).await.is_none(), "dropping a room leaves it");
    let (second, _) = tokio::join!(client.room("b").open(), peer.joined(0));
    second.expect("there is space again");
}

#[tokio::test]
async fn history_is_read_again_after_a_cut() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let script = async {
        let (first, mut line) = peer.line().await;
        assert!(matches!(first, Frame::Read(read) if read.limit == 1000));
        line.send(ReadHead { epoch: Epoch::saturating(7), floor: offset(1), head: offset(2) }).await;
        line.send(record(1)).await;
        peer.cut();
        let peer = fake.session().await;
        let (_, mut line) = peer.line().await;
        let head = ReadHead { epoch: Epoch::saturating(7), floor: offset(1), head: offset(2) };
        let end = ReadEnd { first: offset(1), last: offset(2), more: false };
        line.send_all([head.into(), record(1), record(2), end.into()]).await;
        line.finish();
        peer
    };
    let (history, _peer) = tokio::join!(client.history("r", Range::Newest, 5000), script);
    let history = history.expect("read");
    assert_eq!(history.records.len(), 2);
    assert_eq!((history.head, history.more), (offset(2), false));
}

#[tokio::test]
async fn a_watch_keeps_only_the_newest_head_of_a_room() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let what = Watch::Prefix("a".into());
    let (watch, (first, mut line)) = tokio::join!(client.watch(what.clone()), peer.line());
    let mut watch = watch.expect("watching");
    assert_eq!(first, Frame::Watch(what));
    let head =
        |room: &str, at| Head { room: room.parse().expect("a name"), epoch: Epoch::saturating(7), head: offset(at) };
    line.send_all([head("a1", 1).into(), head("a2", 5).into(), head("a1", 2).into()]).await;
    let first = patient("a head", watch.next()).await.expect("goes on").expect("no error");
    assert_eq!(first, head("a1", 2));
    let second = patient("a head", watch.next()).await.expect("goes on").expect("no error");
    assert_eq!(second, head("a2", 5));
    peer.cut();
    let peer = fake.session().await;
    let (again, _line) = peer.line().await;
    assert!(matches!(again, Frame::Watch(_)));
}

#[tokio::test]
async fn a_stalled_application_does_not_join_beyond_its_window() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let (room, (join, mut line)) = tokio::join!(client.room("r").from(From::Oldest).open(), peer.joined(0));
    let mut room = room.expect("joined");
    let mut count = 0;
    let size = sized_record(1, 60_000).to_bytes().len() as u64;
    while (count + 1) * size <= join.credit {
        count += 1;
        line.send(sized_record(count, 60_000)).await;
    }
    // The client has them all once this comes back.
    tokio::time::sleep(Duration::from_millis(200)).await;
    peer.cut();
    let peer = fake.session().await;
    tokio::time::timeout(Duration::from_millis(100), peer.line()).await.map(|_| ()).expect_err("there is no space yet");
    assert_eq!(next_offsets(&mut room, count as usize).await.len() as u64, count);
    let taker = tokio::spawn(async move { room.next().await.map(|event| event.is_ok()) });
    let (first, mut line) = peer.line().await;
    let Frame::Join(join) = first else { panic!("not a Join") };
    assert_eq!(join.from, From::After(position(7, count)));
    line.send(joined(7, count)).await;
    line.send(record(count + 1)).await;
    assert_eq!(patient("the room", taker).await.expect("no panic"), Some(true));
}
