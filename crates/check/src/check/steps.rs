//! What was seen, put in order: by chain of sessions, then by time.
//!
//! A chain is a subscriber's reading of a room over all the sessions that resume one another. They may overlap for a
//! moment (the next session opens before the old one is left), so a chain goes by time, not by session. Sorting: O(n
//! log n).

use crate::{
    check::findings::Findings,
    hash::FastMap,
    history::{History, Kind, Seen, Session},
};

pub(crate) struct Step {
    chain: u32,
    session: u32,
    pub(crate) time: u64,
    /// `None` is the session's beginning.
    pub(crate) seen: Option<Seen>,
}

pub(crate) struct Steps<'h> {
    sessions: Vec<&'h Session>,
    steps: Vec<Step>,
}

impl<'h> Steps<'h> {
    /// The chains of some kind, each as its steps in order.
    pub(crate) fn chains(&self, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = &[Step]> {
        self.steps.chunk_by(|a, b| a.chain == b.chain).filter(move |chain| wanted(self.session(&chain[0]).kind))
    }

    pub(crate) fn session(&self, step: &Step) -> &'h Session {
        self.sessions[step.session as usize]
    }
}

pub(crate) fn ordered<'h>(history: &'h History, found: &mut Findings) -> Steps<'h> {
    let mut sessions: Vec<&Session> = history.sessions.iter().collect();
    sessions.sort_by_key(|session| (session.invoked, session.session));
    let chains = chains(&sessions);
    let index: FastMap<_, _> = sessions.iter().zip(0u32..).map(|(session, i)| (session.session, i)).collect();
    let mut steps = Vec::with_capacity(sessions.len() + history.items.len());
    for (session, i) in sessions.iter().zip(0u32..) {
        steps.push(Step { chain: chains[i as usize], session: i, time: session.returned, seen: None });
    }
    let mut orphans = 0u64;
    for item in &history.items {
        let Some(&session) = index.get(&item.session) else {
            orphans += 1;
            continue;
        };
        // What came together with the answer may carry an earlier time than the answer's: it still belongs behind it.
        let time = item.time.max(sessions[session as usize].returned);
        steps.push(Step { chain: chains[session as usize], session, time, seen: Some(item.seen) });
    }
    if orphans > 0 {
        found.note(format!("{orphans} events belong to no recorded session and were left out"));
    }
    steps.sort_by_key(|step| (step.chain, step.time, step.session, step.seen.is_some()));
    Steps { sessions, steps }
}

/// The chain of each session: a resumed one belongs to its subscriber's latest in that room, any other begins its own.
fn chains(sessions: &[&Session]) -> Vec<u32> {
    let mut latest = FastMap::default();
    let of = |(session, own): (&&Session, u32)| {
        let key = (session.subscriber, session.room);
        match session.kind {
            Kind::History | Kind::FinalLog => own,
            Kind::Live | Kind::Latest if session.resume => *latest.entry(key).or_insert(own),
            Kind::Live | Kind::Latest => {
                latest.insert(key, own);
                own
            }
        }
    };
    sessions.iter().zip(0u32..).map(of).collect()
}
