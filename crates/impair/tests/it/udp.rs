//! Datagrams through a proxy on real sockets.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use loquic_impair::{Cut, Direction, Fate, Lane, Profile, Proxy, Rebinding, Stats};
use tokio::{net::UdpSocket, time::Instant};

use crate::{soon, until};

const SEED: u64 = 42;

struct Ends {
    client: UdpSocket,
    server: UdpSocket,
    proxy: Proxy,
}

impl Ends {
    async fn new(profile: &str) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::udp(server.local_addr().unwrap(), profile.parse().unwrap(), SEED).await.unwrap();
        let client = client(&proxy).await;
        Self { client, server, proxy }
    }

    async fn send(&self, number: u32) {
        self.client.send(&content(number)).await.unwrap();
    }

    /// The number of what comes to the server, and from where.
    async fn heard(&self) -> (u32, SocketAddr) {
        let mut buffer = [0; 2_048];
        let (bytes, from) = soon(self.server.recv_from(&mut buffer)).await.unwrap();
        (number(&buffer[..bytes]), from)
    }

    async fn answered(&self) -> u32 {
        let mut buffer = [0; 2_048];
        let bytes = soon(self.client.recv(&mut buffer)).await.unwrap();
        number(&buffer[..bytes])
    }

    /// There and back again; the address that the server saw.
    async fn echo(&self, number: u32) -> SocketAddr {
        self.send(number).await;
        let (heard, from) = self.heard().await;
        assert_eq!(heard, number);
        self.server.send_to(&content(number), from).await.unwrap();
        assert_eq!(self.answered().await, number);
        from
    }

    async fn end(self) -> Stats {
        let stats = soon(self.proxy.shutdown()).await;
        assert_eq!((stats.up.waiting(), stats.down.waiting(), stats.clients_open), (0, 0, 0), "{stats}");
        stats
    }
}

async fn client(proxy: &Proxy) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(proxy.address()).await.unwrap();
    client
}

/// Of a length and with bytes that belong to its number.
fn content(number: u32) -> Vec<u8> {
    let mut content = number.to_be_bytes().to_vec();
    content.extend((0..number % 1_400).map(|at| (at ^ number) as u8));
    content
}

fn number(bytes: &[u8]) -> u32 {
    let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, content(number), "not what was sent");
    number
}

#[tokio::test]
async fn clean_passes_everything_as_it_is() {
    let ends = Ends::new("clean").await;
    let mut bytes = 0;
    for number in 0..500 {
        ends.echo(number * 7).await;
        bytes += content(number * 7).len() as u64;
    }
    ends.client.send(&[]).await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(soon(ends.server.recv(&mut buffer)).await.unwrap(), 0);
    let stats = ends.end().await;
    for counters in [stats.up, stats.down] {
        assert_eq!((counters.received_bytes, counters.delivered_bytes), (bytes, bytes));
        assert_eq!((counters.dropped.total(), counters.duplicated, counters.delayed), (0, 0, 0));
    }
    assert_eq!((stats.up.delivered, stats.down.delivered, stats.clients, stats.rebinds), (501, 500, 1, 0));
}

#[tokio::test]
async fn clients_get_their_own_answers() {
    let ends = Ends::new("clean").await;
    let other = client(&ends.proxy).await;
    ends.send(1).await;
    let (_, one) = ends.heard().await;
    other.send(&content(2)).await.unwrap();
    let (_, two) = ends.heard().await;
    assert_ne!(one, two);
    ends.server.send_to(&content(22), two).await.unwrap();
    ends.server.send_to(&content(11), one).await.unwrap();
    assert_eq!(ends.answered().await, 11);
    let mut buffer = [0; 64];
    let bytes = soon(other.recv(&mut buffer)).await.unwrap();
    assert_eq!(number(&buffer[..bytes]), 22);
    assert_eq!(ends.end().await.clients, 2);
}

/// Goal: what happens on sockets is what the lane decides: whoever knows the seed knows which packets are lost.
#[tokio::test]
async fn sockets_do_what_the_lane_decides() {
    let profile: Profile = "up.loss=20%,up.duplicate=10%".parse().unwrap();
    let mut lane = Lane::new(SEED, 0, Direction::Up, profile.up.clone(), Duration::ZERO);
    let ends = Ends::new(&profile.to_string()).await;
    let mut delivered = 0;
    for number in 0..300 {
        ends.send(number).await;
        if let Fate::Delivered(how) = lane.handle_packet(Duration::ZERO, content(number).len()) {
            for _ in 0..1 + u64::from(how.copy_at.is_some()) {
                delivered += 1;
                assert_eq!(ends.heard().await.0, number);
            }
        }
    }
    until(&ends.proxy, |stats| stats.up.received == 300 && stats.up.waiting() == 0).await;
    let stats = ends.end().await;
    assert!(stats.up.dropped.loss > 20 && stats.up.duplicated > 5, "{stats}");
    assert_eq!(stats.up.delivered, delivered);
}

#[tokio::test]
async fn duplicates_come_twice() {
    let ends = Ends::new("down.duplicate=100%").await;
    ends.send(1).await;
    let (_, from) = ends.heard().await;
    ends.server.send_to(&content(5), from).await.unwrap();
    assert_eq!((ends.answered().await, ends.answered().await), (5, 5));
    let stats = ends.end().await;
    assert_eq!((stats.down.received, stats.down.duplicated, stats.down.delivered), (1, 1, 2));
    assert_eq!((stats.up.duplicated, stats.down.reordered), (0, 0));
}

#[tokio::test]
async fn a_late_copy_is_not_reordering() {
    let ends = Ends::new("up.duplicate=100%,up.jitter=20ms").await;
    for number in 0..50 {
        ends.send(number).await;
    }
    let mut heard = Vec::new();
    for _ in 0..100 {
        heard.push(ends.heard().await.0);
    }
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert!(heard.into_iter().eq((0..50).flat_map(|number| [number; 2])));
    let stats = ends.end().await;
    assert_eq!((stats.up.duplicated, stats.up.reordered), (50, 0));
}

#[tokio::test]
async fn a_rebinding_is_seen_as_a_new_address() {
    let ends = Ends::new("clean").await;
    let first = ends.echo(1).await;
    ends.proxy.rebind(Rebinding::Port);
    let second = ends.echo(2).await;
    assert_eq!(second.ip(), first.ip());
    assert_ne!(second.port(), first.port());
    ends.proxy.rebind(Rebinding::Address);
    let third = ends.echo(3).await;
    assert_ne!(third.ip(), second.ip());
    assert!(third.ip().is_loopback());
    // A port alone does not take the address back.
    ends.proxy.rebind(Rebinding::Port);
    let fourth = ends.echo(4).await;
    assert_eq!(fourth.ip(), third.ip());
    // What goes to an old address is lost, as behind a NAT that forgot it.
    ends.server.send_to(&content(9), first).await.unwrap();
    ends.echo(5).await;
    let stats = ends.end().await;
    assert_eq!((stats.rebinds, stats.clients, stats.socket_errors), (3, 1, 0));
}

#[tokio::test]
async fn a_profile_rebinds_again_and_again() {
    let ends = Ends::new("rebind=address/10ms/10ms").await;
    let mut seen = BTreeSet::new();
    let wait = async {
        let mut number = 0;
        while seen.len() < 4 {
            number += 1;
            ends.send(number).await;
            seen.insert(ends.heard().await.1.ip());
        }
    };
    soon(wait).await;
    assert!(ends.end().await.rebinds >= 3);
}

#[tokio::test]
async fn a_blackout_drops_all_and_then_it_goes_on() {
    let ends = Ends::new("clean").await;
    let from = ends.echo(1).await;
    ends.proxy.cut(Cut::Both);
    for number in 10..20 {
        ends.send(number).await;
        ends.server.send_to(&content(number), from).await.unwrap();
    }
    until(&ends.proxy, |stats| stats.up.dropped.blackout == 10 && stats.down.dropped.blackout == 10).await;
    ends.proxy.cut(Cut::Neither);
    ends.echo(2).await;
    // One way alone.
    ends.proxy.cut(Cut::Down);
    ends.send(3).await;
    assert_eq!(ends.heard().await.0, 3);
    ends.server.send_to(&content(4), from).await.unwrap();
    until(&ends.proxy, |stats| stats.down.dropped.blackout == 11).await;
    ends.proxy.cut(Cut::Neither);
    assert_eq!(ends.echo(5).await, from);
    let stats = ends.end().await;
    assert_eq!((stats.up.dropped.total(), stats.down.dropped.total()), (10, 11));
}

#[tokio::test]
async fn delay_delays() {
    let ends = Ends::new("delay=30ms").await;
    let start = Instant::now();
    for number in 0..20 {
        ends.send(number).await;
    }
    for number in 0..20 {
        assert_eq!(ends.heard().await.0, number);
    }
    assert!(start.elapsed() >= Duration::from_millis(30));
    let stats = ends.end().await;
    assert_eq!((stats.up.delayed, stats.up.reordered), (20, 0));
}

#[tokio::test]
async fn reordered_packets_all_come() {
    let ends = Ends::new("reorder=30%/50ms").await;
    for number in 0..100 {
        ends.send(number).await;
    }
    let mut heard = Vec::new();
    for _ in 0..100 {
        heard.push(ends.heard().await.0);
    }
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..100));
    assert!(ends.end().await.up.reordered > 0);
}

#[tokio::test]
async fn corruption_is_one_bit() {
    let ends = Ends::new("up.corrupt=100%").await;
    let content = content(500);
    ends.client.send(&content).await.unwrap();
    let mut buffer = [0; 2_048];
    let bytes = soon(ends.server.recv(&mut buffer)).await.unwrap();
    assert_eq!(bytes, content.len());
    let wrong: u32 = buffer[..bytes].iter().zip(&content).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(wrong, 1);
    assert_eq!(ends.end().await.up.corrupted, 1);
}

#[tokio::test]
async fn a_full_queue_drops() {
    let ends = Ends::new("up.rate=1kbit,up.queue=3").await;
    for number in 1_000..1_010 {
        ends.send(number).await;
    }
    // One is on the line for eight seconds, three wait.
    until(&ends.proxy, |stats| stats.up.dropped.queue == 6).await;
    let stats = ends.end().await;
    assert_eq!((stats.up.received, stats.up.dropped.ended, stats.up.delivered), (10, 4, 0));
}

#[tokio::test]
async fn a_profile_is_replaced_while_it_runs() {
    let ends = Ends::new("loss=100%").await;
    ends.send(1).await;
    until(&ends.proxy, |stats| stats.up.dropped.loss == 1).await;
    ends.proxy.set_profile(Profile::CLEAN);
    ends.echo(2).await;
    ends.proxy.set_profile("down.loss=100%".parse().unwrap());
    ends.send(3).await;
    let (_, from) = ends.heard().await;
    ends.server.send_to(&content(3), from).await.unwrap();
    until(&ends.proxy, |stats| stats.down.dropped.loss == 1).await;
    ends.end().await;
}

#[tokio::test]
async fn a_server_may_go_and_come_back() {
    let mut ends = Ends::new("clean").await;
    let from = ends.echo(1).await;
    let address = ends.server.local_addr().unwrap();
    drop(ends.server);
    for number in 0..20 {
        ends.client.send(&content(number)).await.unwrap();
    }
    until(&ends.proxy, |stats| stats.up.received == 21 && stats.up.waiting() == 0).await;
    ends.server = UdpSocket::bind(address).await.unwrap();
    assert_eq!(ends.echo(2).await, from);
    // That nobody listened is said about an earlier packet each time, and must not cost the next one.
    let stats = ends.end().await;
    assert_eq!((stats.up.delivered, stats.up.dropped.refused), (22, 0), "{stats}");
}

#[tokio::test]
async fn its_port_is_free_again_afterwards() {
    let ends = Ends::new("delay=10s").await;
    ends.send(1).await;
    until(&ends.proxy, |stats| stats.up.received == 1).await;
    let address = ends.proxy.address();
    let stats = ends.end().await;
    assert_eq!(stats.up.dropped.ended, 1);
    UdpSocket::bind(address).await.unwrap();
}

#[tokio::test]
async fn it_says_what_it_did() {
    let ends = Ends::new("up.loss=100%").await;
    ends.send(1).await;
    until(&ends.proxy, |stats| stats.up.dropped.loss == 1).await;
    let stats = ends.end().await;
    assert_eq!(
        stats.to_string(),
        "up:   1 received (5 bytes), 0 delivered (0 bytes), 1 dropped (loss 1)\n\
         down: 0 received (0 bytes), 0 delivered (0 bytes)\n\
         1 clients (0 open)"
    );
    let json = serde_json::to_string(&stats).unwrap();
    assert!(json.contains("\"loss\":1"), "{json}");
    assert_eq!(serde_json::from_str::<Stats>(&json).unwrap(), stats);
}
