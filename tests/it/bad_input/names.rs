//! Names outside the grammar, in sound frames.

use loquic_wire::{
    Code,
    coding::{put_bytes, put_varint},
};

use crate::{
    raw::{Peer, frame},
    world::World,
};

fn bad_rooms() -> Vec<Vec<u8>> {
    let mut rooms: Vec<Vec<u8>> = [
        "", ":", "a:", ":a", "a::b", ".", "..", "a:..:b", "a b", "a/b", "*", "a:**", "ä", "a\0", "a\n", "room?", "a,b",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    rooms.push(b"1:2:3:4:5:6:7:8:9".to_vec());
    rooms.push(vec![b'a'; 65]);
    rooms.push([&[b'a'; 60][..], b":", &[b'b'; 60], b":", &[b'c'; 60], b":", &[b'd'; 60]].concat());
    rooms
}

/// `Join`, `Open`, `Read` and `Watch` of a room of that name.
fn first_frames(name: &[u8]) -> [Vec<u8>; 4] {
    let with = |before: &[u8], behind: &[u8]| {
        let mut body = before.to_vec();
        put_bytes(&mut body, name);
        body.extend_from_slice(behind);
        body
    };
    [
        frame(0x10, &with(&[], &[0, 0, 0, 0])),
        frame(0x30, &with(&[], &[1; 16])),
        frame(0x40, &with(&[], &[3, 1])),
        frame(0x20, &with(&[0, 1], &[])),
    ]
}

#[tokio::test]
async fn a_bad_room_name_refuses_only_its_stream() {
    let world = World::start().await;
    let mut session = world.session().await;
    for room in bad_rooms() {
        for first in first_frames(&room) {
            eprintln!("{:?} in {:#x}", String::from_utf8_lossy(&room), first[1]);
            session.open(&first).await.refused(Code::BAD_NAME).await;
        }
    }
    session.lives().await;
    session.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_malformed() {
    let world = World::start().await;
    for first in first_frames(&[b'a', 0xff]) {
        let session = world.session().await;
        let _stream = session.open(&first).await;
        session.ends_with(Code::BAD_FRAME).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn a_bad_name_in_peek_ends_the_session() {
    let world = World::start().await;
    let mut session = world.session().await;
    session.control.write(&frame(0x09, &[2, 1, b'a', 1, b'*'])).await;
    session.ends_with(Code::BAD_NAME).await;
    world.finish().await;
}

#[tokio::test]
async fn a_bad_user_name_opens_no_session() {
    let world = World::with("timeouts.hello = '1s'\n").await;
    for name in ["", "a\nb", "\u{85}", &"a".repeat(129)] {
        let mut body = vec![1, 1, 0];
        put_bytes(&mut body, name.as_bytes());
        put_varint(&mut body, 0);
        body.push(0);
        let peer = Peer::connect(world.port()).await;
        peer.open(&frame(0x01, &body)).await.refused(Code::BAD_NAME).await;
        assert_eq!(peer.closed().await, Code::UNAUTHENTICATED, "and a session that has no other Hello ends");
    }
    world.finish().await;
}
