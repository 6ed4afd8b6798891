//! Does a room that stalls or catches up hold up the other rooms of its connection?
//!
//! One connection has joined 20 live rooms, into each of which another connection publishes 50 records of 128 bytes a
//! second, open loop: at times that do not depend on the server. Latency is from the time at which a publish was due to
//! the record's arrival. On the same connection, in turns:
//!
//! - *alone*: nothing else;
//! - *stalled*: two rooms of 1,000,000 records, joined from the oldest: one has used up its credit, of the other the
//!   client does not read the stream, so that its flow control is used up;
//! - *catching up*: a room of 1,000,000 records is replayed in 2 s, by a client that gives credit at that pace;
//! - *both*;
//! - *elsewhere*: the same replay on a connection of its own. What that costs the live rooms is the machine, and not
//!   the connection;
//! - *flat out*, *flat out elsewhere*: without a pace, again and again, which takes all of a machine with two cores.
//!
//! `--path` puts a bad network (`loquic-impair`) between each connection and the server: there it is the network that
//! is waited for, and not the processors.
//!
//! Target: p99 at most 1.5 × of alone, and of the same elsewhere, over raw QUIC and over WebTransport. Both
//! percentiles are medians of the rounds.
//! Rooms are at the level `process`, so that what syncs of the disk take hides nothing; `--level disk` has them too.
//!
//! `cargo bench --bench neighbours [-- --quick] [--transport quic|webtransport] [--level LEVEL] [--rounds N]
//! [--only NAME,NAME] [--pace RECORDS_PER_SECOND] [--path rate=100Mbit,delay=5ms,queue=64]`

#[path = "../support/mod.rs"]
mod support;

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use loquic_impair::Proxy;
use loquic_wire::{
    Frame,
    frame::to_bytes,
    join::{Credit, From},
    limits::NUMBER_MAX,
};
use tokio::{
    runtime::{Builder, Handle},
    task::{AbortHandle, JoinSet},
    time::{interval, sleep},
};

use self::support::{
    figures::{Table, Times, has_flag, is_quick, median, value_of, verdict},
    process::{Node, Server, own_cpu},
    wire::{Carrier, Cutter, RECORD_KIND, Session, Stream, endpoints, fill, put_publish},
};

const ROOMS: usize = 20;
/// Of all live rooms together.
const PER_SECOND: u64 = 1_000;
const PAYLOAD_BYTES: usize = 128;
const BEHIND: &str = "bench:behind";
/// What the room without credit gets.
const CREDIT: u64 = 64 << 10;
/// Unless `--pace` says another one.
const PACE: u64 = 500_000;
/// A record's frame, about.
const RECORD_BYTES: u64 = PAYLOAD_BYTES as u64 + 32;
/// Between two phases: what is on its way arrives, windows come to rest.
const PAUSE: Duration = Duration::from_millis(300);
const RATIO_MAX: f64 = 1.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Stalled,
    CatchingUp,
    Both,
    Elsewhere,
    FlatOut,
    FlatOutElsewhere,
}

const ALL: [(Beside, &str); 7] = [
    (Beside::Nothing, "alone"),
    (Beside::Stalled, "stalled"),
    (Beside::CatchingUp, "catching up"),
    (Beside::Both, "both"),
    (Beside::Elsewhere, "elsewhere"),
    (Beside::FlatOut, "flat out"),
    (Beside::FlatOutElsewhere, "flat out elsewhere"),
];

fn main() {
    if has_flag("--test") {
        return;
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (records, rounds, phase) =
        if is_quick() { (100_000, 2, Duration::from_millis(500)) } else { (1_000_000, 4, Duration::from_secs(2)) };
    let rounds = value_of("--rounds").map_or(rounds, |rounds| rounds.parse().expect("a number"));
    let only = value_of("--only");
    let is_chosen =
        |name: &str| name == "alone" || only.as_ref().is_none_or(|only| only.split(',').any(|of| of == name));
    let level = value_of("--level").unwrap_or_else(|| "process".into());
    let chosen = value_of("--transport");
    let columns = [
        "beside 20 live rooms",
        "transport",
        "p50, µs",
        "p99, µs",
        "replayed/s",
        "server, CPU",
        "client, CPU",
        "datagrams lost",
        "÷ alone",
        "target",
        "÷ elsewhere",
        "target",
    ];
    let mut table = Table::new("neighbours", &columns);
    for carrier in Carrier::ALL.into_iter().filter(|of| chosen.as_deref().is_none_or(|chosen| chosen == of.name())) {
        let server = Server::start(&Node { level: Some(&level), ..Node::default() });
        runtime.block_on(fill(server.address, BEHIND, records, 256, PAYLOAD_BYTES));
        let live = runtime.block_on(Live::start(carrier, &server));
        let mut phases: Vec<Vec<Phase>> = ALL.iter().map(|_| Vec::new()).collect();
        // The first seconds are of sockets and tables that grow.
        runtime.block_on(live.measure(Beside::Both, phase, &server));
        for _ in 0..rounds {
            for ((beside, name), phases) in ALL.iter().zip(&mut phases).filter(|((_, name), _)| is_chosen(name)) {
                let of = runtime.block_on(live.measure(*beside, phase, &server));
                eprintln!("{} {name}: {of:.2?}", carrier.name());
                phases.push(of);
            }
        }
        report(&mut table, carrier, &phases);
        live.stop.store(true, Relaxed);
    }
    table.print();
}

/// What one phase gave, in microseconds, and records per second that were replayed beside it.
#[derive(Debug)]
struct Phase {
    p50: f64,
    p99: f64,
    replayed: f64,
    /// Processors that were kept busy.
    server: f64,
    client: f64,
    /// Datagrams that did not fit the buffer of their socket, on the whole machine.
    lost: f64,
}

fn report(table: &mut Table, carrier: Carrier, phases: &[Vec<Phase>]) {
    let middle = |at: usize, of: fn(&Phase) -> f64| median(phases[at].iter().map(of).collect());
    let of = |beside: Beside| ALL.iter().position(|(other, _)| *other == beside).expect("it is in the list");
    let [alone, elsewhere, flat_out] = [Beside::Nothing, Beside::Elsewhere, Beside::FlatOutElsewhere]
        .map(|beside| middle(of(beside), |phase| phase.p99));
    for (at, (beside, name)) in ALL.iter().enumerate().filter(|(at, _)| !phases[*at].is_empty()) {
        let (p50, p99) = (middle(at, |phase| phase.p50), middle(at, |phase| phase.p99));
        let (ratio, replayed) = (p99 / alone, middle(at, |phase| phase.replayed));
        let (server, client) = (middle(at, |phase| phase.server), middle(at, |phase| phase.client));
        let lost = phases[at].iter().map(|phase| phase.lost).sum::<f64>();
        // The same elsewhere, where there is such a thing.
        let machine = match beside {
            Beside::CatchingUp | Beside::Both => elsewhere,
            Beside::FlatOut => flat_out,
            Beside::Nothing | Beside::Stalled | Beside::Elsewhere | Beside::FlatOutElsewhere => alone,
        };
        let has_target = !matches!(beside, Beside::Nothing | Beside::Elsewhere | Beside::FlatOutElsewhere);
        let target = |ratio: f64| if has_target { verdict(ratio <= RATIO_MAX) } else { String::new() };
        let cells = vec![
            (*name).into(),
            carrier.name().into(),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            format!("{replayed:.0}"),
            format!("{server:.2}"),
            format!("{client:.2}"),
            format!("{lost:.0}"),
            format!("{ratio:.2}"),
            target(ratio),
            format!("{:.2}", p99 / machine),
            target(p99 / machine),
        ];
        let line = serde_json::json!({
            "beside": name, "transport": carrier.name(), "p50_us": p50, "p99_us": p99, "ratio": ratio,
            "ratio_elsewhere": p99 / machine, "replayed_per_s": replayed.round(),
            "server_cpu": server, "client_cpu": client, "datagrams_lost": lost,
        });
        table.row(cells, line);
    }
}

/// The live rooms, which go on all the time.
struct Live {
    session: Arc<Session>,
    /// Has joined nothing.
    other: Arc<Session>,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    _publishers: Session,
    _path: Option<Proxy>,
    _tasks: JoinSet<()>,
}

/// What publisher and subscribers share.
struct Shared {
    start: Instant,
    /// Publishes that are due from here on, in nanoseconds since `start`, are measured.
    from: AtomicU64,
    until: AtomicU64,
    times: Mutex<Times>,
}

impl Live {
    async fn start(carrier: Carrier, server: &Server) -> Self {
        let endpoints = endpoints(3, carrier.alpn());
        let path = match value_of("--path") {
            Some(path) => Some(Proxy::udp(server.address, path.parse().expect("a profile"), 1).await.expect("a proxy")),
            None => None,
        };
        let to = path.as_ref().map_or(server.address, Proxy::address);
        let session = Session::open_over(carrier, &endpoints[0], to, "reader").await;
        let publishers = Session::open_over(carrier, &endpoints[1], server.address, "writer").await;
        let other = Session::open_over(carrier, &endpoints[2], to, "other").await;
        let (from, until) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        let shared = Arc::new(Shared { start: Instant::now(), from, until, times: Mutex::default() });
        let stop = Arc::new(AtomicBool::new(false));
        let (mut tasks, mut sends) = (JoinSet::new(), Vec::new());
        for number in 0..ROOMS {
            let room = format!("bench:live:{number}");
            let (stream, _) = session.join(&room, From::Live, NUMBER_MAX).await;
            tasks.spawn(follow(stream, shared.clone()));
            let (stream, _) = publishers.publisher(&room, number as u64).await;
            let (send, mut recv, _) = stream.into_halves();
            sends.push(send);
            // Answers are taken and not looked at: what is not published does not arrive either.
            tasks.spawn(async move { while let Ok(Some(_)) = recv.read_chunk(64 << 10, true).await {} });
        }
        let (runtime, of_pacer, stopped) = (Handle::current(), shared.clone(), stop.clone());
        thread::spawn(move || pace(&runtime, &of_pacer, &stopped, &mut sends));
        Self {
            session: Arc::new(session),
            other: Arc::new(other),
            shared,
            stop,
            _publishers: publishers,
            _path: path,
            _tasks: tasks,
        }
    }

    /// Measures for so long beside that.
    async fn measure(&self, beside: Beside, phase: Duration, server: &Server) -> Phase {
        let replayed = Arc::new(AtomicU64::new(0));
        let mut tasks = Tasks::default();
        if matches!(beside, Beside::Stalled | Beside::Both) {
            let session = self.session.clone();
            tasks.spawn(async move {
                let _stalled = stall(&session).await;
                std::future::pending::<()>().await;
            });
        }
        let replay_of = |session: &Arc<Session>, pace: Option<u64>| {
            let (session, replayed) = (session.clone(), replayed.clone());
            async move { replay(&session, pace, &replayed).await }
        };
        match beside {
            Beside::Nothing | Beside::Stalled => {}
            Beside::CatchingUp | Beside::Both => tasks.spawn(replay_of(&self.session, Some(of_pace()))),
            Beside::FlatOut => tasks.spawn(replay_of(&self.session, None)),
            Beside::Elsewhere => tasks.spawn(replay_of(&self.other, Some(of_pace()))),
            Beside::FlatOutElsewhere => tasks.spawn(replay_of(&self.other, None)),
        }
        // It goes on already when measuring begins.
        sleep(PAUSE).await;
        *self.shared.times.lock().expect("nobody panics") = Times::default();
        let (from, before) = (self.shared.start.elapsed(), replayed.load(Relaxed));
        let (of_server, own, lost) = (server.process.cpu(), own_cpu(), datagrams_lost());
        self.shared.until.store((from + phase).as_nanos() as u64, Relaxed);
        self.shared.from.store(from.as_nanos() as u64, Relaxed);
        sleep(phase).await;
        let each = |cpu: Duration| cpu.as_secs_f64() / phase.as_secs_f64();
        let (of_server, own) = (each(server.process.cpu() - of_server), each(own_cpu() - own));
        let lost = (datagrams_lost() - lost) as f64;
        let replayed = (replayed.load(Relaxed) - before) as f64 / phase.as_secs_f64();
        sleep(PAUSE).await;
        drop(tasks);
        self.shared.from.store(u64::MAX, Relaxed);
        sleep(PAUSE).await;
        let mut times = self.shared.times.lock().expect("nobody panics");
        let due = (phase.as_secs_f64() * PER_SECOND as f64) as usize;
        assert!(times.len().abs_diff(due) <= 1, "{} of {due} have arrived", times.len());
        let (p50, p99) = (times.percentile(0.5), times.percentile(0.99));
        Phase { p50, p99, replayed, server: of_server, client: own, lost }
    }
}

/// Datagrams that found the buffer of their socket full since the machine was started.
fn datagrams_lost() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(|line| line.split(' '));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let lost = names.zip(values).find(|(name, _)| *name == "RcvbufErrors");
    lost.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// Records per second of the replay that has a pace.
fn of_pace() -> u64 {
    value_of("--pace").map_or(PACE, |pace| pace.parse().expect("a number"))
}

/// Ended when dropped.
#[derive(Default)]
struct Tasks(Vec<AbortHandle>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task).abort_handle());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Publishes to the rooms in turn, each record with the time at which it was due.
fn pace(runtime: &Handle, shared: &Shared, stop: &AtomicBool, sends: &mut [quinn::SendStream]) {
    for number in 0_u64.. {
        let due = Duration::from_nanos(number * 1_000_000_000 / PER_SECOND);
        thread::sleep(due.saturating_sub(shared.start.elapsed()));
        if stop.load(Relaxed) {
            return;
        }
        let mut payload = vec![0; PAYLOAD_BYTES];
        payload[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        let mut out = Vec::new();
        put_publish(&mut out, 1 + number / ROOMS as u64, payload.into());
        let send = &mut sends[number as usize % ROOMS];
        runtime.block_on(send.write_chunk(out.into())).expect("the stream takes publishes");
    }
}

/// Notes how long each record took that is to be measured.
async fn follow(mut stream: Stream, shared: Arc<Shared>) {
    while let Some(frame) = stream.frame().await {
        let Frame::Record(record) = frame else { continue };
        let now = shared.start.elapsed();
        let due = record.payload[..8].try_into().map(u64::from_be_bytes).expect("eight bytes");
        if (shared.from.load(Relaxed)..shared.until.load(Relaxed)).contains(&due) {
            shared.times.lock().expect("nobody panics").add(now.saturating_sub(Duration::from_nanos(due)));
        }
    }
}

/// One room without credit, and one whose stream nobody reads.
async fn stall(session: &Session) -> (Stream, Stream) {
    let (mut without_credit, _) = session.join(BEHIND, From::Oldest, CREDIT).await;
    let (unread, _) = session.join(BEHIND, From::Oldest, NUMBER_MAX).await;
    let mut bytes = 0;
    // Up to what does not fit any more.
    while bytes + 2 * PAYLOAD_BYTES < CREDIT as usize {
        match without_credit.frame().await {
            Some(Frame::Record(record)) => bytes += record.payload.len() + 48,
            other => panic!("in place of a record came {other:?}"),
        }
    }
    (without_credit, unread)
}

/// Replays the room from its oldest record, again and again, so many records per second or as fast as they come.
async fn replay(session: &Session, pace: Option<u64>, replayed: &AtomicU64) {
    loop {
        // Nothing may come behind `Joined` that the stream's decoder would take.
        let (stream, joined) = session.join(BEHIND, From::Oldest, 0).await;
        let (mut send, mut recv, _) = stream.into_halves();
        let bytes = pace.map_or(NUMBER_MAX, |pace| pace * RECORD_BYTES / 1_000);
        let give = async move {
            let mut ticks = interval(Duration::from_millis(1));
            loop {
                ticks.tick().await;
                send.write_chunk(to_bytes(&Credit { bytes })).await.expect("written");
                if pace.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut give = pin!(give);
        let (mut cutter, mut count) = (Cutter::default(), 0);
        let mut pieces = [const { Bytes::new() }; 64];
        while count < joined.head.get() {
            let read = tokio::select! {
                read = recv.read_chunks(&mut pieces) => read.expect("readable").expect("the stream goes on"),
                () = &mut give => unreachable!("it gives until the room is replayed"),
            };
            let before = count;
            pieces[..read]
                .iter()
                .for_each(|piece| cutter.push(piece, |kind, _| count += u64::from(kind == RECORD_KIND)));
            replayed.fetch_add(count - before, Relaxed);
        }
    }
}
