//! Who is in one room: the sessions that have joined it, and the users behind them.
//!
//! Pure: told what has happened and when, it says whose number of sessions has moved. Times are spans since the node
//! started.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    time::Duration,
};

use loquic_wire::{
    SessionId, UserName,
    coding::varint_len,
    join::Member,
    limits::{LIST_FRAME_BODY_MAX, USER_BYTES_MAX},
    who::Members,
};

use crate::config::limits;

/// Invariant: the numbers of `users` are above 0 and sum up to the number of `seats`.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// How many sessions each user has here.
    users: BTreeMap<UserName, u32>,
    seats: HashMap<SessionId, Seat>,
    /// The seats of sessions that have vanished and when their grace ends, earliest first. Entries whose seat was taken
    /// over stay until then.
    vanished: VecDeque<(Duration, SessionId, u64)>,
    /// Seats there have been.
    seated: u64,
}

/// A session in the room.
#[derive(Debug)]
struct Seat {
    /// Tells it from an earlier seat of the same session, which another one took over.
    number: u64,
    user: UserName,
    /// On how many streams it has joined.
    streams: u32,
    is_vanished: bool,
}

/// A user's number of sessions has moved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) user: UserName,
    /// What it was.
    pub(super) before: u32,
}

impl Roster {
    /// A session has joined. It sits down in the place of `previous`, if that is here and the same user's.
    pub(super) fn enter(
        &mut self,
        session: SessionId,
        user: &UserName,
        previous: Option<SessionId>,
    ) -> (u64, Option<Moved>) {
        if let Some(seat) = self.seats.get_mut(&session) {
            seat.streams += 1;
            return (seat.number, None);
        }
        let is_own = |previous: &SessionId| self.seats.get(previous).is_some_and(|seat| seat.user == *user);
        let replaced = previous.filter(is_own).and_then(|previous| self.seats.remove(&previous));
        self.seated += 1;
        let seat = Seat { number: self.seated, user: user.clone(), streams: 1, is_vanished: false };
        self.seats.insert(session, seat);
        let moved = replaced.is_none().then(|| {
            let sessions = self.users.entry(user.clone()).or_default();
            *sessions += 1;
            Moved { user: user.clone(), before: *sessions - 1 }
        });
        self.assert_invariants();
        (self.seated, moved)
    }

    /// One of a session's streams is done with. Nothing happens if the seat was taken over.
    pub(super) fn leave(&mut self, session: SessionId, number: u64) -> Option<Moved> {
        let seat = self.seats.get_mut(&session).filter(|seat| seat.number == number && !seat.is_vanished)?;
        seat.streams -= 1;
        if seat.streams > 0 { None } else { self.remove(session) }
    }

    /// A session is gone without a word. It stays until `until`, which is never earlier than for the one before.
    pub(super) fn vanish(&mut self, session: SessionId, number: u64, until: Duration) -> Option<Moved> {
        let is_full = self.vanished.len() >= limits::PRESENCE_VANISHED_MAX;
        let seat = self.seats.get_mut(&session).filter(|seat| seat.number == number && !seat.is_vanished)?;
        if is_full {
            return self.remove(session);
        }
        seat.is_vanished = true;
        self.vanished.push_back((until, session, number));
        None
    }

    /// When the next grace ends.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.vanished.front().map(|(until, ..)| *until)
    }

    /// Lets go of the next session whose grace has ended; `None` when there is none any more.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Option<Moved>> {
        let (_, session, number) = self.vanished.front().filter(|(until, ..)| *until <= now).copied()?;
        self.vanished.pop_front();
        let is_here = self.seats.get(&session).is_some_and(|seat| seat.number == number);
        Some(if is_here { self.remove(session) } else { None })
    }

    /// How many users are here.
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    /// How many sessions are here.
    pub(super) fn sessions(&self) -> usize {
        self.seats.len()
    }

    /// With how many sessions a user is here.
    pub(super) fn of(&self, user: &UserName) -> u32 {
        self.users.get(user).copied().unwrap_or(0)
    }

    /// Everybody, ascending.
    pub(super) fn members(&self) -> impl Iterator<Item = (&UserName, u32)> {
        self.users.iter().map(|(user, sessions)| (user, *sessions))
    }

    /// The users behind `after`: at most `limit`, and no more than a frame holds.
    pub(super) fn page(&self, after: Option<&UserName>, limit: u32) -> Members {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.users.range::<UserName, _>((from, Bound::Unbounded)).peekable();
        let (mut members, mut bytes) = (Vec::new(), 0);
        while members.len() < limit as usize
            && let Some((user, sessions)) = rest.next_if(|(user, sessions)| {
                bytes += member_bytes(user, **sessions);
                bytes <= PAGE_BYTES_MAX
            })
        {
            members.push(Member { user: user.clone(), sessions: *sessions });
        }
        Members { count: self.users.len() as u64, members, more: rest.peek().is_some() }
    }

    fn remove(&mut self, session: SessionId) -> Option<Moved> {
        let Seat { user, .. } = self.seats.remove(&session)?;
        let before = self.of(&user);
        if before > 1 {
            self.users.insert(user.clone(), before - 1);
        } else {
            self.users.remove(&user);
        }
        self.assert_invariants();
        Some(Moved { user, before })
    }

    fn assert_invariants(&self) {
        // Sums over everybody would make a large room slow; the tests make many small ones.
        debug_assert!(self.users.len() <= self.seats.len());
        debug_assert!(self.users.is_empty() == self.seats.is_empty());
    }
}

/// What a member takes in a frame.
pub(super) fn member_bytes(user: &UserName, sessions: u32) -> usize {
    let name = user.as_str().len();
    varint_len(name as u64) + name + varint_len(sessions.into())
}

/// The members of a `Members` frame: what is left beside its count, their count and `more`.
const PAGE_BYTES_MAX: usize = LIST_FRAME_BODY_MAX - 9 - 3 - 1;
const _: () = assert!(PAGE_BYTES_MAX > USER_BYTES_MAX + 8);
