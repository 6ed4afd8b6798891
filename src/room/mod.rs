//! Rooms as sessions see them: attach, read from any position, publish and be answered.
//!
//! What a session holds is a [`Room`] (what may be seen of it), a [`Reader`] (a position in it) or a [`Publisher`].
//! What orders and stores is the journal's thread, which owns all state ([`machine`]) and changes it by the pure
//! function in [`apply`]. The two meet in the room's view and in the [`inbox`].

mod append;
mod apply;
mod duplicates;
mod ephemerals;
mod floor;
mod forget;
mod inbox;
mod list;
mod live;
mod machine;
mod marks;
mod publisher;
mod reader;
mod scan;
mod start;
mod tail;
mod targets;
mod trim;
mod watch;

pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::AtomicU64};

use loquic_wire::{
    Code, Offset, RoomPattern, TenantName, UserName,
    join::{From, Mode},
    read::Range,
    watch::Watch,
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

pub use self::{
    append::Author,
    ephemerals::Said,
    list::Listed,
    live::{Answer, Room, Status},
    marks::Marked,
    publisher::Publisher,
    reader::{Event, Interrupt, Reader, records},
    scan::Scan,
    watch::Watcher,
};
pub use crate::{journal::RoomKey, log::rows::ProducerKey};

use self::{
    append::Turns,
    inbox::{Inbox, Request, Waiting},
    live::Tails,
    machine::Machine,
    marks::Marks,
    watch::{Selector, Watches},
};
use crate::{
    config::limits,
    journal::{
        self,
        local::{self, Ended, Local},
    },
    log::{MarkFile, Store, StoreError, rows::Policy},
};

/// Why a room cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// What the peer is told.
    pub code: Code,
    /// For a person.
    pub message: String,
}

/// What rooms need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Policies by name, the first that matches counts; rooms that match none have the default.
    pub policies: Vec<(RoomPattern, Policy)>,
    /// Longest payload in bytes.
    pub payload_bytes_max: usize,
    /// Bytes of publishes that wait for one room.
    pub inbox_bytes_max: usize,
    /// Bytes of the tail of one room.
    pub tail_bytes_max: usize,
    /// Bytes of all tails together.
    pub tails_bytes_max: usize,
    /// Free bytes below which publishes are refused.
    pub disk_free_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            payload_bytes_max: loquic_wire::limits::PAYLOAD_BYTES_MAX_DEFAULT,
            inbox_bytes_max: limits::INBOX_BYTES_MAX,
            tail_bytes_max: limits::TAIL_BYTES_MAX,
            tails_bytes_max: limits::TAILS_BYTES_MAX,
            disk_free_min: limits::DISK_FREE_MIN,
        }
    }
}

/// Counters.
#[derive(Debug, Default)]
pub struct Stats {
    /// Publishes refused because a room's inbox was full.
    pub overloaded: AtomicU64,
    /// Rooms brought into memory.
    pub rooms_opened: AtomicU64,
    /// Rooms that have left memory.
    pub rooms_closed: AtomicU64,
    /// What the journal counts.
    pub journal: Arc<journal::Stats>,
}

/// What all rooms of a node share.
pub(crate) struct Context {
    inbox: Inbox,
    store: Arc<dyn Store>,
    tails: Tails,
    watches: Watches,
    append_turns: Turns,
    marks: Marks,
    policies: Vec<(RoomPattern, Policy)>,
    payload_bytes_max: usize,
    inbox_bytes_max: usize,
    stats: Stats,
}

impl Context {
    fn policy(&self, key: &RoomKey) -> Policy {
        let matching = self.policies.iter().find(|(pattern, _)| pattern.matches(&key.room));
        matching.map_or_else(Policy::default, |(_, policy)| *policy)
    }

    /// How far a user has read in a room. First what is not written, then what is: so it is found in one of the two.
    fn mark(&self, room: &Room, user: &UserName) -> Option<Offset> {
        let unwritten = self.marks.unwritten(&(room.key.clone(), user.clone()));
        let row = room.view.lock().row.clone();
        let stored = marks::stored(&*self.store, &room.key, &row, user).unwrap_or_else(|error| {
            error!(room = %room.key.room, %error, "a read mark cannot be read");
            None
        });
        unwritten.max(stored)
    }
}

/// All rooms of a node. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    context: Arc<Context>,
}

/// The journal that serves [`Rooms`].
pub struct Journal {
    context: Arc<Context>,
    thread: Local,
}

/// Where the store was left and where it is kept.
pub struct Place {
    /// The data directory; `None` in tests without a disk.
    pub directory: Option<std::path::PathBuf>,
    /// Whether the last process ended in good order, so that nothing can be missing.
    pub clean: bool,
    /// The mark file and what it held.
    pub mark: Option<(MarkFile, Vec<u64>)>,
}

impl Rooms {
    /// Opens the rooms of a store and starts their journal.
    pub fn open(store: Arc<dyn Store>, place: Place, options: Options) -> Result<(Self, Journal), StoreError> {
        let context = Arc::new(Context {
            inbox: Inbox::new(),
            store: store.clone(),
            tails: Tails::new(options.tail_bytes_max, options.tails_bytes_max),
            watches: Watches::default(),
            append_turns: Turns::default(),
            marks: Marks::default(),
            policies: options.policies,
            payload_bytes_max: options.payload_bytes_max,
            inbox_bytes_max: options.inbox_bytes_max,
            stats: Stats::default(),
        });
        let (mark, marked) = place.mark.map_or((None, Vec::new()), |(mark, marked)| (Some(mark), marked));
        // As the store was left: opening an epoch counts as a batch.
        let (left, _) = Machine::open(context.clone(), true, local::now())?;
        // A good end is worth nothing if the store is not the one that ended: an older copy, for example.
        let clean = !has_lost(&left, &marked) && place.clean;
        let (machine, opening) = Machine::open(context.clone(), clean, local::now())?;
        store.write(&opening)?;
        store.sync()?;
        let (disk_free_min, stats) = (options.disk_free_min, context.stats.journal.clone());
        let options = local::Options { directory: place.directory, disk_free_min, mark, stats };
        let thread = Local::start(machine, Waiting(context.clone()), store, options)
            .map_err(|error| StoreError::Failed(format!("cannot start the journal's thread: {error}")))?;
        Ok((Self { context: context.clone() }, Journal { context, thread }))
    }

    /// Brings a room into memory, if it is not there, for as long as the `Arc` is held. A room without a record can be
    /// attached as well.
    pub async fn attach(&self, key: &RoomKey) -> Result<Arc<Room>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.context.inbox.request(Request::Attach { key: key.clone(), reply });
        answer.await.unwrap_or_else(|_| Err(ending()))
    }

    /// Opens a producer for publishing and fences its older publishers.
    pub async fn open_producer(&self, room: &Arc<Room>, producer: ProducerKey) -> Result<Publisher, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (replies, answers) = mpsc::unbounded_channel();
        let producer = Arc::new(producer);
        let request = Request::Open { room: room.clone(), producer: producer.clone(), replies: replies.clone(), reply };
        self.context.inbox.request(request);
        let opening = answer.await.unwrap_or_else(|_| Err(ending()))?;
        Ok(Publisher::new(room.clone(), producer, opening, (replies, answers)))
    }

    /// Watches heads.
    pub async fn watch(&self, tenant: &TenantName, what: &Watch) -> Result<Watcher, Refusal> {
        match what {
            Watch::Rooms(rooms) => {
                // First the watch, then the heads: what moves in between is not missed.
                let selector = Selector::Rooms(rooms.iter().cloned().collect());
                let watcher = self.context.watches.add(tenant.clone(), selector);
                for room in rooms {
                    let key = RoomKey { tenant: tenant.clone(), room: room.clone() };
                    let status = self.attach(&key).await?.status();
                    watcher.note(room, status.epoch, status.head);
                }
                Ok(watcher)
            }
            Watch::Prefix(prefix) => self.watch_prefix(tenant, prefix).await,
        }
    }

    async fn watch_prefix(&self, tenant: &TenantName, prefix: &Arc<str>) -> Result<Watcher, Refusal> {
        let watcher = self.context.watches.add(tenant.clone(), Selector::Prefix(prefix.clone()));
        let (context, tenant, text) = (self.context.clone(), tenant.clone(), prefix.clone());
        let listed = tokio::task::spawn_blocking(move || {
            list::list(&*context.store, &tenant, &text, None, limits::WATCH_ROOMS_MAX + 1)
        })
        .await;
        let rooms = match listed {
            Ok(Ok(rooms)) => rooms,
            failed => {
                error!(?failed, "the rooms cannot be listed");
                return Err(Refusal { code: Code::INTERNAL, message: "the rooms cannot be listed".into() });
            }
        };
        if rooms.len() > limits::WATCH_ROOMS_MAX {
            let message = format!("more than {} rooms begin with '{prefix}'", limits::WATCH_ROOMS_MAX);
            return Err(Refusal { code: Code::FLOW_CONTROL, message });
        }
        for (key, row) in rooms {
            let status = list::status(&row);
            watcher.note(&key.room, status.epoch, status.head);
        }
        Ok(watcher)
    }

    /// From now on what is written of this user's read marks is told.
    pub fn listen(&self, tenant: &TenantName, user: &UserName) -> Marked {
        self.context.marks.listen(tenant, user)
    }

    /// How far a user has read in each of these rooms; `None` where nothing was said or it cannot be read.
    pub async fn marks(&self, user: &UserName, rooms: Vec<Arc<Room>>) -> Vec<Option<Offset>> {
        let (context, user, count) = (self.context.clone(), user.clone(), rooms.len());
        let read = move || rooms.iter().map(|room| context.mark(room, &user)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| vec![None; count])
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.context.stats
    }

    /// Bytes that the tails of all rooms hold.
    pub fn tails_bytes(&self) -> usize {
        self.context.tails.bytes()
    }
}

impl Journal {
    /// Ends the journal when everything that waits is done.
    pub fn end(self) -> Ended {
        self.context.inbox.end();
        self.thread.join()
    }
}

impl Room {
    /// A subscription that starts at `from`, and where the room was at that moment. A position past the head is refused
    /// with `position_ahead`.
    pub fn reader(self: &Arc<Self>, from: From, mode: Mode) -> Result<(Reader, Status), Refusal> {
        Reader::new(self.clone(), from, mode)
    }

    /// One bounded look into the log.
    pub fn scan(self: &Arc<Self>, range: Range, limit: u32) -> Scan {
        Scan::new(self.clone(), range, limit)
    }
}

/// Whether the store came back with less than had been synced: that must not go unnoticed.
fn has_lost(machine: &Machine, marked: &[u64]) -> bool {
    use crate::journal::Applier;
    let mut lost = false;
    for (partition, (recovered, marked)) in machine.applied().iter().zip(marked).enumerate() {
        if recovered < marked {
            lost = true;
            error!(
                partition,
                recovered,
                marked,
                "the log has LOST batches that had been synced; a new epoch begins, clients are told with Reset. Run `loquic log verify`"
            );
        }
    }
    lost
}

fn ending() -> Refusal {
    Refusal { code: Code::DRAINING, message: "the node is shutting down".into() }
}
