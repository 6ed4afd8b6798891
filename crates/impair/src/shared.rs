//! What all tasks of a proxy share: its clock, its counters, and how much is inside.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::{
    lane::Direction,
    limits,
    profile::{Profile, Rebinding},
    proxy::Cut,
    stats::{Counters, Stats},
};

pub(crate) struct Shared {
    pub(crate) upstream: SocketAddr,
    pub(crate) seed: u64,
    started: Instant,
    stats: Mutex<Stats>,
    inside_bytes: AtomicUsize,
}

/// What is asked of the tasks; they compare the counts with those that they saw last.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) profile: Arc<Profile>,
    pub(crate) profiles: u64,
    pub(crate) cut: Cut,
    pub(crate) rebinding: Rebinding,
    pub(crate) rebinds: u64,
}

impl Shared {
    pub(crate) fn new(upstream: SocketAddr, seed: u64) -> Arc<Self> {
        let stats = Mutex::default();
        Arc::new(Self { upstream, seed, started: Instant::now(), stats, inside_bytes: AtomicUsize::new(0) })
    }

    /// The time that lanes and schedules are told.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for a time, for ever if there is none.
    pub(crate) async fn wait_until(&self, at: Option<Duration>) {
        match at {
            Some(at) => sleep_until(self.instant(at)).await,
            None => std::future::pending().await,
        }
    }

    /// That time on the runtime's clock.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    pub(crate) fn stats(&self) -> Stats {
        *self.stats.lock()
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.stats.lock());
    }

    pub(crate) fn count_in(&self, direction: Direction, count: impl FnOnce(&mut Counters)) {
        self.count(|stats| {
            count(match direction {
                Direction::Up => &mut stats.up,
                Direction::Down => &mut stats.down,
            });
        });
    }

    /// Takes in what came, if there is room.
    pub(crate) fn receive(self: &Arc<Self>, direction: Direction, bytes: &[u8]) -> Option<Packet> {
        let has_room = self.inside_bytes.load(Ordering::Relaxed) + bytes.len() <= limits::WAITING_BYTES_MAX;
        self.count_in(direction, |counters| {
            counters.received += 1;
            counters.received_bytes += bytes.len() as u64;
            counters.dropped.bound += u64::from(!has_room);
        });
        has_room.then(|| Packet::new(bytes.into(), false, self.clone()))
    }

    /// Takes in a part of a stream, which has its own bound.
    pub(crate) fn hold(self: &Arc<Self>, direction: Direction, bytes: &[u8]) -> Packet {
        self.count_in(direction, |counters| {
            counters.received += 1;
            counters.received_bytes += bytes.len() as u64;
        });
        Packet::new(bytes.into(), false, self.clone())
    }
}

/// A packet inside the proxy; its bytes are counted as long as it is there.
pub(crate) struct Packet {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) is_copy: bool,
    shared: Arc<Shared>,
}

impl Packet {
    fn new(bytes: Box<[u8]>, is_copy: bool, shared: Arc<Shared>) -> Self {
        shared.inside_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, is_copy, shared }
    }

    pub(crate) fn copy(&self) -> Self {
        Self::new(self.bytes.clone(), true, self.shared.clone())
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.shared.inside_bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}
