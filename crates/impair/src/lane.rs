//! What happens to each packet of one client in one direction. Decides, and does nothing: time is told, not read.

use std::{collections::VecDeque, time::Duration};

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{conditions::Conditions, limits};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client to the server.
    Up,
    /// From the server to a client.
    Down,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Dropped(Reason),
    /// It arrives.
    Delivered(Delivery),
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It came in a blackout.
    Blackout,
    /// It is on the profile's list of packets.
    Listed,
    /// By chance.
    Loss,
    /// More packets wait for the rate than may.
    Queue,
}

/// How a packet arrives; times are on the clock of the caller, and never before the packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub at: Duration,
    /// When once more.
    pub copy_at: Option<Duration>,
    /// Which bit of it is wrong.
    pub flipped_bit: Option<usize>,
}

/// How a part of a stream arrives: all of them do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When.
    pub at: Duration,
    /// Whether it was lost once, and is late for that.
    pub is_stalled: bool,
}

/// One direction of one client's path.
///
/// Invariant: `departures` is in order, and `last_at` is not before what was let through in order.
pub struct Lane {
    conditions: Conditions,
    set_at: Duration,
    is_cut: bool,
    rng: Pcg64Mcg,
    packets: u64,
    is_bad: bool,
    losses_in_a_row: u32,
    corruptions_in_a_row: u32,
    /// When the packets that are on the line or wait for it leave it.
    departures: VecDeque<Duration>,
    last_at: Duration,
}

impl Lane {
    /// The path of the client of that number, from the time `now` on.
    pub fn new(seed: u64, client: u64, direction: Direction, conditions: Conditions, now: Duration) -> Self {
        let number = client.wrapping_mul(2).wrapping_add(1 + direction as u64);
        Self {
            conditions,
            set_at: now,
            is_cut: false,
            // The golden ratio spreads the numbers; the generator mixes what it is seeded with.
            rng: Pcg64Mcg::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            packets: 0,
            is_bad: false,
            losses_in_a_row: 0,
            corruptions_in_a_row: 0,
            departures: VecDeque::new(),
            last_at: Duration::ZERO,
        }
    }

    /// Blackouts begin anew; dice and packet numbers go on, and what is on its way stays in front.
    pub fn set_conditions(&mut self, conditions: Conditions, now: Duration) {
        self.conditions = conditions;
        self.set_at = now;
        self.is_bad = false;
        self.departures.clear();
    }

    /// A blackout by hand: lasts until it is taken back.
    pub fn set_cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    /// Decides about a datagram.
    pub fn handle_packet(&mut self, now: Duration, bytes: usize) -> Fate {
        let dice = Dice::throw(&mut self.rng);
        self.packets += 1;
        // All that is decided by chance is decided here, whatever else happens: it must not depend on time.
        let is_lost = self.is_lost(&dice);
        let is_corrupted = self.is_corrupted(&dice);
        if self.is_dark(now) {
            return Fate::Dropped(Reason::Blackout);
        }
        if self.conditions.drop.as_ref().is_some_and(|drop| drop.contains(&self.packets)) {
            return Fate::Dropped(Reason::Listed);
        }
        if is_lost {
            return Fate::Dropped(Reason::Loss);
        }
        self.leave_behind(now);
        if self.conditions.rate.is_some() && self.departures.len() > self.conditions.queue_packets_max as usize {
            return Fate::Dropped(Reason::Queue);
        }
        let on_time = self.depart(now, bytes) + self.conditions.delay + part(self.conditions.jitter, dice.jitter);
        let in_order = on_time.max(self.last_at);
        let reorder = self.conditions.reorder.filter(|reorder| reorder.chance.is_hit(dice.reorder));
        let at = match reorder {
            // What comes later is not held up: it overtakes.
            Some(reorder) => in_order + part(reorder.hold_max, dice.hold),
            None => {
                self.last_at = in_order;
                in_order
            }
        };
        let is_copied = self.conditions.duplicate.is_hit(dice.duplicate);
        Fate::Delivered(Delivery {
            at,
            copy_at: is_copied.then(|| at + part(self.conditions.jitter, dice.copy)),
            flipped_bit: (is_corrupted && bytes > 0).then(|| dice.bit as usize % (bytes * 8)),
        })
    }

    /// Decides about a part of a stream. In the dark nothing may move: that is for the caller to see to, with
    /// [`Lane::is_dark`].
    pub fn handle_segment(&mut self, now: Duration, bytes: usize) -> Segment {
        let dice = Dice::throw(&mut self.rng);
        self.packets += 1;
        // Not `||`: both count what they do.
        let is_stalled = self.is_lost(&dice) | self.is_corrupted(&dice);
        self.leave_behind(now);
        let Conditions { delay, jitter, .. } = self.conditions;
        let on_time = self.depart(now, bytes) + delay + part(jitter, dice.jitter);
        let stall = if is_stalled { limits::STALL_MIN + 2 * delay } else { Duration::ZERO };
        self.last_at = (on_time + stall).max(self.last_at);
        Segment { at: self.last_at, is_stalled }
    }

    /// Whether nothing passes.
    pub fn is_dark(&self, now: Duration) -> bool {
        self.is_cut || self.blackout(now).is_some_and(|(is_dark, _)| is_dark)
    }

    /// When a blackout of the profile ends; `None` if there is none, or if it was made by hand.
    pub fn light_at(&self, now: Duration) -> Option<Duration> {
        let (is_dark, rest) = self.blackout(now)?;
        (is_dark && !self.is_cut).then(|| now + rest)
    }

    /// When the queue has room for another part of a stream; `None` if it has.
    pub fn room_at(&mut self, now: Duration) -> Option<Duration> {
        self.leave_behind(now);
        self.conditions.rate?;
        let over = self.departures.len().checked_sub(self.conditions.queue_packets_max as usize + 1)?;
        self.departures.get(over).copied()
    }

    /// Whether there is a rate to keep.
    pub fn is_paced(&self) -> bool {
        self.conditions.rate.is_some()
    }

    fn blackout(&self, now: Duration) -> Option<(bool, Duration)> {
        Some(self.conditions.blackout?.at(now.saturating_sub(self.set_at)))
    }

    fn is_lost(&mut self, dice: &Dice) -> bool {
        let mut loss = self.conditions.loss;
        if let Some(burst) = self.conditions.burst {
            let change = if self.is_bad { burst.leave } else { burst.enter };
            self.is_bad ^= change.is_hit(dice.change);
            loss = if self.is_bad { burst.loss } else { loss };
        }
        within_run(&mut self.losses_in_a_row, self.conditions.run_max, loss.is_hit(dice.loss))
    }

    fn is_corrupted(&mut self, dice: &Dice) -> bool {
        let is_hit = self.conditions.corrupt.is_hit(dice.corrupt);
        within_run(&mut self.corruptions_in_a_row, self.conditions.run_max, is_hit)
    }

    /// Forgets what has left the line.
    fn leave_behind(&mut self, now: Duration) {
        while self.departures.front().is_some_and(|at| *at <= now) {
            self.departures.pop_front();
        }
    }

    /// When so many bytes have left the line, behind all that is on it.
    fn depart(&mut self, now: Duration, bytes: usize) -> Duration {
        let Some(rate) = self.conditions.rate else { return now };
        let at = self.departures.back().copied().unwrap_or(now) + rate.time_of(bytes);
        self.departures.push_back(at);
        at
    }
}

/// Whether it happens, given that it may not happen more often in a row than `max`.
fn within_run(in_a_row: &mut u32, max: Option<u32>, is_hit: bool) -> bool {
    let is_hit = is_hit && max.is_none_or(|max| *in_a_row < max);
    *in_a_row = if is_hit { in_a_row.saturating_add(1) } else { 0 };
    is_hit
}

/// A throw for everything that may happen to a packet. Each packet takes them all, so that the next one's do not depend
/// on what happened to this one.
struct Dice {
    change: u32,
    loss: u32,
    corrupt: u32,
    bit: u32,
    jitter: u32,
    reorder: u32,
    hold: u32,
    duplicate: u32,
    copy: u32,
}

impl Dice {
    fn throw(rng: &mut Pcg64Mcg) -> Self {
        let mut throw = || rng.next_u32();
        Self {
            change: throw(),
            loss: throw(),
            corrupt: throw(),
            bit: throw(),
            jitter: throw(),
            reorder: throw(),
            hold: throw(),
            duplicate: throw(),
            copy: throw(),
        }
    }
}

/// Evenly from nothing to all of it.
fn part(whole: Duration, throw: u32) -> Duration {
    let nanoseconds = (whole.as_nanos() * u128::from(throw)) >> 32;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
