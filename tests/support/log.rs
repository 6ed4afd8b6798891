//! What is in the log when a run is over, read through a client and from the stopped directory.

use std::hash::{DefaultHasher, Hasher};

use base64::{Engine, prelude::BASE64_STANDARD};
use loquic_check::{Node, Recorder};
use loquic_client::{Client, Event, From};
use serde::Deserialize;

use super::{
    Site,
    run::{hash, hash_of},
};

/// What a log held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Records.
    pub records: u64,
    /// The oldest offset held.
    pub floor: u64,
    /// The last one.
    pub head: u64,
    /// Over the records in order.
    pub digest: u64,
}

/// Reads a room from the oldest record to the head and records it as a final log.
pub async fn final_log(recorder: &Recorder, node: Node, client: &Client, room: &str) -> Contents {
    let mut log = recorder.final_log(node, recorder.room(room));
    let mut joined = client.room(room).from(From::Oldest).open().await.expect("open the room");
    let (head, floor) = (joined.head_at_open().get(), joined.floor_at_open().get());
    let mut contents = Contents { records: 0, floor, head, digest: 0 };
    let (mut digest, mut told) = (DefaultHasher::new(), false);
    loop {
        let event = joined.next().await.expect("the client goes on").expect("the room stays open");
        if !std::mem::replace(&mut told, true) {
            log.joined(joined.position().expect("an event was taken").epoch.get(), head, floor);
        }
        match event {
            Event::Record(record) => {
                let hash = hash_of(&record);
                contents.records += 1;
                digest.write_u64(hash);
                log.deliver(record.offset.get(), hash);
            }
            Event::CaughtUp(caught_up) => {
                assert_eq!(caught_up.head.get(), head, "the room is quiet");
                contents.digest = digest.finish();
                return contents;
            }
            other => panic!("a final log begins at the floor and is whole, but {other:?} came"),
        }
    }
}

#[derive(Deserialize)]
struct RecordLine {
    epoch: u64,
    offset: u64,
    sender: String,
    producer: String,
    payload: Option<String>,
    payload_base64: Option<String>,
}

#[derive(Deserialize)]
struct RoomLine {
    room: String,
    epoch: u64,
    floor: u64,
    head: u64,
}

/// The head of a room in the stopped directory, 0 if there is no such room.
pub fn head_on_disk(site: &Site, room: &str) -> u64 {
    rooms(site).iter().find(|line| line.room == room).map_or(0, |line| line.head)
}

fn rooms(site: &Site) -> Vec<RoomLine> {
    let rooms = site.loquic(&["log", "rooms", "--json", "--data-dir", &site.data().display().to_string()]);
    assert!(rooms.status.success(), "log rooms: {}", String::from_utf8_lossy(&rooms.stderr));
    lines(&rooms.stdout)
}

/// Reads a room with `loquic log cat`, and records it as the final log of `node`, with its lineage.
pub fn final_log_on_disk(recorder: &Recorder, node: Node, site: &Site, room: &str) -> Contents {
    let dir = site.data().display().to_string();
    let rooms = rooms(site);
    let row = rooms.iter().find(|line| line.room == room).expect("log rooms knows the room");
    let cat = site.loquic(&["log", "cat", room, "--json", "--data-dir", &dir]);
    assert!(cat.status.success(), "log cat: {}", String::from_utf8_lossy(&cat.stderr));
    let id = recorder.room(room);
    let mut log = recorder.final_log(node, id);
    log.joined(row.epoch, row.head, row.floor);
    let mut contents = Contents { records: 0, floor: row.floor, head: row.head, digest: 0 };
    let (mut digest, mut epoch) = (DefaultHasher::new(), 0);
    for line in lines::<RecordLine>(&cat.stdout) {
        if line.epoch != epoch {
            epoch = line.epoch;
            // Below the floor the epoch may have begun earlier.
            if contents.records > 0 || line.offset == 1 {
                recorder.lineage(id, node, epoch, line.offset);
            }
        }
        let hash = line.hash();
        contents.records += 1;
        digest.write_u64(hash);
        log.deliver(line.offset, hash);
    }
    contents.digest = digest.finish();
    contents
}

impl RecordLine {
    fn hash(&self) -> u64 {
        let byte = |at: usize| u8::from_str_radix(&self.producer[at..at + 2], 16).expect("the tag is hexadecimal");
        let tag: Vec<u8> = (0..self.producer.len()).step_by(2).map(byte).collect();
        let payload = match (&self.payload, &self.payload_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(bytes)) => BASE64_STANDARD.decode(bytes).expect("payload_base64 is base64"),
            (None, None) => panic!("a record without a payload"),
        };
        hash(&self.sender, &tag, &payload)
    }
}

fn lines<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Vec<T> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect()
}
