//! Joins, reads and watches, against rooms over the log in memory. The journal is a thread of its own, so time is real.

use std::time::Duration;

use loquic_wire::{
    Code, Epoch, Offset, Position,
    control::{Marked, Peek, Peeked},
    join::{CaughtUp, Credit, From, Gap, GapReason, Join, Joined, Left, Mark, Mode, Reset},
    limits::NUMBER_MAX,
    publish::Duplicate,
    read::{Range, Read, ReadEnd, ReadHead},
    record::Record,
    watch::{Head, Watch},
};
use tokio::time::{Instant, sleep};

use super::peer::{Peer, PeerStream, join, publish, room, shared};
use crate::{
    config::limits,
    session::stream::priority,
    transport::{Link, SendStream, memory},
};

/// Long enough for a record to come, had it been sent.
const SILENCE: Duration = Duration::from_millis(50);

/// Publishes `count` records named by their ids and waits until they are safe.
async fn fill(peer: &Peer, name: &str, count: u64) {
    fill_with(peer, name, (1..=count).map(|id| id.to_string())).await;
}

async fn fill_with(peer: &Peer, name: &str, payloads: impl Iterator<Item = String>) {
    let (mut publisher, opened) = peer.publisher(name, 9).await;
    let mut last = opened.last_id;
    for payload in payloads {
        last += 1;
        publisher.say(publish(last, &payload)).await;
    }
    publisher.send.finish();
    for ack in publisher.acks((last - opened.last_id) as usize).await {
        assert_eq!(ack.duplicate, Duplicate::No);
    }
    publisher.ended().await;
}

fn offsets(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.offset.get()).collect()
}

async fn caught_up(stream: &mut PeerStream, head: u64) {
    let caught_up: CaughtUp = stream.hear().await;
    assert_eq!(caught_up.head.get(), head);
}

async fn left(stream: &mut PeerStream, code: Code) {
    let left: Left = stream.hear().await;
    assert_eq!(left.code, code);
    stream.ended().await;
}

#[tokio::test]
async fn a_live_join_brings_what_is_published_from_then_on() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 3).await;
    let (mut stream, joined) = peer.join("a", From::Live).await;
    assert_eq!((joined.head.get(), joined.floor.get()), (3, 1));
    caught_up(&mut stream, 3).await;
    fill(&peer, "a", 2).await;
    let records = stream.records(2).await;
    assert_eq!(offsets(&records), [4, 5]);
    assert_eq!((records[0].sender.as_str(), &records[0].payload[..]), ("ada", &b"1"[..]));
}

#[tokio::test]
async fn a_join_of_an_empty_room_is_caught_up_at_once() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let (mut stream, joined) = peer.join("empty", From::Oldest).await;
    assert_eq!((joined.head.get(), joined.floor.get()), (0, 1));
    caught_up(&mut stream, 0).await;
    stream.is_silent_for(SILENCE).await;
}

#[tokio::test]
async fn a_join_resumes_from_anywhere() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 10).await;
    let (_stream, Joined { epoch, .. }) = peer.join("a", From::Live).await;
    let after = |offset| From::After(Position { epoch, offset: Offset::new(offset).unwrap() });
    let cases = [
        (From::Oldest, 1),
        (From::AtOffset(Offset::new(4).unwrap()), 4),
        (after(0), 1),
        (after(7), 8),
        (From::Last(2), 9),
        (From::Last(99), 1),
    ];
    for (from, first) in cases {
        let (mut stream, _) = peer.join("a", from).await;
        let records = stream.records((11 - first) as usize).await;
        assert_eq!(offsets(&records), (first..=10).collect::<Vec<_>>(), "{from:?}");
        caught_up(&mut stream, 10).await;
    }
    let (mut stream, _) = peer.join("a", after(10)).await;
    caught_up(&mut stream, 10).await;
}

#[tokio::test]
async fn a_position_past_the_head_is_refused() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 1).await;
    let (_stream, Joined { epoch, .. }) = peer.join("a", From::Live).await;
    let ahead = From::After(Position { epoch, offset: Offset::new(2).unwrap() });
    peer.open(join("a", ahead)).await.refused(Code::POSITION_AHEAD).await;
    control.is_alive().await;
}

#[tokio::test]
async fn an_unknown_epoch_is_reset_and_followed_by_what_is_held() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 3).await;
    let unknown = Position { epoch: Epoch::new(1).unwrap(), offset: Offset::new(2).unwrap() };
    let (mut stream, _) = peer.join("a", From::After(unknown)).await;
    let reset: Reset = stream.hear().await;
    assert_eq!((reset.valid_to.get(), reset.head.get()), (0, 3));
    assert_eq!(offsets(&stream.records(3).await), [1, 2, 3]);
    caught_up(&mut stream, 3).await;
}

#[tokio::test]
async fn records_come_within_the_credit_only() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 4).await;
    let (mut all, _) = peer.join("a", From::Oldest).await;
    let records = all.records(4).await;
    let length = records[0].frame_len() as u64;
    let mut stream = peer.open(Join { credit: 2 * length, ..join("a", From::Oldest) }).await;
    let _: Joined = stream.hear().await;
    assert_eq!(offsets(&stream.records(2).await), [1, 2]);
    stream.is_silent_for(SILENCE).await;
    stream.say(Credit { bytes: length - 1 }).await;
    stream.is_silent_for(SILENCE).await;
    stream.say(Credit { bytes: 1 }).await;
    assert_eq!(offsets(&stream.records(1).await), [3]);
    stream.say(Credit { bytes: 10 * length }).await;
    assert_eq!(offsets(&stream.records(1).await), [4]);
    caught_up(&mut stream, 4).await;
}

#[tokio::test]
async fn more_credit_than_a_number_holds_ends_the_stream() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    caught_up(&mut stream, 0).await;
    stream.say(Credit { bytes: NUMBER_MAX }).await;
    left(&mut stream, Code::FLOW_CONTROL).await;
    control.is_alive().await;
}

#[tokio::test]
async fn ending_the_stream_leaves_the_room() {
    let shared = shared();
    let (peer, mut control) = Peer::greet(&shared).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    caught_up(&mut stream, 0).await;
    stream.send.finish();
    left(&mut stream, Code::DONE).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    caught_up(&mut stream, 0).await;
    stream.send.reset(Code::DONE);
    stream.was_reset().await;
    control.is_alive().await;
    assert_eq!(shared.stats().streams_opened.get(), shared.stats().streams_closed.get());
}

#[tokio::test]
async fn a_read_mark_is_told_to_the_users_sessions_that_follow_the_room() {
    let shared = shared();
    let (peer, mut control) = Peer::greet(&shared).await;
    let (other, mut other_control) = Peer::greet(&shared).await;
    let (_nowhere, mut nowhere_control) = Peer::greet(&shared).await;
    fill(&peer, "a", 5).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    let mut watch = other.open(Watch::Rooms(vec![room("a")])).await;
    let _: Head = watch.hear().await;
    // Only the newest counts, and nothing past the head.
    for offset in [1, 3, 2] {
        stream.say(Mark { offset: Offset::saturating(offset) }).await;
    }
    for control in [&mut control, &mut other_control] {
        let marked: Marked = control.hear().await;
        assert_eq!((marked.room.as_str(), marked.offset.get()), ("a", 3));
    }
    stream.say(Mark { offset: Offset::saturating(99) }).await;
    let marked: Marked = control.hear().await;
    assert_eq!(marked.offset.get(), 5);
    nowhere_control.say(Peek { rooms: vec![room("a"), room("b")] }).await;
    let peeked: Peeked = nowhere_control.hear().await;
    let marks: Vec<_> = peeked.rooms.iter().map(|room| room.as_ref().unwrap().mark).collect();
    assert_eq!(marks, [Some(Offset::saturating(5)), None]);
    control.is_alive().await;
}

#[tokio::test]
async fn a_frame_of_another_sort_on_a_join_stream_ends_the_session() {
    let (mut peer, mut control) = Peer::greet(&shared()).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    caught_up(&mut stream, 0).await;
    stream.say(join("b", From::Live)).await;
    control.closing(Code::UNEXPECTED_FRAME).await;
    peer.closed_with(Code::UNEXPECTED_FRAME).await;
}

#[tokio::test]
async fn a_room_may_be_joined_on_several_streams() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let (mut first, joined) = peer.join("a", From::Live).await;
    let (mut second, again) = peer.join("a", From::Oldest).await;
    assert_eq!(joined.handle, again.handle);
    caught_up(&mut first, 0).await;
    caught_up(&mut second, 0).await;
    fill(&peer, "a", 1).await;
    assert_eq!(first.records(1).await, second.records(1).await);
}

#[tokio::test]
async fn a_reader_that_stops_loses_nothing_and_holds_up_nobody() {
    let (writer, _control) = Peer::greet(&shared()).await;
    let (peer, _control) = (&writer, ());
    let big = Join { credit: NUMBER_MAX, ..join("a", From::Live) };
    let mut slow = peer.open(big.clone()).await;
    let mut fast = peer.open(big).await;
    for stream in [&mut slow, &mut fast] {
        let _: Joined = stream.hear().await;
        caught_up(stream, 0).await;
    }
    // More than the stream's buffer and the room's tail hold together.
    let count = 150;
    for first in (0..count).step_by(10) {
        fill_with(peer, "a", (first..first + 10).map(|number| format!("{number:08192}"))).await;
        let records = fast.records(10).await;
        assert_eq!(offsets(&records), (first + 1..=first + 10).collect::<Vec<_>>());
    }
    let records = slow.records(count as usize).await;
    assert_eq!(offsets(&records), (1..=count).collect::<Vec<_>>());
    fill(peer, "a", 1).await;
    assert_eq!(offsets(&slow.records(1).await), [count + 1]);
}

#[tokio::test]
async fn a_send_window_grows_with_a_catch_up_and_is_given_back() {
    let shared = shared();
    let all = shared.windows.spare();
    let (peer, mut control) = Peer::greet(&shared).await;
    fill_with(&peer, "a", (0..80).map(|number| format!("{number:08192}"))).await;
    let mut stream = peer.open(Join { credit: NUMBER_MAX, ..join("a", From::Oldest) }).await;
    let _: Joined = stream.hear().await;
    stream.records(80).await;
    assert!(shared.windows.spare() < all);
    // The first ping finds it in use.
    control.is_alive().await;
    assert!(shared.windows.spare() < all);
    control.is_alive().await;
    assert_eq!(shared.windows.spare(), all);
    stream.send.finish();
}

#[tokio::test]
async fn a_send_window_grows_with_a_read() {
    let shared = shared();
    let all = shared.windows.spare();
    let (peer, _control) = Peer::greet(&shared).await;
    fill_with(&peer, "a", (0..80).map(|number| format!("{number:08192}"))).await;
    let range = Range::After(Offset::ZERO);
    let mut stream = peer.open(Read { room: room("a"), range, limit: 80 }).await;
    let _: ReadHead = stream.hear().await;
    stream.records(80).await;
    assert!(shared.windows.spare() < all);
}

#[tokio::test]
async fn a_reader_that_stops_can_leave() {
    let shared = shared();
    let (peer, mut control) = Peer::greet(&shared).await;
    let mut stream = peer.open(Join { credit: NUMBER_MAX, ..join("a", From::Live) }).await;
    let _: Joined = stream.hear().await;
    caught_up(&mut stream, 0).await;
    fill_with(&peer, "a", (0..80).map(|number| format!("{number:08192}"))).await;
    let stats = shared.stats();
    while stats.bytes_delivered.get() <= memory::BUFFER_BYTES_MAX as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    // The page that waits for the buffer is given up; nobody wants it.
    stream.send.finish();
    while stats.streams_closed.get() < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    stream.was_reset().await;
    control.is_alive().await;
}

#[tokio::test]
async fn a_reader_in_mode_latest_skips_and_is_told() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let latest = Join { credit: NUMBER_MAX, mode: Mode::Latest, ..join("a", From::Live) };
    let mut stream = peer.open(latest).await;
    let _: Joined = stream.hear().await;
    caught_up(&mut stream, 0).await;
    let count = 200;
    fill_with(&peer, "a", (0..count).map(|number| format!("{number:08192}"))).await;
    let (mut next, mut skipped) = (1, 0);
    while next <= count {
        match stream.frame().await {
            loquic_wire::Frame::Record(record) => {
                assert_eq!(record.offset.get(), next);
                next += 1;
            }
            loquic_wire::Frame::Gap(Gap { from, to, reason: GapReason::Skipped }) => {
                assert_eq!(from.get(), next);
                skipped += to.since(from) + 1;
                next = to.get() + 1;
            }
            frame => panic!("{frame:?}"),
        }
    }
    assert!(skipped > 0);
}

#[tokio::test]
async fn a_read_brings_one_part_of_the_log() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 10).await;
    let at = |offset| Offset::new(offset).unwrap();
    let cases: [(Range, u32, &[u64], bool); 5] = [
        (Range::After(at(0)), 3, &[1, 2, 3], true),
        (Range::After(at(8)), 3, &[9, 10], false),
        (Range::Before(at(4)), 2, &[2, 3], true),
        (Range::Between { after: at(2), before: at(5) }, 9, &[3, 4], false),
        (Range::Newest, 2, &[9, 10], true),
    ];
    for (range, limit, expected, more) in cases {
        let mut stream = peer.open(Read { room: room("a"), range, limit }).await;
        let head: ReadHead = stream.hear().await;
        assert_eq!((head.floor.get(), head.head.get()), (1, 10));
        let records = stream.records(expected.len()).await;
        assert_eq!(offsets(&records), expected, "{range:?}");
        let end: ReadEnd = stream.hear().await;
        let (first, last) = (expected[0], expected[expected.len() - 1]);
        assert_eq!((end.first.get(), end.last.get(), end.more), (first, last, more), "{range:?}");
        stream.ended().await;
    }
}

#[tokio::test]
async fn a_read_of_too_many_records_is_cut() {
    let (peer, _control) = Peer::greet(&shared()).await;
    fill(&peer, "a", u64::from(limits::READ_RECORDS_MAX) + 5).await;
    let mut stream = peer.open(Read { room: room("a"), range: Range::Newest, limit: u32::MAX }).await;
    let _: ReadHead = stream.hear().await;
    assert_eq!(stream.records(limits::READ_RECORDS_MAX as usize).await[0].offset.get(), 6);
    let end: ReadEnd = stream.hear().await;
    assert!(end.more);
}

#[tokio::test]
async fn a_watch_coalesces_heads() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    fill(&peer, "a", 2).await;
    let mut stream = peer.open(Watch::Rooms(vec![room("a")])).await;
    let head: Head = stream.hear().await;
    assert_eq!((head.room, head.head.get()), (room("a"), 2));
    let begun = Instant::now();
    fill(&peer, "a", 3).await;
    fill(&peer, "b", 1).await;
    let head: Head = stream.hear().await;
    assert_eq!(head.head.get(), 5);
    assert!(begun.elapsed() >= limits::WATCH_INTERVAL / 2);
    stream.is_silent_for(2 * limits::WATCH_INTERVAL).await;
    stream.send.finish();
    stream.ended().await;
    control.is_alive().await;
}

#[tokio::test]
async fn a_peek_answers_in_order() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    fill(&peer, "b", 2).await;
    control.say(Peek { rooms: vec![room("a"), room("b")] }).await;
    let peeked: Peeked = control.hear().await;
    let heads: Vec<_> = peeked.rooms.iter().map(|room| room.as_ref().map(|room| room.head.get())).collect();
    assert_eq!(heads, [Some(0), Some(2)]);
    assert!(peeked.rooms.iter().flatten().all(|room| room.mark.is_none() && room.floor == Offset::FIRST));
}

#[tokio::test]
async fn a_session_ends_with_its_joins() {
    let shared = shared();
    let (mut peer, _control) = Peer::greet(&shared).await;
    let (mut stream, _) = peer.join("a", From::Live).await;
    caught_up(&mut stream, 0).await;
    peer.link.close(Code::DONE, "");
    peer.closed().await;
    shared.emptied().await;
}

const _: () = assert!(priority::CONTROL > priority::PUBLISH && priority::PUBLISH > priority::LIVE);
const _: () = assert!(priority::LIVE > priority::CATCH_UP);
