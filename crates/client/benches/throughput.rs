//! How many records per second does one core of a client take in, and how many publishes per second does it get out?
//!
//! Client and server have one thread each, so on two cores neither waits for the other's work. The server does as
//! little as it can: it sends records that were encoded before, within the credit, and answers publishes by counting
//! frames. Setting up and connecting is outside the clock; a run is over when the last record or answer has arrived.
//!
//! `cargo bench -p loquic-client --bench throughput [-- replay | publish]`

use std::{
    net::Ipv4Addr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic_client::{Client, Event, From, Message, SessionId};
use loquic_wire::{
    Decoder, Epoch, Flags, Format, Frame, Kind, Offset, Principal, ProducerTag, Record, TenantName, Time, UserName,
    control::{Pong, SessionLimits, Welcome},
    frame,
    join::{CaughtUp, Joined},
    position::Millis,
    publish::{AckRun, Opened},
};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::PrivateKeyDer;

const PAYLOAD: usize = 128;

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let url = serve();
    for credit in [384 << 10, 512 << 10, 1 << 20, 4 << 20].into_iter().filter(|_| wanted("replay")) {
        for batched in [false, true] {
            measure(
                &format!("replay credit={}KiB {}", credit >> 10, if batched { "next_batch" } else { "next" }),
                || replay(url.clone(), credit, batched),
            );
        }
    }
    for (rooms, batch) in [(1, 1), (8, 1), (64, 1), (1, 256), (8, 256)].into_iter().filter(|_| wanted("publish")) {
        measure(&format!("publish rooms={rooms} batch={batch}"), || publish(url.clone(), rooms, batch));
    }
}

/// The best of three: the machine is shared.
fn measure(what: &str, run: impl Fn() -> (u64, Duration, Duration)) {
    let best = (0..3).map(|_| run()).max_by_key(|(count, wall, _)| (*count as f64 / wall.as_secs_f64()) as u64);
    let Some((count, wall, cpu)) = best else { return };
    let rate = count as f64 / wall.as_secs_f64();
    let each = cpu.as_nanos() as f64 / count as f64;
    println!(
        "{what:<40} {rate:>12.0} /s   client CPU {each:>6.0} ns each, {:>4.0} %",
        100.0 * cpu.as_secs_f64() / wall.as_secs_f64()
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Time on a processor of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

const RECORDS: u64 = 1_000_000;

fn replay(url: String, credit: u64, batched: bool) -> (u64, Duration, Duration) {
    runtime().block_on(async {
        let client = connect(url).await;
        let (start, start_cpu) = (Instant::now(), cpu());
        let mut room = client.room("replay").from(From::Oldest).credit(credit).open().await.expect("joined");
        let (mut count, mut bytes) = (0, 0);
        'all: while let Some(event) = room.next().await {
            count_event(&event.expect("no error"), &mut count, &mut bytes);
            while batched && count < RECORDS {
                for event in room.next_batch().await.expect("more").expect("no error") {
                    count_event(&event, &mut count, &mut bytes);
                }
            }
            if count == RECORDS {
                break 'all;
            }
        }
        let taken = (count, start.elapsed(), cpu() - start_cpu);
        assert_eq!(bytes, RECORDS as usize * PAYLOAD);
        client.close().await;
        taken
    })
}

fn count_event(event: &Event, count: &mut u64, bytes: &mut usize) {
    if let Event::Record(record) = event {
        *count += 1;
        *bytes += record.payload.len();
    }
}

const PUBLISHES: u64 = 1_000_000;

/// Publishes without an answer that one publisher keeps.
const WINDOW: usize = 1024;

fn publish(url: String, rooms: u64, batch: usize) -> (u64, Duration, Duration) {
    runtime().block_on(async {
        let client = connect(url).await;
        let payload = Bytes::from(vec![b'x'; PAYLOAD]);
        let (start, start_cpu) = (Instant::now(), cpu());
        let tasks: Vec<_> = (0..rooms)
            .map(|room| {
                let publisher = client.publisher(format!("publish{room}")).expect("a name");
                let payload = payload.clone();
                let count = PUBLISHES / rooms;
                tokio::spawn(async move {
                    if batch == 1 {
                        singly(&publisher, payload, count).await
                    } else {
                        in_batches(&publisher, payload, count, batch).await
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        let taken = (PUBLISHES, start.elapsed(), cpu() - start_cpu);
        client.close().await;
        taken
    })
}

async fn singly(publisher: &loquic_client::Publisher, payload: Bytes, count: u64) {
    let mut pending = std::collections::VecDeque::new();
    for _ in 0..count {
        if pending.len() == WINDOW {
            let first: Option<loquic_client::Pending> = pending.pop_front();
            first.expect("one").await.expect("acknowledged");
        }
        pending.push_back(publisher.enqueue(payload.clone()).await.expect("taken"));
    }
    for pending in pending {
        pending.await.expect("acknowledged");
    }
}

async fn in_batches(publisher: &loquic_client::Publisher, payload: Bytes, count: u64, batch: usize) {
    let mut pending = std::collections::VecDeque::new();
    for _ in 0..count / batch as u64 {
        if pending.len() == WINDOW / batch {
            let first: Option<loquic_client::PendingBatch> = pending.pop_front();
            first.expect("one").await.into_iter().for_each(|ack| drop(ack.expect("acknowledged")));
        }
        let messages = (0..batch).map(|_| Message::from(payload.clone())).collect();
        pending.push_back(publisher.enqueue_batch(messages).await.expect("taken"));
    }
    for pending in pending {
        pending.await.into_iter().for_each(|ack| drop(ack.expect("acknowledged")));
    }
}

async fn connect(url: String) -> Client {
    Client::builder(url).danger_accept_any_certificate(true).connect().await.expect("a session")
}

/// Starts the server on a thread of its own and says where it is.
fn serve() -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
            let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut tls = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])
                .expect("TLS 1.3")
                .with_no_client_auth()
                .with_single_cert(vec![certified.cert.der().clone()], key)
                .expect("a key that fits");
            tls.alpn_protocols = vec![loquic_wire::ALPN.into()];
            let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3");
            let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
            let mut transport = quinn::TransportConfig::default();
            transport.send_window(1 << 20);
            config.transport_config(Arc::new(transport));
            let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
            let port = endpoint.local_addr().expect("an address").port();
            let chunks = Arc::new(encoded());
            send.send(format!("https://127.0.0.1:{port}")).expect("somebody waits");
            while let Some(incoming) = endpoint.accept().await {
                let chunks = Arc::clone(&chunks);
                tokio::spawn(async move {
                    let connection = incoming.await.expect("a handshake");
                    while let Ok((send, recv)) = connection.accept_bi().await {
                        tokio::spawn(stream(send, recv, Arc::clone(&chunks)));
                    }
                });
            }
        });
    });
    receive.recv().expect("the server starts")
}

/// All records, in pieces of about 32 KiB.
fn encoded() -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut out = Vec::new();
    for offset in 1..=RECORDS {
        let record = Record {
            offset: Offset::saturating(offset),
            time: Time::saturating(1_795_361_689_123),
            kind: Kind::MESSAGE,
            format: Format::Bytes,
            flags: Flags::NONE,
            sender: UserName::new(&format!("user{}", offset % 8)).expect("a name"),
            producer: ProducerTag([1; 4]),
            id: offset,
            refers: None,
            payload: Bytes::from_static(&[b'x'; PAYLOAD]),
        };
        record.put_frame(&mut out);
        if out.len() > 32 << 10 {
            chunks.push(std::mem::take(&mut out).into());
        }
    }
    chunks.push(out.into());
    chunks
}

async fn stream(mut send: quinn::SendStream, mut recv: quinn::RecvStream, chunks: Arc<Vec<Bytes>>) {
    let mut decoder = Decoder::new();
    let mut credit = 0;
    while let Some(frame) = next(&mut recv, &mut decoder).await {
        let answer: Frame = match frame {
            Frame::Hello(_) => welcome().into(),
            Frame::Ping(ping) => Pong { token: ping.token, server_time: Time::ZERO }.into(),
            Frame::Open(_) => {
                send.write_all(&Frame::from(Opened { last_id: 0, in_flight_max: 4096 }).to_bytes())
                    .await
                    .expect("open");
                return answer_publishes(send, recv).await;
            }
            Frame::Join(join) => {
                credit += join.credit;
                let (epoch, head) = (Epoch::saturating(7), Offset::saturating(RECORDS));
                let joined = Joined { handle: 1, epoch, head, floor: Offset::FIRST };
                send.write_all(&Frame::from(joined).to_bytes()).await.expect("open");
                for chunk in chunks.iter() {
                    while credit < chunk.len() as u64 {
                        let Some(Frame::Credit(grant)) = next(&mut recv, &mut decoder).await else { return };
                        credit += grant.bytes;
                    }
                    credit -= chunk.len() as u64;
                    if send.write_chunk(chunk.clone()).await.is_err() {
                        return;
                    }
                }
                CaughtUp { head }.into()
            }
            _ => continue,
        };
        if send.write_all(&answer.to_bytes()).await.is_err() {
            return;
        }
    }
}

async fn next(recv: &mut quinn::RecvStream, decoder: &mut Decoder) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next_frame().expect("frames") {
            return Some(frame);
        }
        let chunk = recv.read_chunk(65536, true).await.ok()??;
        decoder.push(&chunk.bytes).expect("frames");
    }
}

/// Counts frames and answers each piece with one run.
async fn answer_publishes(mut send: quinn::SendStream, mut recv: quinn::RecvStream) {
    let mut chunks = [const { Bytes::new() }; 32];
    let mut buffer = Vec::new();
    let mut next_id = 1;
    while let Ok(Some(count)) = recv.read_chunks(&mut chunks).await {
        chunks[..count].iter().for_each(|chunk| buffer.extend_from_slice(chunk));
        let (mut at, mut publishes) = (0, 0);
        while let Some((header, body)) = frame::header(&buffer[at..]).expect("a header") {
            if buffer.len() - at < header + body {
                break;
            }
            at += header + body;
            publishes += 1;
        }
        buffer.drain(..at);
        if publishes == 0 {
            continue;
        }
        let first_offset = Offset::saturating(next_id);
        let run =
            AckRun { epoch: Epoch::saturating(7), first_id: next_id, count: publishes, first_offset, time: Time::ZERO };
        next_id += u64::from(publishes);
        if send.write_all(&Frame::from(run).to_bytes()).await.is_err() {
            return;
        }
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        session: SessionId([1; 16]),
        node: "bench".into(),
        principal: Principal { tenant: TenantName::main(), user: UserName::new("ada").expect("a name") },
        limits: SessionLimits { rooms_max: 32, reads_max: 4, publish_max: 64, payload_bytes_max: 64 * 1024 },
        ping_interval: Millis(10_000),
        expires_at: None,
        server_time: Time::ZERO,
        nodes: Vec::new(),
    }
}
