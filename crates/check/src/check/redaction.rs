//! Deleted records: the version without content takes the place of the original, and never the other way round (I6).
//!
//! What came without content has no hash. The rest of the checker is to judge it as the record that it is, so it is
//! given the hash under which the record was acknowledged or seen while it still had one.

use std::borrow::Cow;

use crate::{
    check::{
        facts::Facts,
        findings::{Findings, Who},
    },
    hash::FastMap,
    history::{History, Item, Outcome, Room, Seen, Session, SessionId},
    report::Invariant,
};

type Place = (Room, u64);

/// The history with every record that came without content as the record that it was.
pub(crate) fn restored(history: &History) -> Cow<'_, History> {
    if !history.items.iter().any(|item| matches!(item.seen, Seen::Redacted { .. })) {
        return Cow::Borrowed(history);
    }
    let rooms = rooms(history);
    let mut known: FastMap<Place, (u64, u64)> = FastMap::default();
    for item in &history.items {
        if let (Seen::Record { offset, hash }, Some(session)) = (item.seen, rooms.get(&item.session)) {
            known.insert((session.room, offset), (0, hash));
        }
    }
    for publish in &history.publishes {
        if let Outcome::Acked { epoch, offset, .. } = publish.outcome {
            let newest = known.entry((publish.room, offset)).or_insert((epoch, publish.hash));
            // After a loss the offset is another record's.
            if newest.0 <= epoch {
                *newest = (epoch, publish.hash);
            }
        }
    }
    let restore = |item: &Item| {
        let Seen::Redacted { offset } = item.seen else { return *item };
        let hash = rooms.get(&item.session).and_then(|session| known.get(&(session.room, offset)));
        Item { seen: Seen::Record { offset, hash: hash.map_or(0, |(_, hash)| *hash) }, ..*item }
    };
    let items = history.items.iter().map(restore).collect();
    Cow::Owned(History { items, ..history.clone() })
}

/// Nothing loses its content before somebody has asked for it, and who begins to read after a delete was acknowledged
/// does not get what it has deleted.
pub(crate) fn check(history: &History, facts: &Facts, found: &mut Findings) {
    let rooms = rooms(history);
    let mut deletes: FastMap<Place, (u64, u64)> = FastMap::default();
    for delete in &history.deletes {
        let (invoked, returned) = (delete.invoked, delete.returned.unwrap_or(u64::MAX));
        let first = deletes.entry((delete.room, delete.offset)).or_insert((invoked, returned));
        *first = (first.0.min(invoked), first.1.min(returned));
    }
    for item in &history.items {
        let Some(session) = rooms.get(&item.session) else { continue };
        match item.seen {
            Seen::Redacted { offset } => {
                let asked = deletes.get(&(session.room, offset)).is_some_and(|(invoked, _)| *invoked <= item.time);
                if !asked {
                    found.add(Invariant::I6, session.room, offset, Who::session(session), || {
                        "a record came without its content, which nobody had deleted".to_owned()
                    });
                }
            }
            Seen::Record { offset, .. } => {
                let Some((invoked, returned)) = deletes.get(&(session.room, offset)) else { continue };
                if session.invoked > *returned && !facts.room(session.room).may_lose(*invoked) {
                    found.add(Invariant::I6, session.room, offset, Who::session(session), || {
                        "a record came with the content that had been deleted before".to_owned()
                    });
                }
            }
            _ => {}
        }
    }
}

fn rooms(history: &History) -> FastMap<SessionId, &Session> {
    history.sessions.iter().map(|session| (session.session, session)).collect()
}
