//! The publishes of one producer in one room that have no final answer yet: their ids, what is in flight, and what is
//! sent again. Pure: no clock, no socket; the driver moves bytes and completes the waiters it gets back.
//!
//! The server answers every publish exactly once and in the order sent. After a `Nack` it takes nothing behind it, so
//! the outbox stops sending, waits until everything in flight is answered, and only then goes back and sends again
//! (go-back-N). Waiting is what makes a new number safe: at that moment nothing is on its way, and `expected` says
//! which ids are in the log.

use std::{collections::VecDeque, time::Duration};

use loquic_wire::{
    Code, Epoch, Offset, Position, Time,
    code::Action,
    publish::{Ack, AckRun, Duplicate, Nack},
};

use crate::message::Message;

/// Invariants: `answered <= sent <= entries.len()`; entries with an id come before those without, and their ids ascend;
/// `answered > 0` only while rewinding.
#[derive(Debug)]
pub(crate) struct Outbox<W> {
    entries: VecDeque<Entry<W>>,
    /// The id for the next entry without one; `None` until the first `Opened`.
    next_id: Option<u64>,
    /// How many entries from the front were sent on this stream.
    sent: usize,
    /// How many of those were answered and are still held; 0 unless rewinding.
    answered: usize,
    /// The most that may be in flight; 0 without a stream.
    in_flight_max: usize,
    rewind: Option<Rewind>,
    /// How often it went back since the last publish that got through.
    stalls: u32,
}

#[derive(Debug)]
struct Entry<W> {
    /// 0 for none yet.
    id: u64,
    message: Message,
    /// What the entry holds of the outbox's bound.
    cost: u32,
    /// `None` once resolved; such an entry leaves at the end of the rewind.
    waiter: Option<W>,
}

/// Going back: nothing is sent until everything in flight is answered.
#[derive(Debug, Clone, Copy)]
struct Rewind {
    expected: u64,
    pause: Pause,
}

/// How long to wait before sending again, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) code: Code,
    pub(crate) retry_after: Duration,
    /// How often it went back since the last publish that got through.
    pub(crate) stalls: u32,
}

/// Where a publish ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) position: Position,
    pub(crate) time: Time,
    pub(crate) duplicate: Duplicate,
}

/// A publish that has its final answer.
#[derive(Debug)]
pub(crate) struct Done<W> {
    pub(crate) waiter: W,
    pub(crate) cost: u32,
    pub(crate) outcome: Result<Receipt, Code>,
}

/// An answer that the protocol does not allow. The stream is of no use any more; what is in doubt is sent again on
/// the next one under the same ids, which is always safe.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer for publish {got} came where {wanted:?} was due")]
pub(crate) struct Violation {
    got: u64,
    wanted: Option<u64>,
}

impl<W> Outbox<W> {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            next_id: None,
            sent: 0,
            answered: 0,
            in_flight_max: 0,
            rewind: None,
            stalls: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.sent - self.answered
    }

    pub(crate) fn push(&mut self, message: Message, cost: u32, waiter: W) {
        self.entries.push_back(Entry { id: 0, message, cost, waiter: Some(waiter) });
    }

    /// A new stream is open. Everything that is held is sent on it, under the ids it had: what got in before the cut is
    /// answered with its first position.
    pub(crate) fn handle_opened(&mut self, last_id: u64, in_flight_max: u32) {
        debug_assert!(self.sent == 0 && self.rewind.is_none(), "the old stream was not given up");
        self.in_flight_max = in_flight_max.max(1) as usize;
        let in_doubt = self.entries.front().is_some_and(|entry| entry.id != 0);
        if !in_doubt && last_id > 0 {
            self.next_id = Some(last_id + 1);
        }
        self.next_id.get_or_insert(1);
    }

    /// The stream is gone. Nothing is known about what was in flight.
    pub(crate) fn handle_disconnected(&mut self) {
        self.sent = 0;
        self.answered = 0;
        self.in_flight_max = 0;
        self.rewind = None;
        self.entries.retain(|entry| entry.waiter.is_some());
        self.assert_invariants();
    }

    /// Appends frames until `out` holds `bytes_max`, the window is full or nothing is left; says whether it appended
    /// any.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        if self.rewind.is_some() {
            return false;
        }
        let end = self.entries.len().min(self.in_flight_max);
        let start = self.sent;
        while self.sent < end && out.len() < bytes_max {
            let entry = &mut self.entries[self.sent];
            if entry.id == 0 {
                let Some(next_id) = &mut self.next_id else { break };
                entry.id = *next_id;
                *next_id += 1;
            }
            entry.message.put_frame(entry.id, out);
            self.sent += 1;
        }
        self.sent > start
    }

    /// One publish is in the log.
    pub(crate) fn handle_ack(&mut self, ack: &Ack, done: &mut Vec<Done<W>>) -> Result<Option<Pause>, Violation> {
        let receipt = Receipt { position: ack.position, time: ack.time, duplicate: ack.duplicate };
        self.resolve(ack.id, Ok(receipt), done)
    }

    /// A run of publishes is in the log.
    pub(crate) fn handle_ack_run(&mut self, run: &AckRun, done: &mut Vec<Done<W>>) -> Result<Option<Pause>, Violation> {
        let mut pause = None;
        for index in 0..u64::from(run.count) {
            let receipt = receipt_in_run(run.epoch, run.first_offset, index, run.time);
            pause = self.resolve(run.first_id.saturating_add(index), Ok(receipt), done)?;
        }
        Ok(pause)
    }

    /// One publish is not in the log. A pause comes back once everything in flight is answered.
    pub(crate) fn handle_nack(&mut self, nack: &Nack, done: &mut Vec<Done<W>>) -> Result<Option<Pause>, Violation> {
        self.check(nack.id)?;
        let pause = Pause { code: nack.code, retry_after: nack.retry_after.into(), stalls: self.stalls };
        let rewind = self.rewind.get_or_insert(Rewind { expected: nack.expected, pause });
        rewind.expected = nack.expected;
        if nack.code.action() == Action::FixRequest {
            return self.resolve(nack.id, Err(nack.code), done);
        }
        if rewind.pause.code == Code::SKIPPED || pause.retry_after > rewind.pause.retry_after {
            rewind.pause = pause;
        }
        self.answered += 1;
        Ok(self.finish_rewind())
    }

    /// Gives everything up; the waiters are told by the caller.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (W, u32)> + use<W> {
        self.handle_disconnected();
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| Some((entry.waiter?, entry.cost)))
    }

    fn check(&self, id: u64) -> Result<(), Violation> {
        let wanted = (self.answered < self.sent).then(|| self.entries[self.answered].id);
        if wanted == Some(id) { Ok(()) } else { Err(Violation { got: id, wanted }) }
    }

    fn resolve(
        &mut self,
        id: u64,
        outcome: Result<Receipt, Code>,
        done: &mut Vec<Done<W>>,
    ) -> Result<Option<Pause>, Violation> {
        self.check(id)?;
        if outcome.is_ok() {
            self.stalls = 0;
        }
        let Some(rewind) = &mut self.rewind else {
            self.sent -= 1;
            if let Some(Entry { waiter: Some(waiter), cost, .. }) = self.entries.pop_front() {
                done.push(Done { waiter, cost, outcome });
            }
            return Ok(None);
        };
        if outcome.is_ok() {
            rewind.expected = rewind.expected.max(id.saturating_add(1));
        }
        let entry = &mut self.entries[self.answered];
        if let Some(waiter) = entry.waiter.take() {
            done.push(Done { waiter, cost: entry.cost, outcome });
        }
        self.answered += 1;
        Ok(self.finish_rewind())
    }

    /// Once everything in flight is answered: forgets what is resolved and numbers the rest anew.
    ///
    /// An entry whose id is below `expected` may be in the log and keeps its id, so that sending it again is
    /// recognised. One at or past `expected` is certainly not there, because nothing is in flight and the server's last
    /// id is `expected - 1`: it gets the next free number.
    fn finish_rewind(&mut self) -> Option<Pause> {
        if self.answered < self.sent {
            return None;
        }
        let Rewind { expected, pause } = self.rewind.take()?;
        self.sent = 0;
        self.answered = 0;
        self.stalls = self.stalls.saturating_add(1);
        self.entries.retain(|entry| entry.waiter.is_some());
        let mut next = expected.max(1);
        for entry in self.entries.iter_mut().take_while(|entry| entry.id != 0).filter(|entry| entry.id >= expected) {
            entry.id = next;
            next += 1;
        }
        self.next_id = Some(next);
        self.assert_invariants();
        Some(pause)
    }

    fn assert_invariants(&self) {
        debug_assert!(self.answered <= self.sent);
        debug_assert!(self.sent <= self.entries.len());
        debug_assert!(self.answered == 0 || self.rewind.is_some());
        debug_assert!(self.entries.iter().skip_while(|entry| entry.id != 0).all(|entry| entry.id == 0));
        debug_assert!(self.entries.iter().take_while(|entry| entry.id != 0).is_sorted_by(|a, b| a.id < b.id));
    }
}

fn receipt_in_run(epoch: Epoch, first: Offset, index: u64, time: Time) -> Receipt {
    Receipt { position: Position { epoch, offset: first.plus(index) }, time, duplicate: Duplicate::No }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
