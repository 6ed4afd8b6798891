//! A log that is not what was written: cut short, changed, or exchanged for an older one. Clients are told; nobody ever
//! gets something else than was published.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use loquic_check::{FaultKind, Level, Promise};
use loquic_client::{From, Mode, RoomName};
use loquic_wire::{
    Frame,
    join::{GapReason, Join, PresenceLevel},
};
use tokio::{sync::watch, time::timeout};

use crate::support::{
    Follower, Pace, Run, Site, figure, final_log, final_log_on_disk, hash_of, judge, publish, raw::Raw, seed, status,
};

const CONFIG: &str = "[timeouts]\nping = \"1s\"\n[log]\ndisk_free_min = \"0B\"\n";

/// Publishes this many records of a few hundred bytes into the room `a`.
async fn fill(run: &Run, site: &Site, count: u64, seed: u64) {
    let pace = Pace { in_flight: 256, bytes: 200..600, count, ..Pace::of("ann", seed) };
    let client = site.connect("ann").await;
    let (_stop, stopped) = watch::channel(false);
    assert_eq!(publish(run.clone(), client.clone(), "a".into(), pace, stopped).await.acked, count);
    client.close().await;
}

/// Waits until the mark file says something else than it did: what was synced up to now is noted.
async fn marked(site: &Site, before: &[u8]) {
    let changed = async {
        while fs::read(site.data().join("MARK")).unwrap_or_default() == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), changed).await.expect("the mark file is written each second");
}

/// What `loquic log verify` finds; it must find something, and leave with 1.
fn findings(site: &Site) -> Vec<String> {
    let output = site.loquic(&["log", "verify", "--json", "--data-dir", &site.data().display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "log verify is content: {}", String::from_utf8_lossy(&output.stdout));
    let Ok(verified) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return vec![String::from_utf8_lossy(&output.stderr).into_owned()];
    };
    let findings = verified["findings"].as_array().expect("findings are a list");
    findings.iter().map(ToString::to_string).collect()
}

/// Files of the store with this extension, the newest last.
fn files(site: &Site, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.data().join("log")).expect("read the store's directory");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// A follower that has everything, and its room's client is gone.
async fn reader(run: &Run, site: &Site) -> Follower {
    let client = site.connect("sam").await;
    let (_target, mut seen) = watch::channel(Some(status(&client, "a").await.head.get()));
    let mut follower = Follower::new(run, &client, "a", "sam");
    let mut room = follower.open(From::Oldest).await;
    assert!(follower.run(&mut room, &mut seen, u64::MAX).await);
    drop(room);
    client.close().await;
    follower
}

/// The reader comes back to a log that has lost its end, and some more is published.
async fn told_of_the_loss(run: &Run, site: &Site, mut follower: Follower, seed: u64) -> (u64, u64) {
    let held = follower.position().expect("it has read").offset.get();
    let client = site.connect("sam").await;
    follower.go_on_with(&client);
    let head = status(&client, "a").await.head.get();
    assert!(head < held, "nothing was lost");
    fill(run, site, 200, seed).await;
    let (_target, mut seen) = watch::channel(Some(status(&client, "a").await.head.get()));
    let position = follower.position().expect("it has read");
    let mut room = follower.open(From::After(position)).await;
    // The first event is the reset; before it, the target seems to be reached.
    let run_on = async {
        assert!(!follower.run(&mut room, &mut watch::channel(None).1, 1).await);
        follower.run(&mut room, &mut seen, u64::MAX).await
    };
    assert!(timeout(Duration::from_secs(10), run_on).await.expect("it gets to the head"));
    let follow = follower.settle();
    assert_eq!(follow.resets, 1, "the loss is told");
    final_log(run.recorder(), run.node(), &client, "a").await;
    drop(room);
    client.close().await;
    (held, head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_log_is_told() {
    let (seed, run) = (seed("a_truncated_log_is_told"), Run::new());
    let site = Site::new(CONFIG).allow("the log has LOST batches that had been synced");
    let node = site.start().await;
    fill(&run, &site, 5000, seed).await;
    let follower = reader(&run, &site).await;
    let before = fs::read(site.data().join("MARK")).unwrap_or_default();
    fill(&run, &site, 1, seed + 1).await;
    marked(&site, &before).await;
    node.kill().await;
    let wal = files(&site, "log").pop().expect("there is a write-ahead log");
    let length = fs::metadata(&wal).expect("look at it").len();
    OpenOptions::new().write(true).open(&wal).expect("open it").set_len(length / 2).expect("cut it");
    // A disk that loses what it had synced is as bad as no sync at all.
    run.recorder().fault(run.node(), FaultKind::PowerLoss, true);
    let found = findings(&site);
    assert!(found.iter().any(|what| what.contains("batches that had been synced")), "{found:?}");
    let node = site.start().await;
    site.says("LOST batches", 1).await;
    let (held, head) = told_of_the_loss(&run, &site, follower, seed + 2).await;
    node.terminate().await;
    final_log_on_disk(run.recorder(), run.recorder().node("disk"), &site, "a");
    judge(&run.history(), &Promise::new(Level::Process));
    figure(format_args!("truncated log: {} of {held} records left, told by a reset, the rest as published", head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_log_is_told() {
    let (seed, run) = (seed("an_older_log_is_told"), Run::new());
    let site = Site::new(CONFIG).allow("the log has LOST batches that had been synced");
    let node = site.start().await;
    fill(&run, &site, 1000, seed).await;
    node.terminate().await;
    let (log, backup) = (site.data().join("log"), site.home().join("backup"));
    copy(&log, &backup);
    let node = site.start().await;
    fill(&run, &site, 1000, seed + 1).await;
    let follower = reader(&run, &site).await;
    node.terminate().await;
    // Somebody puts the store of the day before in its place, and both ends were in good order.
    fs::remove_dir_all(&log).expect("remove the store");
    copy(&backup, &log);
    run.recorder().fault(run.node(), FaultKind::PowerLoss, true);
    let found = findings(&site);
    assert!(found.iter().any(|what| what.contains("batches that had been synced")), "{found:?}");
    let node = site.start().await;
    site.says("LOST batches", 1).await;
    told_of_the_loss(&run, &site, follower, seed + 2).await;
    node.terminate().await;
    final_log_on_disk(run.recorder(), run.recorder().node("disk"), &site, "a");
    judge(&run.history(), &Promise::new(Level::Process));
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("run cp").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_byte_is_told() {
    const RECORDS: u64 = 20_000;
    let (seed, start, run) = (seed("a_changed_byte_is_told"), Instant::now(), Run::new());
    let site = Site::new(CONFIG).allow("its records are reported as lost");
    let node = site.start().await;
    fill(&run, &site, RECORDS, seed).await;
    node.terminate().await;
    site.verify();
    let tables = files(&site, "sst");
    let largest = tables.iter().max_by_key(|path| fs::metadata(path).expect("look at it").len()).expect("a table");
    let file = OpenOptions::new().read(true).write(true).open(largest).expect("open the table");
    let middle = file.metadata().expect("look at it").len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).expect("read a byte");
    file.write_all_at(&[byte[0] ^ 1], middle).expect("change it");
    let found = findings(&site);
    let node = site.start().await;
    let published: Vec<u64> = run.publishes().iter().map(|publish| publish.hash).collect();
    let seen = read_by_hand(&site).await;
    for (offset, hash) in &seen.records {
        assert_eq!(*hash, published[*offset as usize - 1], "offset {offset} is not what was published");
    }
    assert!(seen.lost > 0 && seen.records.len() as u64 + seen.lost == RECORDS, "every offset is told");
    assert!(seen.lost < RECORDS / 10, "what is behind the damage is read as well");
    assert!(found.iter().any(|what| what.contains("cannot be read")), "{found:?}");
    node.terminate().await;
    figure(format_args!(
        "one changed byte: {} of {RECORDS} records read, {} told as lost; log verify: {} ({:.1} s)",
        seen.records.len(),
        seen.lost,
        found.first().expect("it says what is wrong"),
        start.elapsed().as_secs_f64()
    ));
}

struct ByHand {
    records: Vec<(u64, u64)>,
    lost: u64,
}

/// What is read by hand: a client would try again and again where the server cannot go on.
async fn read_by_hand(site: &Site) -> ByHand {
    let raw = Raw::connect(site).await;
    let _control = raw.greet("raw").await;
    let join = Join {
        room: RoomName::new("a").expect("a name"),
        from: From::Oldest,
        mode: Mode::All,
        credit: 1 << 30,
        presence: PresenceLevel::None,
    };
    let mut stream = raw.stream([join.into()]).await;
    let mut seen = ByHand { records: Vec::new(), lost: 0 };
    let mut next = 1;
    while let Some(frame) = stream.next().await {
        match frame {
            Frame::Record(record) => {
                assert_eq!(record.offset.get(), next, "nothing is left out");
                next += 1;
                seen.records.push((record.offset.get(), hash_of(&record)));
            }
            Frame::Gap(gap) => {
                assert_eq!((gap.from.get(), gap.reason), (next, GapReason::Lost));
                seen.lost += gap.to.get() - gap.from.get() + 1;
                next = gap.to.get() + 1;
            }
            Frame::CaughtUp(_) => return seen,
            Frame::Joined(_) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the stream ended without a word");
}
