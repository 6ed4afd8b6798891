//! Watching the heads of rooms that are not joined: of several moves only the newest is told.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use loquic_wire::{Code, Epoch, Offset, RoomName, TenantName, watch::Head};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{config::limits, journal::RoomKey};

/// Heads of watched rooms.
pub struct Watcher {
    state: Arc<Watched>,
}

struct Watched {
    tenant: TenantName,
    selector: Selector,
    moved: Mutex<BTreeMap<RoomName, (Epoch, Offset)>>,
    changed: Notify,
    overflowed: AtomicBool,
}

pub(super) enum Selector {
    Rooms(HashSet<RoomName>),
    Prefix(Arc<str>),
}

/// All watchers of a node.
#[derive(Default)]
pub(super) struct Watches {
    count: AtomicUsize,
    all: Mutex<Vec<Weak<Watched>>>,
}

impl Watcher {
    /// Waits for heads that have moved since the last call; the first call gives those that were known at the start.
    ///
    /// Cancel-safe: heads are taken in the same poll in which the future completes.
    ///
    /// An error ends the watch: more heads have moved since the last call than are kept.
    pub async fn next(&mut self) -> Result<Vec<Head>, Code> {
        loop {
            let changed = self.state.changed.notified();
            if self.state.overflowed.load(Ordering::Relaxed) {
                return Err(Code::OVERLOADED);
            }
            let moved = std::mem::take(&mut *self.state.moved.lock());
            if !moved.is_empty() {
                let head = |(room, (epoch, head))| Head { room, epoch, head };
                return Ok(moved.into_iter().map(head).collect());
            }
            changed.await;
        }
    }

    /// Notes a head, unless a newer one is known.
    pub(super) fn note(&self, room: &RoomName, epoch: Epoch, head: Offset) {
        self.state.note(room, epoch, head);
    }
}

impl Watches {
    pub(super) fn add(&self, tenant: TenantName, selector: Selector) -> Watcher {
        let state = Arc::new(Watched {
            tenant,
            selector,
            moved: Mutex::default(),
            changed: Notify::new(),
            overflowed: AtomicBool::new(false),
        });
        let mut all = self.all.lock();
        all.retain(|watched| watched.strong_count() > 0);
        all.push(Arc::downgrade(&state));
        self.count.store(all.len(), Ordering::Relaxed);
        Watcher { state }
    }

    pub(super) fn moved(&self, key: &RoomKey, epoch: Epoch, head: Offset) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        for watched in self.all.lock().iter().filter_map(Weak::upgrade) {
            if watched.tenant == key.tenant && watched.selector.selects(&key.room) {
                watched.note(&key.room, epoch, head);
            }
        }
    }
}

impl Watched {
    fn note(&self, room: &RoomName, epoch: Epoch, head: Offset) {
        let mut moved = self.moved.lock();
        if moved.len() >= limits::WATCH_ROOMS_MAX && !moved.contains_key(room) {
            self.overflowed.store(true, Ordering::Relaxed);
            return self.changed.notify_one();
        }
        let newest = moved.entry(room.clone()).or_insert((epoch, head));
        *newest = (*newest).max((epoch, head));
        drop(moved);
        self.changed.notify_one();
    }
}

impl Selector {
    fn selects(&self, room: &RoomName) -> bool {
        match self {
            Self::Rooms(rooms) => rooms.contains(room),
            Self::Prefix(prefix) => room.as_str().starts_with(&**prefix),
        }
    }
}
