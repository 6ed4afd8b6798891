//! Mutations of final logs, floors and lineages.

use crate::{
    history::{Delete, Floor, History, Kind, Outcome, Room, Seen, SessionId},
    mutate::{
        Mutation, Random,
        breakage::{Ground, append, choose, final_logs, final_records},
    },
    report::Invariant::{I1, I2, I4, I6, I11, I12},
};

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation::new("drop an acked record", I2, Ground::Whole, drop_acked),
    Mutation::new("drop the end of every log", I2, Ground::Whole, |h, r| drop_end(h, r, false)),
    Mutation::new("drop the end of one node's log", I2, Ground::Whole, |h, r| drop_end(h, r, true)),
    Mutation::new("hole in one node's log", I1, Ground::Trimmed, hole),
    Mutation::new("re-hash an acked record in the logs", I2, Ground::Whole, |h, r| rehash(h, r, false)),
    Mutation::new("re-hash a record in one node's log", I6, Ground::Trimmed, |h, r| rehash(h, r, true)),
    Mutation::new("swap two records in one node's log", I6, Ground::Trimmed, swap),
    Mutation::new("a record without content that nobody deleted", I6, Ground::Trimmed, redact_unasked),
    Mutation::new("a deleted record comes back", I6, Ground::Whole, come_back),
    Mutation::new("phantom in the logs", I4, Ground::Trimmed, phantom),
    Mutation::new("early trim", I11, Ground::Whole, trim_early),
    Mutation::new("floor goes back", I11, Ground::Trimmed, floor_back),
    Mutation::new("epoch unchanged after a loss", I12, Ground::Lossy, unchanged_epoch),
    Mutation::new("epoch begins late after a loss", I12, Ground::Lossy, late_epoch),
    Mutation::new("nodes disagree on the lineage", I12, Ground::Lossy, lineage_differs),
    Mutation::new("loss without a fault", I2, Ground::Lossy, no_fault),
];

/// A room, and one of its acked publishes that is in the final log.
fn acked(history: &History, random: &mut Random) -> Option<(Room, u64)> {
    let i = choose(&history.publishes, random, |_, p| matches!(p.outcome, Outcome::Acked { .. }))?;
    let publish = history.publishes[i];
    let Outcome::Acked { offset, .. } = publish.outcome else { return None };
    final_records(history, publish.room).contains(&(offset, publish.hash)).then_some((publish.room, offset))
}

fn is_at(seen: Seen, at: u64) -> bool {
    matches!(seen, Seen::Record { offset, .. } if offset == at)
}

/// Removes an offset from some sessions; what is behind it moves up if `close`.
fn remove(history: &mut History, logs: &[SessionId], at: u64, close: bool) {
    history.items.retain(|item| !(logs.contains(&item.session) && is_at(item.seen, at)));
    if !close {
        return;
    }
    for item in history.items.iter_mut().filter(|item| logs.contains(&item.session)) {
        if let Seen::Record { offset, .. } = &mut item.seen
            && *offset > at
        {
            *offset -= 1;
        }
    }
    for session in history.sessions.iter_mut().filter(|session| logs.contains(&session.session)) {
        if let Some(joined) = &mut session.joined {
            joined.head -= 1;
        }
    }
}

fn drop_acked(history: &mut History, random: &mut Random) -> bool {
    let Some((room, offset)) = acked(history, random) else { return false };
    remove(history, &final_logs(history, room), offset, random.one_in(2));
    true
}

fn drop_end(history: &mut History, random: &mut Random, one: bool) -> bool {
    let Some((room, _)) = acked(history, random) else { return false };
    let mut logs = final_logs(history, room);
    let Some((end, hash)) = final_records(history, room).last().copied() else { return false };
    let known = history.publishes.iter().any(|p| p.hash == hash && matches!(p.outcome, Outcome::Acked { .. }));
    if (one && logs.len() < 2) || !known {
        return false;
    }
    logs.truncate(if one { 1 } else { usize::MAX });
    remove(history, &logs, end, true);
    true
}

/// Whose log, which session read it, and its records as (offset, hash).
type Log = (Room, SessionId, Vec<(u64, u64)>);

/// A random log of at least `least` records.
fn some_log(history: &History, random: &mut Random, least: usize) -> Option<Log> {
    let i = choose(&history.sessions, random, |_, s| s.kind == Kind::FinalLog)?;
    let session = &history.sessions[i];
    let records = final_records(history, session.room);
    (records.len() >= least).then_some((session.room, session.session, records))
}

/// Deletes an acked record just before the logs are read, which is as it should be: they have it without content.
pub(super) fn delete(history: &mut History, random: &mut Random) -> Option<(Room, u64)> {
    let (room, offset) = acked(history, random)?;
    let logs = final_logs(history, room);
    let read = history.sessions.iter().filter(|session| logs.contains(&session.session));
    let at = read.map(|session| session.invoked).min()?.checked_sub(1)?;
    history.deletes.push(Delete { room, offset, invoked: at, returned: Some(at) });
    for item in &mut history.items {
        let begun = history.sessions.iter().find(|session| session.session == item.session);
        if begun.is_some_and(|session| session.room == room && session.invoked > at) && is_at(item.seen, offset) {
            item.seen = Seen::Redacted { offset };
        }
    }
    Some((room, offset))
}

fn come_back(history: &mut History, random: &mut Random) -> bool {
    let whole = history.items.clone();
    let Some((room, offset)) = delete(history, random) else { return false };
    let Some(log) = random.pick(&final_logs(history, room)) else { return false };
    for (item, before) in history.items.iter_mut().zip(whole).filter(|(item, _)| item.session == log) {
        if item.seen == (Seen::Redacted { offset }) {
            *item = before;
        }
    }
    true
}

fn redact_unasked(history: &mut History, random: &mut Random) -> bool {
    let Some((_, log, records)) = some_log(history, random, 1) else { return false };
    let Some((offset, _)) = random.pick(&records) else { return false };
    for item in history.items.iter_mut().filter(|item| item.session == log && is_at(item.seen, offset)) {
        item.seen = Seen::Redacted { offset };
    }
    true
}

fn hole(history: &mut History, random: &mut Random) -> bool {
    let Some((_, log, records)) = some_log(history, random, 2) else { return false };
    let Some((offset, _)) = random.pick(&records[..records.len() - 1]) else { return false };
    remove(history, &[log], offset, false);
    true
}

fn rehash(history: &mut History, random: &mut Random, one: bool) -> bool {
    let Some((room, at)) = acked(history, random) else { return false };
    let mut logs = final_logs(history, room);
    if one && logs.len() < 2 {
        return false;
    }
    logs.truncate(if one { 1 } else { usize::MAX });
    for item in history.items.iter_mut().filter(|item| logs.contains(&item.session) && is_at(item.seen, at)) {
        if let Seen::Record { hash, .. } = &mut item.seen {
            *hash ^= 1;
        }
    }
    true
}

fn swap(history: &mut History, random: &mut Random) -> bool {
    let Some((room, log, records)) = some_log(history, random, 2) else { return false };
    if final_logs(history, room).len() < 2 {
        return false;
    }
    let i = random.below(records.len() as u64 - 1) as usize;
    let ((first, a), (second, b)) = (records[i], records[i + 1]);
    for item in history.items.iter_mut().filter(|item| item.session == log) {
        match &mut item.seen {
            Seen::Record { offset, hash } if *offset == first => *hash = b,
            Seen::Record { offset, hash } if *offset == second => *hash = a,
            _ => {}
        }
    }
    true
}

fn phantom(history: &mut History, random: &mut Random) -> bool {
    let Some((room, ..)) = some_log(history, random, 0) else { return false };
    let hash = random.number();
    append(history, room, hash) > 0
}

fn trim_early(history: &mut History, random: &mut Random) -> bool {
    let Some((room, ..)) = some_log(history, random, 1) else { return false };
    let logs = final_logs(history, room);
    for session in history.sessions.iter_mut().filter(|session| logs.contains(&session.session)) {
        if let Some(joined) = &mut session.joined {
            joined.floor = 2;
        }
    }
    history.items.retain(|item| !(logs.contains(&item.session) && is_at(item.seen, 1)));
    true
}

fn floor_back(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.floors, random, |_, f| f.floor > 1) else { return false };
    let told = history.floors[i];
    let invoked = told.returned + 1;
    history.floors.push(Floor { floor: random.range(1, told.floor - 1), invoked, returned: invoked, ..told });
    true
}

/// An epoch of a room that replaced acked records: (room, epoch before, epoch).
fn replacing(history: &History, random: &mut Random) -> Option<(Room, u64, u64)> {
    let lost = |room: Room, epoch: u64, first: u64| {
        history.publishes.iter().any(|p| {
            let Outcome::Acked { epoch: old, offset, duplicate: false } = p.outcome else { return false };
            p.room == room && old < epoch && offset >= first
        })
    };
    let i = choose(&history.lineages, random, |_, l| lost(l.room, l.epoch, l.first))?;
    let line = history.lineages[i];
    let older = history.lineages.iter().filter(|l| l.room == line.room && l.epoch < line.epoch).map(|l| l.epoch);
    Some((line.room, older.max()?, line.epoch))
}

fn unchanged_epoch(history: &mut History, random: &mut Random) -> bool {
    // The loss must be that of the epoch just before, or an epoch in between still tells of it.
    let Some((room, old, new)) = replacing(history, random) else { return false };
    let first = history.lineages.iter().find(|l| l.room == room && l.epoch == new).map_or(0, |l| l.first);
    let of_old = history.publishes.iter().any(|p| {
        matches!(p.outcome, Outcome::Acked { epoch, offset, .. } if p.room == room && epoch == old && offset >= first)
    });
    let told_again =
        history.lineages.iter().any(|line| line.room == room && line.epoch > new && line.first <= first + 5);
    if !of_old || told_again {
        return false;
    }
    history.lineages.retain(|line| line.room != room || line.epoch != new);
    let rooms: Vec<SessionId> =
        history.sessions.iter().filter(|session| session.room == room).map(|session| session.session).collect();
    for publish in history.publishes.iter_mut().filter(|publish| publish.room == room) {
        if let Outcome::Acked { epoch, .. } = &mut publish.outcome
            && *epoch == new
        {
            *epoch = old;
        }
    }
    for session in history.sessions.iter_mut().filter(|session| session.room == room) {
        match &mut session.joined {
            Some(joined) if joined.epoch == new => joined.epoch = old,
            _ => {}
        }
    }
    let is_reset = |seen| matches!(seen, Seen::Reset { epoch, .. } if epoch == new);
    history.items.retain(|item| !(rooms.contains(&item.session) && is_reset(item.seen)));
    true
}

fn late_epoch(history: &mut History, random: &mut Random) -> bool {
    let begun = |room: Room, e: u64, first: u64| {
        history.publishes.iter().any(|p| {
            let Outcome::Acked { epoch, offset, duplicate: false } = p.outcome else { return false };
            p.room == room && epoch == e && offset == first
        })
    };
    let Some(i) = choose(&history.lineages, random, |_, l| l.first > 1 && begun(l.room, l.epoch, l.first)) else {
        return false;
    };
    let late = history.lineages[i];
    for line in history.lineages.iter_mut().filter(|line| line.room == late.room && line.epoch == late.epoch) {
        line.first += 1;
    }
    true
}

fn lineage_differs(history: &mut History, random: &mut Random) -> bool {
    let several = |room: Room| history.lineages.iter().any(|line| line.room == room && line.node.0 > 0);
    let Some(i) = choose(&history.lineages, random, |_, line| several(line.room)) else { return false };
    history.lineages[i].first += 1;
    true
}

fn no_fault(history: &mut History, random: &mut Random) -> bool {
    let applicable = replacing(history, random).is_some();
    history.faults.clear();
    applicable
}
