//! How fast does one reader replay a room from its oldest record?
//!
//! A node of its own process holds 1,000,000 records of 128 bytes and is restarted before each run, so that everything
//! comes from table files (through the page cache of the system, not RocksDB's) and nothing from a tail. The reader is
//! a client that only cuts frames, which shows what the server can do, or `loquic-client`. CPU is given per record on
//! both sides, since they share the machine.
//!
//! Swept: records per chunk of the log. Publishers that pipeline make chunks of up to 64 KiB; those that wait for each
//! answer make small ones, each with its own key and checksum.
//!
//! Target: at least 1,000,000 records/s. `--quick` replays a tenth, once.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use loquic_client::{Client, Event, From};
use loquic_wire::limits::NUMBER_MAX;

use crate::support::{
    figures::{Table, is_quick, verdict},
    process::{Node, Server, own_cpu},
    wire::{Cutter, RECORD_KIND, Session, endpoints, fill, leave},
};

const PAYLOAD_BYTES: usize = 128;
const ROOM: &str = "bench:catchup";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
    let (scale, rounds) = if is_quick() { (10, 1) } else { (1, 5) };
    let mut rows = Vec::new();
    for (records, per_chunk) in [(1_000_000 / scale, 256), (100_000 / scale, 8)] {
        let mut server = Server::start(&Node::default());
        runtime.block_on(fill(server.address, ROOM, records, per_chunk, PAYLOAD_BYTES));
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            server = server.restart(&Node::default());
            runs[0].push(runtime.block_on(replay(&server, records, Reader::Raw)));
            server = server.restart(&Node::default());
            runs[1].push(runtime.block_on(replay(&server, records, Reader::Native)));
        }
        let names = ["raw", "loquic-client"];
        rows.extend(
            names.into_iter().zip(runs).map(|(name, runs)| (name, records, per_chunk, Run::best_and_median(runs))),
        );
    }
    report(&rows);
}

#[derive(Debug, Clone, Copy)]
struct Run {
    per_second: f64,
    server_us: f64,
    client_us: f64,
    rss: u64,
}

impl Run {
    /// The fastest run, and the rate of the one in the middle.
    fn best_and_median(mut runs: Vec<Self>) -> (Self, f64) {
        runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        (*runs.last().expect("at least one run"), runs[runs.len() / 2].per_second)
    }
}

#[derive(Debug, Clone, Copy)]
enum Reader {
    Raw,
    Native,
}

async fn replay(server: &Server, records: u64, reader: Reader) -> Run {
    let (cpu, own) = (server.process.cpu(), own_cpu());
    let took = match reader {
        Reader::Raw => replay_raw(server, records).await,
        Reader::Native => replay_native(server, records).await,
    };
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / records as f64;
    let (server_us, client_us) = (each(server.process.cpu() - cpu), each(own_cpu() - own));
    Run { per_second: records as f64 / took.as_secs_f64(), server_us, client_us, rss: server.process.rss() }
}

/// From the `Join` to the last record.
async fn replay_raw(server: &Server, records: u64) -> Duration {
    let endpoint = endpoints(1, b"loquic-1").remove(0);
    let session = Session::open(&endpoint, server.address, "ada").await;
    let at = Instant::now();
    let (stream, _) = session.join(ROOM, From::Oldest, NUMBER_MAX).await;
    let (mut recv, mut cutter, mut count) = (stream.recv, Cutter::default(), 0);
    let mut pieces = [const { Bytes::new() }; 64];
    while count < records {
        let read = recv.read_chunks(&mut pieces).await.expect("readable").expect("the stream goes on");
        pieces[..read].iter().for_each(|piece| cutter.push(piece, |kind, _| count += u64::from(kind == RECORD_KIND)));
    }
    let took = at.elapsed();
    assert_eq!(count, records);
    leave(&endpoint, &session).await;
    took
}

async fn replay_native(server: &Server, records: u64) -> Duration {
    let builder = Client::builder(format!("https://{}", server.address)).name("ada");
    let client = builder.danger_accept_any_certificate(true).connect().await.expect("the node is there");
    let at = Instant::now();
    let mut room = client.room(ROOM).from(From::Oldest).open().await.expect("the room opens");
    let (mut count, mut bytes) = (0, 0);
    while count < records {
        for event in room.next_batch().await.expect("the room goes on").expect("it does not fail") {
            match event {
                Event::Record(record) => {
                    count += 1;
                    bytes += record.payload.len();
                    assert_eq!(record.offset.get(), count);
                }
                Event::CaughtUp(_) => {}
                other => panic!("in place of a record came {other:?}"),
            }
        }
    }
    let took = at.elapsed();
    assert_eq!(bytes, records as usize * PAYLOAD_BYTES);
    drop(room);
    client.close().await;
    took
}

fn report(rows: &[(&str, u64, u64, (Run, f64))]) {
    let columns = [
        "catch-up, reader",
        "records",
        "per submission",
        "records/s",
        "median",
        "server µs/record",
        "client µs/record",
        "server RSS MB",
        "",
    ];
    let mut table = Table::new("catchup", &columns);
    for (reader, records, per_submission, (best, median)) in rows {
        let cells = vec![
            (*reader).into(),
            records.to_string(),
            per_submission.to_string(),
            format!("{:.0}", best.per_second),
            format!("{median:.0}"),
            format!("{:.3}", best.server_us),
            format!("{:.3}", best.client_us),
            format!("{:.0}", best.rss as f64 / 1e6),
            verdict(best.per_second >= 1_000_000.0),
        ];
        let line = serde_json::json!({
            "reader": reader, "records": records, "records_per_submission": per_submission,
            "records_per_s": best.per_second.round(), "records_per_s_median": median.round(),
            "server_us": best.server_us, "client_us": best.client_us, "server_rss_bytes": best.rss,
        });
        table.row(cells, line);
    }
    table.print();
}
