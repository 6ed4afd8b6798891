//! Ephemerals, by datagram and by stream, between sessions over the link in memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use loquic_wire::{
    Code, SessionId,
    ephemeral::Ephemeral,
    join::{CaughtUp, From, Left},
};
use tokio::time::{sleep, timeout};

use super::peer::{Peer, PeerStream, shared};
use crate::{
    config::limits,
    session::Shared,
    transport::{Link, SendStream},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn value(handle: u32, slot: u8, stamp: u64) -> Ephemeral {
    Ephemeral { handle, sender: SessionId([0; 16]), slot, stamp, payload: "typing".into() }
}

/// A peer in room a.
struct Member {
    peer: Peer,
    stream: PeerStream,
    handle: u32,
    /// A session whose control stream ends is over.
    _control: PeerStream,
}

impl Member {
    async fn join(shared: &Arc<Shared>) -> Self {
        let (peer, control) = Peer::greet(shared).await;
        let (mut stream, joined) = peer.join("a", From::Live).await;
        let _: CaughtUp = stream.hear().await;
        Self { peer, stream, handle: joined.handle, _control: control }
    }

    fn send(&self, datagram: Bytes) {
        self.peer.link.send_datagram(datagram).unwrap();
    }

    fn say(&self, slot: u8, stamp: u64) {
        self.send(value(self.handle, slot, stamp).to_datagram().unwrap());
    }

    async fn hear(&self) -> Ephemeral {
        let datagram = timeout(PATIENCE, self.peer.link.receive_datagram()).await.expect("it comes");
        Ephemeral::from_datagram(datagram.expect("the link is open")).expect("an ephemeral")
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it becomes so");
}

#[tokio::test]
async fn they_reach_everybody_else_in_the_room() {
    let shared = shared();
    let (mut ann, ben) = (Member::join(&shared).await, Member::join(&shared).await);
    let handle = ann.handle;
    assert_eq!(handle, ben.handle, "one datagram serves all sessions");
    ann.say(1, 5);
    let heard = ben.hear().await;
    assert_ne!(heard.sender, SessionId([0; 16]), "the server says who it was");
    assert_eq!(heard, Ephemeral { sender: heard.sender, ..value(handle, 1, 5) });
    // A value that is out of date stays out; by stream is the same as by datagram.
    ann.say(1, 4);
    until(|| shared.stats().ephemerals_dropped.get() == 1).await;
    ann.stream.say(value(handle, 1, 6)).await;
    assert_eq!(ben.hear().await.stamp, 6);
    // Whoever says something does not hear it.
    ben.say(1, 1);
    assert_ne!(ann.hear().await.sender, heard.sender);
}

#[tokio::test]
async fn what_cannot_be_taken_is_dropped_and_counted() {
    let shared = shared();
    let mut ann = Member::join(&shared).await;
    let handle = ann.handle;
    let dropped = || shared.stats().ephemerals_dropped.get();
    for bad in [Bytes::new(), Bytes::from_static(&[0xff; 40]), value(handle + 1, 1, 1).to_datagram().unwrap()] {
        let before = dropped();
        ann.send(bad);
        until(|| dropped() == before + 1).await;
    }
    // Too long for anybody's datagram.
    ann.stream.say(Ephemeral { payload: vec![0; 1_100].into(), ..value(handle, 1, 1) }).await;
    until(|| dropped() == 4).await;
    // A room that was left is not spoken to.
    ann.stream.send.finish();
    let left: Left = ann.stream.hear().await;
    assert_eq!(left.code, Code::DONE);
    ann.say(1, 1);
    until(|| dropped() == 5).await;
    assert_eq!(shared.stats().ephemerals.get(), 0);
}

#[tokio::test]
async fn a_flood_is_cut_to_the_rate() {
    let shared = shared();
    let mut ann = Member::join(&shared).await;
    let count = 4 * u64::from(limits::EPHEMERAL_RATE_MAX);
    for stamp in 1..=count {
        ann.stream.say(value(ann.handle, 1, stamp)).await;
    }
    let stats = shared.stats();
    until(|| stats.ephemerals.get() + stats.ephemerals_dropped.get() == count).await;
    assert!(stats.ephemerals.get() >= u64::from(limits::EPHEMERAL_RATE_MAX));
    assert!(stats.ephemerals_dropped.get() > 0);
}
