//! The control stream, the greeting, and every way a session ends. No room is touched.

use std::time::Duration;

use bytes::Bytes;
use loquic_wire::{
    Code, Frame, RoomName,
    control::{Auth, Closing, Goaway, Hello, Peek, Peeked, Ping, Refresh, Token, Welcome},
    join::From,
    limits::PAYLOAD_BYTES_MAX_DEFAULT,
    read::{Range, Read},
    who::Who,
};
use tokio::time::{Instant, sleep};

use super::peer::{AllowNothing, Peer, hello, join, open, room, shared};
use crate::{
    config::limits,
    room::testing,
    session::{Config, Drain, Shared, auth::DANGER_ADMIT_EVERYBODY},
    transport::{Link, LinkError, SendStream, StreamError, memory},
};

fn read(limit: u32) -> Read {
    Read { room: room("a"), range: Range::Newest, limit }
}

fn drain_in(span: Duration) -> Drain {
    Drain { deadline: Instant::now() + span, delay: Duration::from_secs(3), nodes: vec!["https://b".into()] }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_welcome() {
    let shared = shared();
    let peer = Peer::connect(&shared);
    let mut control = peer.open(hello()).await;
    let welcome: Welcome = control.hear().await;
    assert_eq!(welcome.version, 1);
    assert_eq!(welcome.principal.user.as_str(), "ada");
    assert_eq!(welcome.limits.rooms_max, limits::ROOMS_MAX);
    assert_eq!(welcome.limits.payload_bytes_max as usize, PAYLOAD_BYTES_MAX_DEFAULT);
    assert!(welcome.server_time.get() > 1_700_000_000_000);
    control.is_alive().await;
    assert_eq!((shared.sessions(), shared.stats().sessions_welcomed.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn sessions_have_different_ids() {
    let shared = shared();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let peer = Peer::connect(&shared);
        let welcome: Welcome = peer.open(hello()).await.hear().await;
        ids.push(welcome.session);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn whichever_stream_says_hello_is_the_control_stream() {
    let peer = Peer::connect(&shared());
    let mut parked = peer.open(read(0)).await;
    parked.is_silent_for(Duration::from_secs(1)).await;
    let mut control = peer.open(hello()).await;
    let _: Welcome = control.hear().await;
    parked.refused(Code::BAD_FRAME).await;
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn frames_may_come_in_any_pieces() {
    let peer = Peer::connect(&shared());
    let mut control = peer.silent().await;
    for byte in Frame::from(hello()).to_bytes() {
        control.say_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    let _: Welcome = control.hear().await;
    let pings: Vec<u8> = (0..9).flat_map(|token| Frame::from(Ping { token }).to_bytes()).collect();
    control.say_bytes(&pings).await;
    for token in 0..9 {
        assert!(matches!(control.frame().await, Frame::Pong(pong) if pong.token == token));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_version_is_refused_and_ends_the_session() {
    let shared = shared();
    let mut peer = Peer::connect(&shared);
    let mut control = peer.open(Hello { versions: vec![2, 3], ..hello() }).await;
    control.refused(Code::UNSUPPORTED_VERSION).await;
    let begun = Instant::now();
    peer.closed_with(Code::UNSUPPORTED_VERSION).await;
    assert_eq!(begun.elapsed(), limits::CLOSING_TIMEOUT);
    assert_eq!(shared.stats().sessions_refused_hello.get(), 1);
    shared.emptied().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_is_not_waited_for() {
    let mut peer = Peer::connect(&shared());
    let auth = Auth::Bearer { token: Token("secret".into()) };
    let mut control = peer.open(Hello { auth, ..hello() }).await;
    control.refused(Code::NOT_OFFERED).await;
    let begun = Instant::now();
    peer.link.close(Code::DONE, "");
    assert_eq!(peer.closed().await, LinkError::ClosedHere);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed() {
    let shared = shared();
    let mut peer = Peer::connect(&shared);
    let begun = Instant::now();
    peer.closed_with(Code::UNAUTHENTICATED).await;
    assert_eq!(begun.elapsed(), limits::HELLO_TIMEOUT);
    assert_eq!(shared.stats().hello_timeouts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_no_hello_is_told() {
    let mut peer = Peer::connect(&shared());
    let mut parked = peer.open(read(1)).await;
    parked.refused(Code::UNAUTHENTICATED).await;
    peer.closed_with(Code::UNAUTHENTICATED).await;
}

#[tokio::test(start_paused = true)]
async fn the_seventeenth_parked_stream_ends_the_session() {
    let mut peer = Peer::connect(&shared());
    let mut streams = Vec::new();
    for _ in 0..=limits::STREAMS_PARKED_MAX {
        streams.push(peer.open(read(1)).await);
        // Lets the session hear of it, and raise the allowance.
        sleep(Duration::from_millis(1)).await;
    }
    streams.last_mut().unwrap().refused(Code::TOO_MANY_STREAMS).await;
    peer.closed_with(Code::TOO_MANY_STREAMS).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_ends_the_session() {
    let shared = shared();
    let (mut peer, mut control) = Peer::greet(&shared).await;
    let _second = peer.open(hello()).await;
    control.closing(Code::ALREADY_GREETED).await;
    peer.closed_with(Code::ALREADY_GREETED).await;

    let (_peer, mut control) = Peer::greet(&shared).await;
    control.say(hello()).await;
    control.closing(Code::ALREADY_GREETED).await;
    assert_eq!(shared.stats().faults.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_end_the_session() {
    // A varint that does not exist; a Ping that announces more than its kind allows; a Ping in a wrong place.
    let cases: [(&[u8], Code); 3] = [
        (&[0xff, 0xff], Code::BAD_FRAME),
        (&[0xfb, 0xff, 0xff, 0x07], Code::FRAME_TOO_LARGE),
        (&[0x01, 0x07, 0x00], Code::UNEXPECTED_FRAME),
    ];
    for (bytes, code) in cases {
        let (mut peer, mut control) = Peer::greet(&shared()).await;
        let mut stream = peer.silent().await;
        stream.say_bytes(bytes).await;
        control.closing(code).await;
        stream.was_reset().await;
        peer.closed_with(code).await;

        let (_peer, mut control) = Peer::greet(&shared()).await;
        control.say_bytes(if code == Code::UNEXPECTED_FRAME { &[0x01, 0x08, 0x00] } else { bytes }).await;
        let closing: Closing = control.hear().await;
        assert!(closing.code == code || code == Code::UNEXPECTED_FRAME, "{closing:?}");

        let mut peer = Peer::connect(&shared());
        let mut stream = peer.silent().await;
        stream.say_bytes(bytes).await;
        stream.refused(code).await;
        peer.closed_with(code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_inside_a_frame_ends_the_session() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let mut stream = peer.silent().await;
    stream.say_bytes(&[0x05]).await;
    stream.send.finish();
    control.closing(Code::BAD_FRAME).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_frame_just_ends() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let mut stream = peer.silent().await;
    stream.send.finish();
    stream.ended().await;
    let mut stream = peer.silent().await;
    stream.say_bytes(&[0x05]).await;
    sleep(Duration::from_millis(1)).await;
    stream.send.reset(Code::DONE);
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn frames_of_unknown_kinds_are_skipped() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let mut bytes = vec![0x02, 0xf0, 0xaa, 0xbb];
    bytes.extend_from_slice(&Frame::from(read(0)).to_bytes());
    let mut stream = peer.silent().await;
    stream.say_bytes(&bytes).await;
    stream.refused(Code::BAD_FRAME).await;
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_name_refuses_its_stream_only() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let mut bytes = Frame::from(join("abc", From::Live)).to_bytes().to_vec();
    let at = bytes.windows(3).position(|window| window == b"abc").unwrap();
    bytes[at] = b'/';
    let mut stream = peer.silent().await;
    stream.say_bytes(&bytes).await;
    let refused = stream.refused(Code::BAD_NAME).await;
    assert_eq!(refused.retry_after.0, 0);
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_its_first_frame_is_refused_in_time() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    let mut stream = peer.silent().await;
    stream.say_bytes(&[0x05]).await;
    let begun = Instant::now();
    stream.refused(Code::STREAM_TIMEOUT).await;
    assert_eq!(begun.elapsed(), limits::FIRST_FRAME_TIMEOUT);
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_no_room_is_needed_for_are_refused() {
    let (peer, mut control) = Peer::greet(&shared()).await;
    peer.open(Who { room: room("a"), after: None, limit: 0 }).await.refused(Code::BAD_FRAME).await;
    peer.open(read(0)).await.refused(Code::BAD_FRAME).await;
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_refused_and_not_seen() {
    let shared = Shared::new(testing::rooms(), AllowNothing, Config::default());
    let (peer, mut control) = Peer::greet(&shared).await;
    peer.open(join("a", From::Live)).await.refused(Code::FORBIDDEN).await;
    peer.open(open("a", 1)).await.refused(Code::FORBIDDEN).await;
    peer.open(read(1)).await.refused(Code::FORBIDDEN).await;
    let prefix = loquic_wire::watch::Watch::Prefix("a".into());
    peer.open(prefix).await.refused(Code::FORBIDDEN).await;
    let rooms = (0..100).map(|number| RoomName::new(&format!("r{number}")).unwrap()).collect();
    control.say(Peek { rooms }).await;
    control.say(Peek { rooms: vec![room("a")] }).await;
    let first: Peeked = control.hear().await;
    let second: Peeked = control.hear().await;
    assert_eq!((first.rooms, second.rooms), (vec![None; 100], vec![None]));
    assert_eq!(shared.stats().streams_refused.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_ends_the_session() {
    let (_peer, mut control) = Peer::greet(&shared()).await;
    control.say(Refresh { token: Token("secret".into()) }).await;
    control.closing(Code::NOT_OFFERED).await;
}

#[tokio::test(start_paused = true)]
async fn more_streams_of_a_sort_than_allowed_are_refused() {
    let mut config = Config::default();
    config.session.rooms_max = 0;
    let shared = Shared::new(testing::rooms(), DANGER_ADMIT_EVERYBODY, config);
    let (peer, mut control) = Peer::greet(&shared).await;
    peer.open(join("a", From::Live)).await.refused(Code::TOO_MANY_STREAMS).await;
    control.is_alive().await;
}

/// Firefox loses the reason when it is stopped at once.
#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_stopped_only_when_the_peer_goes_on() {
    let shared = Shared::new(testing::rooms(), AllowNothing, Config::default());
    let (peer, mut control) = Peer::greet(&shared).await;
    let mut stream = peer.open(join("a", From::Live)).await;
    sleep(limits::STREAM_DRAIN_TIMEOUT / 2).await;
    assert_eq!(stream.send.write_all_chunks(&mut [Bytes::from_static(b"more")]).await, Ok(()));
    sleep(limits::STREAM_DRAIN_TIMEOUT).await;
    let write = stream.send.write_all_chunks(&mut [Bytes::from_static(b"and more")]).await;
    assert_eq!(write, Err(StreamError::Stopped(Code::DONE)));
    stream.refused(Code::FORBIDDEN).await;

    let mut stream = peer.open(join("a", From::Live)).await;
    let chunk = Bytes::from(vec![0; limits::STREAM_DRAIN_BYTES_MAX / 4]);
    let flood = async {
        for _ in 0..8 {
            stream.send.write_all_chunks(&mut [chunk.clone()]).await?;
        }
        Ok(())
    };
    assert_eq!(flood.await, Err(StreamError::Stopped(Code::DONE)));
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn the_allowance_of_streams_follows_what_is_open() {
    let (peer, _control) = Peer::greet(&shared()).await;
    let mut streams = Vec::new();
    for _ in 0..limits::STREAMS_MAX - 1 {
        let mut stream = peer.silent().await;
        stream.say_bytes(&[0x05]).await;
        streams.push(stream);
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(peer.link.streams_max(), limits::STREAMS_MAX);
    for stream in &mut streams {
        stream.refused(Code::STREAM_TIMEOUT).await;
    }
    drop(streams);
    // The server counts a stream as open until it has sent its end.
    sleep(Duration::from_millis(1)).await;
    assert!(peer.link.streams_max() <= limits::STREAMS_AHEAD * 2 + 1, "{}", peer.link.streams_max());
}

#[tokio::test(start_paused = true)]
async fn a_full_node_says_so() {
    let config = Config { sessions_max: 1, ..Config::default() };
    let shared = Shared::new(testing::rooms(), DANGER_ADMIT_EVERYBODY, config);
    let (mut first, mut control) = Peer::greet(&shared).await;
    let mut second = Peer::connect(&shared);
    let refused = second.open(hello()).await.refused(Code::TOO_MANY_SESSIONS).await;
    assert_eq!(refused.retry_after.0, 1_000);
    second.closed_with(Code::TOO_MANY_SESSIONS).await;
    control.is_alive().await;
    assert_eq!((shared.sessions(), shared.stats().sessions_refused_full.get()), (1, 1));
    first.link.close(Code::DONE, "");
    first.closed().await;
    Peer::greet(&shared).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_announced_and_then_carried_out() {
    let shared = shared();
    let (mut peer, mut control) = Peer::greet(&shared).await;
    shared.drain(drain_in(limits::DRAIN_TIMEOUT));
    let goaway: Goaway = control.hear().await;
    assert_eq!((goaway.deadline.0, goaway.delay.0, goaway.nodes.len()), (10_000, 3_000, 1));
    control.is_alive().await;

    let mut late = Peer::connect(&shared);
    let refused = late.open(hello()).await.refused(Code::DRAINING).await;
    assert_eq!(refused.retry_after.0, 3_000);
    late.closed_with(Code::DRAINING).await;

    control.closing(Code::DRAINING).await;
    peer.closed_with(Code::DRAINING).await;
    shared.emptied().await;
    let stats = shared.stats();
    assert_eq!((stats.sessions_refused_draining.get(), stats.faults.get()), (1, 0));
    assert_eq!(stats.sessions_opened.get(), stats.sessions_closed.get());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_session() {
    let shared = shared();
    let (mut peer, mut control) = Peer::greet(&shared).await;
    control.say(Closing { code: Code::DONE, reason: "".into() }).await;
    peer.closed_with(Code::DONE).await;

    let (mut peer, mut control) = Peer::greet(&shared).await;
    control.send.finish();
    peer.closed_with(Code::DONE).await;

    let (mut peer, _control) = Peer::greet(&shared).await;
    peer.link.cut();
    assert_eq!(peer.closed().await, LinkError::TimedOut);
    shared.emptied().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_control_stream_is_let_go() {
    let shared = shared();
    let (mut peer, mut control) = Peer::greet(&shared).await;
    let begun = Instant::now();
    let pings: Vec<u8> = (0..1_000).flat_map(|token| Frame::from(Ping { token }).to_bytes()).collect();
    let mut chunks = vec![pings.into(); 2 * memory::BUFFER_BYTES_MAX / 1_000];
    let flood = control.send.write_all_chunks(&mut chunks).await;
    assert!(flood.is_err(), "{flood:?}");
    peer.closed().await;
    assert!(begun.elapsed() <= limits::CONTROL_WRITE_TIMEOUT + limits::CLOSING_TIMEOUT);
}

/// What an idle session costs besides the transport: its own task, and one for each join.
#[tokio::test]
async fn idle_futures_are_small() {
    let (_, link) = memory::pair(1);
    let session = size_of_val(&crate::session::run(link, shared()));
    let join = crate::session::join_task_bytes();
    println!("session: {session} bytes, join: {join} bytes");
    // With tokio's header both stay below a size class of the allocator: 3,072 and 2,560.
    assert!(session <= 2_944 && join <= 2_432, "session: {session} bytes, join: {join} bytes");
}
