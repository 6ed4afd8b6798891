//! Mutations of what subscriptions and history reads saw.

use crate::{
    history::{From, GapReason, History, Item, Kind, Room, Seen, Session},
    mutate::{
        Mutation, Random,
        breakage::{Ground, after, before, choose, final_records, is_live, record, session},
    },
    report::Invariant::{I1, I4, I5, I6, I10, I11, I12},
};

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation::new("drop a delivery", I5, Ground::Trimmed, |h, r| drop_middle(h, r, true)),
    Mutation::new("drop a record of a history read", I5, Ground::Trimmed, |h, r| drop_middle(h, r, false)),
    Mutation::new("drop the last delivery", I5, Ground::Trimmed, drop_last),
    Mutation::new("deliver twice", I5, Ground::Trimmed, twice),
    Mutation::new("swap deliveries", I5, Ground::Trimmed, swap),
    Mutation::new("re-hash a delivery", I6, Ground::Whole, rehash),
    Mutation::new("deliver another room's record", I4, Ground::Whole, cross_room),
    Mutation::new("renumber a delivery", I5, Ground::Trimmed, renumber),
    Mutation::new("deliver offset 0", I1, Ground::Trimmed, zero),
    Mutation::new("retention gap over held records", I5, Ground::Whole, |h, r| gap(h, r, GapReason::Retention)),
    Mutation::new("skipped gap in mode all", I5, Ground::Trimmed, |h, r| gap(h, r, GapReason::Skipped)),
    Mutation::new("lost gap without a fault", I5, Ground::Trimmed, |h, r| gap(h, r, GapReason::Lost)),
    Mutation::new("reading below the floor starts late in silence", I11, Ground::Trimmed, silent_gap),
    Mutation::new("gap cut short", I5, Ground::Trimmed, short_gap),
    Mutation::new("caught up too early", I5, Ground::Trimmed, caught_up),
    Mutation::new("resume skips", I10, Ground::Whole, resume_skips),
    Mutation::new("resume repeats", I10, Ground::Whole, resume_repeats),
    Mutation::new("no reset after a loss", I12, Ground::Lossy, no_reset),
    Mutation::new("reset keeps what was lost", I12, Ground::Lossy, stale_reset),
    Mutation::new("reset into the same epoch", I12, Ground::Lossy, same_reset),
];

/// A record in a live session, or a history read.
fn some_record(history: &History, random: &mut Random, wanted: impl Fn(usize) -> bool) -> Option<usize> {
    choose(&history.items, random, |i, item| {
        matches!(item.seen, Seen::Record { .. }) && is_live(history, item) && wanted(i)
    })
}

fn drop_middle(history: &mut History, random: &mut Random, live: bool) -> bool {
    let kind = |item: &Item| session(history, item.session).map(|s| s.kind);
    let Some(i) = choose(&history.items, random, |i, item| {
        (if live { is_live(history, item) } else { kind(item) == Some(Kind::History) })
            && record(history, Some(i)).is_some()
            && record(history, before(history, i)).is_some()
            && record(history, after(history, i)).is_some()
    }) else {
        return false;
    };
    history.items.remove(i);
    true
}

/// The last record before `Settled`, together with the seam behind it.
fn drop_last(history: &mut History, random: &mut Random) -> bool {
    let Some(end) = choose(&history.items, random, |_, item| item.seen == Seen::Settled) else { return false };
    let id = history.items[end].session;
    let last = (0..end).rev().find(|i| history.items[*i].session == id && record(history, Some(*i)).is_some());
    let Some(last) = last else { return false };
    let seam = |item: &Item| item.session == id && matches!(item.seen, Seen::CaughtUp { .. });
    history.items.remove(last);
    history.items.retain(|item| !seam(item));
    true
}

fn twice(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |_| true) else { return false };
    history.items.insert(i + 1, history.items[i]);
    true
}

fn swap(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |i| record(history, after(history, i)).is_some()) else { return false };
    let Some(next) = after(history, i) else { return false };
    let seen = history.items[i].seen;
    history.items[i].seen = history.items[next].seen;
    history.items[next].seen = seen;
    true
}

fn rehash(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |_| true) else { return false };
    if let Seen::Record { hash, .. } = &mut history.items[i].seen {
        *hash ^= 1 << random.below(64);
    }
    true
}

fn cross_room(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |_| true) else { return false };
    let own = session(history, history.items[i].session).map_or(Room(0), |s| s.room);
    let Some(other) = choose(&history.publishes, random, |_, p| p.room != own) else { return false };
    let foreign = history.publishes[other].hash;
    if let Seen::Record { hash, .. } = &mut history.items[i].seen {
        *hash = foreign;
    }
    true
}

/// Not at a session's beginning, where from = `AtTime` and the like would leave room.
fn renumber(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |i| record(history, before(history, i)).is_some()) else { return false };
    if let Seen::Record { offset, .. } = &mut history.items[i].seen {
        *offset += random.range(1, 3);
    }
    true
}

fn zero(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_record(history, random, |_| true) else { return false };
    if let Seen::Record { offset, .. } = &mut history.items[i].seen {
        *offset = 0;
    }
    true
}

/// A held record is replaced by a gap that says it is not.
fn gap(history: &mut History, random: &mut Random, reason: GapReason) -> bool {
    let held = |i: usize| {
        let item = &history.items[i];
        let (Some(s), Some(seen)) = (session(history, item.session), record(history, Some(i))) else { return false };
        s.kind == Kind::Live && final_records(history, s.room).contains(&seen)
    };
    let Some(i) = some_record(history, random, held) else { return false };
    let Seen::Record { offset, .. } = history.items[i].seen else { return false };
    history.items[i].seen = Seen::Gap { from: offset, to: offset, reason };
    true
}

fn is_retention(item: &Item) -> Option<(u64, u64)> {
    match item.seen {
        Seen::Gap { from, to, reason: GapReason::Retention } => Some((from, to)),
        _ => None,
    }
}

fn silent_gap(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |i, item| {
        let floor = session(history, item.session).and_then(|s| s.joined).map_or(0, |joined| joined.floor);
        is_retention(item).is_some_and(|(from, _)| from < floor) && record(history, after(history, i)).is_some()
    }) else {
        return false;
    };
    history.items.remove(i);
    true
}

fn short_gap(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |i, item| {
        is_retention(item).is_some_and(|(from, to)| from < to) && record(history, after(history, i)).is_some()
    }) else {
        return false;
    };
    if let Seen::Gap { to, .. } = &mut history.items[i].seen {
        *to -= 1;
    }
    true
}

fn caught_up(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |_, item| matches!(item.seen, Seen::CaughtUp { .. })) else {
        return false;
    };
    if let Seen::CaughtUp { head } = &mut history.items[i].seen {
        *head += 1;
    }
    true
}

/// The first record of a resumed session, as the first thing it brought.
fn resumed(history: &History, random: &mut Random) -> Option<usize> {
    some_record(history, random, |i| {
        before(history, i).is_none() && session(history, history.items[i].session).is_some_and(|s| s.resume)
    })
}

fn resume_skips(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = resumed(history, random) else { return false };
    if record(history, after(history, i)).is_none() {
        return false;
    }
    if random.one_in(2) {
        // The client asked from too far on, and the server did as it was told.
        let id = history.items[i].session;
        for session in history.sessions.iter_mut().filter(|session| session.session == id) {
            if let From::After { offset, .. } = &mut session.from {
                *offset += 1;
            }
        }
    }
    history.items.remove(i);
    true
}

fn resume_repeats(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = resumed(history, random) else { return false };
    let item = history.items[i];
    let Some(&Session { room, from: From::After { offset: last, .. }, .. }) = session(history, item.session) else {
        return false;
    };
    let Some((offset, hash)) = final_records(history, room).into_iter().find(|(offset, _)| *offset == last) else {
        return false;
    };
    history.items.insert(i, Item { seen: Seen::Record { offset, hash }, ..item });
    true
}

fn is_reset(item: &Item) -> bool {
    matches!(item.seen, Seen::Reset { .. })
}

fn no_reset(history: &mut History, random: &mut Random) -> bool {
    let Some(i) =
        choose(&history.items, random, |i, item| is_reset(item) && record(history, after(history, i)).is_some())
    else {
        return false;
    };
    history.items.remove(i);
    true
}

fn stale_reset(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |_, item| is_reset(item)) else { return false };
    if let Seen::Reset { valid_to, .. } = &mut history.items[i].seen {
        *valid_to += 1;
    }
    true
}

fn same_reset(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |_, item| is_reset(item)) else { return false };
    let Some(From::After { epoch: old, .. }) = session(history, history.items[i].session).map(|s| s.from) else {
        return false;
    };
    if let Seen::Reset { epoch, .. } = &mut history.items[i].seen {
        *epoch = old;
    }
    true
}
