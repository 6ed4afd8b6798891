//! One direction of a client at work: does what its lane decides, and counts it.

use std::{sync::Arc, time::Duration};

use crate::{
    conditions::Conditions,
    lane::{Direction, Fate, Lane},
    schedule::Schedule,
    shared::{Packet, Setting, Shared},
};

pub(crate) struct Leg {
    pub(crate) lane: Lane,
    schedule: Schedule<Packet>,
    bytes: usize,
    /// Taken out, and not handed on yet.
    taken: u64,
    direction: Direction,
    profiles: u64,
    shared: Arc<Shared>,
}

impl Leg {
    pub(crate) fn new(shared: Arc<Shared>, client: u64, direction: Direction, setting: &Setting) -> Self {
        let conditions = conditions(setting, direction);
        let mut lane = Lane::new(shared.seed, client, direction, conditions, shared.now());
        lane.set_cut(setting.cut.holds(direction));
        Self { lane, schedule: Schedule::default(), bytes: 0, taken: 0, direction, profiles: setting.profiles, shared }
    }

    /// Adopts what was set since.
    pub(crate) fn adopt(&mut self, setting: &Setting) {
        self.lane.set_cut(setting.cut.holds(self.direction));
        if self.profiles != setting.profiles {
            self.profiles = setting.profiles;
            self.lane.set_conditions(conditions(setting, self.direction), self.shared.now());
        }
    }

    pub(crate) fn handle_packet(&mut self, now: Duration, mut packet: Packet) {
        let delivery = match self.lane.handle_packet(now, packet.bytes.len()) {
            Fate::Delivered(delivery) => delivery,
            Fate::Dropped(reason) => {
                return self.shared.count_in(self.direction, |counters| counters.dropped.count(reason));
            }
        };
        if let Some(bit) = delivery.flipped_bit
            && let Some(byte) = packet.bytes.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        let copy = delivery.copy_at.map(|at| (at, packet.copy()));
        self.shared.count_in(self.direction, |counters| {
            counters.delayed += u64::from(delivery.at > now);
            counters.corrupted += u64::from(delivery.flipped_bit.is_some());
            counters.duplicated += u64::from(copy.is_some());
        });
        self.push(delivery.at, packet);
        if let Some((at, copy)) = copy {
            self.push(at, copy);
        }
    }

    pub(crate) fn handle_segment(&mut self, now: Duration, packet: Packet) {
        let segment = self.lane.handle_segment(now, packet.bytes.len());
        self.shared.count_in(self.direction, |counters| {
            counters.delayed += u64::from(segment.at > now);
            counters.stalled += u64::from(segment.is_stalled);
        });
        self.push(segment.at, packet);
    }

    fn push(&mut self, at: Duration, packet: Packet) {
        self.bytes += packet.bytes.len();
        self.schedule.push(at, packet);
    }

    /// What has to be handed on now. The caller counts how that went.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Packet> {
        let due = self.schedule.pop(now)?;
        self.bytes -= due.item.bytes.len();
        self.taken += 1;
        if due.is_overtaken && !due.item.is_copy {
            self.shared.count_in(self.direction, |counters| counters.reordered += 1);
        }
        Some(due.item)
    }

    pub(crate) fn count_handed_on(&mut self, bytes: usize, is_handed_on: bool) {
        self.taken -= 1;
        self.shared.count_in(self.direction, |counters| match is_handed_on {
            true => {
                counters.delivered += 1;
                counters.delivered_bytes += bytes as u64;
            }
            false => counters.dropped.refused += 1,
        });
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.schedule.next_at()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.schedule.is_empty()
    }

    /// Of what is on its way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        let left = self.schedule.len() as u64 + self.taken;
        self.shared.count_in(self.direction, |counters| counters.dropped.ended += left);
    }
}

fn conditions(setting: &Setting, direction: Direction) -> Conditions {
    match direction {
        Direction::Up => setting.profile.up.clone(),
        Direction::Down => setting.profile.down.clone(),
    }
}
