//! Below the protocol: connections that are no connections, and what is readable when one ends.

use std::{net::UdpSocket, sync::Arc};

use loquic_wire::{Code, Frame};
use quinn::{ConnectionError, TransportConfig};

use crate::{
    raw::{Peer, address, config, endpoint, frame, soon, tls},
    support::Random,
    world::World,
};

#[tokio::test]
async fn a_protocol_that_is_not_ours_is_refused_in_the_handshake() {
    let world = World::start().await;
    for protocol in ["h2", "loquic-2", "hq-interop"] {
        let tried = Peer::try_connect(address(world.port()), config(tls(protocol), TransportConfig::default())).await;
        match tried.err().expect("no connection") {
            // TLS: no application protocol.
            ConnectionError::ConnectionClosed(close) => assert_eq!(u64::from(close.error_code), 0x100 + 120),
            other => panic!("{protocol}: {other}"),
        }
    }
    let mut silent = tls("x");
    silent.alpn_protocols.clear();
    let tried = Peer::try_connect(address(world.port()), config(silent, TransportConfig::default())).await;
    assert!(tried.is_err(), "a client that names no protocol gets no connection");
    world.finish().await;
}

#[tokio::test]
async fn garbage_at_the_port_changes_nothing() {
    let mut world = World::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address(world.port())).unwrap();
    let mut random = Random::new(7);
    for round in 0..3_000_u32 {
        let length = random.between(0, 1_400) as usize;
        let mut datagram: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        // Some of them look like the first packet of a connection, of this version and of others.
        match round % 4 {
            0 if length > 20 => datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]),
            1 if length > 20 => datagram[..6].copy_from_slice(&[0xff, 0xfa, 0xce, 0, 0, 8]),
            2 if length > 20 => datagram[0] &= 0x7f,
            _ => {}
        }
        let _ = socket.send(&datagram);
        if round % 300 == 0 {
            world.exchange(2).await;
        }
    }
    world.session().await.peer.close().await;
    world.finish().await;
}

#[tokio::test]
async fn early_data_is_off() {
    let world = World::start().await;
    let mut tls = tls(loquic_wire::ALPN);
    tls.enable_early_data = true;
    let config = config(tls, TransportConfig::default());
    let endpoint = endpoint();
    for round in 0..2 {
        let connecting = endpoint.connect_with(config.clone(), address(world.port()), "localhost").unwrap();
        let connecting = match connecting.into_0rtt() {
            Ok(_) => panic!("the server's ticket allows early data"),
            Err(connecting) => connecting,
        };
        let connection = soon("a connection", connecting).await.unwrap();
        // A round trip, so that the ticket of the first connection is there for the second.
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&crate::raw::hello("mallory").to_bytes()).await.unwrap();
        assert!(soon("a welcome", recv.read_chunk(1_024, true)).await.unwrap().is_some(), "{round}");
        connection.close(0_u32.into(), b"");
    }
    soon("the end", endpoint.wait_idle()).await;
    world.finish().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_with_a_code() {
    let mut world = World::with("timeouts.hello = '1s'\n").await;
    // One that opens nothing, one that opens a stream and says half a Hello, one with streams that wait.
    let nothing = Peer::connect(world.port()).await;
    let half = Peer::connect(world.port()).await;
    let _stream = half.open(&crate::raw::hello("mallory").to_bytes()[..5]).await;
    let waiting = Peer::connect(world.port()).await;
    let join = crate::raw::join("bad", loquic_wire::join::From::Live, 0);
    let mut stream = waiting.open(&join.to_bytes()).await;
    stream.refused(Code::UNAUTHENTICATED).await;
    for peer in [nothing, half, waiting] {
        assert_eq!(peer.closed().await, Code::UNAUTHENTICATED);
    }
    world.exchange(3).await;
    world.finish().await;
}

#[tokio::test]
async fn a_peer_that_does_not_close_is_closed_with_the_same_code() {
    let world = World::start().await;
    let mut session = world.session().await;
    let _stream = session.open(&frame(0x11, &[0, 0, 0, 0])).await;
    assert!(
        matches!(session.control.next().await, Some(Frame::Closing(closing)) if closing.code == Code::UNEXPECTED_FRAME)
    );
    assert_eq!(session.peer.closed().await, Code::UNEXPECTED_FRAME);
    world.finish().await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_refused_after_ten_seconds() {
    let mut world = World::start().await;
    let mut session = world.session().await;
    // A stream exists for the server when something comes on it.
    let mut stream = session.open(&crate::raw::hello("mallory").to_bytes()[..1]).await;
    stream.refused(Code::STREAM_TIMEOUT).await;
    session.lives().await;
    session.peer.close().await;
    world.exchange(3).await;
    world.finish().await;
}

/// A relay that lets datagrams through to the server, and answers back only if it is told to.
struct Relay {
    port: u16,
    retries: Arc<std::sync::atomic::AtomicU64>,
    _task: tokio::task::JoinSet<()>,
}

impl Relay {
    async fn start(server: u16, answers: bool) -> Self {
        let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(address(server)).await.unwrap();
        let port = front.local_addr().unwrap().port();
        let retries = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let seen = retries.clone();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            let (mut up, mut down, mut client) = (vec![0; 2_048], vec![0; 2_048], None);
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut up) => {
                        client = Some(from);
                        let _ = back.send(&up[..length]).await;
                    }
                    Ok(length) = back.recv(&mut down) => {
                        // A long header of the type Retry, in version 1.
                        if down[0] & 0xf0 == 0xf0 && down[1..5] == [0, 0, 0, 1] {
                            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                        if let Some(client) = client.filter(|_| answers) {
                            let _ = front.send_to(&down[..length], client).await;
                        }
                    }
                }
            }
        });
        Self { port, retries, _task: task }
    }

    fn retries(&self) -> u64 {
        self.retries.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[tokio::test]
async fn under_load_addresses_are_validated_first() {
    let mut world = World::with("timeouts.handshake = '30s'\n").await;
    // Whoever sends with somebody else's address never sees an answer: its handshakes stay open.
    let deaf = Relay::start(world.port(), false).await;
    let endpoint = endpoint();
    let config = config(tls(loquic_wire::ALPN), TransportConfig::default());
    let mut open = Vec::new();
    soon("Retry", async {
        while deaf.retries() == 0 {
            open.push(endpoint.connect_with(config.clone(), address(deaf.port), "localhost").unwrap());
            tokio::task::yield_now().await;
            if open.len() % 500 == 0 {
                world.exchange(1).await;
            }
        }
    })
    .await;
    assert!(open.len() > 1_000, "Retry after {} handshakes", open.len());
    // Somebody honest pays one more round trip, and is let in.
    let relay = Relay::start(world.port(), true).await;
    let honest = Peer::try_connect(address(relay.port), config.clone()).await.unwrap();
    let mut session = honest.greet().await;
    assert!(relay.retries() > 0);
    session.lives().await;
    session.peer.connection.close(0_u32.into(), b"");
    drop(open);
    world.exchange(3).await;
    world.finish().await;
}
