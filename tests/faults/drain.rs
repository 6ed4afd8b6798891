//! Restarts in good order, under load: clients are told, leave, come back, and miss nothing.

use std::time::{Duration, Instant};

use loquic_check::{FaultKind, Level, Promise};
use loquic_client::{From, Transport};
use loquic_wire::Frame;
use rustix::process::Signal;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::support::{
    Pace, Random, Run, Site, Tally, figure, final_log, final_log_on_disk, follow, joined, judge, publish, raw::Raw,
    seed, status,
};

const RESTARTS: u64 = 6;

const ROOMS: [&str; 2] = ["a", "b"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_lose_nothing_over_quic() {
    restarts_lose_nothing("restarts_lose_nothing_over_quic", Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_lose_nothing_over_webtransport() {
    restarts_lose_nothing("restarts_lose_nothing_over_webtransport", Transport::WebTransport).await;
}

async fn restarts_lose_nothing(test: &str, transport: Transport) {
    let (seed, start) = (seed(test), Instant::now());
    let site = Site::new("[log]\ndisk_free_min = \"0B\"\n").over(transport);
    let (run, mut random) = (Run::new(), Random::new(seed));
    let mut node = site.start().await;
    let (stop, stopped) = watch::channel(false);
    let targets: Vec<_> = ROOMS.iter().map(|_| watch::channel(None)).collect();
    let (mut publishers, mut subscribers) = (JoinSet::new(), JoinSet::new());
    for (room, (_, target)) in ROOMS.iter().zip(&targets) {
        for sender in ["ann", "bob"] {
            let client = site.connect(sender).await;
            let pace = Pace::of(sender, random.next());
            publishers.spawn(publish(run.clone(), client, (*room).into(), pace, stopped.clone()));
        }
        for name in ["one", "two"] {
            let (run, client, target) = (run.clone(), site.connect(name).await, target.clone());
            let room = (*room).to_owned();
            subscribers.spawn(follow(run, client, room.clone(), format!("{name} {room}"), From::Oldest, target));
        }
    }
    let observer = site.connect("observer").await;
    let mut drains = Vec::new();
    let mut epoch = None;
    for _ in 0..RESTARTS {
        run.more_acks(random.between(100, 3000)).await;
        tokio::time::sleep(Duration::from_micros(random.between(0, 20_000))).await;
        let now = status(&observer, "a").await.epoch;
        assert_eq!(*epoch.get_or_insert(now), now, "a restart in good order is no new epoch");
        let raw = Raw::connect(&site).await;
        let mut control = raw.greet("raw").await;
        let drain = Instant::now();
        node.signal(Signal::TERM);
        let goaway = control.next().await;
        assert!(matches!(goaway, Some(Frame::Goaway(_))), "no Goaway: {goaway:?}");
        drop((control, raw));
        assert!(node.exited().await.success());
        drains.push(drain.elapsed());
        run.recorder().fault(run.node(), FaultKind::Restart, true);
        node = site.start().await;
    }
    run.more_acks(1000).await;
    stop.send_replace(true);
    let mut tally = Tally::default();
    while let Some(publisher) = publishers.join_next().await {
        tally += joined(publisher);
    }
    for (room, (target, _)) in ROOMS.iter().zip(&targets) {
        target.send_replace(Some(status(&observer, room).await.head.get()));
    }
    while let Some(subscriber) = timeout(Duration::from_secs(10), subscribers.join_next()).await.expect("I15: 10 s") {
        let follow = joined(subscriber);
        assert_eq!((follow.resumes, follow.renumbered), (0, 0), "no new epoch, no new numbers");
        assert!(follow.caught_up > RESTARTS / 2, "it has resumed by itself, {} times", follow.caught_up);
    }
    for room in ROOMS {
        final_log(run.recorder(), run.node(), &observer, room).await;
    }
    observer.close().await;
    node.terminate().await;
    for room in ROOMS {
        final_log_on_disk(run.recorder(), run.recorder().node("disk"), &site, room);
    }
    site.verify();
    let report = judge(&run.history(), &Promise::new(Level::Memory));
    assert_eq!(report.acked, tally.sent, "every publish was answered");
    let longest = drains.iter().max().expect("there were some");
    figure(format_args!(
        "drain over {transport:?}: {RESTARTS} restarts, {} acked, {} delivered, 0 lost, 0 repeated, {} retries, same epoch, longest drain {:.0} \
         ms ({:.1} s)",
        report.acked,
        report.delivered,
        tally.duplicates,
        longest.as_secs_f64() * 1000.0,
        start.elapsed().as_secs_f64()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let site = Site::new("[timeouts]\ndrain = \"30s\"\n[log]\ndisk_free_min = \"0B\"\n");
    let mut node = site.start().await;
    // Somebody who does not go when told to.
    let raw = Raw::connect(&site).await;
    let mut control = raw.greet("raw").await;
    let start = Instant::now();
    node.signal(Signal::TERM);
    let goaway = control.next().await;
    assert!(matches!(goaway, Some(Frame::Goaway(_))), "no Goaway: {goaway:?}");
    assert!(!node.has_ended());
    node.signal(Signal::TERM);
    assert_eq!(node.exited().await.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(10), "it ended after {:?}", start.elapsed());
    assert_eq!(site.said("ended by a second signal"), 1);
    site.verify();
}
