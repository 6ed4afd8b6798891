//! What does the server hold for each session, each room and each slow reader?
//!
//! The server is a process of its own and its anonymous resident memory is read from `/proc`, so the allocator's
//! overhead and fragmentation count and the pages of the binary do not. Every figure is a difference: of more of the
//! same against less of it. Caches and write buffers of the log have a size of their own that does not depend on what
//! is measured; they are made small and filled first.
//!
//! - *idle sessions*: 2,000 sessions joined to an empty room each, at most 50 KB each over raw QUIC and 85 KB over
//!   WebTransport; and what they are before they join, so that join and HTTP/3 can be told apart;
//! - *rooms at rest*: 20,000 rooms with three records each that nobody uses any more, at most 2 KB each;
//! - *no credit*: what 1,000 readers without credit hold more when 200 MB are published, at most 16 KB each;
//! - *stopped clients*: what 1,000 connections hold more whose process stops (SIGSTOP) while they are joined to a room
//!   that gets busy, or is busy already, or whose log they are just reading; at most 64 KiB each.
//!
//! `cargo bench --bench memory [-- --quick] [--only WORDS]`; `BENCH_BIN` names another build of `loquic`.

#[path = "../support/mod.rs"]
mod support;

use std::{
    io::{Write, stdout},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use loquic::config::limits;
use loquic_wire::{
    join::{Credit, From},
    limits::NUMBER_MAX,
};
use quinn::Endpoint;
use serde_json::json;
use tokio::time::sleep;

use self::support::{
    figures::{Table, has_flag, is_quick, value_of, verdict},
    process::{Node, Process, Server, raise_open_files},
    wire::{Carrier, Session, endpoints, publish_many},
};

/// What is measured: how many there are, how many bytes more the server has with them, and what is allowed.
struct Figure {
    name: &'static str,
    count: u64,
    bytes: u64,
    each_max: u64,
}

/// Makes the bench a client that joins and goes on reading; the server's address and how many sessions follow.
const HOLD: &str = "--hold";

/// Idle sessions: before the join and with it.
const IDLE: &[(Carrier, [&str; 2], u64)] = &[
    (Carrier::Quic, ["idle sessions, quic, no room", "idle sessions, quic"], 50_000),
    (Carrier::WebTransport, ["idle sessions, webtransport, no room", "idle sessions, webtransport"], 85_000),
];

const STOPPED: &[(&str, Stopping)] = &[
    ("stopped clients, idle", Stopping::Idle),
    ("stopped clients, live", Stopping::Live),
    ("stopped clients, behind", Stopping::Behind),
];

/// How long memory is given to come to rest.
const SETTLE: Duration = Duration::from_secs(3);

/// Connections that are opened at once.
const OPENING: usize = 32;

const KIB: u64 = 1024;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(address) = value_of(HOLD) {
        let count = std::env::args().next_back().and_then(|count| count.parse().ok()).expect("a number");
        return runtime.block_on(hold(address.parse().expect("an address"), count));
    }
    // `cargo test --benches` runs it too, and measures nothing.
    if has_flag("--test") {
        return;
    }
    raise_open_files();
    let part = if is_quick() { 5 } else { 1 };
    let only = value_of("--only");
    let chosen = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let mut table = Table::new("memory", &["what", "count", "bytes each", "at most", "target"]);
    let mut add = |figure: Figure| {
        let Figure { name, count, bytes, each_max } = figure;
        let each = bytes / count;
        eprintln!("{name}: {each} bytes each");
        table.row(
            vec![name.into(), count.to_string(), each.to_string(), each_max.to_string(), verdict(each <= each_max)],
            json!({ "what": name, "count": count, "bytes_each": each, "bytes_each_max": each_max, "bytes": bytes }),
        );
    };
    if chosen("idle sessions") {
        for (carrier, names, each_max) in IDLE {
            runtime.block_on(idle_sessions(*carrier, *names, 2_000 / part, *each_max)).into_iter().for_each(&mut add);
        }
    }
    if chosen("no credit") {
        add(runtime.block_on(no_credit(1_000 / part as usize, 200_000_000 / part)));
    }
    for (name, stopping) in STOPPED {
        if chosen(name) {
            add(runtime.block_on(stopped_clients(name, *stopping, 1_000 / part as usize)));
        }
    }
    if chosen("rooms at rest") {
        add(runtime.block_on(rooms_at_rest(20_000 / part)));
    }
    table.print();
}

/// A node whose caches and buffers are small: they are not what is measured.
fn start() -> Server {
    let config = "[log]\ncache_bytes = \"8MiB\"\nwrite_buffer_bytes = \"16MiB\"\n";
    Server::start(&Node { level: Some("process"), config, ..Node::default() })
}

async fn idle_sessions(carrier: Carrier, names: [&'static str; 2], count: u64, each_max: u64) -> [Figure; 2] {
    let server = start();
    let endpoints = endpoints(4, carrier.alpn());
    let open = async |numbers: std::ops::Range<u64>| {
        let opened = stream::iter(numbers).map(async |number| {
            let endpoint = &endpoints[number as usize % endpoints.len()];
            (number, Session::open_over(carrier, endpoint, server.address, "idle").await)
        });
        opened.buffer_unordered(OPENING).collect::<Vec<_>>().await
    };
    let join = async |sessions: Vec<(u64, Session)>| {
        let joined = stream::iter(sessions).map(async |(number, session)| {
            let (stream, _) = session.join(&format!("idle:{number}"), From::Live, 256 * KIB).await;
            (session, stream)
        });
        joined.buffer_unordered(OPENING).collect::<Vec<_>>().await
    };
    // The first ones pay for what is there once.
    let _first = join(open(0..200).await).await;
    sleep(SETTLE).await;
    let before = server.process.rss();
    let sessions = open(200..200 + count).await;
    sleep(SETTLE).await;
    let opened = server.process.rss().saturating_sub(before);
    let _joined = join(sessions).await;
    sleep(SETTLE).await;
    let joined = server.process.rss().saturating_sub(before);
    let [without, with] = names;
    [(without, opened), (with, joined)].map(|(name, bytes)| Figure { name, count, bytes, each_max })
}

async fn rooms_at_rest(count: u64) -> Figure {
    let server = start();
    let endpoint = &endpoints(1, loquic_wire::ALPN.as_bytes())[0];
    let rest = limits::ROOM_IDLE_MAX + 2 * limits::HOUSEKEEPING_INTERVAL + SETTLE;
    // Fills the log's buffers, as rooms that were never at rest would.
    make_rooms(endpoint, server.address, 0..count / 2).await;
    sleep(rest).await;
    let before = server.process.rss();
    make_rooms(endpoint, server.address, count / 2..count / 2 + count).await;
    sleep(rest).await;
    let bytes = server.process.rss().saturating_sub(before);
    Figure { name: "rooms at rest", count, bytes, each_max: 2_000 }
}

async fn make_rooms(endpoint: &Endpoint, address: SocketAddr, numbers: std::ops::Range<u64>) {
    let session = &Session::open(endpoint, address, "maker").await;
    let payload = &Bytes::from_static(&[b'x'; 128]);
    let made = stream::iter(numbers).map(async |number| {
        let (mut stream, _) = session.publisher(&format!("rest:{number}"), number).await;
        publish_many(&mut stream, 1, 3, payload).await;
        stream.send.finish().expect("open");
        // Its end says that the server has let go of the room.
        while stream.frame().await.is_some() {}
    });
    made.buffer_unordered(OPENING).collect::<()>().await;
    session.connection.close(0_u32.into(), b"");
}

/// Publishes so many bytes to a room.
async fn fill(endpoint: &Endpoint, address: SocketAddr, room: &str, bytes: u64) {
    let session = Session::open(endpoint, address, "publisher").await;
    let payload = Bytes::from_static(&[b'x'; 1_000]);
    let (mut stream, _) = session.publisher(room, 1).await;
    publish_many(&mut stream, 1, bytes / payload.len() as u64, &payload).await;
    session.connection.close(0_u32.into(), b"");
}

async fn no_credit(count: usize, bytes: u64) -> Figure {
    let server = start();
    let endpoints = endpoints(4, loquic_wire::ALPN.as_bytes());
    let readers = stream::iter(0..count).map(|number| {
        let endpoint = &endpoints[number % endpoints.len()];
        let address = server.address;
        async move {
            let session = Session::open(endpoint, address, "reader").await;
            let (stream, _) = session.join("busy", From::Live, 0).await;
            (session, stream)
        }
    });
    let mut readers: Vec<_> = readers.buffer_unordered(OPENING).collect().await;
    // The same amount without readers first: what is left of it is not theirs.
    fill(&endpoints[0], server.address, "other", bytes).await;
    sleep(SETTLE).await;
    let before = server.process.rss();
    fill(&endpoints[0], server.address, "busy", bytes).await;
    let right_after = server.process.rss();
    sleep(SETTLE).await;
    let grown = right_after.max(server.process.rss()).saturating_sub(before);
    // They were only waiting: with credit all of it is there.
    let (_, stream) = &mut readers[0];
    let credit = loquic_wire::frame::to_bytes(&Credit { bytes: 10_000 });
    stream.send.write_chunk(credit).await.expect("written");
    loop {
        match stream.frame().await {
            Some(loquic_wire::Frame::CaughtUp(_)) => {}
            Some(loquic_wire::Frame::Record(record)) => break assert_eq!(record.offset.get(), 1),
            other => panic!("no record: {other:?}"),
        }
    }
    Figure { name: "no credit", count: count as u64, bytes: grown, each_max: 16 * KIB }
}

/// When clients stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// Before anything was published.
    Idle,
    /// In the middle of records that come as fast as they are delivered.
    Live,
    /// While they are behind the tail and read the log as fast as they can.
    Behind,
}

/// What the node holds more with many stopped clients than with few: with both it keeps the room's tail and writes as
/// much to the log.
async fn stopped_clients(name: &'static str, stopping: Stopping, count: usize) -> Figure {
    let few = count / 50;
    let less = held_for_stopped(stopping, few).await;
    let more = held_for_stopped(stopping, count).await;
    let (count, bytes) = ((count - few) as u64, more.saturating_sub(less));
    Figure { name, count, bytes, each_max: 64 * KIB }
}

async fn held_for_stopped(stopping: Stopping, count: usize) -> u64 {
    let server = start();
    let endpoint = &endpoints(1, loquic_wire::ALPN.as_bytes())[0];
    let (address, sessions) = (server.address.to_string(), count.to_string());
    let mut holder = Process::spawn_self(&[HOLD, &address, &sessions]);
    assert_eq!(holder.line(), "joined\n");
    fill(endpoint, server.address, "other", 50_000_000).await;
    sleep(SETTLE).await;
    let before = server.process.rss();
    let session = Session::open(endpoint, server.address, "publisher").await;
    let payload = Bytes::from_static(&[b'x'; 1_000]);
    let (mut stream, _) = session.publisher("busy", 1).await;
    let mut next = 1;
    match stopping {
        Stopping::Idle => {}
        Stopping::Live => {
            for _ in 0..60 {
                next = publish_many(&mut stream, next, 2, &payload).await;
                sleep(Duration::from_millis(50)).await;
            }
        }
        Stopping::Behind => {
            next = publish_many(&mut stream, next, 5_000, &payload).await;
            sleep(Duration::from_secs(1)).await;
        }
    }
    holder.stop();
    let mut most = 0;
    // Twenty times the tail, and less time than a silent peer is given.
    for _ in 0..50 {
        next = publish_many(&mut stream, next, 200, &payload).await;
        sleep(Duration::from_millis(200)).await;
        most = most.max(server.process.rss());
    }
    most.saturating_sub(before)
}

/// Joins so many times with all credit, says so, and reads until it is ended.
async fn hold(address: SocketAddr, count: usize) {
    raise_open_files();
    let endpoints = endpoints(8, loquic_wire::ALPN.as_bytes());
    let joined = stream::iter(0..count).map(|number| {
        let endpoint = &endpoints[number % endpoints.len()];
        async move {
            let session = Session::open(endpoint, address, "stopped").await;
            let (stream, _) = session.join("busy", From::Live, NUMBER_MAX).await;
            (session, stream)
        }
    });
    let joined: Vec<_> = joined.buffer_unordered(OPENING).collect().await;
    println!("joined");
    stdout().flush().expect("somebody waits for it");
    let readers = joined.into_iter().map(|(session, stream)| async move {
        let (_send, mut recv, _) = stream.into_halves();
        let mut pieces = vec![Bytes::new(); 32];
        while let Ok(Some(_)) = recv.read_chunks(&mut pieces).await {}
        drop(session);
    });
    futures::future::join_all(readers).await;
}
