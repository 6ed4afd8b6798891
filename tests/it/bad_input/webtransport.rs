//! What is wrong below the session, on its way over HTTP/3.

use bytes::Bytes;
use loquic_wire::{Code, Frame, join::From};

use crate::{
    http3::{HEADER, Http3, WebSession, connect_request, headers, http3_frame, lives, varint},
    raw::{hello, join, soon},
    world::World,
};

/// Nothing is wrong with the connection as such.
const H3_NO_ERROR: u64 = 0x100;

/// What WebTransport makes of code 0.
const WEBTRANSPORT_ZERO: u64 = 0x52e4_a40f_a8db;

#[tokio::test]
async fn a_path_that_is_not_ours_is_not_found() {
    let world = World::start().await;
    for path in ["/", "/v1/", "/v2", "/v1x", "/V1", "/v1/ws", "/%761"] {
        let http3 = Http3::connect(world.port()).await;
        assert_eq!(http3.request(&connect_request(world.port(), path, &[])).await.0, Some(404), "{path}");
        assert_eq!(http3.closed().await, H3_NO_ERROR, "{path}");
    }
    let http3 = Http3::connect(world.port()).await;
    let (status, _request) = http3.request(&connect_request(world.port(), "/v1?later=1", &[])).await;
    assert_eq!(status, Some(200), "a query is left to later versions");
    world.finish().await;
}

#[tokio::test]
async fn pages_of_strangers_are_forbidden() {
    let world = World::with("origins.allow = ['https://good.example', 'http://localhost:*']\n").await;
    let strangers: &[&[&str]] = &[
        &["https://evil.example"],
        &["http://good.example"],
        &["https://good.example.evil"],
        &["https://evil-good.example"],
        &["https://good.example:8443"],
        &["https://localhost:8080"],
        &["http://localhost.evil:8080"],
        &["http://127.0.0.1:8080"],
        &["null"],
        &[""],
        &["https://good.example", "https://evil.example"],
        &["https://good.example, https://evil.example"],
    ];
    for origin in strangers {
        let http3 = Http3::connect(world.port()).await;
        assert_eq!(http3.open(world.port(), origin).await, Some(403), "{origin:?}");
        assert_eq!(http3.closed().await, H3_NO_ERROR, "{origin:?}");
    }
    // A page that is allowed, one of this machine, and a native client, which has no origin.
    let friends: &[&[&str]] = &[&["https://good.example"], &["http://localhost:8080"], &[]];
    for origin in friends {
        let http3 = Http3::connect(world.port()).await;
        let (status, request) = http3.request(&connect_request(world.port(), "/v1", origin)).await;
        assert_eq!(status, Some(200), "{origin:?}");
        WebSession { http3, request }.greet().await;
    }
    world.finish().await;
}

/// Firefox opens a second connection for each session and never uses it.
#[tokio::test]
async fn a_connection_on_which_no_session_is_asked_for_is_closed_in_silence() {
    let mut world = World::with("timeouts.hello = '1s'\n").await;
    let silent = Http3::silent(world.port()).await;
    let settings = Http3::connect(world.port()).await;
    let half = Http3::connect(world.port()).await;
    let request = connect_request(world.port(), "/v1", &[]);
    let _stream = half.peer.open(&request[..request.len() - 1]).await;
    for peer in [&silent, &settings.peer, &half.peer] {
        assert_eq!(u64::from(peer.closed().await.0), H3_NO_ERROR);
    }
    world.exchange(3).await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_no_request_for_a_session_ends_the_connection() {
    let world = World::start().await;
    let authority = format!("127.0.0.1:{}", world.port());
    let request = |method: &'static str, protocol: &'static str| {
        let mut fields = vec![(":method", method), (":scheme", "https"), (":authority", &*authority), (":path", "/v1")];
        fields.extend(Some((":protocol", protocol)).filter(|_| !protocol.is_empty()));
        headers(&fields)
    };
    let long = "x".repeat(20_000);
    for (what, bytes) in [
        ("a GET", request("GET", "")),
        ("another protocol", request("CONNECT", "websocket")),
        ("no protocol", request("CONNECT", "")),
        ("DATA first", http3_frame(0, b"data")),
        ("rubbish in QPACK", http3_frame(1, &[0xff; 100])),
        ("a frame of a gigabyte", [varint(1), varint(1 << 30)].concat()),
        ("a header of 20 kB", connect_request(world.port(), &format!("/{long}"), &[])),
        ("a path that is none", connect_request(world.port(), "v1", &[])),
        ("nothing of HTTP", hello("mallory").to_bytes().to_vec()),
    ] {
        let http3 = Http3::connect(world.port()).await;
        let (status, _request) = http3.request(&bytes).await;
        assert!(status.is_none_or(|status| status == 404), "{what}: {status:?}");
        assert_eq!(http3.closed().await, H3_NO_ERROR, "{what}");
    }
    // The same before the settings are known.
    for bytes in [&[0x3f, 1, 2, 3][..], &[0, 0x04, 2, 0x08, 1], &[0, 0x00, 1, 0], &[0, 0x04, 0xbf, 0xff, 0xff, 0xff]] {
        let peer = Http3::silent(world.port()).await;
        let mut control = peer.connection.open_uni().await.unwrap();
        control.write_all(bytes).await.unwrap();
        assert_eq!(u64::from(peer.closed().await.0), H3_NO_ERROR, "{bytes:?}");
    }
    world.finish().await;
}

/// A lost packet is enough for a header to be incomplete; the streams behind it are not to wait for it (promise 6).
#[tokio::test]
async fn half_a_stream_header_keeps_no_other_stream_waiting() {
    let world = World::start().await;
    let session = WebSession::connect(world.port()).await;
    let mut halves = Vec::new();
    for length in [1, 2, 1, 2] {
        halves.push(session.http3.peer.open(&HEADER[..length]).await);
    }
    let mut control = session.greet().await;
    let mut room = session.open(&join("room", From::Live, 1_000).to_bytes()).await;
    assert!(matches!(room.next().await, Some(Frame::Joined(_))));
    // The rest of a header makes a stream of it.
    let mut late = halves.swap_remove(0);
    late.write(&HEADER[1..]).await;
    late.write(&join("late", From::Live, 1_000).to_bytes()).await;
    assert!(matches!(late.next().await, Some(Frame::Joined(_))));
    lives(&mut control).await;
    session.close().await;
    world.finish().await;
}

#[tokio::test]
async fn streams_and_frames_that_nobody_knows_are_ignored() {
    let world = World::start().await;
    let mut session = WebSession::connect(world.port()).await;
    let mut control = session.greet().await;
    // As many unidirectional streams as there may be: one of no type that is known, one of GREASE.
    let connection = session.http3.peer.connection.clone();
    for kind in [0x3f, 0x21 + 0x1f * 1_000] {
        let mut unknown = soon("a stream", connection.open_uni()).await.unwrap();
        unknown.write_all(&[varint(kind), b"rubbish".to_vec()].concat()).await.unwrap();
    }
    // Frames on HTTP/3's own control stream: GREASE, a GOAWAY, one of no kind that is known.
    for kind in [0x21 + 0x1f * 7, 0x07, 0x3e] {
        session.http3.control.write_all(&http3_frame(kind, &[0])).await.unwrap();
    }
    // Streams of sessions that there are not, requests, rubbish, and GREASE.
    let request = connect_request(world.port(), "/v1", &[]);
    for bytes in [&[0x40, 0x41, 4][..], &[0x40, 0x41, 0x7f, 0xff], &request, &[0xff; 30], &http3_frame(0x21, b"x")] {
        session.http3.peer.open(bytes).await;
    }
    // Capsules of no type that is known, within DATA and in halves.
    let capsules = http3_frame(0, &[varint(0x1234), varint(3), b"abc".to_vec()].concat());
    session.request.0.write_all(&capsules[..5]).await.unwrap();
    lives(&mut control).await;
    session.request.0.write_all(&capsules[5..]).await.unwrap();
    lives(&mut control).await;
    session.close().await;
    world.finish().await;
}

#[tokio::test]
async fn a_connection_has_one_session() {
    let world = World::start().await;
    let session = WebSession::connect(world.port()).await;
    let mut control = session.greet().await;
    let (status, _request) = session.http3.request(&connect_request(world.port(), "/v1", &[])).await;
    assert_eq!(status, None, "the stream of a second request ends without an answer");
    lives(&mut control).await;
    session.close().await;
    world.finish().await;
}

#[tokio::test]
async fn datagrams_in_any_number_and_size_change_nothing() {
    let mut world = World::start().await;
    let session = WebSession::connect(world.port()).await;
    let mut control = session.greet().await;
    let connection = &session.http3.peer.connection;
    let longest = connection.max_datagram_size().expect("datagrams are agreed on");
    assert!(longest > loquic_wire::limits::DATAGRAM_BYTES_MAX, "{longest}");
    for round in 0..20_000_usize {
        let datagram = match round % 4 {
            // Of the session, and as long as the path takes.
            0 => [&[0][..], &vec![7; longest - 1]].concat(),
            // Of a session that there is not, of none, and of half a one.
            1 => vec![1; 100],
            2 => Vec::new(),
            _ => vec![0xc0],
        };
        connection.send_datagram_wait(Bytes::from(datagram)).await.unwrap();
        if round % 5_000 == 0 {
            lives(&mut control).await;
            world.exchange(1).await;
        }
    }
    lives(&mut control).await;
    session.close().await;
    world.finish().await;
}

/// What ends a session in HTTP/3 ends it here.
#[tokio::test]
async fn the_end_of_the_request_is_the_end_of_the_session() {
    let world = World::start().await;
    let close = [varint(0x2843), varint(7), 5_u32.to_be_bytes().to_vec(), b"bye".to_vec()].concat();
    let unbearable = [varint(0x1234), varint(1 << 40)].concat();
    for (bytes, code) in [
        (Vec::new(), WEBTRANSPORT_ZERO),
        (http3_frame(0, &close), WEBTRANSPORT_ZERO + 5),
        (http3_frame(0, &unbearable), WEBTRANSPORT_ZERO),
    ] {
        let mut session = WebSession::connect(world.port()).await;
        session.greet().await;
        session.request.0.write_all(&bytes).await.unwrap();
        session.request.0.finish().unwrap();
        assert_eq!(session.http3.closed().await, code, "{bytes:?}");
    }
    world.finish().await;
}

/// Browsers learn the code twice: from `Closing`, and if they do not close by themselves, from WebTransport itself.
#[tokio::test]
async fn the_reason_for_the_end_comes_as_a_frame_and_as_a_capsule() {
    let world = World::start().await;
    let mut session = WebSession::connect(world.port()).await;
    let mut control = session.greet().await;
    control.write(&hello("mallory").to_bytes()).await;
    assert!(matches!(control.next().await, Some(Frame::Closing(closing)) if closing.code == Code::ALREADY_GREETED));
    let told = soon("the end of the request", session.request.1.read_to_end(100)).await.unwrap();
    let capsule = [varint(0x2843), varint(4), u32::from(Code::ALREADY_GREETED.0).to_be_bytes().to_vec()].concat();
    assert_eq!(told, http3_frame(0, &capsule));
    world.finish().await;
}
