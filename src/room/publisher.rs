//! The publishing side of one `Open`: takes publishes in order, and has exactly one answer for each, in that order.

use std::{collections::VecDeque, sync::Arc};

use loquic_wire::{Code, Flags, Kind, RoomName, publish::Publish};
use tokio::{sync::mpsc, time::Instant};

use super::{
    inbox::{Opening, Request},
    live::{Answer, Reply, Room, Submission},
};
use crate::{config::limits, journal::Item, log::rows::ProducerKey};

/// The publishing side of one `Open`. Dropping it closes the producer.
pub struct Publisher {
    room: Arc<Room>,
    producer: Arc<ProducerKey>,
    token: u64,
    last_id: u64,
    in_flight: u32,
    moderates: bool,
    replies: mpsc::UnboundedReceiver<Reply>,
    reply: mpsc::UnboundedSender<Reply>,
    /// What did not fit the room's inbox, and until when it may wait.
    paused: VecDeque<Submission>,
    deadline: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(room: Arc<Room>, producer: Arc<ProducerKey>, opening: Opening, channel: Channel) -> Self {
        let Opening { token, last_id } = opening;
        let (reply, replies) = channel;
        let (in_flight, moderates, paused, deadline) = (0, false, VecDeque::new(), None);
        Self { room, producer, token, last_id, in_flight, moderates, replies, reply, paused, deadline }
    }

    /// The room.
    pub fn room(&self) -> &RoomName {
        &self.room.key.room
    }

    /// The producer's last id in the room when it was opened, 0 if it had none.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// How many publishes have been offered and not answered.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether the room's inbox is full: nothing may be offered until `next` has moved on.
    pub fn is_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Whether what is offered from now on may delete records of others. At first it may not.
    pub fn set_moderates(&mut self, moderates: bool) {
        self.moderates = moderates;
    }

    /// Takes publishes in order. What is wrong with one by itself (its kind, flags, size or id) is answered with a
    /// `Nack` in its turn.
    pub fn offer(&mut self, publishes: Vec<Publish>) {
        debug_assert!(!self.is_paused(), "offered while paused");
        self.in_flight += publishes.len() as u32;
        let mut items = Vec::with_capacity(publishes.len());
        let mut bytes = 0;
        for publish in publishes {
            let item = self.check(publish);
            if bytes + item.bytes() > limits::ROUND_BYTES && !items.is_empty() {
                self.send(std::mem::take(&mut items), bytes);
                bytes = 0;
            }
            bytes += item.bytes();
            items.push(item);
        }
        if !items.is_empty() {
            self.send(items, bytes);
        }
    }

    /// Waits for the next answers, and moves on what is paused. Pending for ever while nothing is in flight.
    ///
    /// An error ends the publisher: whether what is in flight is in the log is not known.
    ///
    /// Cancel-safe: an answer is taken in the same poll in which the future completes.
    pub async fn next(&mut self) -> Result<Vec<Answer>, Code> {
        loop {
            let room = self.room.clone();
            let drained = room.drained.notified();
            tokio::pin!(drained);
            if self.is_paused() {
                // Registered before looking, so that a drain in between is not missed.
                drained.as_mut().enable();
                self.resume();
            }
            let deadline = self.deadline;
            let reply = tokio::select! {
                biased;
                reply = self.replies.recv() => reply,
                () = &mut drained, if self.is_paused() => continue,
                () = sleep_until(deadline), if self.is_paused() => {
                    self.refuse_paused();
                    continue;
                }
            };
            match reply {
                Some(Reply::Answers(answers)) => {
                    self.in_flight = self.in_flight.saturating_sub(answers.iter().map(count).sum());
                    return Ok(answers);
                }
                Some(Reply::Ended(code)) => return Err(code),
                None => return Err(Code::INTERNAL),
            }
        }
    }

    fn check(&self, publish: Publish) -> Item {
        let refused = |code| Item::Refused { id: publish.id, code };
        if publish.payload.len() > self.room.context.payload_bytes_max {
            return refused(Code::PAYLOAD_TOO_LARGE);
        }
        let refers_to_nothing = publish.refers.is_some_and(|offset| offset.get() == 0);
        if !publish.kind.is_publishable() || !publish.flags.is_publishable() || publish.id == 0 || refers_to_nothing {
            return refused(Code::BAD_RECORD);
        }
        if publish.kind != Kind::DELETE {
            return Item::Publish(publish);
        }
        if publish.refers.is_none() || publish.flags != Flags::NONE || !publish.payload.is_empty() {
            return refused(Code::BAD_RECORD);
        }
        Item::Delete { publish, moderates: self.moderates }
    }

    fn send(&mut self, items: Vec<Item>, bytes: usize) {
        let submission =
            Submission { producer: self.producer.clone(), token: self.token, items, bytes, reply: self.reply.clone() };
        if self.is_paused() {
            return self.paused.push_back(submission);
        }
        if let Err(submission) = self.room.submit(submission) {
            self.deadline = Some(Instant::now() + limits::INBOX_WAIT_MAX);
            self.paused.push_back(submission);
        }
    }

    fn resume(&mut self) {
        while let Some(submission) = self.paused.pop_front() {
            if let Err(submission) = self.room.submit(submission) {
                return self.paused.push_front(submission);
            }
        }
    }

    /// The inbox stayed full: the first publish that waits is refused, and with it what follows.
    fn refuse_paused(&mut self) {
        self.room.context.stats.overloaded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut code = Code::OVERLOADED;
        for mut submission in self.paused.drain(..) {
            for item in &mut submission.items {
                *item = Item::Refused { id: item.id(), code };
                code = Code::SKIPPED;
            }
            submission.bytes = 0;
            self.room.submit_refused(submission);
        }
    }
}

type Channel = (mpsc::UnboundedSender<Reply>, mpsc::UnboundedReceiver<Reply>);

impl Drop for Publisher {
    fn drop(&mut self) {
        let (room, producer) = (self.room.key.clone(), self.producer.clone());
        self.room.context.inbox.request(Request::Close { room, producer, token: self.token });
    }
}

fn count(answer: &Answer) -> u32 {
    match answer {
        Answer::AckRun(run) => run.count,
        Answer::Ack(_) | Answer::Nack(_) => 1,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
