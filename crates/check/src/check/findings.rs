//! Collecting violations: all are counted, the first few of each invariant are put into words.

use crate::{
    check::ledger::Ledger,
    history::{History, Node, Producer, Room, Session, Subscriber},
    promise::Promise,
    report::{Invariant, Report, Violation},
};

/// Who saw a violation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    Producer(Producer),
    Node(Node),
    Subscriber(Subscriber, Node),
    Log,
}

impl Who {
    pub(crate) fn session(session: &Session) -> Self {
        Self::Subscriber(session.subscriber, session.node)
    }
}

pub(crate) struct Findings<'h> {
    pub(crate) history: &'h History,
    pub(crate) promise: &'h Promise,
    pub(crate) report: Report,
}

impl<'h> Findings<'h> {
    pub(crate) fn new(history: &'h History, promise: &'h Promise) -> Self {
        Self { history, promise, report: Report { events: history.len() as u64, ..Report::default() } }
    }

    /// Counts a violation; `text` is called only if it is kept.
    pub(crate) fn add(
        &mut self,
        invariant: Invariant,
        room: Room,
        offset: impl Into<Option<u64>>,
        who: Who,
        text: impl FnOnce() -> String,
    ) {
        let count = self.report.by_invariant.entry(invariant).or_default();
        *count += 1;
        if *count > self.promise.violations_max as u64 {
            return;
        }
        let names = &self.history.names;
        let who = match who {
            Who::Producer(producer) => format!("producer {}", names.producer(producer)),
            Who::Node(node) => format!("node {}", names.node(node)),
            Who::Subscriber(subscriber, node) => {
                format!("subscriber {} at {}", names.subscriber(subscriber), names.node(node))
            }
            Who::Log => "the log".to_owned(),
        };
        let room = names.room(room);
        self.report.violations.push(Violation { invariant, room, offset: offset.into(), who, text: text() });
    }

    pub(crate) fn note(&mut self, text: String) {
        if !self.report.notes.contains(&text) {
            self.report.notes.push(text);
        }
    }

    pub(crate) fn finish(mut self, ledger: &Ledger) -> Report {
        for group in &ledger.groups {
            self.report.sent += 1;
            if group.ack.is_some() {
                self.report.acked += 1;
            } else if group.possible {
                self.report.unknown += 1;
            } else {
                self.report.refused += 1;
            }
        }
        let report = &mut self.report;
        report.lost = report.lost_places.total();
        report.expected = report.delivered + report.lost;
        report.violations.sort_by_key(|violation| violation.invariant);
        self.report
    }
}
