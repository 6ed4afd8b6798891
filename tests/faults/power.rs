//! Power loss: the server is stopped in the middle of its work, its disk is copied as it is at that moment, and a new
//! process goes on with the copy. What the file system had not written yet is gone, as behind a pulled plug.
//!
//! Stopped, so that the copy is of one moment: a copying that takes longer than the writing it races with would see a
//! later write without an earlier one, which no disk does. All clients go on and never know.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use loquic_check::{FaultKind, Level, Promise, Report};
use loquic_client::From;
use rustix::process::Signal;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    disk::Disk,
    support::{
        Node, Pace, Random, Run, Site, Tally, figure, final_log, final_log_on_disk, follow, head_on_disk, joined,
        judge, publish, seed, status,
    },
};

const IMAGES_DISK: u64 = 24;
const IMAGES_PROCESS: u64 = 6;

const ROOMS: [&str; 2] = ["a", "b"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_loss() {
    if !Disk::is_available("power loss") {
        return;
    }
    let (seed, start) = (seed("power_loss"), Instant::now());
    let (disk, process) = tokio::join!(
        tokio::spawn(lose_power(Level::Disk, IMAGES_DISK, seed)),
        tokio::spawn(lose_power(Level::Process, IMAGES_PROCESS, seed + 1)),
    );
    let (disk, process) = (joined(disk), joined(process));
    assert_eq!((disk.lost_allowed, disk.resets), (0, 0), "level disk survives");
    assert!(process.lost_allowed > 0, "the harness cannot see a loss:\n{process}");
    assert!(process.resets > 0, "a loss is told:\n{process}");
    figure(format_args!(
        "power loss: {IMAGES_DISK} images at level disk, {} acked, {} delivered, 0 lost; {IMAGES_PROCESS} images at level \
         process, {} acked, {} of acked or delivered lost, told by {} resets ({:.1} s)",
        disk.acked,
        disk.delivered,
        process.acked,
        process.lost_allowed,
        process.resets,
        start.elapsed().as_secs_f64()
    ));
}

fn config(level: Level) -> String {
    let level = if level == Level::Disk { "disk" } else { "process" };
    format!(
        r#"
[timeouts]
ping = "1s"

[log]
disk_free_min = "1MiB"
write_buffer_bytes = "4MiB"

[[rooms]]
pattern = "**"
level = "{level}"
"#
    )
}

async fn lose_power(level: Level, images: u64, seed: u64) -> Report {
    let mut disk = Disk::new(128);
    // A loss at level process is an alarm where the mark had been synced already.
    let site = Arc::new(Site::at(&disk.data(), &config(level)));
    let (run, mut random) = (Run::new(), Random::new(seed));
    let mut node = site.start().await;
    let (stop, stopped) = watch::channel(false);
    let targets: Vec<_> = ROOMS.iter().map(|_| watch::channel(None)).collect();
    let (mut publishers, mut subscribers) = (JoinSet::new(), JoinSet::new());
    for (room, (_, target)) in ROOMS.iter().zip(&targets) {
        for sender in ["ann", "bob"] {
            let pace = Pace::of(sender, random.next());
            publishers.spawn(publish(run.clone(), site.connect_lazy(sender), (*room).into(), pace, stopped.clone()));
        }
        let (run, client, room, target) = (run.clone(), site.connect_lazy("sam"), (*room).to_owned(), target.clone());
        subscribers.spawn(follow(run, client, room.clone(), format!("oldest {room}"), From::Oldest, target));
    }
    for _ in 0..images {
        run.more_acks(random.between(200, 4000)).await;
        run.more_deliveries(1).await;
        // Not in step with the acks.
        tokio::time::sleep(Duration::from_micros(random.between(0, 20_000))).await;
        disk = cut(&run, &site, node, disk).await;
        let heads = ROOMS.map(|room| head_on_disk(&site, room));
        node = site.start().await;
        // The checker is told where each epoch begins: of one that is lost again there may be no other trace.
        let observer = site.connect("observer").await;
        for (room, head) in ROOMS.into_iter().zip(heads) {
            let epoch = status(&observer, room).await.epoch.get();
            run.recorder().lineage(run.recorder().room(room), run.node(), epoch, head + 1);
        }
        observer.close().await;
    }
    run.more_acks(500).await;
    stop.send_replace(true);
    let mut tally = Tally::default();
    while let Some(publisher) = publishers.join_next().await {
        tally += joined(publisher);
    }
    let reader = site.connect("reader").await;
    for (room, (target, _)) in ROOMS.iter().zip(&targets) {
        target.send_replace(Some(status(&reader, room).await.head.get()));
    }
    while let Some(subscriber) = timeout(Duration::from_secs(10), subscribers.join_next()).await.expect("I15: 10 s") {
        let follow = joined(subscriber);
        assert!(level != Level::Disk || follow.renumbered == 0, "ids stay");
    }
    for room in ROOMS {
        final_log(run.recorder(), run.node(), &reader, room).await;
    }
    reader.close().await;
    node.terminate().await;
    let on_disk = run.recorder().node("disk");
    for room in ROOMS {
        final_log_on_disk(run.recorder(), on_disk, &site, room);
    }
    site.verify();
    judge(&run.history(), &Promise::new(level))
}

/// The plug is pulled: returns the disk as it is found afterwards.
async fn cut(run: &Run, site: &Site, node: Node, disk: Disk) -> Disk {
    node.signal(Signal::STOP);
    // Every ack that any client has got was sent before here.
    while !is_stopped(node.pid()) {
        tokio::task::yield_now().await;
    }
    run.recorder().fault(run.node(), FaultKind::PowerLoss, true);
    let found = tokio::task::block_in_place(|| disk.copy());
    node.kill().await;
    drop(disk);
    site.move_to(&found.data());
    site.verify();
    found
}

/// Whether all threads have stopped.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}
