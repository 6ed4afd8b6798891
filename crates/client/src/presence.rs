//! Who is in a room, as the server tells it: a list, changes of it, or only how many. Pure.

use std::{collections::BTreeMap, sync::Arc};

use loquic_wire::{UserName, join};

use crate::error::Error;

/// Who is in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// How many users.
    pub count: u64,
    /// Each with the number of their sessions. `None` if only the count was asked for, or if there are more than the
    /// server lists; [`Room::members`](crate::Room::members) finds them page by page.
    pub members: Option<Arc<BTreeMap<UserName, u32>>>,
}

/// More members than this a server does not list; one that does is not believed.
const MEMBERS_MAX: usize = 100_000;

/// What is known, over all the streams that carry it, one after the other.
///
/// A new stream tells everything anew. What was known stays until that is there, so that nobody seems to have been
/// away who was not.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    known: Option<Presence>,
    /// A list of which not all has come.
    list: Option<BTreeMap<UserName, u32>>,
}

impl Roll {
    /// What follows is another stream's.
    pub(crate) fn begin(&mut self) {
        self.list = None;
    }

    /// Takes a frame. Returns what is known now, if that is news.
    pub(crate) fn handle(&mut self, frame: join::Presence) -> Result<Option<Presence>, Error> {
        let join::Presence { count, snapshot, members } = frame;
        if snapshot {
            self.list = (count == 0 || !members.is_empty()).then(BTreeMap::new);
        }
        let next = if let Some(list) = &mut self.list {
            list.extend(members.into_iter().map(|member| (member.user, member.sessions)));
            if list.len() > MEMBERS_MAX {
                return Err(Error::protocol("a list of members without an end"));
            }
            if (list.len() as u64) < count {
                return Ok(None);
            }
            Presence { count, members: self.list.take().map(Arc::new) }
        } else {
            let mut known = self.known.clone().filter(|_| !snapshot).and_then(|known| known.members);
            if let Some(known) = known.as_mut().filter(|_| !members.is_empty()) {
                let known = Arc::make_mut(known);
                for member in members {
                    match member.sessions {
                        0 => _ = known.remove(&member.user),
                        sessions => _ = known.insert(member.user, sessions),
                    }
                }
                if known.len() > MEMBERS_MAX {
                    return Err(Error::protocol("a list of members without an end"));
                }
            }
            Presence { count, members: known }
        };
        let is_news = self.known.replace(next.clone()).as_ref() != Some(&next);
        Ok(is_news.then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::join::Member;

    use super::*;

    fn frame(count: u64, snapshot: bool, members: &[(&str, u32)]) -> join::Presence {
        let member =
            |(user, sessions): &(&str, u32)| Member { user: UserName::new(user).expect("a name"), sessions: *sessions };
        join::Presence { count, snapshot, members: members.iter().map(member).collect() }
    }

    fn told(presence: Option<Presence>) -> Option<(u64, Option<String>)> {
        presence.map(|Presence { count, members }| {
            let names = |members: Arc<BTreeMap<UserName, u32>>| {
                members.iter().map(|(user, sessions)| format!("{user}{sessions}")).collect()
            };
            (count, members.map(names))
        })
    }

    #[track_caller]
    fn check(roll: &mut Roll, frame: join::Presence, expected: Option<(u64, Option<&str>)>) {
        let expected = expected.map(|(count, members)| (count, members.map(str::to_owned)));
        assert_eq!(told(roll.handle(frame).expect("by the rules")), expected);
    }

    #[test]
    fn a_list_comes_in_pages_and_then_changes() {
        let roll = &mut Roll::default();
        check(roll, frame(3, true, &[("a", 1), ("b", 2)]), None);
        check(roll, frame(3, false, &[("c", 1)]), Some((3, Some("a1b2c1"))));
        check(roll, frame(3, false, &[("b", 0), ("d", 1)]), Some((3, Some("a1c1d1"))));
        check(roll, frame(501, true, &[]), Some((501, None)));
        check(roll, frame(502, false, &[]), Some((502, None)));
        check(roll, frame(1, true, &[("a", 1)]), Some((1, Some("a1"))));
        check(roll, frame(0, true, &[]), Some((0, Some(""))));
    }

    #[test]
    fn another_stream_that_says_the_same_is_no_news() {
        let roll = &mut Roll::default();
        check(roll, frame(2, true, &[("a", 1), ("b", 2)]), Some((2, Some("a1b2"))));
        roll.begin();
        check(roll, frame(2, true, &[("a", 1)]), None);
        // It ends in the middle of the list.
        roll.begin();
        check(roll, frame(2, true, &[("a", 1)]), None);
        check(roll, frame(2, false, &[("b", 2)]), None);
        roll.begin();
        check(roll, frame(1, true, &[("b", 2)]), Some((1, Some("b2"))));
    }

    #[test]
    fn counts_alone() {
        let roll = &mut Roll::default();
        check(roll, frame(2, false, &[]), Some((2, None)));
        check(roll, frame(2, false, &[]), None);
        check(roll, frame(3, false, &[]), Some((3, None)));
    }

    #[test]
    fn a_list_without_an_end_is_not_believed() {
        let mut roll = Roll::default();
        let long: Vec<_> = (0..=MEMBERS_MAX).map(|number| number.to_string()).collect();
        let mut pages = long.chunks(1_000).map(|page| page.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
        let mut is_first = true;
        let end = pages.try_for_each(|page| {
            let frame = frame(u64::MAX, std::mem::take(&mut is_first), &page);
            roll.handle(frame).map(|presence| assert_eq!(presence, None))
        });
        assert!(matches!(end, Err(Error::Protocol(_))));
    }
}
