//! Streams through a proxy on real sockets.

use std::{io, time::Duration};

use loquic_impair::{Cut, Proxy, Rebinding, Stats, limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{soon, until};

struct Ends {
    client: TcpStream,
    server: TcpStream,
    proxy: Proxy,
}

impl Ends {
    async fn new(profile: &str) -> Self {
        let listen = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::tcp(listen.local_addr().unwrap(), profile.parse().unwrap(), 42).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        let (server, _) = soon(listen.accept()).await.unwrap();
        Self { client, server, proxy }
    }

    async fn end(self) -> Stats {
        let stats = soon(self.proxy.shutdown()).await;
        assert_eq!((stats.up.waiting(), stats.down.waiting(), stats.clients_open), (0, 0, 0), "{stats}");
        stats
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Sends all of it and the end, and reads what comes until its end.
async fn send_all(stream: &mut TcpStream, content: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(content).await?;
        writer.shutdown().await
    };
    let mut read = Vec::new();
    let (written, heard) = soon(async { tokio::join!(write, reader.read_to_end(&mut read)) }).await;
    written.and(heard).unwrap();
    read
}

/// Both ways at once.
async fn exchange(ends: &mut Ends, bytes: usize) {
    let (up, down) = (content(bytes), content(bytes / 2));
    let (heard_down, heard_up) = tokio::join!(send_all(&mut ends.client, &up), send_all(&mut ends.server, &down));
    assert!(heard_up == up && heard_down == down, "not what was sent");
}

#[tokio::test]
async fn clean_passes_everything_and_the_end() {
    let mut ends = Ends::new("clean").await;
    exchange(&mut ends, 4 << 20).await;
    let stats = ends.end().await;
    assert_eq!((stats.up.received_bytes, stats.up.delivered_bytes), (4 << 20, 4 << 20));
    assert_eq!((stats.down.delivered_bytes, stats.up.stalled, stats.resets, stats.clients), (2 << 20, 0, 0, 1));
}

#[tokio::test]
async fn one_side_may_end_first() {
    let Ends { mut client, mut server, proxy } = Ends::new("delay=5ms").await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    soon(server.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"question");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    heard.clear();
    soon(client.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"answer");
    assert_eq!(soon(proxy.shutdown()).await.resets, 0);
}

/// Goal: whatever a profile holds, a stream is what was sent; loss makes it late.
#[tokio::test]
async fn a_stream_loses_nothing() {
    let profile = "delay=1ms,jitter=2ms,loss=5%,burst=1%/50%/100%,corrupt=1%,duplicate=20%,reorder=20%/20ms,drop=2-7";
    let mut ends = Ends::new(profile).await;
    let start = Instant::now();
    exchange(&mut ends, 200_000).await;
    assert!(start.elapsed() >= Duration::from_millis(200));
    let stats = ends.end().await;
    assert!(stats.up.stalled > 0, "{stats}");
    assert_eq!((stats.up.dropped.total(), stats.up.duplicated, stats.up.corrupted, stats.up.reordered), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_rate_is_kept() {
    let mut ends = Ends::new("rate=10Mbit,queue=5").await;
    let start = Instant::now();
    exchange(&mut ends, 125_000).await;
    // A tenth of a second; TCP is not dropped at a full queue.
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(ends.end().await.up.dropped.total(), 0);
}

#[tokio::test]
async fn a_rebinding_resets_both_sides() {
    let Ends { mut client, mut server, proxy } = Ends::new("clean").await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
    proxy.rebind(Rebinding::Port);
    for side in [&mut client, &mut server] {
        let error = soon(side.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let stats = soon(proxy.shutdown()).await;
    assert_eq!((stats.resets, stats.rebinds), (1, 0));
}

#[tokio::test]
async fn a_profile_resets_old_connections() {
    let Ends { mut client, server: _server, proxy } = Ends::new("rebind=port/1h/20ms").await;
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(soon(proxy.shutdown()).await.resets, 1);
}

#[tokio::test]
async fn a_reset_is_passed_on() {
    let Ends { client, mut server, proxy } = Ends::new("clean").await;
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let error = soon(server.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    soon(proxy.shutdown()).await;
}

#[tokio::test]
async fn a_blackout_holds_everything_and_then_all_comes() {
    let mut ends = Ends::new("clean").await;
    ends.proxy.cut(Cut::Both);
    ends.client.write_all(&content(5_000)).await.unwrap();
    until(&ends.proxy, |stats| stats.up.received_bytes == 5_000).await;
    assert_eq!(ends.proxy.stats().up.delivered, 0);
    ends.proxy.cut(Cut::Neither);
    let mut heard = vec![0; 5_000];
    soon(ends.server.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, content(5_000));
    // Those of a profile end by themselves.
    ends.proxy.set_profile("blackout=10ms/30ms".parse().unwrap());
    exchange(&mut ends, 100_000).await;
    ends.end().await;
}

#[tokio::test]
async fn what_does_not_move_is_not_piled_up() {
    let Ends { mut client, mut server, proxy } = Ends::new("clean").await;
    proxy.cut(Cut::Up);
    let sent = content(32 << 20);
    let bytes = sent.len() as u64;
    let sender = tokio::spawn(async move { send_all(&mut client, &sent).await });
    until(&proxy, |stats| stats.up.received_bytes >= limits::STREAM_BYTES_MAX as u64).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let inside = proxy.stats().up.received_bytes as usize;
    assert!(inside < limits::STREAM_BYTES_MAX + limits::READ_BYTES_MAX, "{inside}");
    proxy.cut(Cut::Neither);
    assert_eq!(send_all(&mut server, &[]).await.len() as u64, bytes);
    sender.await.unwrap();
    assert_eq!(soon(proxy.shutdown()).await.up.delivered_bytes, bytes);
}

#[tokio::test]
async fn a_server_that_is_away_is_a_reset() {
    let listen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listen.local_addr().unwrap();
    drop(listen);
    let proxy = Proxy::tcp(address, "clean".parse().unwrap(), 42).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    until(&proxy, |stats| stats.clients_open == 0).await;
    assert_eq!(soon(proxy.shutdown()).await.resets, 1);
}
