//! Mutations of publishes and their acks.

use crate::{
    history::{History, Kind, Outcome, Publish, Room, Seen, SessionId},
    mutate::{
        Mutation, Random,
        breakage::{Ground, append, choose, final_records},
    },
    report::Invariant::{I1, I2, I3, I4, I7, I8, I9, I13},
};

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation::new("ack with the wrong offset", I2, Ground::Whole, wrong_offset),
    Mutation::new("ack with offset 0", I1, Ground::Trimmed, offset_zero),
    Mutation::new("two acks for one offset", I3, Ground::Whole, ack_twice),
    Mutation::new("retry appended again", I9, Ground::Trimmed, retry_appended),
    Mutation::new("acked publish in the log twice", I3, Ground::Trimmed, acked_twice),
    Mutation::new("retry said to be new", I9, Ground::Trimmed, retry_new),
    Mutation::new("conflict accepted", I9, Ground::Whole, conflict_accepted),
    Mutation::new("conflict without a cause", I9, Ground::Trimmed, conflict_invented),
    Mutation::new("unknown publish in the log twice", I13, Ground::Whole, unknown_twice),
    Mutation::new("refused publish in the log", I4, Ground::Trimmed, refused_logged),
    Mutation::new("delivered before invoked", I4, Ground::Trimmed, before_invoked),
    Mutation::new("real-time order broken", I7, Ground::Whole, time_broken),
    Mutation::new("producer order broken", I8, Ground::Whole, producer_broken),
    Mutation::new("hole in a producer's ids", I8, Ground::Whole, producer_hole),
];

fn acked_offset(publish: &Publish) -> Option<u64> {
    match publish.outcome {
        Outcome::Acked { offset, .. } => Some(offset),
        _ => None,
    }
}

/// A publish that was acked at its first attempt.
fn some_acked(history: &History, random: &mut Random) -> Option<usize> {
    choose(&history.publishes, random, |_, p| !p.retry && acked_offset(p).is_some())
}

fn set_offset(publish: &mut Publish, to: u64) {
    if let Outcome::Acked { offset, .. } = &mut publish.outcome {
        *offset = to;
    }
}

fn wrong_offset(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_acked(history, random) else { return false };
    let wrong = acked_offset(&history.publishes[i]).map_or(1, |offset| offset + random.range(1, 3));
    set_offset(&mut history.publishes[i], wrong);
    true
}

fn offset_zero(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_acked(history, random) else { return false };
    set_offset(&mut history.publishes[i], 0);
    true
}

fn ack_twice(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_acked(history, random) else { return false };
    let one = history.publishes[i];
    let Some(j) = choose(&history.publishes, random, |_, p| {
        p.room == one.room && p.hash != one.hash && acked_offset(p).is_some()
    }) else {
        return false;
    };
    // Without the logs only the two acks are left to disagree.
    let logs: Vec<SessionId> = history.sessions.iter().filter(|s| s.room == one.room).map(|s| s.session).collect();
    history.sessions.retain(|session| session.room != one.room);
    history.items.retain(|item| !logs.contains(&item.session));
    history.publishes[j].outcome = one.outcome;
    true
}

fn retry_appended(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_acked(history, random) else { return false };
    let publish = history.publishes[i];
    let offset = append(history, publish.room, publish.hash);
    let Outcome::Acked { epoch, .. } = publish.outcome else { return false };
    let outcome = Outcome::Acked { epoch, offset, duplicate: random.one_in(2) };
    let invoked = publish.returned + 1;
    history.publishes.push(Publish { retry: true, invoked, returned: invoked + 1, outcome, ..publish });
    offset > 0
}

fn acked_twice(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_acked(history, random) else { return false };
    let Publish { room, hash, .. } = history.publishes[i];
    final_records(history, room).iter().any(|(_, h)| *h == hash) && append(history, room, hash) > 0
}

/// A publish sent again after it had been acked.
fn some_retry(history: &History, random: &mut Random) -> Option<usize> {
    choose(&history.publishes, random, |_, p| {
        let earlier = |q: &Publish| {
            (q.room, q.producer, q.id, q.hash) == (p.room, p.producer, p.id, p.hash)
                && q.returned < p.invoked
                && acked_offset(q).is_some()
        };
        p.retry && acked_offset(p).is_some() && history.publishes.iter().any(earlier)
    })
}

fn retry_new(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_retry(history, random) else { return false };
    if let Outcome::Acked { duplicate, .. } = &mut history.publishes[i].outcome {
        *duplicate = false;
    }
    true
}

fn conflict_accepted(history: &mut History, random: &mut Random) -> bool {
    let conflict = Outcome::Refused { code: 3008 };
    let Some(i) = choose(&history.publishes, random, |_, p| p.outcome == conflict) else { return false };
    let refused = history.publishes[i];
    let key = |p: &Publish| (p.room, p.producer, p.id);
    let first = history.publishes.iter().find(|p| key(p) == key(&refused) && acked_offset(p).is_some());
    let Some(Outcome::Acked { epoch, offset, .. }) = first.map(|p| p.outcome) else { return false };
    history.publishes[i].outcome = Outcome::Acked { epoch, offset, duplicate: true };
    true
}

fn conflict_invented(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = some_retry(history, random) else { return false };
    history.publishes[i].outcome = Outcome::Refused { code: 3008 };
    true
}

fn unknown_twice(history: &mut History, random: &mut Random) -> bool {
    let acked = |hash: u64| history.publishes.iter().any(|p| p.hash == hash && acked_offset(p).is_some());
    let logged = |p: &Publish| final_records(history, p.room).iter().any(|(_, hash)| *hash == p.hash);
    let unknown = |p: &Publish| p.outcome == Outcome::Unknown && !acked(p.hash) && logged(p);
    let Some(i) = choose(&history.publishes, random, |_, p| unknown(p)) else { return false };
    let Publish { room, hash, .. } = history.publishes[i];
    append(history, room, hash) > 0
}

fn refused_logged(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.publishes, random, |_, p| matches!(p.outcome, Outcome::Refused { .. })) else {
        return false;
    };
    let Publish { room, hash, .. } = history.publishes[i];
    append(history, room, hash) > 0
}

fn before_invoked(history: &mut History, random: &mut Random) -> bool {
    let Some(i) = choose(&history.items, random, |_, item| matches!(item.seen, Seen::Record { .. })) else {
        return false;
    };
    let Seen::Record { hash: seen, .. } = history.items[i].seen else { return false };
    let invoked = history.items[i].time + 1;
    for publish in history.publishes.iter_mut().filter(|publish| publish.hash == seen) {
        publish.invoked = publish.invoked.max(invoked);
        publish.returned = publish.returned.max(invoked);
    }
    true
}

/// Exchanges two acked publishes everywhere, as if the log had ordered them the other way.
fn exchange(history: &mut History, a: Publish, b: Publish) {
    for publish in history.publishes.iter_mut().filter(|publish| acked_offset(publish).is_some()) {
        if publish.hash == a.hash {
            set_outcome(publish, b);
        } else if publish.hash == b.hash {
            set_outcome(publish, a);
        }
    }
    for item in &mut history.items {
        if let Seen::Record { hash, .. } = &mut item.seen {
            *hash = if *hash == a.hash { b.hash } else { if *hash == b.hash { a.hash } else { *hash } };
        }
    }
}

fn set_outcome(publish: &mut Publish, like: Publish) {
    if let (Outcome::Acked { epoch, offset, .. }, Outcome::Acked { epoch: e, offset: o, .. }) =
        (&mut publish.outcome, like.outcome)
    {
        (*epoch, *offset) = (e, o);
    }
}

/// Two publishes acked at their first attempt, in some relation.
fn pair(
    history: &History,
    random: &mut Random,
    wanted: impl Fn(&Publish, &Publish) -> bool,
) -> Option<(Publish, Publish)> {
    let first = |p: &Publish| !p.retry && acked_offset(p).is_some();
    let i = some_acked(history, random)?;
    let a = history.publishes[i];
    let j = choose(&history.publishes, random, |_, b| first(b) && b.room == a.room && wanted(&a, b))?;
    Some((a, history.publishes[j]))
}

fn time_broken(history: &mut History, random: &mut Random) -> bool {
    let Some((a, b)) = pair(history, random, |a, b| a.returned < b.invoked) else { return false };
    exchange(history, a, b);
    true
}

fn producer_broken(history: &mut History, random: &mut Random) -> bool {
    let Some((a, b)) = pair(history, random, |a, b| a.producer == b.producer && a.id < b.id) else { return false };
    exchange(history, a, b);
    true
}

fn producer_hole(history: &mut History, random: &mut Random) -> bool {
    let Some((a, b)) = pair(history, random, |a, b| a.producer == b.producer && a.id + 1 == b.id) else {
        return false;
    };
    let Some((same, ..)) = epoch(&a).zip(epoch(&b)).filter(|(x, y)| x == y) else { return false };
    let later = |p: &Publish| (p.room, p.producer) == (a.room, a.producer) && p.id > a.id;
    history.publishes.iter_mut().filter(|p| later(p)).for_each(|p| p.id += 1);
    let logged = |room: Room| history.sessions.iter().any(|s| s.room == room && s.kind == Kind::FinalLog);
    same > 0 && logged(a.room)
}

fn epoch(publish: &Publish) -> Option<u64> {
    match publish.outcome {
        Outcome::Acked { epoch, .. } => Some(epoch),
        _ => None,
    }
}
