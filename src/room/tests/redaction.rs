//! Deletes: what becomes of the record, of those who read it, and of those who publish it again.

use super::*;
use crate::log::verify;

fn delete(id: u64, refers: u64) -> Publish {
    Publish { kind: Kind::DELETE, refers: Some(Offset::saturating(refers)), format: Format::Bytes, ..publish(id, "") }
}

async fn one(publisher: &mut Publisher, publish: Publish) -> Answer {
    publisher.offer(vec![publish]);
    let mut answers = answers(publisher).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn refused(answer: &Answer) -> Code {
    let Answer::Nack(nack) = answer else { panic!("{answer:?}") };
    nack.code
}

fn appended(answer: &Answer) -> u64 {
    let Answer::Ack(ack) = answer else { panic!("{answer:?}") };
    assert_eq!(ack.duplicate, Duplicate::No);
    ack.position.offset.get()
}

async fn read_all(room: &Arc<Room>) -> Vec<Record> {
    let (mut reader, status) = room.reader(From::Oldest, Mode::All).unwrap();
    read_records(&mut reader, status.head.get() as usize).await
}

fn payloads(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &record.payload[..]).collect()
}

#[tokio::test]
async fn a_deleted_record_keeps_its_place_and_loses_its_content() {
    let store = Arc::new(Memory::default());
    let (rooms, journal) = testing::rooms_over(store.clone(), Options::default());
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=3).await;
    let before = read_all(&room).await;
    let (mut live, _) = room.reader(From::Live, Mode::All).unwrap();
    assert_eq!(appended(&one(&mut publisher, delete(4, 2)).await), 4);
    let told = read_records(&mut live, 1).await;
    assert_eq!((told[0].kind, told[0].refers), (Kind::DELETE, Some(Offset::saturating(2))));
    let after = read_all(&room).await;
    assert_eq!(after[0..1], before[0..1]);
    assert_eq!(after[1], before[1].clone().redacted(), "everything but its content");
    assert_eq!(after[2..3], before[2..3]);
    // The same behind a restart, from the store.
    drop((live, room, publisher));
    drop(rooms);
    assert_eq!(journal.end(), Ended::Clean);
    assert!(verify::verify(&*store, None).unwrap().findings.is_empty());
    let (rooms, _journal) = testing::rooms_over(store, Options::default());
    assert_eq!(read_all(&rooms.attach(&key("chat:1")).await.unwrap()).await, after);
}

#[tokio::test]
async fn what_was_deleted_can_be_published_again_without_a_conflict() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=2).await;
    appended(&one(&mut publisher, delete(3, 1)).await);
    let mut again = rooms.open_producer(&room, producer(1)).await.unwrap();
    for (retry, offset) in [(publish(1, "message 1"), 1), (publish(2, "message 2"), 2), (delete(3, 1), 3)] {
        let answer = one(&mut again, retry).await;
        let Answer::Ack(ack) = answer else { panic!("{answer:?}") };
        assert_eq!((ack.position.offset.get(), ack.duplicate), (offset, Duplicate::Yes));
    }
    assert_eq!(refused(&one(&mut again, delete(3, 2)).await), Code::CONFLICT, "another delete under the same id");
    assert_eq!(payloads(&read_all(&room).await), [&b""[..], b"message 2", b""]);
}

#[tokio::test]
async fn only_the_sender_and_moderators_delete_and_only_messages() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=2).await;
    let bob = ProducerKey { user: "bob".parse().unwrap(), producer: ProducerId([9; 16]) };
    let mut bob = rooms.open_producer(&room, bob).await.unwrap();
    assert_eq!(refused(&one(&mut bob, delete(1, 1)).await), Code::FORBIDDEN);
    bob.set_moderates(true);
    assert_eq!(appended(&one(&mut bob, delete(1, 1)).await), 3);
    // Under another producer of the same user; twice does no harm.
    let mut other = rooms.open_producer(&room, producer(7)).await.unwrap();
    assert_eq!(appended(&one(&mut other, delete(1, 2)).await), 4);
    assert_eq!(appended(&one(&mut other, delete(2, 2)).await), 5);
    for (what, bad) in [
        ("a delete", delete(3, 4)),
        ("itself", delete(3, 6)),
        ("what will be", delete(3, 99)),
        ("nothing", Publish { refers: None, ..delete(3, 1) }),
        ("with content", Publish { payload: "x".into(), ..delete(3, 1) }),
        ("encrypted", Publish { flags: Flags::ENCRYPTED, ..delete(3, 1) }),
    ] {
        assert_eq!(refused(&one(&mut other, bad).await), Code::BAD_RECORD, "{what}");
    }
    assert_eq!(room.status().head.get(), 5);
}

#[tokio::test]
async fn a_record_of_the_same_batch_can_be_deleted() {
    let rooms = testing::rooms();
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publisher.offer(vec![publish(1, "a"), publish(2, "b"), delete(3, 1), publish(4, "c"), delete(5, 4), delete(6, 1)]);
    answers(&mut publisher).await;
    assert_eq!(payloads(&read_all(&room).await), [&b""[..], b"b", b"", b"", b"", b""]);
}

#[tokio::test]
async fn below_the_floor_there_is_nothing_to_delete() {
    let policy = Policy { count: Some(3), ..Policy::default() };
    let policies = vec![(loquic_wire::RoomPattern::new("**").unwrap(), policy)];
    let (rooms, _journal) =
        testing::rooms_over(Arc::new(Memory::default()), Options { policies, ..Options::default() });
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=10).await;
    assert_eq!(room.status().floor.get(), 8);
    assert_eq!(refused(&one(&mut publisher, delete(11, 7)).await), Code::BAD_RECORD);
    assert_eq!(appended(&one(&mut publisher, delete(11, 8)).await), 11);
}

/// Power fails between the write and the sync: either both are there, the delete and what it did, or neither.
#[tokio::test]
async fn a_delete_and_what_it_does_are_one() {
    let store = Arc::new(Memory::default());
    let (rooms, _journal) = testing::rooms_over(store.clone(), Options::default());
    let (room, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    publish_all(&mut publisher, 1..=3).await;
    store.fail_next_sync(StoreError::Failed("no power".into()));
    publisher.offer(vec![delete(4, 2)]);
    assert_eq!(publisher.next().await, Err(Code::LOG_POISONED));
    let left = Arc::new(store.after_power_loss());
    assert!(verify::verify(&*left, None).unwrap().findings.is_empty());
    let (rooms, _journal) = testing::rooms_over(left, Options::default());
    let (room_after, mut publisher) = room_and_publisher(&rooms, "chat:1").await;
    assert_eq!(payloads(&read_all(&room_after).await), [b"message 1", b"message 2", b"message 3"]);
    assert_eq!(appended(&one(&mut publisher, delete(4, 2)).await), 4);
    assert_eq!(payloads(&read_all(&room_after).await), [&b"message 1"[..], b"", b"message 3", b""]);
    drop(room);
}
