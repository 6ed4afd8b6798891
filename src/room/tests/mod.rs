//! Rooms over a store in memory: publish, read, resume, duplicates, and what happens when the store fails.

mod apply_model;
mod floor_model;
mod marks;
mod node;
mod publish_model;
mod reader_model;
mod recovery_model;
mod redaction;
mod tail_model;

use std::sync::Arc;

use bytes::Bytes;
use loquic_wire::{
    Code, Decoder, Flags, Format, Frame, Kind, Offset, Position, ProducerId, Record, RoomName, TenantName,
    join::{From, GapReason, Mode},
    publish::{Duplicate, Publish},
    read::Range,
};

use super::{Answer, Event, Journal, Options, ProducerKey, Publisher, Reader, Room, RoomKey, Rooms, testing};
use crate::{
    journal::local::Ended,
    log::{
        Memory, Store, StoreError,
        rows::{Level, Policy},
    },
};

fn key(room: &str) -> RoomKey {
    RoomKey { tenant: TenantName::main(), room: RoomName::new(room).unwrap() }
}

fn producer(number: u8) -> ProducerKey {
    ProducerKey { user: "ann".parse().unwrap(), producer: ProducerId([number; 16]) }
}

fn publish(id: u64, payload: &str) -> Publish {
    Publish {
        id,
        kind: Kind::MESSAGE,
        format: Format::Text,
        flags: Flags::NONE,
        refers: None,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

async fn room_and_publisher(rooms: &Rooms, name: &str) -> (Arc<Room>, Publisher) {
    let room = rooms.attach(&key(name)).await.unwrap();
    let publisher = rooms.open_producer(&room, producer(1)).await.unwrap();
    (room, publisher)
}

async fn answers(publisher: &mut Publisher) -> Vec<Answer> {
    let mut all = Vec::new();
    while publisher.in_flight() > 0 {
        all.extend(publisher.next().await.unwrap());
    }
    all
}

async fn publish_all(publisher: &mut Publisher, ids: std::ops::RangeInclusive<u64>) {
    for id in ids {
        publisher.offer(vec![publish(id, &format!("message {id}"))]);
    }
    answers(publisher).await;
}

async fn read_records(reader: &mut Reader, count: usize) -> Vec<Record> {
    let mut decoder = Decoder::new();
    let mut records = Vec::new();
    while records.len() < count {
        if let Event::Records { frames, .. } = reader.next(1 << 20).await {
            frames.iter().for_each(|frame| decoder.push(frame).unwrap());
        }
        while let Some(Frame::Record(record)) = decoder.next_frame().unwrap() {
            records.push(record);
        }
    }
    records
}

fn decoded(frames: &[Bytes]) -> Vec<Record> {
    let mut decoder = Decoder::new();
    let mut records = Vec::new();
    for frame in frames {
        decoder.push(frame).unwrap();
        while let Some(Frame::Record(record)) = decoder.next_frame().unwrap() {
            records.push(record);
        }
    }
    records
}

fn offsets(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.offset.get()).collect()
}

#[tokio::test]
async fn what_is_published_is_acknowledged_and_read_at_the_same_offsets() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    let (mut reader, _) = room.reader(From::Oldest, Mode::All).unwrap();
    assert!(matches!(reader.next(0).await, Event::CaughtUp(caught_up) if caught_up.head == Offset::ZERO));
    publisher.offer((1..=3).map(|id| publish(id, "hello")).collect());
    let acks = answers(&mut publisher).await;
    let [Answer::AckRun(run)] = acks.as_slice() else { panic!("{acks:?}") };
    assert_eq!((run.first_id, run.count, run.first_offset.get()), (1, 3, 1));
    let records = read_records(&mut reader, 3).await;
    assert_eq!(offsets(&records), [1, 2, 3]);
    assert_eq!(records[2].payload, "hello");
    assert_eq!(room.status().head.get(), 3);
}

#[tokio::test]
async fn a_retry_gets_the_original_position_and_another_payload_is_a_conflict() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=5).await;
    let mut again = rooms.open_producer(&room, producer(1)).await.unwrap();
    assert_eq!(again.last_id(), 5);
    again.offer(vec![publish(2, "message 2"), publish(3, "something else"), publish(6, "message 6")]);
    let answers = answers(&mut again).await;
    let [Answer::Ack(ack), Answer::Nack(nack), Answer::Ack(new)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((ack.position.offset.get(), ack.duplicate), (2, Duplicate::Yes));
    assert_eq!((nack.id, nack.code), (3, Code::CONFLICT));
    assert_eq!((new.position.offset.get(), new.duplicate), (6, Duplicate::No));
    assert_eq!(publisher.next().await, Err(Code::FENCED));
}

#[tokio::test]
async fn what_follows_a_refused_publish_is_not_appended() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    let mut bad = publish(7, "not yours");
    bad.kind = Kind::SYSTEM;
    publisher.offer(vec![bad, publish(8, "behind")]);
    publisher.offer(vec![publish(9, "further behind")]);
    let codes: Vec<_> = answers(&mut publisher).await.iter().map(code).collect();
    assert_eq!(codes, [(7, Code::BAD_RECORD, 7), (8, Code::ID_GAP, 7), (9, Code::ID_GAP, 7)]);
    publisher.offer(vec![publish(7, "behind")]);
    assert!(matches!(answers(&mut publisher).await.as_slice(), [Answer::Ack(_)]));
    assert_eq!(room.status().head.get(), 1);
}

fn code(answer: &Answer) -> (u64, Code, u64) {
    match answer {
        Answer::Nack(nack) => (nack.id, nack.code, nack.expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_form_of_from_starts_where_it_says() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=10).await;
    let epoch = room.status().epoch;
    let after = |offset| From::After(Position { epoch, offset: Offset::saturating(offset) });
    let cases = [
        (From::Oldest, 1),
        (From::AtOffset(Offset::saturating(4)), 4),
        (From::Last(3), 8),
        (From::Last(99), 1),
        (after(7), 8),
        (after(0), 1),
        (From::AtTime(loquic_wire::Time::ZERO), 1),
    ];
    for (from, first) in cases {
        let (mut reader, _) = room.reader(from, Mode::All).unwrap();
        let records = read_records(&mut reader, 11 - first).await;
        assert_eq!(offsets(&records), (first as u64..=10).collect::<Vec<_>>(), "{from:?}");
        assert!(matches!(reader.next(0).await, Event::CaughtUp(_)), "{from:?}");
    }
    let refused = room.reader(after(11), Mode::All).map(|_| ()).unwrap_err();
    assert_eq!(refused.code, Code::POSITION_AHEAD);
}

#[tokio::test]
async fn credit_bounds_what_is_sent_to_the_byte() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=4).await;
    let (mut whole, _) = room.reader(From::Oldest, Mode::All).unwrap();
    let Event::Records { bytes, .. } = whole.next(1 << 20).await else { panic!("records") };
    let one = bytes / 4;
    let (mut reader, _) = room.reader(From::Oldest, Mode::All).unwrap();
    let sent = reader.next(2 * one + one / 2).await;
    assert!(matches!(sent, Event::Records { count: 2, bytes, .. } if bytes == 2 * one), "{sent:?}");
    let waited = tokio::time::timeout(std::time::Duration::from_millis(20), reader.next(one - 1)).await;
    assert!(waited.is_err(), "a record that does not fit was sent: {waited:?}");
    assert!(matches!(reader.next(one).await, Event::Records { count: 1, .. }));
}

#[tokio::test]
async fn a_reader_behind_the_tail_reads_the_log_and_joins_the_tail() {
    let options = Options { tail_bytes_max: 512, ..Options::default() };
    let (rooms, _journal) = testing::rooms_over(Arc::new(Memory::default()), options);
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=500).await;
    let (mut reader, _) = room.reader(From::Oldest, Mode::All).unwrap();
    let records = read_records(&mut reader, 500).await;
    assert_eq!(offsets(&records), (1..=500).collect::<Vec<_>>());
    assert!(matches!(reader.next(0).await, Event::CaughtUp(_)));
    publish_all(&mut publisher, 501..=501).await;
    assert_eq!(offsets(&read_records(&mut reader, 1).await), [501]);
    let (mut latest, _) = room.reader(From::Oldest, Mode::Latest).unwrap();
    let skipped = latest.next(1 << 20).await;
    assert!(
        matches!(skipped, Event::Gap(gap) if gap.reason == GapReason::Skipped && gap.from.get() == 1),
        "{skipped:?}"
    );
}

#[tokio::test]
async fn a_read_gives_what_its_range_and_limit_say() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=20).await;
    let offset = Offset::saturating;
    let cases = [
        (Range::After(offset(3)), 5, 4..=8, true),
        (Range::After(offset(15)), 50, 16..=20, false),
        (Range::Before(offset(6)), 3, 3..=5, true),
        (Range::Newest, 4, 17..=20, true),
        (Range::Between { after: offset(2), before: offset(6) }, 100, 3..=5, false),
    ];
    for (range, limit, expected, more) in cases {
        let mut scan = room.scan(range, limit);
        let mut decoder = Decoder::new();
        while let Some(event) = scan.next(1 << 16).await {
            let Event::Records { frames, .. } = event else { panic!("{event:?}") };
            frames.iter().for_each(|frame| decoder.push(frame).unwrap());
        }
        let mut seen = Vec::new();
        while let Some(Frame::Record(record)) = decoder.next_frame().unwrap() {
            seen.push(record.offset.get());
        }
        assert_eq!(seen, expected.clone().collect::<Vec<_>>(), "{range:?}");
        let end = scan.end();
        assert_eq!(
            (end.first.get(), end.last.get(), end.more),
            (*expected.start(), *expected.end(), more),
            "{range:?}"
        );
    }
}

fn reopen(store: &Arc<Memory>) -> (Rooms, Journal) {
    testing::rooms_over(store.clone(), Options::default())
}

#[tokio::test]
async fn a_restart_keeps_records_ids_and_positions() {
    let store = Arc::new(Memory::default());
    let (rooms, journal) = reopen(&store);
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=10).await;
    let before = room.status();
    drop((room, publisher));
    assert_eq!(journal.end(), Ended::Clean);

    let (rooms, _journal) = reopen(&store);
    let room = rooms.attach(&key("chat:1")).await.unwrap();
    assert!(room.status().epoch > before.epoch, "a start that is not proven clean opens an epoch");
    let from = From::After(Position { epoch: before.epoch, offset: before.head });
    let (mut reader, _) = room.reader(from, Mode::All).unwrap();
    assert!(matches!(reader.next(1 << 20).await, Event::CaughtUp(_)), "the position of before holds");
    let mut publisher = rooms.open_producer(&room, producer(1)).await.unwrap();
    assert_eq!(publisher.last_id(), 10);
    publisher.offer(vec![publish(10, "message 10"), publish(11, "message 11")]);
    let answers = answers(&mut publisher).await;
    let [Answer::Ack(old), Answer::Ack(new)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((old.position.offset.get(), old.duplicate), (10, Duplicate::Yes));
    assert_eq!((new.position.offset.get(), new.duplicate), (11, Duplicate::No));
}

#[tokio::test]
async fn lost_records_give_a_reset_and_never_other_data() {
    let store = Arc::new(Memory::default());
    let policy = Policy { level: Level::Process, ..Policy::default() };
    let options = || Options { policies: vec![("**".parse_pattern(), policy)], ..Options::default() };
    let (rooms, _journal) = testing::rooms_over(store.clone(), options());
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=4).await;
    store.sync().unwrap();
    publish_all(&mut publisher, 5..=9).await;
    let before = room.status();

    let (rooms, _journal) = testing::rooms_over(Arc::new(store.after_power_loss()), options());
    let room = rooms.attach(&key("chat:1")).await.unwrap();
    assert_eq!(room.status().head.get(), 4);
    let mut publisher = rooms.open_producer(&room, producer(2)).await.unwrap();
    publish_all(&mut publisher, 1..=3).await;
    let from = From::After(Position { epoch: before.epoch, offset: before.head });
    let (mut reader, _) = room.reader(from, Mode::All).unwrap();
    let first = reader.next(1 << 20).await;
    assert!(matches!(first, Event::Reset(reset) if reset.valid_to.get() == 4 && reset.head.get() == 7), "{first:?}");
    assert_eq!(offsets(&read_records(&mut reader, 3).await), [5, 6, 7]);
    assert!(matches!(reader.next(0).await, Event::CaughtUp(_)));
}

trait ParsePattern {
    fn parse_pattern(&self) -> loquic_wire::RoomPattern;
}

impl ParsePattern for str {
    fn parse_pattern(&self) -> loquic_wire::RoomPattern {
        loquic_wire::RoomPattern::new(self).unwrap()
    }
}

#[tokio::test]
async fn a_failed_sync_poisons_the_log_and_reads_go_on() {
    let store = Arc::new(Memory::default());
    let (rooms, journal) = reopen(&store);
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=3).await;
    store.fail_next_sync(StoreError::Failed("injected".into()));
    publisher.offer(vec![publish(4, "lost")]);
    assert_eq!(publisher.next().await, Err(Code::LOG_POISONED));
    assert_eq!(room.status().head.get(), 3, "what is not synced is not seen");
    let mut publisher = rooms.open_producer(&room, producer(3)).await.unwrap();
    publisher.offer(vec![publish(1, "refused")]);
    assert_eq!(publisher.next().await, Err(Code::LOG_POISONED));
    let (mut reader, _) = room.reader(From::Oldest, Mode::All).unwrap();
    assert_eq!(offsets(&read_records(&mut reader, 3).await), [1, 2, 3]);
    drop((room, publisher, reader));
    assert_eq!(journal.end(), Ended::Unclean);
}
