//! What the tasks of one client share. Tasks hold the core and never a handle, so that the last handle can end them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use loquic_wire::{ProducerId, RoomName, limits};
use tokio::sync::watch;

use crate::{
    address::Address,
    backoff::Backoff,
    endpoint::{Endpoints, Ways},
    error::Error,
    queue::Queue,
    session::Session,
    status::Status,
    sync::{Owned, lock},
    token::Identity,
};

/// What the builder was told, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) address: Address,
    pub(crate) endpoints: Endpoints,
    pub(crate) ways: Ways,
    pub(crate) identity: Identity,
    pub(crate) producer: ProducerId,
    pub(crate) backoff: Backoff,
    pub(crate) outbox: OutboxBounds,
    /// Wanted for each room, in bytes.
    pub(crate) credit: u64,
}

/// Bounds of the publishes of one room that have no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxBounds {
    /// Most publishes. Default 16,384.
    pub count_max: usize,
    /// Most bytes of payload, with 128 bytes added for each publish. Default 16 MiB. Small publishes count as
    /// `bytes_max / count_max`, which is how one number holds both bounds.
    pub bytes_max: usize,
}

impl Default for OutboxBounds {
    fn default() -> Self {
        Self { count_max: 16 * 1024, bytes_max: 16 << 20 }
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) status: watch::Sender<Status>,
    /// What the last session said; the protocol's maximum before the first.
    pub(crate) payload_bytes_max: AtomicUsize,
    /// One for each room that is published to; they leave when they are idle and nobody holds them.
    pub(crate) publishers: Mutex<HashMap<RoomName, PublisherEntry>>,
}

#[derive(Debug)]
pub(crate) struct PublisherEntry {
    pub(crate) queue: Arc<Queue>,
    pub(crate) task: Owned,
}

/// Whether there is a session to work with.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Offline,
    Online(Arc<Session>),
    Closed(Error),
}

impl Core {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            phase: watch::Sender::new(Phase::Offline),
            status: watch::Sender::new(Status::Connecting),
            payload_bytes_max: AtomicUsize::new(limits::PAYLOAD_BYTES_MAX_HARD),
            publishers: Mutex::default(),
        }
    }

    /// Waits for a session newer than `after`.
    pub(crate) async fn session_after(&self, after: u64) -> Result<Arc<Session>, Error> {
        let mut phase = self.phase.subscribe();
        let found = phase
            .wait_for(|phase| match phase {
                Phase::Offline => false,
                Phase::Online(session) => session.generation > after,
                Phase::Closed(_) => true,
            })
            .await;
        match found.as_deref() {
            Ok(Phase::Online(session)) => Ok(Arc::clone(session)),
            Ok(Phase::Closed(error)) => Err(error.clone()),
            _ => Err(Error::Closed),
        }
    }

    /// Waits for a session that is not known to be dead.
    pub(crate) async fn session(&self, last: Option<&Session>) -> Result<Arc<Session>, Error> {
        let after = last.map_or(0, |last| if last.link.is_closed() { last.generation } else { last.generation - 1 });
        self.session_after(after).await
    }

    /// Ends everything, once.
    pub(crate) fn close(&self, error: Error) {
        let mut last = None;
        self.phase.send_if_modified(|phase| {
            if matches!(phase, Phase::Closed(_)) {
                return false;
            }
            last = Some(std::mem::replace(phase, Phase::Closed(error.clone())));
            true
        });
        let Some(last) = last else { return };
        if let Phase::Online(session) = last {
            session.link.close();
        }
        let reason = if matches!(error, Error::Closed) { None } else { Some(error.clone()) };
        self.status.send_replace(Status::Closed { error: reason });
        let publishers = std::mem::take(&mut *lock(&self.publishers));
        for PublisherEntry { queue, task } in publishers.into_values() {
            queue.fail(&error);
            drop(task);
        }
    }

    /// The error that ended the client, if it has ended.
    pub(crate) fn closed(&self) -> Option<Error> {
        if let Phase::Closed(error) = &*self.phase.borrow() { Some(error.clone()) } else { None }
    }
}
