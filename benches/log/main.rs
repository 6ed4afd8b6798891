//! How many records a second does the log take in at level `disk`, and what does one record alone wait for?
//!
//! Throughput: 16 publishers keep 768 records of 200 bytes each in flight through `room::Rooms` over `log::Rocks`,
//! without a session or a network. Swept: records per submission (what one read of a publish stream brings) and rooms.
//! Beside the rate stand the CPU of the whole process and that of the journal's thread alone, per record: on a shared
//! machine they are steadier than the rate, and the thread's is the ceiling of a node.
//!
//! Lone append: one publish at a time, in turns with one `write` + `fdatasync` of as many bytes at the end of a plain
//! file on the same disk.
//!
//! Targets: at least 500,000 records/s; the lone append within twice the plain file's time.
//! `--quick` sweeps less and for a shorter time; `rate` or `lone` runs that part alone.

#[path = "../support/mod.rs"]
mod support;

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic::{
    log::{MarkFile, Rocks, RocksOptions, rows::ProducerKey},
    room::{Answer, Journal, Options, Place, Publisher, RoomKey, Rooms},
};
use loquic_wire::{Flags, Format, Kind, ProducerId, publish::Publish};

use crate::support::{
    figures::{Table, Times, has_flag, is_quick, verdict},
    process::{directory, own_cpu},
};

const PAYLOAD_BYTES: usize = 200;
const PUBLISHERS: usize = 16;
/// Of one publisher; all of them together stay within the inbox of one room.
const IN_FLIGHT: u32 = 768;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts");
    let quick = is_quick();
    let (span, rounds) = if quick { (Duration::from_millis(700), 1) } else { (Duration::from_secs(2), 3) };
    let submissions: &[usize] = if quick { &[1, 256] } else { &[1, 16, 256] };
    let mut rates = Vec::new();
    for rooms in [1, 16] {
        for records in submissions.iter().filter(|_| !has_flag("lone")) {
            let runs = (0..rounds).map(|_| runtime.block_on(throughput(rooms, *records, span)));
            rates.push((rooms, *records, Rate::best_and_median(runs.collect())));
        }
    }
    let lone = (!has_flag("rate")).then(|| runtime.block_on(lone(if quick { 200 } else { 2_000 })));
    report(&rates);
    lone.into_iter().for_each(report_lone);
}

/// One setting's figures.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    cpu_us: f64,
    journal_us: f64,
}

impl Rate {
    /// The fastest run, and the rate of the one in the middle.
    fn best_and_median(mut runs: Vec<Self>) -> (Self, f64) {
        runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        (*runs.last().expect("at least one run"), runs[runs.len() / 2].per_second)
    }
}

struct Log {
    rooms: Rooms,
    journal: Journal,
    _directory: tempfile::TempDir,
}

impl Log {
    fn open() -> Self {
        let directory = directory();
        let store = Rocks::open(&directory.path().join("store"), RocksOptions::default()).expect("the store opens");
        let mark = MarkFile::open(directory.path()).expect("the mark file opens");
        let place = Place { directory: Some(directory.path().into()), clean: false, mark: Some(mark) };
        let (rooms, journal) = Rooms::open(Arc::new(store), place, Options::default()).expect("the rooms open");
        Self { rooms, journal, _directory: directory }
    }

    async fn publisher(&self, room: usize, producer: usize) -> Publisher {
        let room = format!("bench:{room}").parse().expect("a name");
        let room = self.rooms.attach(&RoomKey { tenant: loquic_wire::TenantName::main(), room }).await;
        let producer = ProducerId((producer as u128 + 1).to_be_bytes());
        let producer = ProducerKey { user: format!("user-{:x}", producer.0[15]).parse().expect("a name"), producer };
        self.rooms.open_producer(&room.expect("the room is there"), producer).await.expect("the producer opens")
    }

    async fn end(self) {
        tokio::task::spawn_blocking(|| self.journal.end()).await.expect("the journal ends");
    }
}

async fn throughput(rooms: usize, records: usize, span: Duration) -> Rate {
    let log = Log::open();
    let (acked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut publishing = tokio::task::JoinSet::new();
    for index in 0..PUBLISHERS {
        let publisher = log.publisher(index % rooms, index).await;
        publishing.spawn(publish(publisher, records, acked.clone(), stop.clone()));
    }
    tokio::time::sleep(span / 4).await;
    let (from, cpu, journal, at) = (acked.load(Ordering::Relaxed), own_cpu(), journal_cpu(), Instant::now());
    tokio::time::sleep(span).await;
    let (took, count) = (at.elapsed().as_secs_f64(), (acked.load(Ordering::Relaxed) - from) as f64);
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count;
    let rate =
        Rate { per_second: count / took, cpu_us: each(own_cpu() - cpu), journal_us: each(journal_cpu() - journal) };
    stop.store(true, Ordering::Relaxed);
    publishing.join_all().await;
    log.end().await;
    rate
}

async fn publish(mut publisher: Publisher, records: usize, acked: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut id = 1;
    while !stop.load(Ordering::Relaxed) || publisher.in_flight() > 0 {
        while !stop.load(Ordering::Relaxed)
            && !publisher.is_paused()
            && publisher.in_flight() + records as u32 <= IN_FLIGHT
        {
            let next = id + records as u64;
            publisher.offer((id..next).map(|id| one(id, &payload)).collect());
            id = next;
        }
        let answers = publisher.next().await.expect("the log takes publishes");
        let count: u64 = answers.iter().map(count).sum();
        acked.fetch_add(count, Ordering::Relaxed);
    }
}

fn one(id: u64, payload: &Bytes) -> Publish {
    let (kind, format, flags) = (Kind::MESSAGE, Format::Bytes, Flags::NONE);
    Publish { id, kind, format, flags, refers: None, payload: payload.clone() }
}

fn count(answer: &Answer) -> u64 {
    match answer {
        Answer::Ack(_) => 1,
        Answer::AckRun(run) => run.count.into(),
        Answer::Nack(nack) => panic!("a publish is refused: {nack:?}"),
    }
}

/// The times of a lone append and of the plain file.
struct Lone {
    append: Times,
    plain: Times,
}

async fn lone(count: u64) -> Lone {
    let log = Log::open();
    let mut publisher = log.publisher(0, 0).await;
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut plain = PlainFile::new();
    let mut lone = Lone { append: Times::default(), plain: Times::default() };
    for id in 1..=count {
        let at = Instant::now();
        publisher.offer(vec![one(id, &payload)]);
        publisher.next().await.expect("the log takes publishes");
        lone.append.add(at.elapsed());
        lone.plain.add(plain.append());
    }
    drop(publisher);
    log.end().await;
    lone
}

/// The same bytes at the end of a plain file.
struct PlainFile {
    file: File,
    _directory: tempfile::TempDir,
}

impl PlainFile {
    fn new() -> Self {
        let directory = directory();
        let file = File::create(directory.path().join("plain")).expect("a file can be made");
        Self { file, _directory: directory }
    }

    fn append(&mut self) -> Duration {
        let at = Instant::now();
        self.file.write_all(&[b'x'; PAYLOAD_BYTES]).expect("the file takes bytes");
        self.file.sync_data().expect("the file syncs");
        at.elapsed()
    }
}

/// CPU time of the journal's thread.
fn journal_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted").flatten().map(|entry| entry.path());
    let of = |task: PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
        (name.trim() == "journal").then(|| stat.split(' ').next()?.parse::<u64>().ok())?
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

fn report(rates: &[(usize, usize, (Rate, f64))]) {
    let columns = ["log, rooms", "records/submission", "records/s", "median", "CPU µs/record", "journal µs/record", ""];
    let mut table = Table::new("log", &columns);
    for (rooms, records, (best, median)) in rates {
        let cells = vec![
            rooms.to_string(),
            records.to_string(),
            format!("{:.0}", best.per_second),
            format!("{median:.0}"),
            format!("{:.2}", best.cpu_us),
            format!("{:.2}", best.journal_us),
            verdict(best.per_second >= 500_000.0),
        ];
        let line = serde_json::json!({
            "rooms": rooms, "records_per_submission": records, "records_per_s": best.per_second.round(),
            "records_per_s_median": median.round(), "cpu_us_per_record": best.cpu_us,
            "journal_cpu_us_per_record": best.journal_us,
        });
        table.row(cells, line);
    }
    table.print();
}

fn report_lone(Lone { mut append, mut plain }: Lone) {
    let mut table = Table::new("log, lone append", &["lone append", "log µs", "append + fdatasync µs", "ratio", ""]);
    for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let (append, plain) = (append.percentile(part), plain.percentile(part));
        let ratio = append / plain;
        let cells = vec![
            name.into(),
            format!("{append:.0}"),
            format!("{plain:.0}"),
            format!("{ratio:.2}"),
            verdict(ratio <= 2.0),
        ];
        table.row(cells, serde_json::json!({ "part": name, "log_us": append, "plain_us": plain, "ratio": ratio }));
    }
    table.print();
}
