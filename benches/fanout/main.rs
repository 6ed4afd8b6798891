//! What does a delivery cost the server, beside the same fan-out on bare quinn?
//!
//! One publisher, 100 and 1,000 subscribers on a connection each, 128-byte payloads. The baseline ([`bare`]) has no
//! rooms, no log and no protocol, and the same transport settings; both are processes of their own, and both may
//! coalesce. Paced runs send at a fixed rate; saturated runs keep a window of messages between the publisher and the
//! slowest subscriber full. The systems take turns within each round, because other work on the machine moves all
//! figures together, and the ratio is that of the medians. A run is over when every subscriber has everything.
//!
//! A record is longer than a message of the baseline (136 bytes): it says its offset, time, sender and producer. Where
//! streams are full the bytes are what costs, so the ratio for each byte stands beside the one that counts.
//!
//! The target is a ratio of at most 1.25 for level `disk`, paced and saturated, 100 and 1,000. `--systems
//! disk,webtransport` compares WebTransport with raw QUIC: at most 1.05.
//!
//! `cargo bench --bench fanout [-- --quick] [--shape] [--rounds N] [--only MODE] [--systems a,b]`; `--shape` compares
//! runtimes instead: one and two workers, and an endpoint for each worker. `--other PATH --systems bare,disk,other`
//! takes another build of `loquic` into the rounds.

#[path = "../support/mod.rs"]
mod support;

mod bare;
mod load;

use std::{process::Command, time::Duration};

use serde_json::json;

use self::{
    bare::Shape,
    load::{Clients, Measured},
    support::{
        figures::{Table, has_flag, is_quick, median, value_of, verdict},
        process::{Node, Process, Server, raise_open_files},
        wire::{Carrier, endpoints},
    },
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Bare(Shape),
    Loquic {
        level: &'static str,
        workers: usize,
    },
    /// Level `disk` as browsers get it.
    WebTransport,
    /// The build that `--other` names.
    Other {
        level: &'static str,
    },
}

const SYSTEMS: &[(&str, System)] = &[
    ("bare", System::Bare(Shape::Shared { workers: 1 })),
    ("bare-2", System::Bare(Shape::Shared { workers: 2 })),
    ("bare-2x1", System::Bare(Shape::Apart { workers: 2 })),
    ("disk", System::Loquic { level: "disk", workers: 1 }),
    ("process", System::Loquic { level: "process", workers: 1 }),
    ("memory", System::Loquic { level: "memory", workers: 1 }),
    ("disk-2", System::Loquic { level: "disk", workers: 2 }),
    ("webtransport", System::WebTransport),
    ("other", System::Other { level: "disk" }),
    ("other-process", System::Other { level: "process" }),
];

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// So many each second.
    Rate(u32),
    /// As many as get through, with at most so many between publisher and slowest subscriber.
    Window(u64),
}

/// Whether the target applies is the last field: the others show how the cost moves.
const MODES: &[(&str, usize, Pace, bool)] = &[
    ("100 paced 200/s", 100, Pace::Rate(200), true),
    ("100 paced 2000/s", 100, Pace::Rate(2_000), false),
    ("100 saturated", 100, Pace::Window(2_048), true),
    ("1000 paced 20/s", 1_000, Pace::Rate(20), true),
    ("1000 paced 200/s", 1_000, Pace::Rate(200), false),
    ("1000 saturated", 1_000, Pace::Window(1_024), true),
];

/// The ratio that is promised.
const RATIO_MAX: f64 = 1.25;

/// And that of WebTransport to raw QUIC.
const RATIO_WEB_MAX: f64 = 1.05;

fn main() {
    if let Some(shape) = value_of(bare::ARGUMENT) {
        return bare::run(Shape::parse(&shape));
    }
    // `cargo test --benches` runs it too, and measures nothing.
    if has_flag("--test") {
        return;
    }
    raise_open_files();
    let default = if has_flag("--shape") { "bare,bare-2,bare-2x1,disk,disk-2" } else { "bare,disk,process" };
    let wanted = value_of("--systems").unwrap_or(default.into());
    let find = |name: &str| SYSTEMS.iter().copied().find(|(known, _)| *known == name).expect("a known system");
    let systems: Vec<_> = wanted.split(',').map(find).collect();
    let (rounds, seconds) = if is_quick() { (2, 0.5) } else { (3, 2.0) };
    let rounds = value_of("--rounds").map_or(rounds, |rounds| rounds.parse().expect("a number"));
    let seconds = value_of("--seconds").map_or(seconds, |seconds| seconds.parse().expect("a number"));

    let mut table = Table::new(
        "fanout",
        &[
            "mode",
            "system",
            "CPU us/delivery",
            "ratio",
            "target",
            "bytes",
            "ratio/byte",
            "p50 us",
            "p99 us",
            "deliveries/s",
            "runs",
        ],
    );
    for subscribers in [100, 1_000] {
        let only = value_of("--only");
        let chosen = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
        let modes: Vec<_> = MODES.iter().filter(|mode| mode.1 == subscribers && chosen(mode.0)).collect();
        if !modes.is_empty() {
            measure(&systems, subscribers, &modes, rounds, Duration::from_secs_f64(seconds), &mut table);
        }
    }
    table.print();
}

/// Runs the modes of one number of subscribers on all systems, which stay connected throughout.
fn measure(
    systems: &[(&'static str, System)],
    subscribers: usize,
    modes: &[&(&'static str, usize, Pace, bool)],
    rounds: usize,
    time: Duration,
    table: &mut Table,
) {
    // One thread: with two processors the server has the other one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut running: Vec<_> = systems.iter().map(|(_, system)| Running::start(*system)).collect();
    let mut clients: Vec<Clients> = Vec::new();
    for server in &running {
        clients.push(runtime.block_on(server.connect(subscribers)));
    }
    for (mode, _, pace, has_target) in modes {
        let mut results: Vec<Vec<Measured>> = systems.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for at in 0..systems.len() {
                // The order turns, so that nobody always comes after the same one.
                let at = (at + round) % systems.len();
                let measured = runtime.block_on(clients[at].run(*pace, time, running[at].process()));
                eprintln!("{mode:<18} {:<9} {measured}", systems[at].0);
                results[at].push(measured);
            }
        }
        report(systems, mode, *has_target, &mut results, table);
    }
    drop(clients);
    running.iter_mut().for_each(|server| server.process().terminate());
}

fn report(
    systems: &[(&'static str, System)],
    mode: &str,
    has_target: bool,
    results: &mut [Vec<Measured>],
    table: &mut Table,
) {
    let of = |runs: &[Measured], value: fn(&Measured) -> f64| median(runs.iter().map(value).collect());
    let (baseline, baseline_bytes) = (of(&results[0], |run| run.cpu_us), of(&results[0], |run| run.bytes));
    for ((name, _), runs) in systems.iter().zip(results) {
        let cpu = of(runs, |run| run.cpu_us);
        let ratio = cpu / baseline;
        let (p50, p99) = (of(runs, |run| run.p50_us), of(runs, |run| run.p99_us));
        let (rate, bytes) = (of(runs, |run| run.rate), of(runs, |run| run.bytes));
        let ratio_per_byte = ratio * baseline_bytes / bytes;
        let target = match (*name, systems[0].0) {
            ("disk", "bare") if has_target => verdict(ratio <= RATIO_MAX),
            ("webtransport", "disk") => verdict(ratio <= RATIO_WEB_MAX),
            _ => String::new(),
        };
        let each: Vec<String> = runs.iter().map(|run| format!("{:.2}", run.cpu_us)).collect();
        table.row(
            vec![
                mode.into(),
                (*name).into(),
                format!("{cpu:.3}"),
                format!("{ratio:.2}"),
                target,
                format!("{bytes:.0}"),
                format!("{ratio_per_byte:.2}"),
                format!("{p50:.0}"),
                format!("{p99:.0}"),
                format!("{rate:.0}"),
                each.join(" "),
            ],
            json!({
                "mode": mode, "system": name, "cpu_us_per_delivery": cpu, "ratio": ratio,
                "bytes": bytes, "ratio_per_byte": ratio_per_byte, "p50_us": p50, "p99_us": p99,
                "deliveries_per_s": rate,
            }),
        );
    }
}

/// A server of either sort.
enum Running {
    Bare(Process, std::net::SocketAddr),
    Loquic(Server, Carrier),
}

impl Running {
    fn start(system: System) -> Self {
        match system {
            System::Bare(shape) => {
                let mut command = Command::new(std::env::current_exe().expect("the bench's own path"));
                command.args([bare::ARGUMENT, &shape.to_string()]);
                let mut process = Process::spawn(command);
                let address = process.line().trim().parse().expect("an address");
                Self::Bare(process, address)
            }
            System::Loquic { level, workers } => {
                let node = Node { level: Some(level), workers: Some(workers), ..Node::default() };
                Self::Loquic(Server::start(&node), Carrier::Quic)
            }
            System::WebTransport => {
                let node = Node { level: Some("disk"), workers: Some(1), ..Node::default() };
                Self::Loquic(Server::start(&node), Carrier::WebTransport)
            }
            System::Other { level } => {
                let path = value_of("--other").expect("--other names a build");
                let (level, workers, binary) = (Some(level), Some(1), Some(std::path::Path::new(&path)));
                Self::Loquic(Server::start(&Node { level, workers, binary, ..Node::default() }), Carrier::Quic)
            }
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Bare(process, _) => process,
            Self::Loquic(server, _) => &server.process,
        }
    }

    async fn connect(&self, subscribers: usize) -> Clients {
        match self {
            Self::Bare(_, address) => Clients::bare(endpoints(16, bare::ALPN), *address, subscribers).await,
            Self::Loquic(server, carrier) => Clients::loquic(*carrier, server.address, subscribers).await,
        }
    }
}
