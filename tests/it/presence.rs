//! Who is there, through the native client and the command line, against a real server.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use loquic_client::{Client, Event, Presence, PresenceLevel, Room, Transport, UserName};
use serde_json::{Value, json};

use crate::{raw::soon, support::Site};

async fn open(client: &Client, level: PresenceLevel) -> Room {
    client.room("talk").presence(level).open().await.unwrap()
}

/// Waits until who is there is so; what is told on the way depends on the time.
async fn until(room: &mut Room, mut is_so: impl FnMut(&Presence) -> bool) -> Presence {
    loop {
        match soon("presence", room.next()).await.expect("the room goes on").unwrap() {
            Event::Presence(presence) if is_so(&presence) => return presence,
            Event::Presence(_) | Event::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn members(room: &mut Room, expected: &[(&str, u32)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(name, n)| (UserName::new(name).unwrap(), *n)).collect();
    let count = expected.len() as u64;
    let presence = until(room, |presence| presence.members.as_deref() == Some(&expected)).await;
    assert_eq!(presence.count, count);
}

async fn who_comes_and_goes_is_told(transport: Transport) {
    let site = Site::new("limits.presence_list_max = 3").over(transport);
    let node = site.start().await;
    let ann = site.connect("ann").await;
    let mut room = open(&ann, PresenceLevel::Changes).await;
    members(&mut room, &[("ann", 1)]).await;
    let ben = site.connect("ben").await;
    let mut counted = open(&ben, PresenceLevel::Count).await;
    members(&mut room, &[("ann", 1), ("ben", 1)]).await;
    let presence = until(&mut counted, |presence| presence.count == 2).await;
    assert_eq!(presence.members, None);
    // More than are listed: only how many, and the rest for those who ask.
    let (cleo, dora) = (site.connect("cleo").await, site.connect("dora").await);
    let _rooms = (open(&cleo, PresenceLevel::None).await, open(&dora, PresenceLevel::None).await);
    until(&mut room, |presence| presence.count == 4 && presence.members.is_none()).await;
    let page = room.members(None, 3).await.unwrap();
    assert_eq!((page.count, page.members.len(), page.more), (4, 3, true));
    let page = dora.members("talk", Some(&page.members[2].user), 3).await.unwrap();
    assert_eq!((page.members[0].user.as_str(), page.members.len(), page.more), ("dora", 1, false));
    assert_eq!(dora.members("nobody:here", None, 1).await.unwrap().count, 0);
    // Who closes leaves at once.
    dora.close().await;
    members(&mut room, &[("ann", 1), ("ben", 1), ("cleo", 1)]).await;
    drop(counted);
    members(&mut room, &[("ann", 1), ("cleo", 1)]).await;
    for client in [ann, ben, cleo] {
        client.close().await;
    }
    node.terminate().await;
}

#[tokio::test]
async fn who_comes_and_goes_is_told_over_quic() {
    who_comes_and_goes_is_told(Transport::Quic).await;
}

#[tokio::test]
async fn who_comes_and_goes_is_told_over_webtransport() {
    who_comes_and_goes_is_told(Transport::WebTransport).await;
}

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    /// Waits until it has printed this line.
    async fn prints(&mut self, expected: Value) {
        let out = BufReader::new(self.0.stdout.take().unwrap());
        let is_expected = move |line: &str| serde_json::from_str::<Value>(line).unwrap() == expected;
        let read = tokio::task::spawn_blocking(move || out.lines().any(|line| is_expected(&line.unwrap())));
        assert!(soon("a line", read).await.unwrap(), "it has ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_when_its_time_is_over() {
    // The least there is for the silence, and a second of grace.
    let site = Site::new("timeouts.ping = \"1s\"\ntimeouts.idle = \"2s\"\ntimeouts.presence = \"1s\"");
    let node = site.start().await;
    let ann = site.connect("ann").await;
    let mut room = open(&ann, PresenceLevel::Changes).await;
    members(&mut room, &[("ann", 1)]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_loquic"));
    command.args(["sub", "talk", "--insecure", "--name", "ben", "--events", "--presence", "--url", &site.url()]);
    let mut ben = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let both = json!({"event": "presence", "room": "talk", "count": 2, "members": {"ann": 1, "ben": 1}});
    ben.prints(both).await;
    members(&mut room, &[("ann", 1), ("ben", 1)]).await;
    // SIGKILL: it says nothing.
    drop(ben);
    members(&mut room, &[("ann", 1)]).await;
    ann.close().await;
    node.terminate().await;
}

/// A server that comes back tells the list anew; the client says nothing if it is what it knew.
#[tokio::test]
async fn a_restart_that_changes_nothing_is_not_told() {
    let site = Site::new("");
    let mut node = site.start().await;
    let ann = site.connect("ann").await;
    let mut room = open(&ann, PresenceLevel::Changes).await;
    members(&mut room, &[("ann", 1)]).await;
    node.kill().await;
    node = site.start().await;
    let ack = soon("an ack", room.publish("back")).await.unwrap();
    loop {
        match soon("an event", room.next()).await.unwrap().unwrap() {
            Event::Record(record) if record.offset == ack.position.offset => break,
            Event::CaughtUp(_) | Event::Record(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let ben = site.connect("ben").await;
    let _other = open(&ben, PresenceLevel::None).await;
    let next = soon("an event", room.next()).await.unwrap().unwrap();
    assert!(matches!(&next, Event::Presence(presence) if presence.count == 2), "{next:?}");
    ann.close().await;
    ben.close().await;
    node.terminate().await;
}
