use loquic_wire::{Code, Flags, Format, Frame, Kind, ProducerTag, Time, UserName};
use proptest::prelude::*;

use super::*;

fn offset(value: u64) -> Offset {
    Offset::saturating(value)
}

fn epoch(value: u64) -> Epoch {
    Epoch::saturating(value)
}

fn position(e: u64, o: u64) -> Position {
    Position { epoch: epoch(e), offset: offset(o) }
}

fn record(at: u64) -> Frame {
    Record {
        offset: offset(at),
        time: Time::ZERO,
        kind: Kind::MESSAGE,
        format: Format::Bytes,
        flags: Flags::NONE,
        sender: UserName::new("a").expect("a name"),
        producer: ProducerTag([0; 4]),
        id: at,
        refers: None,
        payload: "x".into(),
    }
    .into()
}

fn joined(e: u64, head: u64) -> Frame {
    Joined { handle: 1, epoch: epoch(e), head: offset(head), floor: offset(1) }.into()
}

fn subscription(start: From) -> Subscription {
    Subscription::new(RoomName::new("r").expect("a name"), start, Mode::All)
}

fn feed(subscription: &mut Subscription, frames: &[Frame]) -> Vec<Event> {
    subscription.handle(&mut Frames::of(frames)).expect("by the rules").0.events
}

fn offsets(events: &[Event]) -> Vec<u64> {
    let offset = |event: &Event| if let Event::Record(record) = event { Some(record.offset.get()) } else { None };
    events.iter().filter_map(offset).collect()
}

#[test]
fn live_resumes_from_the_head_it_was_told() {
    let mut subscription = subscription(From::Live);
    assert_eq!(subscription.join(1).from, From::Live);
    feed(&mut subscription, &[joined(7, 41)]);
    assert_eq!(subscription.join(1).from, From::After(position(7, 41)), "nothing behind 41 may be missed");
}

#[test]
fn last_resumes_from_the_seam_and_does_not_skip() {
    let mut subscription = subscription(From::Last(5));
    feed(&mut subscription, &[joined(7, 0), CaughtUp { head: offset(0) }.into()]);
    assert_eq!(subscription.join(1).from, From::After(position(7, 0)));
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    let mut subscription = subscription(From::Oldest);
    assert_eq!(offsets(&feed(&mut subscription, &[joined(7, 3), record(1), record(2)])), [1, 2]);
    subscription.join(1);
    let events = feed(&mut subscription, &[joined(7, 4), record(1), record(2), record(3), record(4)]);
    assert_eq!(offsets(&events), [3, 4]);
}

#[test]
fn a_duplicate_still_costs_credit() {
    let mut subscription = subscription(From::After(position(7, 5)));
    let (batch, _) = subscription.handle(&mut Frames::of(&[joined(7, 5), record(5)])).expect("by the rules");
    assert_eq!((batch.events.len(), batch.bytes), (0, record(5).to_bytes().len() as u64));
}

#[test]
fn a_hole_is_an_error_and_a_gap_is_not() {
    let mut subscription = subscription(From::Oldest);
    feed(&mut subscription, &[joined(7, 9), record(1)]);
    let gap = Gap { from: offset(2), to: offset(4), reason: GapReason::Retention };
    assert_eq!(feed(&mut subscription, &[gap.into()]), [Event::Gap(gap)]);
    assert_eq!(offsets(&feed(&mut subscription, &[record(5)])), [5]);
    assert!(subscription.handle(&mut Frames::of(&[record(7)])).is_err());
}

#[test]
fn the_old_epoch_is_kept_until_something_came_in_the_new_one() {
    let mut subscription = subscription(From::After(position(7, 5)));
    feed(&mut subscription, &[joined(8, 9)]);
    assert_eq!(subscription.join(1).from, From::After(position(7, 5)), "a Reset may have been on its way");
    feed(&mut subscription, &[joined(8, 9), record(6)]);
    assert_eq!(subscription.join(1).from, From::After(position(8, 6)));
}

#[test]
fn a_reset_moves_the_position_back() {
    let mut subscription = subscription(From::After(position(7, 5)));
    let reset = Reset { epoch: epoch(8), valid_to: offset(3), head: offset(6) };
    let events = feed(&mut subscription, &[joined(8, 6), reset.into(), record(4), record(5)]);
    assert_eq!(events[0], Event::Reset(reset));
    assert_eq!(offsets(&events), [4, 5]);
    assert_eq!(subscription.join(1).from, From::After(position(8, 5)));
}

#[test]
fn what_is_missing_behind_a_reset_is_said_in_any_case() {
    let mut subscription = subscription(From::After(position(7, 5)));
    let reset = Reset { epoch: epoch(8), valid_to: offset(0), head: offset(9) };
    let events = feed(&mut subscription, &[joined(8, 9), reset.into(), record(4), record(5)]);
    assert_eq!(events[1], Event::Gap(Gap { from: offset(1), to: offset(3), reason: GapReason::Retention }));
    assert_eq!(offsets(&events), [4, 5]);
    assert!(subscription.handle(&mut Frames::of(&[record(7)])).is_err(), "only the first may jump");
}

#[test]
fn nothing_may_come_before_joined() {
    assert!(subscription(From::Oldest).handle(&mut Frames::of(&[record(1)])).is_err());
    let refused = Refused { code: Code::FORBIDDEN, message: "no".into(), retry_after: Default::default() };
    let (_, ending) = subscription(From::Oldest).handle(&mut Frames::of(&[refused.clone().into()])).expect("allowed");
    assert_eq!(ending, Some(Ending::Refused(refused)));
}

proptest! {
    /// Goal: over any number of cuts every record is delivered once and in order.
    /// Method: a server that resumes where it is asked to, sometimes a little earlier, and is cut anywhere.
    #[test]
    fn cuts_neither_lose_nor_repeat(cuts in prop::collection::vec((0u64..9, 0u64..4), 1..30)) {
        let mut subscription = subscription(From::Oldest);
        let mut got = Vec::new();
        for (count, overlap) in cuts {
            let start = match subscription.join(1).from {
                From::After(position) => position.offset.get().saturating_sub(overlap) + 1,
                _ => 1,
            };
            let mut frames = vec![joined(7, 1000)];
            frames.extend((start..start + count).map(record));
            got.extend(offsets(&feed(&mut subscription, &frames)));
        }
        prop_assert_eq!(&got, &(1..=got.len() as u64).collect::<Vec<_>>());
    }

    /// Goal: the server never holds more credit than the window has room for, and never waits while the application
    /// takes.
    #[test]
    fn credit_is_neither_lost_nor_made(
        window in WINDOW_MIN..4 * WINDOW_MIN, steps in prop::collection::vec((1u64..131_500, any::<bool>(), 0u8..20), 1..200),
    ) {
        let mut credit = Credit::new(window);
        let mut server = credit.join().expect("nothing is queued");
        let mut queue = std::collections::VecDeque::new();
        for (size, take, cut) in steps {
            if cut == 0 && let Some(fresh) = credit.join() {
                server = fresh;
            }
            if size <= server {
                server -= size;
                credit.queue(size);
                queue.push_back(size);
            }
            if take && let Some(size) = queue.pop_front() && credit.take(size) {
                server += credit.grant().expect("due");
            }
            prop_assert!(server + queue.iter().sum::<u64>() <= window);
            prop_assert!(!queue.is_empty() || server >= 131_500, "the largest record could never come");
        }
    }
}
