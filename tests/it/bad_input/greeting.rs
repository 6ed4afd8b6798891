//! The order of things: who speaks first, and which frame may stand where.

use loquic_wire::{
    Code, Frame, UserName,
    control::{Auth, Hello, Refresh, Token},
    join::From,
    read::Range,
};

use crate::{
    raw::{Peer, frame, hello, join, open, read, soon},
    world::World,
};

/// Kinds that may begin a stream.
const FIRST: [u16; 6] = [0x01, 0x10, 0x20, 0x30, 0x40, 0x50];

/// A body that every decoder of a frame takes: the least of each, found once from the frames' own tests.
fn sound(kind: u16) -> Vec<u8> {
    // Names have length 1, everything else is 0 or absent; what is behind the last field is ignored.
    let name_first: [u16; 6] = [0x0b, 0x10, 0x21, 0x30, 0x40, 0x50];
    let mut body = vec![0; 120];
    if name_first.contains(&kind) {
        body[..2].copy_from_slice(&[1, b'a']);
    }
    if kind == 0x12 {
        // Offset, time, kind, format, flags, sender.
        body[5..7].copy_from_slice(&[1, b'a']);
    }
    if kind == 0x01 {
        // No versions, anonymous, user.
        body[2..4].copy_from_slice(&[1, b'a']);
    }
    if kind == 0x02 {
        // Version, session, node, tenant, user.
        body[18..22].copy_from_slice(&[1, b'a', 1, b'a']);
    }
    frame(u64::from(kind), &body)
}

#[tokio::test]
async fn only_five_kinds_begin_a_stream() {
    let world = World::start().await;
    for (kind, name, _) in Frame::ALL.iter().filter(|(kind, ..)| !FIRST.contains(kind)) {
        eprintln!("{name}");
        let session = world.session().await;
        let _stream = session.open(&sound(*kind)).await;
        session.ends_with(Code::UNEXPECTED_FRAME).await;
        // Before the welcome the stream itself hears it, because there is no other.
        let peer = Peer::connect(world.port()).await;
        peer.open(&sound(*kind)).await.refused(Code::UNEXPECTED_FRAME).await;
        peer.close().await;
    }
    world.finish().await;
}

#[tokio::test]
async fn each_sort_of_stream_takes_its_own_frames_only() {
    let mut world = World::start().await;
    let allowed: [(&[u16], Option<Frame>); 4] = [
        (&[0x01, 0x04, 0x07, 0x09, 0x0d], None),
        (&[0x16, 0x19, 0x1a], Some(join("bad", From::Live, 1 << 20))),
        (&[0x32], Some(open("bad", 1))),
        (&[], Some(loquic_wire::watch::Watch::Prefix("bad".into()).into())),
    ];
    for (allowed, first) in allowed {
        for (kind, name, _) in Frame::ALL.iter().filter(|(kind, ..)| !allowed.contains(kind)) {
            eprintln!("{name} behind {:?}", first.as_ref().map(Frame::name));
            let mut session = world.session().await;
            let _stream = match &first {
                None => {
                    session.control.write(&sound(*kind)).await;
                    None
                }
                Some(first) => {
                    let mut stream = session.open(&first.to_bytes()).await;
                    if !matches!(first, Frame::Watch(_)) {
                        assert!(matches!(stream.next().await, Some(Frame::Joined(_) | Frame::Opened(_))));
                    }
                    stream.write(&sound(*kind)).await;
                    Some(stream)
                }
            };
            let code = if *kind == 0x01 { Code::ALREADY_GREETED } else { Code::UNEXPECTED_FRAME };
            session.ends_with(code).await;
        }
    }
    world.exchange(5).await;
    world.finish().await;
}

#[tokio::test]
async fn a_second_hello_ends_the_session_on_any_stream() {
    let world = World::start().await;
    let mut session = world.session().await;
    session.control.say(hello("mallory")).await;
    session.ends_with(Code::ALREADY_GREETED).await;
    let session = world.session().await;
    let _stream = session.open(&hello("eve").to_bytes()).await;
    session.ends_with(Code::ALREADY_GREETED).await;
    world.finish().await;
}

#[tokio::test]
async fn sixteen_streams_wait_for_the_welcome_and_one_more_ends_the_session() {
    let world = World::start().await;
    let peer = Peer::connect(world.port()).await;
    let mut streams = Vec::new();
    for number in 0..16 {
        streams.push(peer.open(&read(&format!("bad:{number}"), Range::Newest, 1).to_bytes()).await);
    }
    let mut session = peer.greet().await;
    for stream in &mut streams {
        assert!(matches!(stream.next().await, Some(Frame::ReadHead(_))));
    }
    session.lives().await;
    session.peer.close().await;

    let peer = Peer::connect(world.port()).await;
    let mut streams = Vec::new();
    for number in 0..18 {
        streams.push(peer.open(&join(&format!("bad:{number}"), From::Live, 0).to_bytes()).await);
    }
    assert_eq!(peer.closed().await, Code::TOO_MANY_STREAMS);
    world.finish().await;
}

#[tokio::test]
async fn a_session_without_a_common_version_is_refused() {
    let world = World::start().await;
    for versions in [vec![], vec![2, 3], vec![0]] {
        let auth = Auth::Anonymous { name: UserName::new("mallory").unwrap() };
        let hello: Frame = Hello { versions, auth, client: "raw".into(), previous: None }.into();
        let peer = Peer::connect(world.port()).await;
        peer.open(&hello.to_bytes()).await.refused(Code::UNSUPPORTED_VERSION).await;
        peer.close().await;
    }
    world.finish().await;
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_not_ignored() {
    let world = World::start().await;
    let token = || Token("a token".into());
    let auth = Auth::Bearer { token: token() };
    let hello: Frame = Hello { versions: vec![1], auth, client: "raw".into(), previous: None }.into();
    let peer = Peer::connect(world.port()).await;
    peer.open(&hello.to_bytes()).await.refused(Code::NOT_OFFERED).await;
    peer.close().await;

    let mut session = world.session().await;
    session.control.say(Refresh { token: token() }).await;
    session.ends_with(Code::NOT_OFFERED).await;

    let mut session = world.session().await;
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn datagrams_are_dropped() {
    let world = World::start().await;
    let mut session = world.session().await;
    let connection = session.peer.connection.clone();
    let space = connection.datagram_send_buffer_space();
    for number in 0..300_u32 {
        soon("space", connection.send_datagram_wait(vec![number as u8; 1_000].into())).await.unwrap();
    }
    // Round trips until all of them are on their way.
    while connection.datagram_send_buffer_space() < space {
        session.lives().await;
    }
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}
