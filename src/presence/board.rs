//! What the followers of one room are told of who is there, and when.
//!
//! The room's state moves in *rounds*. A round tells everything that has moved since the one before, to everybody at
//! once and in the same bytes, and the room rests behind it: the longer, the more it was. A follower is a place in
//! these rounds and holds nothing else: who is slow skips to a new list. Pure, as `roster` is.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use loquic_wire::{
    UserName,
    frame::to_bytes,
    join::{Member, Presence, PresenceLevel},
    limits::LIST_LENGTH_MAX,
};

use super::roster::{Moved, Roster, member_bytes};
use crate::config::limits;

/// Frames that belong together, encoded once for everybody.
type Pages = Arc<[Bytes]>;

/// Invariant: what was told is `roster` with the numbers of `moved` put back; `log` leads from version
/// `version - log.len()` to `version`, and is empty unless there is a list; `since <= version - log.len()`.
pub(super) struct Board {
    roster: Roster,
    list_max: usize,
    grace: Duration,
    /// Users whose number of sessions is not what was told, and what was told.
    moved: BTreeMap<UserName, u32>,
    /// Rounds there have been.
    version: u64,
    /// How many users were told of.
    count: u64,
    counted: Bytes,
    /// Whether there are few enough users for a list.
    is_listed: bool,
    /// Who is before this version needs a new list, or has to hear that there is none.
    since: u64,
    log: VecDeque<Pages>,
    /// The list of this version, once somebody has asked for it.
    snapshot: Option<Pages>,
    /// The next round comes no earlier.
    rest_until: Duration,
    /// How many want counts, and how many want changes.
    followers: [usize; 2],
}

/// How far one follower has been told.
pub(super) struct Place {
    level: PresenceLevel,
    /// `None` before anything was told.
    version: Option<u64>,
    count: Option<u64>,
    /// What is being told, and how many pages of it have been.
    pages: Option<(Pages, usize)>,
}

impl Board {
    pub(super) fn new(list_max: usize, grace: Duration) -> Self {
        Self {
            roster: Roster::default(),
            list_max,
            grace,
            moved: BTreeMap::new(),
            version: 0,
            count: 0,
            counted: count_frame(0),
            is_listed: true,
            since: 0,
            log: VecDeque::new(),
            snapshot: None,
            rest_until: Duration::ZERO,
            followers: [0; 2],
        }
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// See [`Roster::enter`]; returns the seat's number.
    pub(super) fn enter(
        &mut self,
        session: loquic_wire::SessionId,
        user: &UserName,
        previous: Option<loquic_wire::SessionId>,
    ) -> u64 {
        let (number, moved) = self.roster.enter(session, user, previous);
        self.note(moved);
        number
    }

    /// See [`Roster::leave`].
    pub(super) fn leave(&mut self, session: loquic_wire::SessionId, number: u64) {
        let moved = self.roster.leave(session, number);
        self.note(moved);
    }

    /// See [`Roster::vanish`].
    pub(super) fn vanish(&mut self, session: loquic_wire::SessionId, number: u64, now: Duration) {
        let moved = self.roster.vanish(session, number, now.saturating_add(self.grace));
        self.note(moved);
    }

    /// A follower more.
    pub(super) fn follow(&mut self, level: PresenceLevel) -> Place {
        self.followers[which(level)] += 1;
        Place { level, version: None, count: None, pages: None }
    }

    /// A follower less.
    pub(super) fn unfollow(&mut self, place: &Place) {
        self.followers[which(place.level)] -= 1;
    }

    /// Nobody is here, and nobody listens.
    pub(super) fn is_vacant(&self) -> bool {
        self.roster.sessions() == 0 && self.followers == [0; 2]
    }

    /// To be called behind every change, and at [`Board::deadline`]: lets go of sessions whose grace has ended, and
    /// begins a round if it is time. Returns whether there is something to tell.
    pub(super) fn settle(&mut self, now: Duration) -> bool {
        while let Some(moved) = self.roster.expire(now) {
            self.note(moved);
        }
        // Where nobody listens a round costs nothing.
        let is_due = self.followers == [0; 2] || now >= self.rest_until;
        is_due && !self.moved.is_empty() && self.round(now)
    }

    /// When [`Board::settle`] has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let round = (!self.moved.is_empty()).then_some(self.rest_until);
        [round, self.roster.deadline()].into_iter().flatten().min()
    }

    /// The next frame for a follower; `None` if it knows everything that was told.
    pub(super) fn next(&mut self, place: &mut Place) -> Option<Bytes> {
        if let Some((pages, told)) = &mut place.pages {
            let page = pages.get(*told).cloned();
            *told += 1;
            if page.is_some() {
                return page;
            }
            place.pages = None;
        }
        if place.version == Some(self.version) {
            return None;
        }
        let before = place.version.replace(self.version);
        let count = place.count.replace(self.count);
        if place.level == PresenceLevel::Changes {
            let oldest = self.version - self.log.len() as u64;
            let pages = match before {
                Some(before) if before >= self.since && self.is_listed && before >= oldest => {
                    // One round at a time.
                    place.version = Some(before + 1);
                    self.log.get((before - oldest) as usize).cloned()
                }
                Some(before) if before >= self.since && !self.is_listed => None,
                _ => Some(self.snapshot()),
            };
            if let Some(pages) = pages {
                place.pages = Some((pages, 0));
                return self.next(place);
            }
        }
        (count != Some(self.count)).then(|| self.counted.clone())
    }

    fn note(&mut self, moved: Option<Moved>) {
        let Some(Moved { user, before }) = moved else { return };
        let now = self.roster.of(&user);
        match self.moved.entry(user) {
            Entry::Vacant(entry) => _ = entry.insert(before),
            // Back to what was told: nothing has to be.
            Entry::Occupied(entry) if *entry.get() == now => _ = entry.remove(),
            Entry::Occupied(_) => {}
        }
    }

    fn round(&mut self, now: Duration) -> bool {
        let moved = std::mem::take(&mut self.moved);
        let (before, was_listed) = (self.count, self.is_listed);
        self.version += 1;
        self.snapshot = None;
        self.count = self.roster.count() as u64;
        self.is_listed = self.roster.count() <= self.list_max;
        if self.count != before {
            self.counted = count_frame(self.count);
        }
        if self.followers == [0; 2] || was_listed != self.is_listed {
            self.log.clear();
            self.since = self.version;
        } else if self.is_listed {
            let changes = moved.keys().map(|user| (user, self.roster.of(user)));
            let pages = pages(self.count, false, changes);
            self.log.push_back(pages);
            if self.log.len() > limits::PRESENCE_ROUNDS_MAX {
                self.log.pop_front();
            }
        }
        let listed = if was_listed { moved.len() } else { self.roster.count() };
        let listed = if self.is_listed { listed } else { 0 };
        let counts = if self.count == before { 0 } else { self.followers[0] };
        let changes = if self.is_listed || self.count != before { self.followers[1] } else { 0 };
        let cost = counts + changes * (1 + listed / limits::PRESENCE_MEMBERS_PER_FRAME);
        if cost > 0 {
            let rest = Duration::from_secs(cost as u64) / limits::PRESENCE_RATE_MAX;
            self.rest_until = now + rest.max(limits::PRESENCE_INTERVAL);
        }
        cost > 0
    }

    /// Everybody as they were told of, or the word that there are too many.
    fn snapshot(&mut self) -> Pages {
        let Self { roster, moved, count, is_listed, .. } = self;
        let build = || {
            if !*is_listed {
                return pages(*count, true, std::iter::empty());
            }
            let mut told: BTreeMap<&UserName, u32> = roster.members().collect();
            told.extend(moved.iter().map(|(user, sessions)| (user, *sessions)));
            pages(*count, true, told.into_iter().filter(|(_, sessions)| *sessions > 0))
        };
        self.snapshot.get_or_insert_with(build).clone()
    }
}

fn which(level: PresenceLevel) -> usize {
    usize::from(level == PresenceLevel::Changes)
}

fn count_frame(count: u64) -> Bytes {
    to_bytes(&Presence { count, snapshot: false, members: Vec::new() })
}

/// Members as frames; one at least. Short ones, so that records can go in between.
fn pages<'a>(count: u64, is_snapshot: bool, members: impl Iterator<Item = (&'a UserName, u32)>) -> Pages {
    let mut done = Vec::new();
    let (mut page, mut bytes) = (Vec::new(), 0);
    let encode = |page, is_first| to_bytes(&Presence { count, snapshot: is_snapshot && is_first, members: page });
    for (user, sessions) in members {
        bytes += member_bytes(user, sessions);
        if bytes > limits::PRESENCE_PAGE_BYTES_MAX || page.len() == LIST_LENGTH_MAX {
            done.push(encode(std::mem::take(&mut page), done.is_empty()));
            bytes = member_bytes(user, sessions);
        }
        page.push(Member { user: user.clone(), sessions });
    }
    done.push(encode(page, done.is_empty()));
    done.into()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
