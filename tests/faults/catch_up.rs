//! Readers that are behind: by a million records, or by more than is kept.

use std::{
    hash::{DefaultHasher, Hasher},
    time::{Duration, Instant},
};

use loquic_check::{Level, Promise, Retention};
use loquic_client::{Event, From, Message, Transport};
use tokio::{sync::watch, task::JoinSet};

use crate::support::{
    Follower, Pace, Run, Site, figure, final_log, final_log_on_disk, joined, judge, publish, seed, status,
};

const RECORDS: u64 = 1_000_000;
const BATCH: u64 = 20_000;

fn payload(number: u64) -> Vec<u8> {
    let mut payload = [0; 128];
    payload.chunks_exact_mut(8).zip(number..).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
    payload.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_records_from_the_oldest() {
    let site = Site::new("[log]\ndisk_free_min = \"0B\"\n");
    let node = site.start().await;
    let writer = site.connect("ann").await;
    let publisher = writer.publisher("a").expect("a name");
    let (start, mut written) = (Instant::now(), DefaultHasher::new());
    for batch in 0..RECORDS / BATCH {
        let payloads: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(payload).collect();
        payloads.iter().for_each(|payload| written.write(payload));
        let messages = payloads.into_iter().map(Message::from).collect();
        let acks = publisher.publish_batch(messages).await;
        for (ack, offset) in acks.into_iter().zip(batch * BATCH + 1..) {
            assert_eq!(ack.expect("an ack").position.offset.get(), offset);
        }
    }
    let (writing, written) = (start.elapsed(), written.finish());
    // Nothing of it is in memory any more.
    writer.close().await;
    node.terminate().await;
    let node = site.start().await;
    let quic = read_all(&site, Transport::Quic, written).await;
    let webtransport = read_all(&site, Transport::WebTransport, written).await;
    node.terminate().await;
    assert_eq!(site.verify()["records"], RECORDS);
    figure(format_args!(
        "catch-up: {RECORDS} records published in {:.1} s, read from the oldest behind a restart in {:.1} s, over \
         WebTransport in {:.1} s, digests equal",
        writing.as_secs_f64(),
        quic.as_secs_f64(),
        webtransport.as_secs_f64()
    ));
}

/// Reads from the oldest record to the seam; what was written has this digest. Returns how long that took.
async fn read_all(site: &Site, transport: Transport, written: u64) -> Duration {
    let start = Instant::now();
    let reader = site.client("sam").transport(transport).connect().await.expect("connect");
    let mut room = reader.room("a").from(From::Oldest).open().await.expect("open the room");
    let (mut read, mut next, mut caught_up) = (DefaultHasher::new(), 1, None);
    while caught_up.is_none() {
        for event in room.next_batch().await.expect("the client goes on").expect("the room stays open") {
            match event {
                Event::Record(record) => {
                    assert_eq!(record.offset.get(), next);
                    next += 1;
                    read.write(&record.payload);
                }
                Event::CaughtUp(at) => caught_up = Some(at.head.get()),
                other => panic!("{other:?} came from a log that keeps everything"),
            }
        }
    }
    assert_eq!((next - 1, caught_up), (RECORDS, Some(RECORDS)), "the seam is at the head");
    assert_eq!(read.finish(), written, "the digest of the payloads");
    let reading = start.elapsed();
    reader.close().await;
    reading
}

const KEPT: u64 = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_reader_is_told_what_is_gone_over_quic() {
    a_lagging_reader_is_told("a_lagging_reader_is_told_what_is_gone_over_quic", Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_reader_is_told_what_is_gone_over_webtransport() {
    a_lagging_reader_is_told("a_lagging_reader_is_told_what_is_gone_over_webtransport", Transport::WebTransport).await;
}

async fn a_lagging_reader_is_told(test: &str, transport: Transport) {
    let (seed, start, run) = (seed(test), Instant::now(), Run::new());
    let config = format!("[log]\ndisk_free_min = \"0B\"\n[[rooms]]\npattern = \"a\"\ncount = {KEPT}\n");
    let site = Site::new(&config).over(transport);
    let node = site.start().await;
    // One reads now and then, one only what was there at first and then everything at the end.
    let client = site.connect("sam").await;
    let (mut slow, mut late) = (Follower::new(&run, &client, "a", "slow"), Follower::new(&run, &client, "a", "late"));
    let (target, mut seen) = watch::channel(None);
    let (mut slow_room, mut late_room) = (slow.open(From::Oldest).await, late.open(From::Oldest).await);
    let (stop, stopped) = watch::channel(false);
    let mut publishers = JoinSet::new();
    for (sender, seed) in [("ann", seed), ("bob", seed + 1)] {
        let pace = Pace { in_flight: 256, ..Pace::of(sender, seed) };
        publishers.spawn(publish(run.clone(), site.connect(sender).await, "a".into(), pace, stopped.clone()));
    }
    for _ in 0..20 {
        run.more_acks(10_000).await;
        slow.run(&mut slow_room, &mut seen, 300).await;
    }
    stop.send_replace(true);
    while let Some(publisher) = publishers.join_next().await {
        joined(publisher);
    }
    target.send_replace(Some(status(&client, "a").await.head.get()));
    assert!(slow.run(&mut slow_room, &mut seen, u64::MAX).await);
    assert!(late.run(&mut late_room, &mut seen, u64::MAX).await);
    let (slow, late) = (slow.settle(), late.settle());
    for follow in [slow, late] {
        assert!(follow.gaps > 0, "nothing was said");
        assert_eq!(follow.records + follow.gapped, follow.last, "every offset is a record or in a gap: {follow:?}");
    }
    final_log(run.recorder(), run.node(), &client, "a").await;
    client.close().await;
    drop((slow_room, late_room));
    node.terminate().await;
    let log = final_log_on_disk(run.recorder(), run.recorder().node("disk"), &site, "a");
    assert_eq!((log.floor, log.records), (log.head + 1 - KEPT, KEPT));
    site.verify();
    judge(&run.history(), &Promise::new(Level::Disk).retention(Retention::KeepsLast(KEPT)));
    figure(format_args!(
        "retention over {transport:?}: {} published, {KEPT} kept; slow reader: {} records, {} in {} gaps; late reader: {} records, {} in {} gaps \
         ({:.1} s)",
        log.head,
        slow.records,
        slow.gapped,
        slow.gaps,
        late.records,
        late.gapped,
        late.gaps,
        start.elapsed().as_secs_f64()
    ));
}
