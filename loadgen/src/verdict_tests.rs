//! Each kind of fault is planted into a run that is otherwise clean, and must be found, and counted as what it is.

use bytes::Bytes;
use loquic_check::{self as check, Promise, Recorder};
use proptest::prelude::*;

use super::*;

const PUBLISHERS: u32 = 3;
const COUNT: u64 = 30;
const WARMUP: u64 = 6;

/// One room with its log as it should be, and what one subscription is shown of it.
struct World {
    payloads: Payloads,
    log: Vec<(u64, Bytes)>,
    acked: Acked,
}

fn world() -> World {
    let payloads = Payloads::new(7, 64, 1);
    let (mut log, mut acked) = (Vec::new(), Acked::default());
    for number in 0..COUNT {
        let (publisher, sequence) = ((number % 3) as u32, (number / 3) as u32);
        let offset = number + 1;
        log.push((offset, payloads.write(Stamp { publisher, sequence, intended: number, lag_us: 0 })));
        acked.add(offset, publisher, sequence);
    }
    World { payloads, log, acked }
}

impl World {
    fn judge(&self, shown: &[(u64, Bytes)]) -> Judge {
        let mut judge = Judge::new(self.payloads.clone(), WARMUP, 0..PUBLISHERS, 1);
        for (offset, payload) in shown {
            judge.record(*offset, payload);
        }
        judge
    }

    /// The verdict if one subscription is shown this, beside one that is shown all.
    fn verdict(&self, shown: &[(u64, Bytes)]) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.add_room(&self.acked, COUNT, &[self.judge(&self.log), self.judge(shown)]);
        verdict
    }
}

fn clean() -> Verdict {
    let delivered = 2 * (COUNT - WARMUP);
    Verdict { expected: delivered, delivered, ..Verdict::default() }
}

#[test]
fn a_clean_run_is_clean() {
    let world = world();
    assert_eq!(world.verdict(&world.log), clean());
}

#[test]
fn a_lost_record_is_found_wherever_it_was() {
    for at in [0, 1, 12, COUNT as usize - 1] {
        let world = world();
        let mut shown = world.log.clone();
        shown.remove(at);
        // Before the warm-up ends nothing is measured, but a loss is one.
        let delivered = clean().delivered - u64::from(at as u64 >= WARMUP);
        assert_eq!(world.verdict(&shown), Verdict { expected: delivered + 1, delivered, lost: 1, ..clean() });
    }
}

#[test]
fn a_publish_that_was_acknowledged_and_is_nowhere_is_lost() {
    // The log is dense, and one publish that was acknowledged is not in it.
    let mut world = world();
    world.acked.add(COUNT, 0, 10);
    let verdict = world.verdict(&world.log);
    assert_eq!((verdict.lost, verdict.corrupt), (2, 0), "once for each subscription");
}

#[test]
fn a_publish_without_an_answer_is_expected_all_the_same() {
    let mut world = world();
    world.acked.unclear = 1;
    assert_eq!(world.verdict(&world.log).lost, 2, "it did not come to either subscription");
    let late = world.payloads.write(Stamp { publisher: 0, sequence: 10, intended: 9, lag_us: 0 });
    world.log.push((COUNT + 1, late));
    assert_eq!(world.verdict(&world.log).lost, 0, "it came");
}

#[test]
fn a_duplicate_is_found() {
    let world = world();
    let mut shown = world.log.clone();
    shown.insert(20, world.log[12].clone());
    assert_eq!(world.verdict(&shown), Verdict { duplicated: 1, ..clean() });
}

#[test]
fn a_publish_that_is_in_the_log_twice_is_a_duplicate() {
    let mut world = world();
    world.log.push((COUNT + 1, world.log[12].1.clone()));
    let mut verdict = Verdict::default();
    verdict.add_room(&world.acked, COUNT + 1, &[world.judge(&world.log)]);
    assert_eq!((verdict.duplicated, verdict.lost, verdict.delivered), (1, 0, COUNT - WARMUP));
}

#[test]
fn a_late_record_is_reordered_and_not_lost() {
    let world = world();
    let mut shown = world.log.clone();
    shown.swap(12, 13);
    assert_eq!(world.verdict(&shown), Verdict { reordered: 1, ..clean() });
}

#[test]
fn publishes_that_changed_places_in_the_log_are_reordered() {
    // Both are of the same publisher.
    let mut world = world();
    let (a, b) = (world.log[12].1.clone(), world.log[15].1.clone());
    (world.log[12].1, world.log[15].1) = (b, a);
    let verdict = world.verdict(&world.log);
    // The acks named other offsets, which is a fault of its own.
    assert_eq!((verdict.reordered, verdict.corrupt, verdict.lost), (2, 2, 0));
}

#[test]
fn a_changed_payload_is_corrupt() {
    let world = world();
    let mut shown = world.log.clone();
    let mut bytes = shown[12].1.to_vec();
    bytes[40] ^= 1;
    shown[12].1 = bytes.into();
    let verdict = world.verdict(&shown);
    let delivered = clean().delivered - 1;
    // What was published has not come.
    assert_eq!(verdict, Verdict { expected: delivered + 1, delivered, lost: 1, corrupt: 1, ..clean() });
}

#[test]
fn a_record_of_somebody_else_is_corrupt() {
    let mut world = world();
    let foreign = Payloads::new(8, 64, 1).write(Stamp { publisher: 0, sequence: 0, intended: 9, lag_us: 0 });
    world.log.push((COUNT + 1, foreign));
    let mut verdict = Verdict::default();
    verdict.add_room(&world.acked, COUNT, &[world.judge(&world.log)]);
    assert_eq!((verdict.corrupt, verdict.lost), (1, 0));
}

#[test]
fn another_record_than_the_others_see_is_found() {
    // Two publishes of different publishers, exchanged for one subscription: whole, dense, and in order for each.
    let world = world();
    let mut shown = world.log.clone();
    let (a, b) = (shown[12].1.clone(), shown[13].1.clone());
    (shown[12].1, shown[13].1) = (b, a);
    assert_eq!(world.verdict(&shown), Verdict { corrupt: 1, ..clean() });
    // Also where the outcome of some publish is not known, so that acks prove nothing.
    let mut unclear = self::world();
    (unclear.acked.count, unclear.acked.unclear) = (COUNT - 1, 1);
    assert_eq!(unclear.verdict(&shown), Verdict { corrupt: 1, ..clean() });
}

#[test]
fn gaps_and_resets_are_losses() {
    let world = world();
    let mut judge = world.judge(&world.log[..20]);
    judge.gap(25);
    for (offset, payload) in &world.log[25..] {
        judge.record(*offset, payload);
    }
    let mut verdict = Verdict::default();
    verdict.add_room(&world.acked, COUNT, &[judge]);
    assert_eq!((verdict.lost, verdict.duplicated), (5, 0));

    let mut judge = world.judge(&world.log[..20]);
    judge.reset(15);
    assert_eq!((judge.missing(), judge.reached()), (5, 15));
}

proptest! {
    /// The checker that judges whole histories comes to the same counts.
    #[test]
    fn the_checker_agrees(
        drops in prop::collection::vec(0usize..COUNT as usize, 0..4),
        again in prop::collection::vec((0usize..COUNT as usize, 0usize..COUNT as usize), 0..4),
        swaps in prop::collection::vec(0usize..COUNT as usize - 1, 0..3),
    ) {
        let world = world();
        let mut shown = world.log.clone();
        swaps.iter().for_each(|at| shown.swap(*at, at + 1));
        again.iter().for_each(|(what, to)| shown.insert(*to, world.log[*what].clone()));
        drops.iter().for_each(|at| drop(shown.remove(*at % shown.len())));
        let mut verdict = Verdict::default();
        verdict.add_room(&world.acked, COUNT, &[world.judge(&shown)]);
        let report = checked(&world, &shown);
        prop_assert_eq!(
            (verdict.lost, verdict.duplicated, verdict.reordered, verdict.corrupt),
            (report.lost, report.duplicated, report.reordered, report.corrupt),
            "{}", report
        );
    }
}

fn checked(world: &World, shown: &[(u64, Bytes)]) -> check::Report {
    let clock = std::sync::atomic::AtomicU64::new(0);
    let recorder = Recorder::new("loadgen", move || clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let (room, node) = (recorder.room("room"), recorder.node("node"));
    let subscriber = recorder.subscriber("subscriber");
    let mut reading = recorder.subscribe(subscriber, room, node, check::Kind::Live, check::From::Live);
    reading.joined(1, 0, 1);
    let hash = |payload: &Bytes| u64::from(crc32c::crc32c(payload));
    for (number, (offset, payload)) in (0u64..).zip(&world.log) {
        let producer = recorder.producer(&format!("{}", number % 3));
        let publish = recorder.publish(room, producer, number / 3 + 1, hash(payload), node);
        publish.acked(check::Position { epoch: 1, offset: *offset }, false);
    }
    shown.iter().for_each(|(offset, payload)| reading.deliver(*offset, hash(payload)));
    reading.settled();
    drop(reading);
    check::check(&recorder.finish(), &Promise::new(check::Level::Disk))
}
