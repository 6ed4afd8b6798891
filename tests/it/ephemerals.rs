//! Ephemerals over raw QUIC: as datagrams, and by stream to a client that takes no datagrams.

use loquic_wire::{
    Frame, SessionId,
    ephemeral::Ephemeral,
    join::{From, Joined},
};
use quinn::TransportConfig;

use crate::{
    raw::{Peer, Session, Stream, soon},
    world::World,
};

async fn join(session: &Session) -> (Stream, Joined) {
    let (mut stream, joined) = session.join("talk", From::Live, 1 << 16).await;
    assert!(matches!(stream.next().await, Some(Frame::CaughtUp(_))));
    (stream, joined)
}

fn value(handle: u32, stamp: u64) -> Ephemeral {
    Ephemeral { handle, sender: SessionId([0; 16]), slot: 3, stamp, payload: "typing".into() }
}

#[tokio::test]
async fn they_come_by_datagram_or_by_stream() {
    let world = World::start().await;
    let ann = Session::connect(world.port()).await;
    let ben = Session::connect(world.port()).await;
    let mut without = TransportConfig::default();
    without.datagram_receive_buffer_size(None);
    let eve = Peer::connect_with(world.port(), without).await.greet().await;
    let (anns, bens, mut eves) = (join(&ann).await, join(&ben).await, join(&eve).await);
    assert_eq!((anns.1.handle, bens.1.handle), (eves.1.handle, eves.1.handle));
    let handle = eves.1.handle;
    ann.peer.connection.send_datagram(value(handle, 1).to_datagram().unwrap()).unwrap();
    let from_ann = Ephemeral { sender: ann.welcome.session, ..value(handle, 1) };
    let datagram = soon("a datagram", ben.peer.connection.read_datagram()).await.unwrap();
    assert_eq!(Ephemeral::from_datagram(datagram), Ok(from_ann.clone()));
    assert_eq!(eves.0.next().await, Some(Frame::Ephemeral(from_ann)));
    // Who takes none by datagram may still send by stream.
    eves.0.say(value(handle, 1)).await;
    let datagram = soon("a datagram", ann.peer.connection.read_datagram()).await.unwrap();
    assert_eq!(Ephemeral::from_datagram(datagram).unwrap().sender, eve.welcome.session);
    for session in [ann, ben, eve] {
        session.peer.close().await;
    }
    world.finish().await;
}
