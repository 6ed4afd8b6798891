//! Goal: the floor removes nothing that a policy promises to keep, and keeps little that it promises to remove: the
//! count to the record, bytes and age to a thirty-second part and a chunk. It never goes back and never past head + 1,
//! and a window of time is dropped only when the floor is past it.
//!
//! Method: random appends, pauses and ticks through `apply`; the model is a list of (time, bytes, space) per record, in
//! which each removed record has to be justified and each held one has to be young enough.

use std::{sync::Arc, time::Duration};

use loquic_wire::{Epoch, Offset, Time};
use proptest::prelude::*;

use super::super::{
    apply::{Partition, apply},
    trim,
};
use super::{
    apply_model::policy,
    key,
    node::{sized, twin},
};
use crate::{
    journal::{Batch, Item, Op},
    log::{
        Space,
        rows::{Class, Policy, RoomRow},
    },
};

#[derive(Debug, Clone)]
enum Step {
    Append { pass: u64, sizes: Vec<usize> },
    Tick { pass: u64 },
    Policy(Policy),
}

fn step() -> impl Strategy<Value = Step> + Clone {
    let pass = || {
        prop_oneof![
            3 => 0..10u64,
            3 => 0..200u64,
            2 => 0..100_000u64,
            2 => 0..2_000_000u64,
            1 => 0..100_000_000u64,
            1 => 0..3_000_000_000u64
        ]
    };
    let sizes = prop::collection::vec(0..300usize, 1..5);
    prop_oneof![
        6 => (pass(), sizes).prop_map(|(pass, sizes)| Step::Append { pass, sizes }),
        2 => pass().prop_map(|pass| Step::Tick { pass }),
    ]
}

struct Kept {
    time: Time,
    bytes: u64,
    space: Space,
}

struct Model {
    state: Partition,
    time: Time,
    kept: Vec<Kept>,
    next_id: u64,
    /// The first offset appended under the present policy.
    since: Offset,
}

const BYTES_OF_CHUNK: u64 = 2_500;

impl Model {
    fn new(policy: Policy) -> Self {
        let mut state = Partition::default();
        let time = Time::saturating(1_700_000_000_000);
        let ops = vec![Op::Base { epoch: Epoch::saturating(1) }, Op::RoomCreate { room: key("a"), policy }];
        state.install(&apply(&state, &Batch { time, ops }));
        Self { state, time, kept: Vec::new(), next_id: 1, since: Offset::FIRST }
    }

    fn row(&self) -> &RoomRow {
        self.state.rooms[&key("a")].row.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        let before = self.row().clone();
        let op = match step {
            Step::Append { pass, sizes } => {
                self.time = Time::saturating(self.time.get() + pass);
                let first = self.next_id;
                self.next_id += sizes.len() as u64;
                let items = (first..).zip(sizes).map(|(id, size)| Item::Publish(sized(id, *size)));
                Op::Append { room: key("a"), producer: Arc::new(twin(1)), starts_at: None, items: items.collect() }
            }
            Step::Tick { pass } => {
                self.time = Time::saturating(self.time.get() + pass);
                Op::Tick { rooms: vec![key("a")] }
            }
            Step::Policy(policy) => {
                self.since = before.head.next();
                Op::RoomPolicy { room: key("a"), policy: *policy }
            }
        };
        let delta = apply(&self.state, &Batch { time: self.time, ops: vec![op] });
        for new in &delta.rooms[0].chunks {
            let records = new.chunk.records().unwrap();
            self.kept.extend(records.iter().map(|record| Kept {
                time: record.time,
                bytes: record.frame_len() as u64,
                space: new.space,
            }));
        }
        self.state.install(&delta);
        self.check_removed(&before);
        self.check_windows();
    }

    fn held_bytes(&self, from: Offset) -> u64 {
        self.kept.iter().skip(from.get() as usize - 1).map(|kept| kept.bytes).sum()
    }

    fn window_is_over(&self, kept: &Kept) -> bool {
        let Space::Window(class, window) = kept.space else { return false };
        let span = class.span().unwrap().as_millis() as u64;
        (window + 1) * (span / 8) + span <= self.time.get()
    }

    /// Each record that was removed may be gone: it is one too many, or too old, or enough bytes are behind it, or it
    /// or one behind it is in a window that is dropped whole.
    fn check_removed(&self, before: &RoomRow) {
        let row = self.row();
        row.assert_invariants();
        assert_eq!(row.head.get(), self.kept.len() as u64);
        assert!(before.floor <= row.floor && row.floor <= row.head.next());
        let policy = &row.policy;
        let over = self.kept.iter().rposition(|kept| self.window_is_over(kept)).map_or(0, |index| index as u64 + 1);
        for offset in before.floor.get()..row.floor.get() {
            let kept = &self.kept[offset as usize - 1];
            let many = policy.count.is_some_and(|count| offset + count <= row.head.get());
            let old = policy.age().is_some_and(|age| kept.time.after(age) <= self.time);
            let large = policy.bytes.is_some_and(|bytes| self.held_bytes(Offset::saturating(offset + 1)) >= bytes);
            assert!(many || old || large || offset <= over, "{offset} was removed without a reason: {row:?}");
        }
        if let Some(count) = policy.count {
            assert!(row.head.next().since(row.floor) <= count, "more than {count} are held: {row:?}");
        }
    }

    /// What can be read is never in a window that housekeeping would drop now.
    fn check_windows(&self) {
        let row = self.row();
        for kept in self.kept.iter().skip(row.floor.get() as usize - 1) {
            assert!(!trim::is_dropped(kept.space, self.time), "{} is dropped under {row:?}", kept.space);
        }
    }

    /// What is held is not much more than promised.
    fn check_held(&self) {
        let row = self.row();
        if let Some(limit) = row.policy.bytes
            && self.since == Offset::FIRST
        {
            let held = self.held_bytes(row.floor);
            assert!(held <= limit + limit / 32 + 2 * BYTES_OF_CHUNK, "{held} bytes are held: {row:?}");
        }
        let Some(age) = row.policy.age() else { return };
        let longest = age + (age / 32).max(Duration::from_millis(1));
        for offset in row.floor.max(self.since).get()..=row.head.get() {
            let kept = &self.kept[offset as usize - 1];
            assert!(self.time < kept.time.after(longest), "{offset} of {} is too old at {}", kept.time, self.time);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn a_policy_is_kept_to_the_letter(policy in policy(), steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new(policy);
        for step in steps {
            model.take(&step);
            model.check_held();
        }
    }

    #[test]
    fn a_policy_that_changes_is_kept_from_then_on(
        first in policy(),
        steps in prop::collection::vec(prop_oneof![8 => step(), 1 => policy().prop_map(Step::Policy)], 1..40),
    ) {
        let mut model = Model::new(first);
        for step in steps {
            model.take(&step);
            model.check_held();
        }
    }
}

/// Records in windows of a shorter class than the room's present one go with their windows, and with them what is
/// older, because a room has no holes.
#[test]
fn a_floor_passes_windows_that_are_dropped_whatever_the_policy_is_now() {
    let keep = Policy::default();
    let hour = Policy { class: Class::Hour, ..keep };
    let append = |pass| Step::Append { pass, sizes: vec![1] };
    let mut model = Model::new(keep);
    for step in [append(0), Step::Policy(hour), append(1), Step::Policy(keep), append(1), append(3 * 60 * 60 * 1000)] {
        model.take(&step);
    }
    assert_eq!((model.row().floor.get(), model.row().head.get()), (3, 4));
}

/// A record before a pause is as old as it is, not as young as the first one after the pause.
#[test]
fn a_pause_makes_nothing_live_longer() {
    let policy = Policy { age_ms: Some(32_000), ..Policy::default() };
    let mut model = Model::new(policy);
    for pass in [0, 31_000, 3_000] {
        model.take(&Step::Append { pass, sizes: vec![1] });
    }
    assert_eq!(model.row().floor.get(), 2);
}
