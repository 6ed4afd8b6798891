//! The client: one identity, one session at a time, any number of rooms.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use loquic_wire::{Principal, ProducerId, RoomName, UserName, control::RoomStatus, read::Range, who::Members};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    builder::Builder,
    core::{Config, Core, Phase, PublisherEntry},
    error::Error,
    history::{self, History},
    members,
    publisher::Publisher,
    publishing::Publishing,
    queue::Queue,
    room::RoomBuilder,
    session::Request,
    status::Status,
    supervisor::Supervisor,
    sync::{Owned, lock},
    watch::{Watch, Watched},
};

/// A connection to a Loquic server that keeps itself open. Cheap to clone.
///
/// Rooms and publishers hold it too: when the last clone, room and publisher is gone, the connection is closed.
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// What keeps a client going.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
    _supervisor: Owned,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.close(Error::Closed);
    }
}

impl Client {
    /// Sets up a client of the server at `https://host[:port]`; the default port is 4433.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn start(config: Config) -> Self {
        let core = Arc::new(Core::new(config));
        let supervisor = Owned::spawn(Supervisor::new(Arc::clone(&core)).run());
        Self { handle: Arc::new(Handle { core, _supervisor: supervisor }) }
    }

    /// Waits for a session; after `limit` it fails with the last reason why there is none.
    pub(crate) async fn online(&self, limit: Duration) -> Result<(), Error> {
        let core = &self.handle.core;
        match timeout(limit, core.session_after(0)).await {
            Ok(session) => session.map(|_| ()),
            Err(_) => match &*core.status.borrow() {
                Status::Waiting { error, .. } => Err(error.clone()),
                _ => Err(Error::TimedOut),
            },
        }
    }

    /// Subscribes to a room: `client.room("acme:general").from(From::Oldest).open().await?`.
    pub fn room(&self, name: impl AsRef<str>) -> RoomBuilder {
        RoomBuilder::new(name.as_ref(), Arc::clone(&self.handle))
    }

    /// Publishes into a room without subscribing to it. The stream is opened at the first publish.
    pub fn publisher(&self, room: impl AsRef<str>) -> Result<Publisher, Error> {
        Ok(self.handle.publisher(RoomName::new(room.as_ref())?))
    }

    /// Reads a part of a room's log, at most 1,000 records at a time.
    pub async fn history(&self, room: impl AsRef<str>, range: Range, limit: u32) -> Result<History, Error> {
        history::read(&self.handle.core, RoomName::new(room.as_ref())?, range, limit).await
    }

    /// Who is in a room, joined or not: at most `limit` users, and at most 1,000, behind `after` in the order of the
    /// bytes of their names.
    pub async fn members(&self, room: impl AsRef<str>, after: Option<&UserName>, limit: u32) -> Result<Members, Error> {
        members::members(&self.handle.core, RoomName::new(room.as_ref())?, after, limit).await
    }

    /// Where these rooms are, at most 100 of them; `None` for one that this principal may not see.
    pub async fn peek(&self, rooms: &[impl AsRef<str>]) -> Result<Vec<Option<RoomStatus>>, Error> {
        let rooms = rooms.iter().map(|room| RoomName::new(room.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let mut after = 0;
        loop {
            let session = self.handle.core.session_after(after).await?;
            let (answer, answered) = oneshot::channel();
            let asked = session.requests.send(Request { rooms: rooms.clone(), answer }).await;
            if asked.is_ok()
                && let Ok(statuses) = answered.await
            {
                return Ok(statuses);
            }
            // The session ended under it; asking twice does no harm.
            after = session.generation;
        }
    }

    /// Follows the heads of rooms that are not joined: counters of what is unread.
    pub async fn watch(&self, what: Watched) -> Result<Watch, Error> {
        Watch::open(Arc::clone(&self.handle), what).await
    }

    /// What the client is doing about its connection, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.handle.core.status.subscribe()
    }

    /// Who the client is on the server; `None` while there is no session.
    pub fn principal(&self) -> Option<Principal> {
        match &*self.handle.core.phase.borrow() {
            Phase::Online(session) => Some(session.welcome.principal.clone()),
            _ => None,
        }
    }

    /// Under which identity publishes are numbered.
    pub fn producer(&self) -> ProducerId {
        self.handle.core.config.producer
    }

    /// Closes the connection, for all clones, rooms and publishers. Publishes that wait fail; whether they got through
    /// is not known. To wait for them, [`drain`](Self::drain).
    pub async fn close(&self) {
        self.handle.core.close(Error::Closed);
        self.handle.core.config.endpoints.wait_idle().await;
    }

    /// Waits until everything published has its answer, then closes. [`Error::TimedOut`] says that something was left
    /// after `limit`; the client is closed in either case.
    pub async fn drain(&self, limit: Duration) -> Result<(), Error> {
        let publishers: Vec<_> =
            lock(&self.handle.core.publishers).values().map(|entry| Arc::clone(&entry.queue)).collect();
        let drained = timeout(limit, async {
            for publisher in publishers {
                publisher.drained().await;
            }
        });
        let result = drained.await.map_err(|_| Error::TimedOut);
        self.close().await;
        result
    }
}

impl Handle {
    /// The publisher of a room: there is one, so that its publishes are numbered in one sequence.
    pub(crate) fn publisher(self: &Arc<Self>, room: RoomName) -> Publisher {
        let mut publishers = lock(&self.core.publishers);
        let queue = match publishers.get(&room) {
            Some(entry) => Arc::clone(&entry.queue),
            None => {
                let queue = Arc::new(Queue::new(room.clone(), self.core.config.outbox));
                match self.core.closed() {
                    Some(error) => queue.fail(&error),
                    None => {
                        let task = Owned::spawn(Publishing::new(Arc::clone(&self.core), Arc::clone(&queue)).run());
                        publishers.insert(room, PublisherEntry { queue: Arc::clone(&queue), task });
                    }
                }
                queue
            }
        };
        drop(publishers);
        Publisher::new(queue, Arc::clone(self))
    }

    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.core.payload_bytes_max.load(Ordering::Relaxed)
    }
}
