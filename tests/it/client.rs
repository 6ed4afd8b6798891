//! The native client against a real server: what its documentation says, and what applications count on.

use std::time::Duration;

use loquic_client::{
    Client, Code, Duplicate, Epoch, Error, Event, Flags, From, GapReason, Kind, Message, Mode, Offset, Position,
    ProducerId, Range, Room, RoomName, Transport, Watched,
};

use crate::{raw::soon, support::Site};

/// Each of these over each transport: a session cannot tell.
macro_rules! over_each_transport {
    ($($test:ident),* $(,)?) => {
        mod quic {
            $(#[tokio::test]
            async fn $test() {
                super::$test(loquic_client::Transport::Quic).await;
            })*
        }

        mod webtransport {
            $(#[tokio::test]
            async fn $test() {
                super::$test(loquic_client::Transport::WebTransport).await;
            })*
        }

        mod websocket {
            $(#[tokio::test]
            async fn $test() {
                super::$test(loquic_client::Transport::WebSocket).await;
            })*
        }
    };
}

over_each_transport!(
    a_certificate_is_trusted_by_its_hash_and_no_other_is,
    what_is_published_comes_as_it_was,
    what_is_deleted_is_gone_for_everybody_and_over_restarts,
    history_reads_every_range,
    peek_and_watch_say_where_rooms_are,
    a_read_mark_is_told_to_the_users_other_sessions_and_survives_a_restart,
    rooms_and_publishes_go_on_over_restarts,
    the_same_producer_goes_on_where_it_was_and_the_older_client_ends_its_publishing,
    a_position_of_another_life_is_a_reset,
    a_reader_that_is_slow_misses_nothing_and_keeps_nobody_waiting,
    a_reader_that_wants_the_latest_skips_and_is_told,
    a_session_holds_as_many_rooms_as_the_server_allows,
    a_full_outbox_refuses_and_a_drain_waits_for_what_is_in_it,
);

/// The next record; nothing else may come but the seam.
async fn record(room: &mut Room) -> (u64, String) {
    loop {
        match soon("a record", room.next()).await.expect("the room goes on").unwrap() {
            Event::Record(record) => {
                return (record.offset.get(), String::from_utf8(record.payload.to_vec()).unwrap());
            }
            Event::CaughtUp(_) => {}
            other => panic!("not a record: {other:?}"),
        }
    }
}

/// Publishes texts, and returns where they are.
async fn publish(client: &Client, room: &str, texts: impl IntoIterator<Item = String>) -> Vec<Position> {
    let messages = texts.into_iter().map(Message::text).collect();
    let outcomes = client.publisher(room).unwrap().publish_batch(messages).await;
    outcomes.into_iter().map(|outcome| outcome.unwrap().position).collect()
}

/// The example at the head of the crate, with its server.
#[tokio::test]
async fn the_documented_example_works() {
    let site = Site::new("");
    let node = site.start().await;
    let client = Client::builder(site.url()).name("ada").danger_accept_any_certificate(true).connect().await.unwrap();
    let mut room = client.room("acme:general").from(From::Oldest).open().await.unwrap();
    let ack = room.publish("hello").await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = soon("an event", room.next()).await {
        match event.unwrap() {
            Event::Record(record) => {
                assert_eq!((record.offset, record.sender.as_str()), (ack.position.offset, "ada"));
                seen.push(record.payload);
                break;
            }
            Event::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["hello"]);
    let principal = client.principal().unwrap();
    assert_eq!((principal.tenant.as_str(), principal.user.as_str()), ("main", "ada"));
    client.close().await;
    assert!(matches!(room.publish("late").await, Err(Error::Closed)));
    node.terminate().await;
}

async fn a_certificate_is_trusted_by_its_hash_and_no_other_is(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let printed = site.loquic(&["certs", "dev"]);
    let hash = String::from_utf8(printed.stdout).unwrap();
    let decoded = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, hash.trim()).unwrap();
    let hash: [u8; 32] = decoded.try_into().unwrap();
    let client = Client::builder(site.url()).transport(transport).certificate_hash(hash).connect().await.unwrap();
    assert_eq!(client.principal().unwrap().user.as_str(), "anonymous");
    client.close().await;
    let other = Client::builder(site.url()).transport(transport).certificate_hash([7; 32]).connect().await;
    assert!(matches!(other, Err(Error::Tls(_) | Error::Connect(_))), "{other:?}");
    node.terminate().await;
}

async fn what_is_published_comes_as_it_was(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    let mut room = client.room("room").open().await.unwrap();
    let messages = [
        Message::text("text"),
        Message::json("{\"a\": 1}"),
        Message::from(vec![0, 255]).kind(Kind(40)),
        Message::text("about the first").refers(Offset::FIRST),
        Message::from(Vec::new()),
    ];
    for message in &messages {
        assert_eq!(room.publish(message.clone()).await.unwrap().duplicate, Duplicate::No);
    }
    for message in &messages {
        let record = loop {
            match soon("a record", room.next()).await.unwrap().unwrap() {
                Event::Record(record) => break record,
                Event::CaughtUp(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (record.kind, record.format, record.flags, record.refers, record.payload),
            (message.kind, message.format, message.flags, message.refers, message.payload.clone())
        );
        assert_eq!(record.producer, client.producer().tag());
    }
    // What is refused for good is told, and what comes behind it goes on.
    let refused = room.publish(Message::text("x").kind(Kind(5))).await;
    assert_eq!(refused.unwrap_err().code(), Some(Code::BAD_RECORD));
    let pending = (0..100).map(|number| {
        let kind = if number == 50 { Kind(5) } else { Kind::MESSAGE };
        Message::text(number.to_string()).kind(kind)
    });
    let outcomes = room.publish_batch(pending.collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1);
    assert_eq!(outcomes[50].as_ref().unwrap_err().code(), Some(Code::BAD_RECORD));
    let numbers: Vec<_> = (0..100).filter(|number| *number != 50).map(|number| number.to_string()).collect();
    for number in numbers {
        assert_eq!(record(&mut room).await.1, number);
    }
    client.close().await;
    node.terminate().await;
}

async fn what_is_deleted_is_gone_for_everybody_and_over_restarts(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let (ada, bob) = (site.connect("ada").await, site.connect("bob").await);
    let mut room = bob.room("room").from(From::Oldest).open().await.unwrap();
    publish(&ada, "room", ["one", "secret", "three"].map(str::to_owned)).await;
    for offset in 1..=3 {
        assert_eq!(record(&mut room).await.0, offset);
    }
    let secret = Offset::saturating(2);
    assert_eq!(room.delete(secret).await.unwrap_err().code(), Some(Code::FORBIDDEN));
    let publisher = ada.publisher("room").unwrap();
    assert_eq!(publisher.delete(Offset::saturating(9)).await.unwrap_err().code(), Some(Code::BAD_RECORD));
    let ack = publisher.delete(secret).await.unwrap();
    assert_eq!((ack.position.offset.get(), ack.duplicate), (4, Duplicate::No));
    let told = soon("the delete", room.next()).await.unwrap().unwrap();
    let Event::Record(told) = told else { panic!("{told:?}") };
    assert_eq!((told.kind, told.refers, told.sender.as_str()), (Kind::DELETE, Some(secret), "ada"));

    // Killed, and started again: it does not come back, and the place stays.
    node.kill().await;
    let node = site.start().await;
    for client in [&ada, &bob] {
        let records = client.history("room", Range::Newest, 10).await.unwrap().records;
        let payloads: Vec<_> = records.iter().map(|record| &record.payload[..]).collect();
        assert_eq!(payloads, [&b"one"[..], b"", b"three", b""]);
        let redacted: Vec<_> = records.iter().map(|record| record.flags.contains(Flags::REDACTED)).collect();
        assert_eq!(redacted, [false, true, false, false]);
        assert_eq!((records[1].sender.as_str(), records[1].id), ("ada", records[0].id + 1));
    }
    publish(&ada, "room", ["five".to_owned()]).await;
    ada.close().await;
    bob.close().await;
    node.terminate().await;
    site.verify();
    let log = site.loquic(&["log", "cat", "room", "--json", "--data-dir", site.data().to_str().unwrap()]);
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(!log.contains("secret") && log.contains("\"redacted\":true"), "{log}");
}

async fn history_reads_every_range(transport: Transport) {
    let site = Site::new("[[rooms]]\npattern = 'short'\ncount = 5\n").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    publish(&client, "room", (1..=2_500).map(|number| number.to_string())).await;
    let offset = Offset::saturating;
    for (range, limit, first, last, more) in [
        (Range::After(offset(0)), 1_000, 1, 1_000, true),
        (Range::After(offset(2_400)), 1_000, 2_401, 2_500, false),
        (Range::Before(offset(11)), 5, 6, 10, true),
        (Range::Before(offset(11)), 100, 1, 10, false),
        (Range::Between { after: offset(5), before: offset(9) }, 100, 6, 8, false),
        (Range::Newest, 3, 2_498, 2_500, true),
        (Range::Since(loquic_client::Time::ZERO), 2, 1, 2, true),
    ] {
        let history = client.history("room", range, limit).await.unwrap();
        let offsets: Vec<_> = history.records.iter().map(|record| record.offset.get()).collect();
        assert_eq!(offsets, (first..=last).collect::<Vec<_>>(), "{range:?}");
        assert_eq!((history.more, history.head.get(), history.floor.get()), (more, 2_500, 1), "{range:?}");
        assert!(history.records.iter().all(|record| record.payload == record.offset.get().to_string()));
    }
    assert!(client.history("room", Range::After(offset(2_500)), 10).await.unwrap().records.is_empty());
    let empty = client.history("empty", Range::Newest, 10).await.unwrap();
    assert_eq!((empty.head.get(), empty.floor.get(), empty.records.len()), (0, 1, 0));
    assert!(matches!(client.history("no room", Range::Newest, 10).await, Err(Error::Name(_))));

    publish(&client, "short", (1..=20).map(|number| number.to_string())).await;
    let history = client.history("short", Range::After(offset(10)), 100).await.unwrap();
    assert_eq!((history.floor.get(), history.records.len()), (16, 5));
    let gap = history.gaps[0];
    assert_eq!((gap.from.get(), gap.to.get(), gap.reason), (11, 15, GapReason::Retention));
    client.close().await;
    node.terminate().await;
}

async fn peek_and_watch_say_where_rooms_are(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    let acked = publish(&client, "a:1", (0..3).map(|number| number.to_string())).await;
    let statuses = client.peek(&["a:1", "a:2"]).await.unwrap();
    let [Some(one), Some(two)] = &statuses[..] else { panic!("{statuses:?}") };
    assert_eq!((one.epoch, one.head.get(), one.floor.get()), (acked[0].epoch, 3, 1));
    assert_eq!((two.head.get(), two.floor.get()), (0, 1));

    let mut rooms = client.watch(Watched::Rooms(vec![RoomName::new("a:1").unwrap()])).await.unwrap();
    let mut prefix = client.watch(Watched::Prefix("a:".into())).await.unwrap();
    for watch in [&mut rooms, &mut prefix] {
        let head = soon("a head", watch.next()).await.unwrap().unwrap();
        assert_eq!((head.room.as_str(), head.head.get()), ("a:1", 3));
    }
    // A room that comes into being later, and a burst of which only the newest counts.
    publish(&client, "b:1", ["not watched".to_owned()]).await;
    publish(&client, "a:2", (0..500).map(|number| number.to_string())).await;
    let last = soon("the newest head", async {
        loop {
            let head = prefix.next().await.unwrap().unwrap();
            assert_eq!(head.room.as_str(), "a:2");
            if head.head.get() == 500 {
                return head;
            }
        }
    });
    last.await;
    publish(&client, "a:1", ["one more".to_owned()]).await;
    assert_eq!(soon("a head", rooms.next()).await.unwrap().unwrap().head.get(), 4);
    client.close().await;
    node.terminate().await;
}

/// The next read mark that a room tells.
async fn marked(room: &mut Room) -> u64 {
    loop {
        match soon("a read mark", room.next()).await.unwrap().unwrap() {
            Event::Marked(offset) => return offset.get(),
            Event::Record(_) | Event::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_read_mark_is_told_to_the_users_other_sessions_and_survives_a_restart(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let (phone, laptop, bob) = (site.connect("ada").await, site.connect("ada").await, site.connect("bob").await);
    publish(&bob, "room", (0..10).map(|number| number.to_string())).await;
    let mut room = phone.room("room").open().await.unwrap();
    let mut other = laptop.room("room").open().await.unwrap();
    room.mark_read(Offset::saturating(7));
    assert_eq!((marked(&mut room).await, marked(&mut other).await), (7, 7));
    // What was told is on the disk.
    node.kill().await;
    let node = site.start().await;
    for (client, mark) in [(&laptop, Some(Offset::saturating(7))), (&bob, None)] {
        let statuses = client.peek(&["room"]).await.unwrap();
        let status = statuses[0].as_ref().unwrap();
        assert_eq!((status.head.get(), status.mark), (10, mark));
    }
    // Only who is there again is told.
    publish(&bob, "room", ["10".to_owned()]).await;
    assert_eq!((record(&mut room).await.0, record(&mut other).await.0), (11, 11));
    other.mark_read(Offset::saturating(99));
    assert_eq!((marked(&mut room).await, marked(&mut other).await), (11, 11));
    for client in [&phone, &laptop, &bob] {
        client.close().await;
    }
    node.terminate().await;
    site.verify();
}

async fn rooms_and_publishes_go_on_over_restarts(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    let mut room = client.room("room").from(From::Oldest).open().await.unwrap();
    publish(&client, "room", ["1".to_owned()]).await;
    assert_eq!(record(&mut room).await, (1, "1".into()));

    // Killed, and published while nobody is there: what is handed over waits, in order.
    node.kill().await;
    let publisher = client.publisher("room").unwrap();
    let mut pending = Vec::new();
    for number in 2..=50 {
        pending.push(publisher.try_publish(number.to_string()).unwrap());
    }
    let node = site.start().await;
    for (number, pending) in (2..).zip(pending) {
        let ack = soon("an ack", pending).await.unwrap();
        assert_eq!(ack.position.offset.get(), number);
    }
    for number in 2..=50 {
        assert_eq!(record(&mut room).await, (number, number.to_string()));
    }
    // Stopped in good order: the same.
    node.terminate().await;
    let node = site.start().await;
    assert_eq!(publish(&client, "room", ["51".to_owned()]).await[0].offset.get(), 51);
    assert_eq!(record(&mut room).await, (51, "51".into()));

    // Another process resumes where this one is.
    let position = room.position().unwrap();
    client.close().await;
    let other = site.connect("ada").await;
    let mut room = other.room("room").from(From::After(position)).open().await.unwrap();
    assert_eq!(publish(&other, "room", ["52".to_owned()]).await[0].offset.get(), 52);
    assert_eq!(record(&mut room).await, (52, "52".into()));
    other.close().await;
    node.terminate().await;
    site.verify();
}

async fn the_same_producer_goes_on_where_it_was_and_the_older_client_ends_its_publishing(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let producer = ProducerId([9; 16]);
    let first = site.client("ada").producer(producer).connect().await.unwrap();
    publish(&first, "room", (1..=3).map(|number| number.to_string())).await;
    let second = site.client("ada").producer(producer).connect().await.unwrap();
    assert_eq!(publish(&second, "room", ["4".to_owned()]).await[0].offset.get(), 4);
    let late = soon("an answer", first.publisher("room").unwrap().publish("late")).await;
    assert_eq!(late.unwrap_err().code(), Some(Code::FENCED));
    assert_eq!(publish(&second, "room", ["5".to_owned()]).await[0].offset.get(), 5);
    first.close().await;
    second.close().await;
    node.terminate().await;
}

async fn a_position_of_another_life_is_a_reset(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    publish(&client, "room", (1..=3).map(|number| number.to_string())).await;
    let position = Position { epoch: Epoch::saturating(17), offset: Offset::saturating(2) };
    let mut room = client.room("room").from(From::After(position)).open().await.unwrap();
    match soon("a reset", room.next()).await.unwrap().unwrap() {
        Event::Reset(reset) => assert_eq!((reset.valid_to.get(), reset.head.get()), (0, 3)),
        other => panic!("{other:?}"),
    }
    for number in 1..=3 {
        assert_eq!(record(&mut room).await, (number, number.to_string()));
    }
    let ahead = client.room("room").from(From::AtOffset(Offset::saturating(9))).open().await;
    assert_eq!(ahead.unwrap_err().code(), Some(Code::POSITION_AHEAD));
    client.close().await;
    node.terminate().await;
}

/// Records that do not fit a tail of its smallest size many times over.
const MANY: u64 = 400;

fn large(number: u64) -> String {
    format!("{number:>8192}")
}

async fn a_reader_that_is_slow_misses_nothing_and_keeps_nobody_waiting(transport: Transport) {
    let site = Site::new("limits.tail_bytes_max = '128KiB'\n").over(transport);
    let node = site.start().await;
    let (writer, reader) = (site.connect("writer").await, site.connect("reader").await);
    // Two rooms of one session: the one is not read, the other is.
    let mut slow = reader.room("big").credit(384 * 1024).open().await.unwrap();
    let mut quick = reader.room("small").open().await.unwrap();
    for number in 1..=MANY {
        publish(&writer, "big", [large(number)]).await;
        publish(&writer, "small", [number.to_string()]).await;
        assert_eq!(record(&mut quick).await, (number, number.to_string()));
    }
    for number in 1..=MANY {
        let (offset, text) = record(&mut slow).await;
        assert_eq!((offset, text.trim_start()), (number, &*number.to_string()));
    }
    // And it is live again.
    publish(&writer, "big", ["live".to_owned()]).await;
    assert_eq!(record(&mut slow).await, (MANY + 1, "live".into()));
    writer.close().await;
    reader.close().await;
    node.terminate().await;
}

async fn a_reader_that_wants_the_latest_skips_and_is_told(transport: Transport) {
    let site = Site::new("limits.tail_bytes_max = '128KiB'\n").over(transport);
    let node = site.start().await;
    let (writer, reader) = (site.connect("writer").await, site.connect("reader").await);
    let mut room = reader.room("big").mode(Mode::Latest).credit(384 * 1024).open().await.unwrap();
    publish(&writer, "big", (1..=MANY).map(large)).await;
    let (mut next, mut skipped) = (1, 0);
    while next <= MANY {
        match soon("an event", room.next()).await.unwrap().unwrap() {
            Event::Record(record) => {
                assert_eq!(record.offset.get(), next);
                next += 1;
            }
            Event::Gap(gap) => {
                assert_eq!((gap.from.get(), gap.reason), (next, GapReason::Skipped));
                skipped += gap.to.get() - gap.from.get() + 1;
                next = gap.to.get() + 1;
            }
            Event::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(skipped > 0, "3 MiB went through a tail of 128 KiB and credit of 384 KiB without a gap");
    writer.close().await;
    reader.close().await;
    node.terminate().await;
}

async fn a_session_holds_as_many_rooms_as_the_server_allows(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    let mut rooms = Vec::new();
    for number in 0..128 {
        rooms.push(soon("a room", client.room(format!("room:{number}")).open()).await.unwrap());
    }
    let one_more = soon("an answer", client.room("one:more").open()).await;
    assert!(matches!(one_more, Err(Error::RoomsFull { max: 128 })), "{one_more:?}");
    for (number, room) in rooms.iter_mut().enumerate().step_by(16) {
        publish(&client, &format!("room:{number}"), ["x".to_owned()]).await;
        assert_eq!(record(room).await, (1, "x".into()));
    }
    // One that is left makes room for another.
    rooms.pop();
    let again = async {
        loop {
            match client.room("one:more").open().await {
                Ok(room) => return room,
                Err(Error::RoomsFull { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    drop(soon("a room", again).await);
    client.close().await;
    node.terminate().await;
}

async fn a_full_outbox_refuses_and_a_drain_waits_for_what_is_in_it(transport: Transport) {
    let site = Site::new("").over(transport);
    let node = site.start().await;
    let client = site.connect("ada").await;
    let publisher = client.publisher("room").unwrap();
    publisher.publish("first").await.unwrap();
    node.kill().await;
    let mut pending = Vec::new();
    let full = loop {
        match publisher.try_publish(vec![0; 60_000]) {
            Ok(waiting) => pending.push(waiting),
            Err(error) => break error,
        }
        assert!(pending.len() < 100_000, "the outbox has no bound");
    };
    assert!(matches!(full, Error::OutboxFull) && full.retryable(), "{full}");
    let node = site.start().await;
    client.drain(Duration::from_secs(30)).await.unwrap();
    for pending in &mut pending {
        assert!(pending.await.is_ok());
    }
    assert!(matches!(publisher.try_publish("late"), Err(Error::Closed)));
    let reader = site.connect("reader").await;
    let status = reader.peek(&["room"]).await.unwrap().remove(0).unwrap();
    assert_eq!(status.head.get(), 1 + pending.len() as u64);
    reader.close().await;
    node.terminate().await;
}
