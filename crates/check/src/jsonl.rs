//! Histories as JSON lines: one event a line, names before their first use, several processes' files merged by name.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::history::{
    Delete, Fault, Floor, GapReason, History, Item, Kind, Lineage, Node, Process, Producer, Publish, Room, Seen,
    Session, SessionId, Subscriber,
};

/// One line of a recorded history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the variants and fields are those of `history`, where they are described")]
pub enum Event {
    Room { id: Room, name: String },
    Producer { id: Producer, name: String },
    Node { id: Node, name: String },
    Process { id: Process, name: String },
    Subscriber { id: Subscriber, name: String },
    Publish(Publish),
    Retry(Publish),
    Subscribe(Session),
    Resume(Session),
    History(Session),
    FinalLog(Session),
    Deliver { session: SessionId, time: u64, offset: u64, hash: u64 },
    Redacted { session: SessionId, time: u64, offset: u64 },
    Gap { session: SessionId, time: u64, from: u64, to: u64, reason: GapReason },
    Reset { session: SessionId, time: u64, epoch: u64, valid_to: u64 },
    CaughtUp { session: SessionId, time: u64, head: u64 },
    End { session: SessionId, time: u64, more: bool },
    Settled { session: SessionId, time: u64 },
    Delete(Delete),
    Floor(Floor),
    Lineage(Lineage),
    Fault(Fault),
}

/// Why a history could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file failed.
    #[error("read or write a history: {0}")]
    Io(#[from] std::io::Error),
    /// A line is not an event.
    #[error("line {line} of a history is not an event: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Names are not numbered 0, 1, 2 … in order.
    #[error("line {line} of a history numbers a name out of order")]
    Name {
        /// Counted from 1.
        line: usize,
    },
}

impl From<Session> for Event {
    fn from(session: Session) -> Self {
        match session.kind {
            Kind::History => Self::History(session),
            Kind::FinalLog => Self::FinalLog(session),
            Kind::Live | Kind::Latest if session.resume => Self::Resume(session),
            Kind::Live | Kind::Latest => Self::Subscribe(session),
        }
    }
}

impl From<Item> for Event {
    fn from(Item { session, time, seen }: Item) -> Self {
        match seen {
            Seen::Record { offset, hash } => Self::Deliver { session, time, offset, hash },
            Seen::Redacted { offset } => Self::Redacted { session, time, offset },
            Seen::Gap { from, to, reason } => Self::Gap { session, time, from, to, reason },
            Seen::Reset { epoch, valid_to } => Self::Reset { session, time, epoch, valid_to },
            Seen::CaughtUp { head } => Self::CaughtUp { session, time, head },
            Seen::End { more } => Self::End { session, time, more },
            Seen::Settled => Self::Settled { session, time },
        }
    }
}

impl History {
    /// Every event, names first.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        let names = &self.names;
        let named = (names.rooms.iter().zip(0..).map(|(n, id)| Event::Room { id: Room(id), name: n.to_owned() }))
            .chain(
                names.producers.iter().zip(0..).map(|(n, i)| Event::Producer { id: Producer(i), name: n.to_owned() }),
            )
            .chain(names.nodes.iter().zip(0..).map(|(n, id)| Event::Node { id: Node(id), name: n.to_owned() }))
            .chain(names.processes.iter().zip(0..).map(|(n, i)| Event::Process { id: Process(i), name: n.to_owned() }))
            .chain(
                names
                    .subscribers
                    .iter()
                    .zip(0..)
                    .map(|(n, i)| Event::Subscriber { id: Subscriber(i), name: n.to_owned() }),
            );
        named
            .chain(self.faults.iter().map(|f| Event::Fault(*f)))
            .chain(self.lineages.iter().map(|l| Event::Lineage(*l)))
            .chain(self.deletes.iter().map(|d| Event::Delete(*d)))
            .chain(self.floors.iter().map(|f| Event::Floor(*f)))
            .chain(self.publishes.iter().map(|p| if p.retry { Event::Retry(*p) } else { Event::Publish(*p) }))
            .chain(self.sessions.iter().map(|s| (*s).into()))
            .chain(self.items.iter().map(|i| (*i).into()))
    }

    /// Adds one event. `false` if it is a name whose number is not the next one.
    pub fn push(&mut self, event: Event) -> bool {
        let names = &mut self.names;
        match event {
            Event::Room { id, name } => return names.rooms.intern(&name) == id.0,
            Event::Producer { id, name } => return names.producers.intern(&name) == id.0,
            Event::Node { id, name } => return names.nodes.intern(&name) == u32::from(id.0),
            Event::Process { id, name } => return names.processes.intern(&name) == u32::from(id.0),
            Event::Subscriber { id, name } => return names.subscribers.intern(&name) == id.0,
            Event::Publish(publish) => self.publishes.push(publish),
            Event::Retry(publish) => self.publishes.push(Publish { retry: true, ..publish }),
            Event::Resume(session) => self.sessions.push(Session { resume: true, ..session }),
            Event::Subscribe(session) | Event::History(session) | Event::FinalLog(session) => {
                self.sessions.push(session);
            }
            Event::Delete(delete) => self.deletes.push(delete),
            Event::Floor(floor) => self.floors.push(floor),
            Event::Lineage(lineage) => self.lineages.push(lineage),
            Event::Fault(fault) => self.faults.push(fault),
            Event::Deliver { session, time, offset, hash } => {
                self.items.push(Item { session, time, seen: Seen::Record { offset, hash } });
            }
            Event::Redacted { session, time, offset } => {
                self.items.push(Item { session, time, seen: Seen::Redacted { offset } });
            }
            Event::Gap { session, time, from, to, reason } => {
                self.items.push(Item { session, time, seen: Seen::Gap { from, to, reason } });
            }
            Event::Reset { session, time, epoch, valid_to } => {
                self.items.push(Item { session, time, seen: Seen::Reset { epoch, valid_to } });
            }
            Event::CaughtUp { session, time, head } => {
                self.items.push(Item { session, time, seen: Seen::CaughtUp { head } });
            }
            Event::End { session, time, more } => self.items.push(Item { session, time, seen: Seen::End { more } }),
            Event::Settled { session, time } => self.items.push(Item { session, time, seen: Seen::Settled }),
        }
        true
    }

    /// Writes every event as one line of JSON.
    pub fn write(&self, mut out: impl Write) -> Result<(), Error> {
        for event in self.events() {
            serde_json::to_writer(&mut out, &event).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Reads what [`write`](Self::write) wrote. Empty lines are skipped.
    pub fn read(input: impl BufRead) -> Result<Self, Error> {
        let mut history = Self::default();
        for (text, line) in input.lines().zip(1..) {
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            let event = serde_json::from_str(&text).map_err(|source| Error::Line { line, source })?;
            if !history.push(event) {
                return Err(Error::Name { line });
            }
        }
        Ok(history)
    }
}
