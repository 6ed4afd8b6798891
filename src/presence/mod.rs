//! Who is in which room. Never in the log, and gone with the process.
//!
//! What is to be told to whom is decided in [`board`] and [`roster`], without a clock; here they get locks, time, and
//! a way to wake those who follow. Sessions drive it: a [`Seat`] is the presence of one join, a [`Follower`] what one
//! join hears of it.

mod board;
mod roster;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use loquic_wire::{SessionId, UserName, join::PresenceLevel, who::Members};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::board::{Board, Place};
use crate::{config::limits, room::RoomKey};

/// What an operator decides.
#[derive(Debug, Clone)]
pub struct Options {
    /// Users of a room up to which its list is pushed to those who want it.
    pub list_max: usize,
    /// How long a session that vanished stays present.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { list_max: limits::PRESENCE_LIST_MAX, grace: limits::PRESENCE_GRACE }
    }
}

/// Counters.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sessions that have come into a room.
    pub entered: AtomicU64,
    /// Sessions that are not in the room any more.
    pub left: AtomicU64,
    /// Rounds in which a room told its followers who came and went.
    pub rounds: AtomicU64,
}

/// Who is in the rooms of a node.
///
/// Locks, in the order in which they may be taken: `rooms`, a room's `board`, `agenda`.
pub struct Presence {
    options: Options,
    /// The rooms in which somebody is.
    rooms: Mutex<HashMap<RoomKey, Arc<Room>>>,
    /// When which room wants to be looked at. A room may be in it more than once; the earliest counts.
    agenda: Mutex<BinaryHeap<Reverse<(Duration, RoomKey)>>>,
    /// The agenda has a new first entry.
    planned: Notify,
    start: Instant,
    stats: Stats,
}

struct Room {
    key: RoomKey,
    board: Mutex<State>,
    /// There is something to tell.
    changed: Notify,
}

struct State {
    board: Board,
    /// The earliest entry in the agenda.
    planned: Option<Duration>,
    /// How many sessions were counted.
    counted: usize,
}

/// Who sits down.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserName,
    /// The session it replaces.
    pub previous: Option<SessionId>,
    /// Set when the session has vanished: then its seats are kept for the time of grace.
    pub has_vanished: Arc<AtomicBool>,
}

/// The presence of one join. Dropping it leaves the room, or lets the time of grace begin.
pub struct Seat {
    presence: Arc<Presence>,
    room: Arc<Room>,
    session: SessionId,
    number: u64,
    has_vanished: Arc<AtomicBool>,
}

/// What one join hears.
pub struct Follower {
    presence: Arc<Presence>,
    room: Arc<Room>,
    place: Place,
}

impl Presence {
    /// Nobody is anywhere. Somebody has to [`drive`](Self::drive) it.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            rooms: Mutex::default(),
            agenda: Mutex::default(),
            planned: Notify::new(),
            start: Instant::now(),
            stats: Stats::default(),
        })
    }

    /// Does what is to be done when nothing else happens: tells what was held back, and ends times of grace.
    pub async fn drive(self: Arc<Self>) -> Infallible {
        loop {
            let due = self.agenda.lock().peek().map(|Reverse((due, _))| *due);
            match due {
                Some(due) => tokio::select! {
                    () = sleep_until(self.start + due) => self.work(),
                    () = self.planned.notified() => {}
                },
                None => self.planned.notified().await,
            }
        }
    }

    /// A session has joined a room.
    pub fn enter(self: &Arc<Self>, key: &RoomKey, guest: Guest) -> Seat {
        let Guest { session, user, previous, has_vanished } = guest;
        let (room, number) = {
            let mut rooms = self.rooms.lock();
            let room = rooms.entry(key.clone()).or_insert_with(|| self.room(key)).clone();
            // Inside the lock, or the room could be found vacant and be forgotten in between.
            let number = room.board.lock().board.enter(session, &user, previous);
            (room, number)
        };
        self.settle(&room);
        Seat { presence: self.clone(), room, session, number, has_vanished }
    }

    /// How many users are in a room.
    pub fn count(&self, key: &RoomKey) -> u64 {
        self.rooms.lock().get(key).map_or(0, |room| room.board.lock().board.roster().count() as u64)
    }

    /// A page of who is in a room: at most `limit` users behind `after`, and no more than a frame holds.
    pub fn members(&self, key: &RoomKey, after: Option<&UserName>, limit: u32) -> Members {
        let room = self.rooms.lock().get(key).cloned();
        let nobody = Members { count: 0, members: Vec::new(), more: false };
        room.map_or(nobody, |room| room.board.lock().board.roster().page(after, limit.min(limits::WHO_MEMBERS_MAX)))
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn room(&self, key: &RoomKey) -> Arc<Room> {
        let board = Board::new(self.options.list_max, self.options.grace);
        Arc::new(Room {
            key: key.clone(),
            board: Mutex::new(State { board, planned: None, counted: 0 }),
            changed: Notify::new(),
        })
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Looks at the rooms whose time has come.
    fn work(&self) {
        let now = self.now();
        loop {
            let entry = {
                let mut agenda = self.agenda.lock();
                if agenda.peek().is_some_and(|Reverse((due, _))| *due <= now) { agenda.pop() } else { None }
            };
            let Some(Reverse((due, key))) = entry else { return };
            let Some(room) = self.rooms.lock().get(&key).cloned() else { continue };
            // Another entry that was made later for an earlier time has replaced this one.
            let is_planned = room.board.lock().planned.take_if(|planned| *planned == due).is_some();
            if is_planned {
                self.settle(&room);
            }
        }
    }

    /// To be called behind every change of a room.
    fn settle(&self, room: &Arc<Room>) {
        let (is_news, is_vacant, plan) = {
            let mut state = room.board.lock();
            let is_news = state.board.settle(self.now());
            let due = state.board.deadline();
            let plan = due.filter(|due| state.planned.is_none_or(|planned| *due < planned));
            state.planned = plan.or(state.planned);
            self.count_sessions(&mut state);
            (is_news, state.board.is_vacant(), plan)
        };
        if is_news {
            self.stats.rounds.fetch_add(1, Ordering::Relaxed);
            room.changed.notify_waiters();
        }
        if let Some(due) = plan {
            self.agenda.lock().push(Reverse((due, room.key.clone())));
            self.planned.notify_one();
        }
        if is_vacant {
            self.forget(room);
        }
    }

    fn count_sessions(&self, state: &mut State) {
        let sessions = state.board.roster().sessions();
        let before = std::mem::replace(&mut state.counted, sessions);
        self.stats.entered.fetch_add(sessions.saturating_sub(before) as u64, Ordering::Relaxed);
        self.stats.left.fetch_add(before.saturating_sub(sessions) as u64, Ordering::Relaxed);
    }

    fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms.lock();
        let is_this = rooms.get(&room.key).is_some_and(|known| Arc::ptr_eq(known, room));
        if is_this && room.board.lock().board.is_vacant() {
            rooms.remove(&room.key);
        }
    }
}

impl Seat {
    /// What this join hears of the others, and of itself. `None` if it wants nothing.
    pub fn follow(&self, level: PresenceLevel) -> Option<Follower> {
        if level == PresenceLevel::None {
            return None;
        }
        let place = self.room.board.lock().board.follow(level);
        Some(Follower { presence: self.presence.clone(), room: self.room.clone(), place })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        {
            let board = &mut self.room.board.lock().board;
            match self.has_vanished.load(Ordering::Relaxed) {
                true => board.vanish(self.session, self.number, self.presence.now()),
                false => board.leave(self.session, self.number),
            }
        }
        self.presence.settle(&self.room);
    }
}

impl Follower {
    /// Waits for the next `Presence` frame. Cancel-safe.
    pub async fn next(&mut self) -> Bytes {
        loop {
            // Made before looking: from then on no change is missed.
            let changed = self.room.changed.notified();
            if let Some(frame) = self.room.board.lock().board.next(&mut self.place) {
                return frame;
            }
            changed.await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.room.board.lock().board.unfollow(&self.place);
        self.presence.settle(&self.room);
    }
}
