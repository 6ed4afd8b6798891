//! The decisions, in virtual time.

use std::{collections::BTreeMap, time::Duration};

use loquic_impair::{
    Blackout, Burst, Chance, Conditions, Direction, Fate, Lane, Profile, Rate, Reason, Reorder, Schedule, limits,
};
use proptest::prelude::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn up(profile: &str) -> Conditions {
    profile.parse::<Profile>().unwrap().up
}

fn lane(seed: u64, profile: &str) -> Lane {
    Lane::new(seed, 0, Direction::Up, up(profile), Duration::ZERO)
}

/// So many packets of 1,000 bytes, one every millisecond.
fn fates(lane: &mut Lane, packets: u32) -> Vec<Fate> {
    (0..packets).map(|at| lane.handle_packet(MILLISECOND * at, 1_000)).collect()
}

fn is_lost(fate: &Fate) -> bool {
    *fate == Fate::Dropped(Reason::Loss)
}

fn losses(lane: &mut Lane, packets: u32) -> Vec<bool> {
    fates(lane, packets).iter().map(is_lost).collect()
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![Just(Chance::NEVER), (0..=1_000_000u32).prop_map(Chance::parts_per_million)]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), (0..2_000u64).prop_map(Duration::from_millis)]
}

/// Any conditions at all.
pub fn conditions() -> impl Strategy<Value = Conditions> {
    let burst = (chance(), chance(), chance()).prop_map(|(enter, leave, loss)| Burst { enter, leave, loss });
    let reorder = (chance(), time()).prop_map(|(chance, hold_max)| Reorder { chance, hold_max });
    let blackout = (10..900u64, 10..900u64)
        .prop_map(|(light, dark)| Blackout { light: Duration::from_millis(light), dark: Duration::from_millis(dark) });
    let drop = (1..50u64, 0..50u64).prop_map(|(first, more)| first..=first + more);
    let rate = (1_000..100_000_000u64).prop_map(Rate::bits_per_second);
    let chances = (chance(), chance(), chance(), prop::option::of(burst), prop::option::of(1..5u32));
    let others = (prop::option::of(reorder), prop::option::of(rate), 0..50u32, prop::option::of(blackout));
    (time(), time(), chances, others, prop::option::of(drop)).prop_map(|(delay, jitter, chances, others, drop)| {
        let (loss, corrupt, duplicate, burst, run_max) = chances;
        let (reorder, rate, queue_packets_max, blackout) = others;
        Conditions {
            delay,
            jitter,
            loss,
            burst,
            run_max,
            corrupt,
            duplicate,
            reorder,
            rate,
            queue_packets_max,
            blackout,
            drop,
        }
    })
}

/// Times between packets in microseconds, and their sizes.
fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0..50_000u64, 0..1_500usize), 1..200)
}

proptest! {
    /// Goal: the same seed decides the same.
    #[test]
    fn same_seed_same_decisions(conditions in conditions(), seed: u64, client: u64, packets in packets()) {
        let mut lanes = [(); 2].map(|()| Lane::new(seed, client, Direction::Down, conditions.clone(), Duration::ZERO));
        let mut now = Duration::ZERO;
        for (wait, bytes) in packets {
            now += Duration::from_micros(wait);
            let [one, other] = lanes.each_mut().map(|lane| lane.handle_packet(now, bytes));
            prop_assert_eq!(one, other);
        }
    }

    /// Goal: what chance decides does not depend on when packets come, nor on how long they are.
    #[test]
    fn chance_does_not_depend_on_time(conditions in conditions(), seed: u64, one in packets(), other in packets()) {
        let conditions = Conditions { blackout: None, rate: None, ..conditions };
        let decided = |packets: &[(u64, usize)]| {
            let mut lane = Lane::new(seed, 7, Direction::Up, conditions.clone(), Duration::ZERO);
            let mut now = Duration::ZERO;
            let fates = packets.iter().map(|(wait, bytes)| {
                now += Duration::from_micros(*wait);
                match lane.handle_packet(now, bytes + 1) {
                    Fate::Dropped(reason) => (Some(reason), false, false),
                    Fate::Delivered(how) => (None, how.copy_at.is_some(), how.flipped_bit.is_some()),
                }
            });
            fates.collect::<Vec<_>>()
        };
        let (one, other) = (decided(&one), decided(&other));
        let both = one.len().min(other.len());
        prop_assert_eq!(&one[..both], &other[..both]);
    }

    /// Goal: nothing is invented. What comes out went in, unchanged but for the bit that was decided, not before it
    /// came, once, or twice if that was decided; and in order if it was not asked to be otherwise.
    #[test]
    fn nothing_is_invented(conditions in conditions(), seed: u64, packets in packets()) {
        let keeps_order = conditions.reorder.is_none();
        let mut lane = Lane::new(seed, 1, Direction::Up, conditions, Duration::ZERO);
        let mut schedule = Schedule::default();
        let mut expected: BTreeMap<usize, (Vec<u8>, u32)> = BTreeMap::new();
        let mut now = Duration::ZERO;
        for (number, (wait, bytes)) in packets.into_iter().enumerate() {
            now += Duration::from_micros(wait);
            let mut content = vec![number as u8; bytes];
            let Fate::Delivered(how) = lane.handle_packet(now, bytes) else { continue };
            prop_assert!(how.at >= now && how.copy_at.is_none_or(|at| at >= how.at));
            if let Some(bit) = how.flipped_bit {
                content[bit / 8] ^= 1 << (bit % 8);
            }
            expected.insert(number, (content.clone(), 1 + u32::from(how.copy_at.is_some())));
            schedule.push(how.at, (number, content.clone(), false));
            if let Some(at) = how.copy_at {
                schedule.push(at, (number, content, true));
            }
        }
        let (mut now, mut last) = (Duration::ZERO, 0);
        while let Some(at) = schedule.next_at() {
            prop_assert!(at >= now && schedule.pop(at.saturating_sub(Duration::from_nanos(1))).is_none());
            now = at;
            let (number, content, is_copy) = schedule.pop(now).unwrap().item;
            let (expected, left) = expected.get_mut(&number).unwrap();
            prop_assert_eq!(&content, expected);
            prop_assert!(*left > 0);
            *left -= 1;
            prop_assert!(is_copy || !keeps_order || number >= last);
            last = if is_copy { last } else { number };
        }
        prop_assert!(expected.values().all(|(_, left)| *left == 0));
    }

    /// Goal: no more than the rate leaves, in any stretch of time, and no more waits than the queue holds.
    #[test]
    fn rate_is_kept(rate in 10_000..10_000_000u64, queue in 0..30usize, seed: u64, packets in packets()) {
        let conditions =
            Conditions { rate: Some(Rate::bits_per_second(rate)), queue_packets_max: queue as u32, ..Conditions::CLEAN };
        let mut lane = Lane::new(seed, 1, Direction::Up, conditions, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut left: Vec<Duration> = Vec::new();
        for (wait, bytes) in packets {
            now += Duration::from_micros(wait);
            let waiting = left.iter().filter(|at| **at > now).count();
            prop_assert!(waiting <= queue + 1);
            match lane.handle_packet(now, bytes) {
                Fate::Delivered(how) => {
                    let on_line = Duration::from_nanos((bytes as u128 * 8_000_000_000 / u128::from(rate)) as u64);
                    let before = left.last().copied().unwrap_or_default().max(now);
                    prop_assert_eq!(how.at, before + on_line);
                    left.push(how.at);
                }
                Fate::Dropped(reason) => {
                    prop_assert_eq!((reason, waiting), (Reason::Queue, queue + 1));
                }
            }
        }
    }

    /// Goal: in a stream all arrives, in order, and what was lost is late.
    #[test]
    fn streams_lose_nothing(conditions in conditions(), seed: u64, packets in packets()) {
        let delay = conditions.delay;
        let mut lane = Lane::new(seed, 1, Direction::Up, conditions, Duration::ZERO);
        let (mut now, mut last) = (Duration::ZERO, Duration::ZERO);
        for (wait, bytes) in packets {
            now += Duration::from_micros(wait);
            let segment = lane.handle_segment(now, bytes);
            let stall = if segment.is_stalled { limits::STALL_MIN + 2 * delay } else { Duration::ZERO };
            prop_assert!(segment.at >= last && segment.at >= now + delay + stall);
            last = segment.at;
        }
    }
}

#[test]
fn loss_is_as_often_as_asked() {
    for (profile, parts_per_million) in
        [("loss-1", 10_000), ("loss-2", 20_000), ("loss-20", 200_000), ("loss=0.05%", 500), ("clean", 0)]
    {
        let packets = 200_000;
        let lost = losses(&mut lane(1, profile), packets).iter().filter(|lost| **lost).count() as f64;
        let p = f64::from(parts_per_million) / 1e6;
        // Four standard deviations; with a fixed seed it is the same at every run.
        let deviation = (f64::from(packets) * p * (1.0 - p)).sqrt();
        let expected = f64::from(packets) * p;
        assert!((lost - expected).abs() <= 4.0 * deviation, "{profile}: {lost} of {packets}");
    }
}

#[test]
fn bursts_come_together() {
    let packets = 200_000;
    let lost = losses(&mut lane(1, "burst-loss"), packets);
    let runs: Vec<_> = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
    let total: usize = runs.iter().sum();
    // In the bad state 1 / (1 + 30) of the time, and 1 / 30 % packets each time.
    let (share, length) = (total as f64 / f64::from(packets), total as f64 / runs.len() as f64);
    assert!((0.030..0.035).contains(&share), "{share}");
    assert!((3.1..3.6).contains(&length), "{length}");
}

#[test]
fn runs_have_an_end() {
    let lost = losses(&mut lane(1, "interop-handshake-loss,rate=1Gbit"), 20_000);
    let longest = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).max();
    assert_eq!(longest, Some(3));
    let lost = losses(&mut lane(1, "loss=30%"), 20_000);
    let longest = lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).max();
    assert!(longest > Some(3), "{longest:?}");
}

/// What a seed decides must stay what it is, or pinned failures fail no more.
#[test]
fn seed_1_is_pinned() {
    let lost = losses(&mut lane(1, "loss-20"), 100);
    let lost: Vec<_> = lost.iter().enumerate().filter(|(_, lost)| **lost).map(|(number, _)| number).collect();
    assert_eq!(lost, [1, 2, 15, 18, 20, 23, 25, 29, 32, 35, 38, 41, 56, 72, 79, 87, 93, 94, 97]);
}

#[test]
fn clients_directions_and_seeds_have_their_own_luck() {
    let luck =
        |seed, client, direction| losses(&mut Lane::new(seed, client, direction, up("loss=50%"), Duration::ZERO), 64);
    let all = [
        luck(1, 0, Direction::Up),
        luck(1, 0, Direction::Down),
        luck(1, 1, Direction::Up),
        luck(2, 0, Direction::Up),
        luck(2, 1, Direction::Down),
    ];
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!((16..=48).contains(&same), "{same} of 64 are the same");
        }
    }
}

#[test]
fn ten_megabits_carry_ten_megabits() {
    // 10,000 packets of 1,250 bytes in 10 s are what fits; twice as many come.
    let mut lane = lane(1, "interop-clean");
    let every = Duration::from_micros(500);
    let end = Duration::from_secs(10);
    let fates: Vec<_> = (0..20_000u32).map(|at| (every * at, lane.handle_packet(every * at, 1_250))).collect();
    let arrived = |fate: &Fate| matches!(fate, Fate::Delivered(how) if how.at <= end + Duration::from_millis(15));
    assert_eq!(fates.iter().filter(|(_, fate)| arrived(fate)).count(), 10_000);
    assert!(fates.iter().all(|(_, fate)| matches!(fate, Fate::Delivered(_) | Fate::Dropped(Reason::Queue))));
    // The last one waited for a full queue, 1 ms each, and then 15 ms.
    let delays = fates.iter().filter_map(|(now, fate)| match fate {
        Fate::Delivered(how) => Some(how.at - *now),
        Fate::Dropped(_) => None,
    });
    let longest = delays.max().unwrap();
    assert!((40..=41).contains(&longest.as_millis()), "{longest:?}");
}

#[test]
fn blackouts_begin_and_end_to_the_nanosecond() {
    let tick = Duration::from_nanos(1);
    let mut lane = Lane::new(1, 0, Direction::Up, up("blackouts"), Duration::from_secs(100));
    for (after, dark) in [(0, false), (5, true), (7, false), (12, true), (14, false)] {
        let now = Duration::from_secs(100 + after);
        let fate = |lane: &mut Lane, now| lane.handle_packet(now, 100) == Fate::Dropped(Reason::Blackout);
        assert_eq!(fate(&mut lane, now), dark, "{after} s");
        assert!(after == 0 || fate(&mut lane, now - tick) != dark, "{after} s");
        assert_eq!(lane.light_at(now), dark.then(|| now + Duration::from_secs(2)));
    }
    lane.set_cut(true);
    assert_eq!(lane.handle_packet(Duration::from_secs(100), 100), Fate::Dropped(Reason::Blackout));
    assert_eq!(lane.light_at(Duration::from_secs(100)), None);
    lane.set_cut(false);
    assert!(matches!(lane.handle_packet(Duration::from_secs(100), 100), Fate::Delivered(_)));
    // A profile that is set begins with light.
    lane.set_conditions(up("blackouts"), Duration::from_secs(105));
    assert!(!lane.is_dark(Duration::from_secs(105)) && lane.is_dark(Duration::from_secs(110)));
}

#[test]
fn listed_packets_are_dropped() {
    let dropped: Vec<_> = fates(&mut lane(1, "interop-amplification"), 10)
        .iter()
        .enumerate()
        .filter(|(_, fate)| **fate == Fate::Dropped(Reason::Listed))
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(dropped, [2, 3, 4, 5, 6, 7]);
}

#[test]
fn jitter_keeps_the_order_and_reordering_does_not() {
    let overtaken = |profile| {
        let mut schedule = Schedule::default();
        for fate in fates(&mut lane(1, profile), 1_000) {
            let Fate::Delivered(how) = fate else { panic!("{fate:?}") };
            schedule.push(how.at, ());
        }
        let end = Duration::MAX;
        std::iter::from_fn(|| schedule.pop(end)).filter(|due| due.is_overtaken).count()
    };
    assert_eq!(overtaken("jitter=100ms,delay=10ms"), 0);
    // One in five is held back, nearly always for longer than the millisecond until the next one.
    let reordered = overtaken("reorder=20%/100ms");
    assert!((150..=250).contains(&reordered), "{reordered}");
}

#[test]
fn a_paced_stream_waits_for_room() {
    // 1,000 bytes take 8 ms.
    let mut lane = lane(1, "rate=1Mbit,queue=1");
    let now = Duration::from_secs(1);
    assert_eq!(lane.room_at(now), None);
    lane.handle_segment(now, 1_000);
    assert_eq!(lane.room_at(now), None);
    lane.handle_segment(now, 1_000);
    assert_eq!(lane.room_at(now), Some(now + 8 * MILLISECOND));
    assert_eq!(lane.room_at(now + 8 * MILLISECOND), None);
}
