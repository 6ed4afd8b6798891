//! The outbox of one room as publishers and their task share it: bounded, woken, and failed as one.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use loquic_wire::{RoomName, limits};
use tokio::sync::{Notify, Semaphore};

use crate::{
    completion::Waiter,
    core::OutboxBounds,
    error::Error,
    message::Message,
    outbox::{Done, Outbox},
    sync::lock,
};

/// What publishers and their task share.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) room: RoomName,
    state: Mutex<State>,
    /// What the outbox has room for, in cost units; see [`Queue::cost`].
    pub(crate) space: Semaphore,
    cost_max: u32,
    cost_min: u32,
    /// There is something to send, for a task that said it was idle.
    wake: Notify,
    /// The outbox is empty.
    drained: Notify,
}

#[derive(Debug)]
struct State {
    outbox: Outbox<Waiter>,
    /// The task waits for `wake`; nobody else needs to pay for waking it.
    idle: bool,
    /// For good: the producer was fenced, or the client is closed.
    failed: Option<Error>,
}

/// What a publish holds besides its payload: the entry, the frame's fields and a waiter.
const COST_FIXED: usize = 128;

impl Queue {
    pub(crate) fn new(room: RoomName, bounds: OutboxBounds) -> Self {
        let largest = limits::PAYLOAD_BYTES_MAX_HARD + COST_FIXED;
        let cost_max = bounds.bytes_max.clamp(largest, u32::MAX as usize >> 1);
        let cost_min = (cost_max / bounds.count_max.max(1)).clamp(1, cost_max);
        Self {
            room,
            state: Mutex::new(State { outbox: Outbox::new(), idle: false, failed: None }),
            space: Semaphore::new(cost_max),
            cost_max: cost_max as u32,
            cost_min: cost_min as u32,
            wake: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// What a message takes of the outbox. Never less than the share of one message, so that the bound on the bytes is
    /// also the bound on the count.
    pub(crate) fn cost(&self, message: &Message) -> u32 {
        let bytes = u32::try_from(message.payload.len() + COST_FIXED).unwrap_or(u32::MAX);
        bytes.clamp(self.cost_min, self.cost_max)
    }

    /// What a batch may take at once: a part, so that two batches interleave and acknowledgements overlap with sending.
    pub(crate) fn cost_part(&self) -> u32 {
        self.cost_max / 8
    }

    /// Puts a message whose cost has been taken from `space` into the outbox.
    pub(crate) fn push(&self, message: Message, cost: u32, waiter: Waiter) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(error) = state.failed.clone() {
            drop(state);
            self.space.add_permits(cost as usize);
            return Err(error);
        }
        state.outbox.push(message, cost, waiter);
        self.wake(state);
        Ok(())
    }

    /// The same for many, in order; if none is taken any more, their waiters are told.
    pub(crate) fn push_all(&self, messages: &mut Vec<(Message, u32, Waiter)>) {
        let mut state = lock(&self.state);
        if let Some(error) = state.failed.clone() {
            drop(state);
            for (_, cost, waiter) in messages.drain(..) {
                self.space.add_permits(cost as usize);
                waiter.complete(Err(error.clone()));
            }
            return;
        }
        messages.drain(..).for_each(|(message, cost, waiter)| state.outbox.push(message, cost, waiter));
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.wake.notify_one();
        }
    }

    /// Ends all that wait, and all that come.
    pub(crate) fn fail(&self, error: &Error) {
        lock(&self.state).failed.get_or_insert_with(|| error.clone());
        self.give_up(error);
    }

    /// Ends all that wait.
    pub(crate) fn give_up(&self, error: &Error) {
        let (waiters, costs): (Vec<_>, Vec<_>) = lock(&self.state).outbox.take_all().unzip();
        waiters.into_iter().for_each(|waiter| waiter.complete(Err(error.clone())));
        self.space.add_permits(costs.into_iter().map(|cost| cost as usize).sum());
        self.drained.notify_waiters();
    }

    /// Waits until nothing waits for an answer.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_empty() {
                return;
            }
            drained.await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).outbox.is_empty()
    }

    /// For the task: waits for something to send.
    pub(crate) async fn wait_for_work(&self) {
        while self.is_idle() {
            self.wake.notified().await;
        }
    }

    fn is_idle(&self) -> bool {
        let mut state = lock(&self.state);
        state.idle = state.outbox.is_empty();
        state.idle
    }

    /// For the task: a stream is open.
    pub(crate) fn handle_opened(&self, last_id: u64, in_flight_max: u32) {
        lock(&self.state).outbox.handle_opened(last_id, in_flight_max);
    }

    /// For the task: the stream is gone.
    pub(crate) fn handle_disconnected(&self) {
        lock(&self.state).outbox.handle_disconnected();
    }

    /// For the task: what to write now.
    pub(crate) fn next(&self, bytes: Vec<u8>, bytes_max: usize, may_send: bool) -> Next {
        let mut bytes = bytes;
        let mut state = lock(&self.state);
        if may_send && state.outbox.fill(&mut bytes, bytes_max) {
            return Next::Send(bytes);
        }
        state.idle = true;
        Next::Wait { in_flight: state.outbox.in_flight() > 0 }
    }

    /// For the task, after [`Next::Wait`]: waits for more to send or for an answer.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// For the task: takes answers, all of one piece under one lock; whoever waits for them is told outside of it.
    pub(crate) fn answer<T>(
        &self,
        done: &mut Vec<Done<Waiter>>,
        apply: impl FnOnce(&mut Outbox<Waiter>, &mut Vec<Done<Waiter>>) -> T,
    ) -> T {
        let mut state = lock(&self.state);
        let result = apply(&mut state.outbox, done);
        let empty = state.outbox.is_empty();
        self.wake(state);
        let mut cost = 0;
        for Done { waiter, cost: one, outcome } in done.drain(..) {
            cost += one as usize;
            waiter.complete(outcome.map_err(|code| Error::code_only(code, Duration::ZERO)));
        }
        self.space.add_permits(cost);
        if empty {
            self.drained.notify_waiters();
        }
        result
    }
}

/// What the task does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write this.
    Send(Vec<u8>),
    /// Nothing can be sent; `in_flight` says whether answers are due.
    Wait { in_flight: bool },
}
