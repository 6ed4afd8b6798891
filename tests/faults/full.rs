//! A disk that fills up: publishes are refused by a code, reads go on, nothing acknowledged is lost, and once there is
//! room again publishes are taken without a restart.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use loquic_check::{Level, Promise};
use loquic_client::{Code, From, Range};
use loquic_wire::Frame;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    disk::Disk,
    support::{
        Follow, Follower, Pace, Run, Site, Tally, figure, final_log, final_log_on_disk, follow, joined, judge, publish,
        raw::{self, Raw},
        seed, status,
    },
};

/// How long the disk stays full: several looks of the server at it.
const HELD: Duration = Duration::from_secs(3);

const MIB: u64 = 1024 * 1024;

fn config(free_min: &str) -> String {
    format!(
        r#"
[timeouts]
ping = "1s"

[log]
disk_free_min = "{free_min}"
write_buffer_bytes = "4MiB"
"#
    )
}

/// A publisher and a subscriber that go on whatever happens.
struct Load {
    run: Run,
    stop: watch::Sender<bool>,
    target: watch::Sender<Option<u64>>,
    publisher: JoinHandle<Tally>,
    subscriber: JoinHandle<Follow>,
}

impl Load {
    fn start(site: &Site, bytes: std::ops::Range<u64>, seed: u64) -> Self {
        let (run, stop, target) = (Run::new(), watch::Sender::new(false), watch::Sender::new(None));
        let pace = Pace { bytes, ..Pace::of("ann", seed) };
        let publisher = publish(run.clone(), site.connect_lazy("ann"), "a".into(), pace, stop.subscribe());
        let (client, seen) = (site.connect_lazy("sam"), target.subscribe());
        let subscriber = follow(run.clone(), client, "a".into(), "oldest a".into(), From::Oldest, seen);
        Self { run, stop, target, publisher: tokio::spawn(publisher), subscriber: tokio::spawn(subscriber) }
    }

    /// Ends it on a server that works, and judges all of it. The node must be handed over, because the log is read when
    /// it has ended.
    async fn end(self, site: &Site, node: crate::support::Node) -> (Tally, Follow) {
        self.stop.send_replace(true);
        let tally = joined(self.publisher.await);
        let reader = site.connect("reader").await;
        self.target.send_replace(Some(status(&reader, "a").await.head.get()));
        let follow = timeout(Duration::from_secs(10), self.subscriber).await.expect("I15: 10 s");
        final_log(self.run.recorder(), self.run.node(), &reader, "a").await;
        reader.close().await;
        node.terminate().await;
        final_log_on_disk(self.run.recorder(), self.run.recorder().node("disk"), site, "a");
        site.verify();
        judge(&self.run.history(), &Promise::new(Level::Disk));
        (tally, joined(follow))
    }
}

/// A publish by hand: what comes back.
async fn refusal(site: &Site) -> Option<Code> {
    let raw = Raw::connect(site).await;
    let _control = raw.greet("raw").await;
    let mut stream = raw.stream([raw::open("raw", 1), raw::text(1, "is there room?")]).await;
    while let Some(frame) = stream.next().await {
        match frame {
            Frame::Nack(nack) => return Some(nack.code),
            Frame::Refused(refused) => return Some(refused.code),
            Frame::Ack(_) | Frame::AckRun(_) => return None,
            _ => {}
        }
    }
    panic!("the stream ended without an answer");
}

/// Reads everything with a new client, and history as well.
async fn reads_go_on(run: &Run, site: &Site, name: &str) {
    let client = site.connect(name).await;
    let head = status(&client, "a").await.head.get();
    let (_target, mut seen) = watch::channel(Some(head));
    let read = async {
        let mut follower = Follower::new(run, &client, "a", name);
        let mut room = follower.open(From::Oldest).await;
        assert!(follower.run(&mut room, &mut seen, u64::MAX).await);
        assert!(follower.end().last >= head);
        let history = client.history("a", Range::Newest, 10).await.expect("read history");
        assert!(history.head.get() >= head && !history.records.is_empty());
    };
    timeout(Duration::from_secs(10), read).await.expect("reads go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nearly_full() {
    if !Disk::is_available("disk nearly full") {
        return;
    }
    let (seed, start, disk) = (seed("nearly_full"), Instant::now(), Disk::new(96));
    let site = Site::at(&disk.data(), &config("16MiB")).allow("the disk is nearly full");
    let node = site.start().await;
    let load = Load::start(&site, 20..300, seed);
    let mut refused = 0;
    for turn in 1..=3 {
        load.run.more_acks(2000).await;
        let filler = disk.fill(8 * MIB);
        site.says("the disk is nearly full", turn).await;
        assert_eq!(refusal(&site).await, Some(Code::DISK_FULL));
        let acked = load.run.acked();
        reads_go_on(&load.run, &site, &format!("reader {turn}")).await;
        refused += u64::from(load.run.acked() == acked);
        drop(filler);
        site.says("the disk has room again", turn).await;
    }
    load.run.more_acks(2000).await;
    assert_eq!(refusal(&site).await, None);
    let (tally, follow) = load.end(&site, node).await;
    assert_eq!((refused, follow.resumes), (3, 0), "while it is nearly full nothing is taken, and nobody is thrown out");
    figure(format_args!(
        "disk nearly full: 3 times, {} acked, 0 lost, refused with 2004, taken again without a restart ({:.1} s)",
        tally.acked,
        start.elapsed().as_secs_f64()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full() {
    if !Disk::is_available("disk full") {
        return;
    }
    let (seed, start, disk) = (seed("full"), Instant::now(), Disk::new(96));
    let site = Site::at(&disk.data(), &config("0B"))
        .allow("the log refuses publishes; reads go on, publishes are taken again when the disk has room")
        .allow("the store does not open; trying again")
        .allow("cannot write the mark file");
    let node = site.start().await;
    let load = Load::start(&site, 10_000..60_000, seed);
    // One whose stream is open and idle while the store is opened anew.
    let idle = site.connect("idle").await;
    let idle = idle.publisher("b").expect("a name");
    for turn in 1..=2 {
        assert_eq!(idle.publish("before").await.expect("an ack").position.offset.get(), 2 * turn as u64 - 1);
        load.run.more_acks(50).await;
        let filler = disk.fill(0);
        site.says("the log refuses publishes", turn).await;
        assert_eq!(refusal(&site).await, Some(Code::DISK_FULL));
        let held = Instant::now();
        let mut reads = 0;
        // The server looks after the disk every second; reads must not suffer from what it tries.
        while held.elapsed() < HELD {
            reads_go_on(&load.run, &site, &format!("reader {turn} {reads}")).await;
            reads += 1;
        }
        assert_eq!(site.said("the disk has room again"), turn - 1, "there is no room");
        drop(filler);
        site.says("the disk has room again: publishes are taken", turn).await;
        // Somebody opens the room before it comes back.
        let _reader = site.connect("other").await.room("b").from(From::Oldest).open().await.expect("open the room");
        assert_eq!(idle.publish("after").await.expect("an ack").position.offset.get(), 2 * turn as u64);
    }
    load.run.more_acks(50).await;
    assert_eq!(refusal(&site).await, None);
    let (tally, follow) = load.end(&site, node).await;
    figure(format_args!(
        "disk full (ENOSPC in the store): 2 times, {} acked, {} delivered, {} retries that found their record, 0 lost, \
         taken again without a restart ({:.1} s)",
        tally.acked,
        follow.records,
        tally.duplicates,
        start.elapsed().as_secs_f64()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unwritable() {
    if !Disk::is_available("unwritable directory") {
        return;
    }
    // Root writes where it may not; a file system that is mounted read-only stops it too.
    let disk = Disk::new(16);
    fs::create_dir(disk.data()).expect("make a directory");
    fs::set_permissions(disk.data(), fs::Permissions::from_mode(0o500)).expect("take the right to write");
    disk.freeze();
    let site = Site::at(&disk.data(), &config("0B"));
    let exit = site.try_start("").await.err().expect("it cannot start");
    assert_eq!(exit.status.code(), Some(1));
    let said = exit.stderr.lines().last().unwrap_or_default();
    assert!(said.contains("cannot write to") && said.contains("Read-only file system"), "{said}");
}
