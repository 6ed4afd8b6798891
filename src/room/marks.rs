//! Read marks: how far each user has read in each room.
//!
//! What sessions say is gathered here, the newest of each (room, user), and the journal takes it about once a second
//! and writes it. Only then are the user's sessions told. A mark never goes back and never past the head.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use loquic_wire::{Offset, RoomName, TenantName, UserName};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::error;

use super::{
    apply::{Delta, Partition, RoomState},
    machine::load_room,
};
use crate::{
    config::limits,
    journal::{Op, RoomKey},
    log::{
        Space, Store, StoreError, keys,
        rows::{self, MarkRow, RoomRow},
    },
};

/// Whose mark, and where.
pub(super) type MarkKey = (RoomKey, UserName);

/// Who is told.
type User = (TenantName, UserName);

/// The marks of a node that are not written yet, and who is told of those that are.
#[derive(Default)]
pub(super) struct Marks {
    state: Mutex<State>,
    listeners: Mutex<HashMap<User, Vec<Weak<Heard>>>>,
}

#[derive(Default)]
struct State {
    /// Said since the journal took marks the last time.
    waiting: BTreeMap<MarkKey, Offset>,
    /// Taken by the journal and not yet known to be safe.
    taken: BTreeMap<MarkKey, Offset>,
}

/// What one session is told of its user's marks.
pub struct Marked {
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    news: Mutex<BTreeMap<RoomName, Offset>>,
    changed: Notify,
}

impl Marked {
    /// Waits for marks that have moved since the last call. Cancel-safe: they are taken in the poll that returns them.
    pub async fn next(&self) -> BTreeMap<RoomName, Offset> {
        loop {
            let changed = self.heard.changed.notified();
            let news = std::mem::take(&mut *self.heard.news.lock());
            if !news.is_empty() {
                return news;
            }
            changed.await;
        }
    }

    #[cfg(test)]
    pub(super) fn take(&self) -> Option<Vec<(String, u64)>> {
        let news = std::mem::take(&mut *self.heard.news.lock());
        let told: Vec<_> = news.iter().map(|(room, offset)| (room.to_string(), offset.get())).collect();
        (!told.is_empty()).then_some(told)
    }
}

impl Marks {
    /// Notes how far a user has read; `false` if too many marks wait.
    pub(super) fn note(&self, key: MarkKey, offset: Offset) -> bool {
        let waiting = &mut self.state.lock().waiting;
        if waiting.len() >= limits::MARKS_WAITING_MAX && !waiting.contains_key(&key) {
            return false;
        }
        let newest = waiting.entry(key).or_insert(offset);
        *newest = offset.max(*newest);
        true
    }

    /// What is not written yet.
    pub(super) fn unwritten(&self, key: &MarkKey) -> Option<Offset> {
        let state = self.state.lock();
        state.waiting.get(key).max(state.taken.get(key)).copied()
    }

    /// For the journal: everything that waits. It stays known until it is safe.
    pub(super) fn take(&self) -> BTreeMap<MarkKey, Offset> {
        let mut state = self.state.lock();
        state.taken = std::mem::take(&mut state.waiting);
        state.taken.clone()
    }

    /// What was taken is safe, and `moved` of it was news.
    pub(super) fn written(&self, moved: Vec<(MarkKey, Offset)>) {
        self.state.lock().taken.clear();
        let mut listeners = self.listeners.lock();
        for ((room, user), offset) in moved {
            let Some(all) = listeners.get_mut(&(room.tenant, user)) else { continue };
            all.retain(|heard| heard.upgrade().map(|heard| heard.note(&room.room, offset)).is_some());
        }
    }

    /// From now on what is written of this user's marks is told.
    pub(super) fn listen(&self, tenant: &TenantName, user: &UserName) -> Marked {
        let heard = Arc::new(Heard::default());
        let mut listeners = self.listeners.lock();
        // Whoever comes sweeps; a sweep of all costs as much as there are sessions, so only its own user's.
        let own = listeners.entry((tenant.clone(), user.clone())).or_default();
        own.retain(|heard| heard.strong_count() > 0);
        own.push(Arc::downgrade(&heard));
        Marked { heard }
    }

    /// Lets go of the users who have no session any more.
    pub(super) fn sweep(&self) {
        self.listeners.lock().retain(|_, all| all.iter().any(|heard| heard.strong_count() > 0));
    }
}

impl Heard {
    fn note(&self, room: &RoomName, offset: Offset) {
        let mut news = self.news.lock();
        // A session that does not take its news looks with `Peek` when it is back.
        if news.len() < limits::MARKS_TOLD_MAX || news.contains_key(room) {
            news.insert(room.clone(), offset);
        }
        std::mem::drop(news);
        self.changed.notify_one();
    }
}

/// How far a user has read, as the store has it.
pub(super) fn stored(
    store: &dyn Store,
    key: &RoomKey,
    row: &RoomRow,
    user: &UserName,
) -> Result<Option<Offset>, StoreError> {
    let Some(bytes) = store.get(Space::Meta, &keys::mark(row.id(key.slot()), user))? else { return Ok(None) };
    let row: MarkRow = rows::decode(bytes).map_err(|error| StoreError::Corrupt(format!("a mark row: {error}")))?;
    Ok(Some(row.offset))
}

/// Brings the marks that a batch names into memory, and their rooms. Returns the rooms that were not there before.
pub(super) fn bring(store: &dyn Store, state: &mut Partition, ops: &[Op]) -> Vec<RoomKey> {
    let mut brought = Vec::new();
    for op in ops {
        let Op::Mark { room: key, user, .. } = op else { continue };
        if let Err(error) = bring_one(store, state, key, user, &mut brought) {
            error!(room = %key.room, %error, "a read mark cannot be read; it is set anew");
        }
    }
    brought
}

fn bring_one(
    store: &dyn Store,
    state: &mut Partition,
    key: &RoomKey,
    user: &UserName,
    brought: &mut Vec<RoomKey>,
) -> Result<(), StoreError> {
    if !state.rooms.contains_key(key) {
        let row = load_room(store, key)?;
        state.rooms.insert(key.clone(), RoomState { row, ..RoomState::default() });
        brought.push(key.clone());
    }
    let Some(room) = state.rooms.get_mut(key) else { return Ok(()) };
    let Some(row) = &room.row else { return Ok(()) };
    if let Some(offset) = stored(store, key, row, user)? {
        room.marks.insert(user.clone(), offset);
    }
    Ok(())
}

/// Lets go of them once the batch is applied; returns those that have moved.
pub(super) fn drop(state: &mut Partition, brought: Vec<RoomKey>, delta: &Delta) -> Vec<(MarkKey, Offset)> {
    let mut moved = Vec::new();
    for change in &delta.rooms {
        if let Some(room) = state.rooms.get_mut(&change.key) {
            room.marks = HashMap::new();
        }
        moved.extend(change.marks.iter().map(|(user, offset)| ((change.key.clone(), user.clone()), *offset)));
    }
    for key in brought {
        state.rooms.remove(&key);
    }
    moved
}
