//! How many publishes a second does a node acknowledge at level `disk` over raw QUIC, and how long does one alone wait?
//!
//! Rate: 128-byte payloads into a `loquic serve --dev` of its own process, from `loquic-client`'s batch path, and from
//! a client that only writes prepared bytes, which shows what the server can do. Swept: sessions and rooms; each
//! session publishes into each room on a stream of its own. CPU is given per publish on both sides, since they share
//! the machine.
//!
//! Lone publish: one at a time, in turns with a round trip of a bare quinn echo server (also a process of its own) and
//! with one append + fdatasync on a plain file.
//!
//! Targets: at least 300,000 acknowledged publishes/s; ack p99 ≤ fdatasync p99 + 2 × echo p99.
//! `--quick` sweeps less and for a shorter time; `rate` or `lone` runs that part alone.

mod echo;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic_client::{Client, Message};
use loquic_wire::{Decoder, Frame};
use quinn::Endpoint;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    echo::Echo,
    support::{
        figures::{Table, Times, has_flag, is_quick, verdict},
        process::{Node, Server, own_cpu},
        wire::{Session, endpoints, put_publish},
    },
};

const PAYLOAD_BYTES: usize = 128;
/// Of one publish stream.
const IN_FLIGHT: u32 = 4_096;
/// Publishes that a client hands over together.
const BATCH: usize = 256;

fn main() {
    if has_flag(echo::FLAG) {
        return echo::serve();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
    let quick = is_quick();
    let (span, rounds) = if quick { (Duration::from_secs(1), 1) } else { (Duration::from_secs(3), 3) };
    let shapes: &[(usize, usize)] = if quick { &[(4, 4)] } else { &[(1, 1), (4, 4), (16, 4)] };
    let mut rates = Vec::new();
    if !has_flag("lone") {
        for shape in shapes {
            // In turns, so that what else runs on the machine meets both.
            let mut runs = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                runs[0].push(runtime.block_on(rate::<Raw>(*shape, span)));
                runs[1].push(runtime.block_on(rate::<Native>(*shape, span)));
            }
            let names = ["raw", "loquic-client"];
            rates.extend(names.into_iter().zip(runs).map(|(client, runs)| Row::new(client, *shape, runs)));
        }
    }
    let lone = (!has_flag("rate")).then(|| runtime.block_on(lone(if quick { 200 } else { 3_000 })));
    report(&rates);
    lone.into_iter().for_each(report_lone);
}

/// One run's figures.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    server_us: f64,
    client_us: f64,
}

/// One setting's figures: the fastest run, and the rate of the one in the middle.
struct Row {
    client: &'static str,
    sessions: usize,
    rooms: usize,
    best: Rate,
    median: f64,
}

impl Row {
    fn new(client: &'static str, (sessions, rooms): (usize, usize), mut runs: Vec<Rate>) -> Self {
        runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        let median = runs[runs.len() / 2].per_second;
        Self { client, sessions, rooms, best: *runs.last().expect("at least one run"), median }
    }
}

/// A kind of client.
trait Publishing: Sized + Send + 'static {
    async fn connect(server: &Server, index: usize) -> Self;

    /// Starts publishing into a room for as long as the tasks live; answers are counted.
    async fn start(&self, room: String, acked: Arc<AtomicU64>, tasks: &mut JoinSet<()>);
}

async fn rate<P: Publishing>((sessions, rooms): (usize, usize), span: Duration) -> Rate {
    let server = Server::start(&Node::default());
    let (acked, mut tasks, mut clients) = (Arc::new(AtomicU64::new(0)), JoinSet::new(), Vec::new());
    for index in 0..sessions {
        let client = P::connect(&server, index).await;
        for room in 0..rooms {
            client.start(format!("bench:{room}"), acked.clone(), &mut tasks).await;
        }
        clients.push(client);
    }
    tokio::time::sleep(span / 4).await;
    let (from, cpu, own, at) = (acked.load(Ordering::Relaxed), server.process.cpu(), own_cpu(), Instant::now());
    tokio::time::sleep(span).await;
    let (took, count) = (at.elapsed().as_secs_f64(), (acked.load(Ordering::Relaxed) - from) as f64);
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count;
    let (server_us, client_us) = (each(server.process.cpu() - cpu), each(own_cpu() - own));
    tasks.shutdown().await;
    Rate { per_second: count / took, server_us, client_us }
}

/// Prepared bytes over a stream of its own.
struct Raw {
    session: Session,
    index: usize,
    _endpoint: Endpoint,
}

impl Publishing for Raw {
    async fn connect(server: &Server, index: usize) -> Self {
        let endpoint = endpoints(1, b"loquic-1").remove(0);
        let session = Session::open(&endpoint, server.address, &format!("user-{index}")).await;
        Self { session, index, _endpoint: endpoint }
    }

    async fn start(&self, room: String, acked: Arc<AtomicU64>, tasks: &mut JoinSet<()>) {
        let (stream, _) = self.session.publisher(&room, self.index as u64).await;
        let (mut send, mut recv, _) = stream.into_halves();
        let space = Arc::new(Semaphore::new(IN_FLIGHT as usize));
        let freed = space.clone();
        tasks.spawn(async move {
            let mut decoder = Decoder::new();
            while let Some(chunk) = recv.read_chunk(64 << 10, true).await.expect("the stream goes on") {
                decoder.push(&chunk.bytes).expect("frames");
                let mut count = 0;
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    count += answered(&frame);
                }
                acked.fetch_add(count.into(), Ordering::Relaxed);
                freed.add_permits(count as usize);
            }
        });
        tasks.spawn(async move {
            let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
            let mut ids = 1..;
            loop {
                space.acquire_many(BATCH as u32).await.expect("it stays open").forget();
                let mut out = Vec::with_capacity(BATCH * (PAYLOAD_BYTES + 16));
                ids.by_ref().take(BATCH).for_each(|id| put_publish(&mut out, id, payload.clone()));
                send.write_chunk(out.into()).await.expect("the stream takes publishes");
            }
        });
    }
}

fn answered(frame: &Frame) -> u32 {
    match frame {
        Frame::Ack(_) => 1,
        Frame::AckRun(run) => run.count,
        other => panic!("in place of an ack came {other:?}"),
    }
}

/// `loquic-client`, batch after batch.
struct Native(Client);

impl Publishing for Native {
    async fn connect(server: &Server, index: usize) -> Self {
        let builder = Client::builder(format!("https://{}", server.address)).name(format!("user-{index}"));
        Self(builder.danger_accept_any_certificate(true).connect().await.expect("the node is there"))
    }

    async fn start(&self, room: String, acked: Arc<AtomicU64>, tasks: &mut JoinSet<()>) {
        let publisher = self.0.publisher(&room).expect("a name");
        let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
        tasks.spawn(async move {
            let mut waiting = std::collections::VecDeque::new();
            loop {
                while waiting.len() < IN_FLIGHT as usize / BATCH {
                    let batch = (0..BATCH).map(|_| Message::new(payload.clone())).collect();
                    waiting.push_back(publisher.enqueue_batch(batch).await.expect("the outbox takes it"));
                }
                let Some(batch) = waiting.pop_front() else { continue };
                let acks = batch.await;
                assert!(acks.iter().all(Result::is_ok), "a publish failed");
                acked.fetch_add(acks.len() as u64, Ordering::Relaxed);
            }
        });
    }
}

/// The times of a lone publish and of what it is held against.
#[derive(Default)]
struct Lone {
    client: Times,
    raw: Times,
    echo: Times,
    sync: Times,
}

async fn lone(count: u64) -> Lone {
    let (server, echo) = (Server::start(&Node::default()), Echo::start());
    let Native(client) = Native::connect(&server, 0).await;
    let publisher = client.publisher("bench:lone").expect("a name");
    let raw = Raw::connect(&server, 1).await;
    let (mut stream, _) = raw.session.publisher("bench:lone", 1).await;
    let endpoint = endpoints(1, echo::ALPN).remove(0);
    let connection = endpoint.connect(echo.address, "localhost").expect("an address").await.expect("a connection");
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    let mut file = File::create(server.directory.path().join("plain")).expect("a file can be made");
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let (mut lone, mut frame) = (Lone::default(), Vec::new());
    for id in 1..=count {
        let at = Instant::now();
        publisher.publish(Message::new(payload.clone())).await.expect("the publish gets through");
        lone.client.add(at.elapsed());

        frame.clear();
        put_publish(&mut frame, id, payload.clone());
        let at = Instant::now();
        send.write_all(&frame).await.expect("the echo takes it");
        let mut back = 0;
        while back < frame.len() {
            back += recv.read_chunk(usize::MAX, true).await.expect("the echo answers").expect("it goes on").bytes.len();
        }
        lone.echo.add(at.elapsed());

        let at = Instant::now();
        stream.send.write_all(&frame).await.expect("the stream takes it");
        assert_eq!(stream.frame().await.as_ref().map(answered), Some(1));
        lone.raw.add(at.elapsed());

        let at = Instant::now();
        file.write_all(&frame).expect("the file takes bytes");
        file.sync_data().expect("the file syncs");
        lone.sync.add(at.elapsed());
    }
    lone
}

fn report(rows: &[Row]) {
    let columns =
        ["publish, client", "sessions", "rooms", "acked/s", "median", "server µs/publish", "client µs/publish", ""];
    let mut table = Table::new("publish", &columns);
    for Row { client, sessions, rooms, best, median } in rows {
        let cells = vec![
            (*client).into(),
            sessions.to_string(),
            rooms.to_string(),
            format!("{:.0}", best.per_second),
            format!("{median:.0}"),
            format!("{:.2}", best.server_us),
            format!("{:.2}", best.client_us),
            verdict(best.per_second >= 300_000.0),
        ];
        let line = serde_json::json!({
            "client": client, "sessions": sessions, "rooms": rooms, "acked_per_s": best.per_second.round(),
            "acked_per_s_median": median.round(), "server_us": best.server_us, "client_us": best.client_us,
        });
        table.row(cells, line);
    }
    table.print();
}

fn report_lone(mut lone: Lone) {
    let columns =
        ["lone publish", "client ack µs", "raw ack µs", "echo µs", "fdatasync µs", "sync + 2 echo µs", "ratio", ""];
    let mut table = Table::new("publish, lone", &columns);
    for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let of = |times: &mut Times| times.percentile(part);
        let (client, raw, echo, sync) =
            (of(&mut lone.client), of(&mut lone.raw), of(&mut lone.echo), of(&mut lone.sync));
        let bound = sync + 2.0 * echo;
        let mut cells = vec![name.to_owned()];
        cells.extend([client, raw, echo, sync, bound].map(|micros| format!("{micros:.0}")));
        // The target is about p99; the others say what it is made of.
        let met = if part == 0.99 { verdict(client <= bound) } else { String::new() };
        cells.extend([format!("{:.2}", client / bound), met]);
        let line = serde_json::json!({
            "part": name, "client_us": client, "raw_us": raw, "echo_us": echo, "sync_us": sync, "bound_us": bound,
            "ratio": client / bound,
        });
        table.row(cells, line);
    }
    table.print();
}
