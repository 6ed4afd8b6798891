//! `kill -9` under load, at random moments and at the places where it hurts most.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loquic_check::{FaultKind, Level, Promise, Retention};
use loquic_client::{From, Transport};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::support::{
    Pace, Random, Run, Site, Tally, figure, final_log, final_log_on_disk, follow, joined, judge, long, publish,
    resume_often, seed, status,
};

const CONFIG: &str = r#"
[timeouts]
ping = "1s"

[log]
disk_free_min = "0B"

[[rooms]]
pattern = "process:*"
level = "process"

[[rooms]]
pattern = "short:*"
count = 500
"#;

/// Servers that are killed side by side, because most of the time goes into noticing that one is gone; for each
/// transport.
const SITES: u64 = 2;

/// What ends a process: the failpoint, and after how many times at most. Nothing is a random moment.
const ENDS: &[&[(&str, u64)]] = &[
    &[("", 0), ("journal::before_write", 60), ("", 0), ("room::mid_trim", 2), ("journal::before_ack", 60)],
    &[("journal::before_ack", 60), ("", 0), ("journal::before_fanout", 180), ("", 0), ("room::mid_trim", 2)],
];

/// Kills of each server, times [`long`].
const KILLS: usize = 16;

const ROOMS: [&str; 3] = ["disk:a", "process:a", "short:a"];

const SHORT_COUNT: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_over_quic() {
    killed_under_load("killed_under_load_over_quic", Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_over_webtransport() {
    killed_under_load("killed_under_load_over_webtransport", Transport::WebTransport).await;
}

async fn killed_under_load(test: &str, transport: Transport) {
    let (seed, start) = (seed(test), Instant::now());
    let mut sites = JoinSet::new();
    for index in 0..SITES {
        sites.spawn(killed_often(transport, seed + index, ENDS[index as usize % ENDS.len()]));
    }
    let mut sum = Figures::default();
    while let Some(site) = sites.join_next().await {
        sum.add(&joined(site));
    }
    let Figures { kills, sent, acked, delivered, resumes, duplicates } = sum;
    figure(format_args!(
        "kill -9 over {transport:?}: {kills} kills, {sent} sent, {acked} acked, {delivered} delivered, {resumes} resumes, {duplicates} \
         retries that found their record; 0 lost, 0 repeated, 0 reordered ({:.1} s)",
        start.elapsed().as_secs_f64()
    ));
    assert!(kills >= 30 && duplicates > 0 && resumes >= kills);
}

#[derive(Default)]
struct Figures {
    kills: u64,
    sent: u64,
    acked: u64,
    delivered: u64,
    resumes: u64,
    duplicates: u64,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.sent += other.sent;
        self.acked += other.acked;
        self.delivered += other.delivered;
        self.resumes += other.resumes;
        self.duplicates += other.duplicates;
    }
}

async fn killed_often(transport: Transport, seed: u64, ends: &[(&str, u64)]) -> Figures {
    let (site, run, mut random) = (Arc::new(Site::new(CONFIG).over(transport)), Run::new(), Random::new(seed));
    let kills = KILLS * long() as usize;
    let mut node = site.start_with(&armed(ends, 0, &mut random)).await;
    let (stop, stopped) = watch::channel(false);
    let targets: Vec<_> = ROOMS.iter().map(|_| watch::channel(None)).collect();
    let (mut publishers, mut subscribers) = (JoinSet::new(), JoinSet::new());
    for (room, (_, target)) in ROOMS.iter().zip(&targets) {
        for sender in ["ann", "bob"] {
            let client = site.connect_lazy(sender);
            let pace = Pace::of(sender, random.next());
            publishers.spawn(publish(run.clone(), client, (*room).into(), pace, stopped.clone()));
        }
        for (name, from) in [("oldest", From::Oldest), ("live", From::Live)] {
            let client = site.connect_lazy(name);
            let (run, room, target) = (run.clone(), (*room).to_owned(), target.clone());
            subscribers.spawn(follow(run, client, room.clone(), format!("{name} {room}"), from, target));
        }
        let (site, run, seed, target) = (site.clone(), run.clone(), random.next(), target.clone());
        let connect = move || site.connect_lazy("again");
        subscribers.spawn(resume_often(run, connect, (*room).into(), format!("again {room}"), (seed, 1..4000), target));
    }
    for kill in 0..kills {
        let (failpoint, _) = ends[kill % ends.len()];
        if failpoint.is_empty() {
            run.more_acks(random.between(1, 3000)).await;
            // Not in step with the acks.
            tokio::time::sleep(Duration::from_micros(random.between(0, 20_000))).await;
            node.kill().await;
        } else {
            node.died_at_failpoint().await;
        }
        run.recorder().fault(run.node(), FaultKind::Kill, true);
        let failpoint = if kill + 1 < kills { armed(ends, kill + 1, &mut random) } else { String::new() };
        node = site.start_with(&failpoint).await;
    }
    run.more_acks(1000).await;
    stop.send_replace(true);
    let mut tally = Tally::default();
    while let Some(publisher) = publishers.join_next().await {
        tally += joined(publisher);
    }
    let reader = site.connect("reader").await;
    let healed = Instant::now();
    for (room, (target, _)) in ROOMS.iter().zip(&targets) {
        target.send_replace(Some(status(&reader, room).await.head.get()));
    }
    let mut resumes = 0;
    while let Some(subscriber) = timeout(Duration::from_secs(10), subscribers.join_next()).await.expect("I15: 10 s") {
        let follow = joined(subscriber);
        assert_eq!(follow.renumbered, 0, "ids stay");
        resumes += follow.resumes;
    }
    assert!(healed.elapsed() < Duration::from_secs(10), "I15: everybody is at the head within 10 s");
    let on_disk = run.recorder().node("disk");
    for room in ROOMS {
        final_log(run.recorder(), run.node(), &reader, room).await;
    }
    reader.close().await;
    node.terminate().await;
    for room in ROOMS {
        let contents = final_log_on_disk(run.recorder(), on_disk, &site, room);
        let floor = if room.starts_with("short") { contents.head - SHORT_COUNT + 1 } else { 1 };
        assert_eq!(contents.floor, floor, "the floor of {room}");
    }
    site.verify();
    let promise =
        Promise::new(Level::Disk).room("process:a", Level::Process).retention(Retention::KeepsLast(SHORT_COUNT));
    let report = judge(&run.history(), &promise);
    assert_eq!(
        (report.acked, report.unknown),
        (tally.acked - tally.trimmed, tally.trimmed),
        "every publish has been answered"
    );
    Figures {
        kills: kills as u64,
        sent: tally.sent,
        acked: tally.acked,
        delivered: report.delivered,
        resumes,
        duplicates: tally.duplicates,
    }
}

/// With the default interval of pings, silence alone would tell after 10 to 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_notice_a_new_process_at_once() {
    let site = Site::new("[log]\ndisk_free_min = \"0B\"\n");
    let node = site.start().await;
    let client = site.connect("ann").await;
    client.publisher("a").expect("a name").publish("before").await.expect("an ack");
    node.kill().await;
    let node = site.start().await;
    let start = Instant::now();
    let ack = timeout(Duration::from_secs(5), client.publisher("a").expect("a name").publish("after")).await;
    let offset = ack.expect("the client comes back at once").expect("an ack").position.offset.get();
    assert_eq!(offset, 2);
    figure(format_args!("after kill -9 and a restart a client's next publish took {} ms", start.elapsed().as_millis()));
    client.close().await;
    node.terminate().await;
}

/// Where the process for this kill dies by itself.
fn armed(ends: &[(&str, u64)], kill: usize, random: &mut Random) -> String {
    match ends[kill % ends.len()] {
        ("", _) => String::new(),
        (failpoint, times) => format!("{failpoint}={}*off->return", random.between(0, times)),
    }
}
