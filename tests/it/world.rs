//! A real server with two honest sessions on it, which must not notice what others do.

use bytes::Bytes;
use loquic_client::{Client, Event, From, Publisher, Range, Room, SessionId, Status, Transport};
use loquic_wire::Position;

use crate::{
    raw::{Session, soon},
    support::{Node, Site},
};

/// The room of the honest.
pub const ROOM: &str = "honest:room";

pub struct World {
    pub site: Site,
    pub node: Node,
    honest: Honest,
}

impl World {
    pub async fn start() -> Self {
        Self::with("").await
    }

    pub async fn with(config: &str) -> Self {
        let site = Site::new(config);
        let node = site.start().await;
        let mut honest = Honest::new(&site).await;
        honest.exchange(2).await;
        Self { site, node, honest }
    }

    pub fn port(&self) -> u16 {
        self.site.port()
    }

    /// A session that has said `Hello` and nothing else.
    pub async fn session(&self) -> Session {
        Session::connect(self.port()).await
    }

    /// The honest go on: so many publishes, each acked and delivered.
    pub async fn exchange(&mut self, count: usize) {
        self.honest.exchange(count).await;
    }

    /// A connection of somebody else who is honest.
    pub async fn client(&self, name: &str) -> Client {
        self.site.connect(name).await
    }

    /// The honest were not touched, everything acked is there, the server stops in good order, its log is whole, and it
    /// has logged neither a warning nor an error nor a panic (`Site` looks).
    pub async fn finish(mut self) {
        self.honest.exchange(3).await;
        self.honest.finish().await;
        self.node.terminate().await;
        self.site.verify();
    }

    /// Memory of the server that is not shared with files, in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.node.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

struct Honest {
    writer: Client,
    reader: Client,
    sessions: [SessionId; 2],
    publisher: Publisher,
    room: Room,
    acked: Vec<(Position, Bytes)>,
}

impl Honest {
    async fn new(site: &Site) -> Self {
        // One on each transport, so that neither is touched.
        let reader = site.client("honest-reader").transport(Transport::WebTransport);
        let (writer, reader) = (site.connect("honest-writer").await, reader.connect().await.unwrap());
        let sessions = [&writer, &reader].map(session);
        let room = reader.room(ROOM).from(From::Oldest).open().await.unwrap();
        let publisher = writer.publisher(ROOM).unwrap();
        Self { writer, reader, sessions, publisher, room, acked: Vec::new() }
    }

    async fn exchange(&mut self, count: usize) {
        for _ in 0..count {
            let payload = Bytes::from(format!("honest {}", self.acked.len()));
            let ack = soon("an ack for the honest", self.publisher.publish(payload.clone())).await.unwrap();
            assert_eq!(ack.position.offset.get(), self.acked.len() as u64 + 1);
            let record = loop {
                match soon("a record for the honest", self.room.next()).await.unwrap().unwrap() {
                    Event::Record(record) => break record,
                    Event::CaughtUp(_) => {}
                    other => panic!("the honest are told {other:?}"),
                }
            };
            assert_eq!((record.offset, &record.payload), (ack.position.offset, &payload));
            self.acked.push((ack.position, payload));
        }
    }

    async fn finish(self) {
        assert_eq!([&self.writer, &self.reader].map(session), self.sessions, "the sessions are the same ones");
        let mut after = loquic_wire::Offset::ZERO;
        let mut found = Vec::new();
        loop {
            let page = self.reader.history(ROOM, Range::After(after), 1_000).await.unwrap();
            found.extend(page.records.into_iter().map(|record| (record.offset, record.payload)));
            after = found.last().expect("something was published").0;
            if !page.more {
                break;
            }
        }
        let acked: Vec<_> = self.acked.into_iter().map(|(position, payload)| (position.offset, payload)).collect();
        assert_eq!(found, acked);
        drop(self.room);
        self.writer.close().await;
        self.reader.close().await;
    }
}

fn session(client: &Client) -> SessionId {
    match &*client.status().borrow() {
        Status::Online { session, .. } => *session,
        other => panic!("an honest client is {other:?}"),
    }
}
