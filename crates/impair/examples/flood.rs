//! How many datagrams a second a proxy passes on: `cargo run --release -p loquic-impair --example flood -- clean`.
//!
//! Sender, proxy and receiver share the machine, so this is the least that the proxy can do.

use std::{
    error::Error,
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use loquic_impair::Proxy;

const PACKET: [u8; 1_200] = [7; 1_200];
const SECONDS: u64 = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let profile = words.next().unwrap_or_default();
    let per_second: u32 = words.next().map_or(Ok(100_000), |word| word.parse())?;
    let server = UdpSocket::bind("127.0.0.1:0")?;
    socket2::SockRef::from(&server).set_recv_buffer_size(4 << 20)?;
    server.set_read_timeout(Some(Duration::from_secs(1)))?;
    let profile = if profile.is_empty() { "clean".to_owned() } else { profile };
    let proxy = Proxy::udp(server.local_addr()?, profile.parse()?, 1).await?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(proxy.address())?;
    let counter = thread::spawn(move || {
        let mut buffer = [0; 2_048];
        let mut packets = 0_u64;
        while server.recv(&mut buffer).is_ok() {
            packets += 1;
        }
        packets
    });
    let sender = thread::spawn(move || {
        let start = Instant::now();
        let mut sent = 0_u64;
        while start.elapsed() < Duration::from_secs(SECONDS) {
            let due = start.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
            match u128::from(sent) < due {
                true => sent += u64::from(client.send(&PACKET).is_ok()),
                false => thread::sleep(Duration::from_micros(200)),
            }
        }
        sent
    });
    let (sent, came) = tokio::task::spawn_blocking(|| (sender.join(), counter.join())).await?;
    let (sent, came) = (sent.map_err(|_| "the sender failed")?, came.map_err(|_| "the receiver failed")?);
    println!("{profile}: {} sent and {} came per second", sent / SECONDS, came / SECONDS);
    println!("{}", proxy.shutdown().await);
    Ok(())
}
