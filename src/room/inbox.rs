//! What waits for the journal: requests, and rooms that have publishes, drained by deficit round-robin so that no room
//! keeps another waiting.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use loquic_wire::{Partition, slot::PARTITIONS};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{mpsc, oneshot};

use super::{
    Context, Refusal,
    live::{Reply, Room, Submission},
};
use crate::{
    config::limits,
    journal::{RoomKey, local::Source},
    log::rows::ProducerKey,
};

/// Something asked of the journal's thread.
pub(super) enum Request {
    /// Bring a room into memory.
    Attach { key: RoomKey, reply: oneshot::Sender<Result<Arc<Room>, Refusal>> },
    /// Open a producer and fence its older publishers.
    Open {
        room: Arc<Room>,
        producer: Arc<ProducerKey>,
        replies: mpsc::UnboundedSender<Reply>,
        reply: oneshot::Sender<Result<Opening, Refusal>>,
    },
    /// A publisher is gone.
    Close { room: RoomKey, producer: Arc<ProducerKey>, token: u64 },
}

/// What `Open` gives.
pub(super) struct Opening {
    pub(super) token: u64,
    pub(super) last_id: u64,
}

/// What waits for the journal.
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    requests: Vec<Request>,
    ready: Vec<VecDeque<Arc<Room>>>,
    ending: bool,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let ready = (0..PARTITIONS).map(|_| VecDeque::new()).collect();
        Self { state: Mutex::new(State { requests: Vec::new(), ready, ending: false }), arrived: Condvar::new() }
    }

    /// Asks; `false` if the journal has ended.
    pub(super) fn request(&self, request: Request) -> bool {
        let mut state = self.state.lock();
        if state.ending {
            return false;
        }
        state.requests.push(request);
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// A room has publishes, and does not stand in its partition's round yet.
    pub(super) fn ready(&self, room: Arc<Room>) {
        let partition = usize::from(room.slot.partition().get());
        let mut state = self.state.lock();
        if let Some(round) = state.ready.get_mut(partition) {
            round.push_back(room);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// No more requests; the journal ends when what waits is done.
    pub(super) fn end(&self) {
        self.state.lock().ending = true;
        self.arrived.notify_one();
    }

    pub(super) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().requests)
    }

    /// Up to one batch of a partition: each room gives what its deficit allows, in turns.
    pub(super) fn drain(&self, partition: Partition) -> Vec<(Arc<Room>, Vec<Submission>)> {
        let index = usize::from(partition.get());
        let mut taken: Vec<(Arc<Room>, Vec<Submission>)> = Vec::new();
        let mut bytes = 0;
        while bytes < limits::BATCH_BYTES_MAX {
            let next = self.state.lock().ready.get_mut(index).and_then(VecDeque::pop_front);
            let Some(room) = next else { break };
            let (submissions, more) = take_turn(&room);
            bytes += submissions.iter().map(|submission| submission.bytes).sum::<usize>();
            if more && let Some(round) = self.state.lock().ready.get_mut(index) {
                round.push_back(room.clone());
            }
            room.drained.notify_waiters();
            taken.push((room, submissions));
        }
        taken
    }
}

/// Takes what a room's deficit allows; says whether it stays in the round.
fn take_turn(room: &Room) -> (Vec<Submission>, bool) {
    let mut queue = room.queue.lock();
    queue.deficit += limits::ROUND_BYTES;
    let mut taken = Vec::new();
    while let Some(first) = queue.waiting.front() {
        if first.bytes > queue.deficit {
            break;
        }
        let Some(submission) = queue.waiting.pop_front() else { break };
        queue.deficit -= submission.bytes;
        queue.bytes -= submission.bytes;
        taken.push(submission);
    }
    if queue.waiting.is_empty() {
        // A room that has nothing saves nothing up.
        queue.deficit = 0;
        queue.ready = false;
    }
    (taken, queue.ready)
}

/// The journal's side of the inbox.
pub(super) struct Waiting(pub(super) Arc<Context>);

impl Source for Waiting {
    fn wait(&mut self, at_most: Duration) -> bool {
        let mut state = self.0.inbox.state.lock();
        if state.is_empty() && !state.ending {
            self.0.inbox.arrived.wait_for(&mut state, at_most);
        }
        !(state.ending && state.is_empty())
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.ready.iter().all(VecDeque::is_empty)
    }
}
