//! What the streams of one session share after the welcome.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::FutureExt;
use loquic_wire::{Code, Principal, RoomName, SessionId, ephemeral::Ephemeral, watch::Watch};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::{
    auth::{Action, Admission, Permissions},
    rate::Rate,
    shared::Shared,
    stream::Ending,
    window::Window,
};
use crate::{
    config::limits,
    presence::{Guest, Seat},
    room::{Interrupt, Marked, Room, RoomKey, Said},
    transport::{Link, LinkError, SendStream, StreamError},
};

pub(super) struct Context<L> {
    pub(super) shared: Arc<Shared>,
    /// The session's name, as ephemerals carry it.
    id: SessionId,
    pub(super) principal: Principal,
    /// Replaced by `Refresh`.
    permissions: RwLock<Arc<dyn Permissions>>,
    link: L,
    window: Window,
    /// Told when permissions are replaced, so that who waits for records looks whether it still may.
    interrupt: Interrupt,
    /// The rooms that are joined, once for each join.
    joined: Mutex<Vec<Arc<Room>>>,
    /// What is watched, once for each watch.
    watched: Mutex<Vec<Watch>>,
    /// The user's read marks that have moved.
    pub(super) marked: Marked,
    ephemeral_rate: Mutex<Rate>,
    /// As whom the session is present in the rooms it joins.
    guest: Guest,
}

impl<L: Link> Context<L> {
    pub(super) fn new(
        shared: Arc<Shared>,
        link: L,
        id: SessionId,
        previous: Option<SessionId>,
        admission: Admission,
    ) -> Arc<Self> {
        let window = shared.windows.open();
        let permissions = RwLock::new(admission.permissions);
        let ephemeral_rate = Mutex::new(Rate::new(limits::EPHEMERAL_RATE_MAX, Instant::now()));
        let (principal, joined, watched) = (admission.principal, Mutex::default(), Mutex::default());
        let interrupt = Interrupt::default();
        let marked = shared.rooms.listen(&principal.tenant, &principal.user);
        let user = principal.user.clone();
        let guest = Guest { session: id, user, previous, has_vanished: Arc::new(AtomicBool::new(false)) };
        Arc::new(Self {
            shared,
            id,
            principal,
            permissions,
            interrupt,
            link,
            window,
            joined,
            watched,
            marked,
            ephemeral_rate,
            guest,
        })
    }

    pub(super) fn key(&self, room: &RoomName) -> RoomKey {
        RoomKey { tenant: self.principal.tenant.clone(), room: room.clone() }
    }

    pub(super) fn permissions(&self) -> Arc<dyn Permissions> {
        self.permissions.read().clone()
    }

    pub(super) fn replace_permissions(&self, permissions: Arc<dyn Permissions>) {
        *self.permissions.write() = permissions;
        self.interrupt.interrupt(&self.joined.lock());
    }

    /// What tells readers that permissions were replaced.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub(super) fn check(&self, action: Action, room: &RoomName) -> Result<(), Ending> {
        if self.permissions.read().may(action, room) { Ok(()) } else { Err(forbidden(room.as_str())) }
    }

    /// From now on ephemerals for this room are taken, until [`leave`](Self::leave).
    pub(super) fn enter(&self, room: &Arc<Room>) {
        self.joined.lock().push(room.clone());
    }

    pub(super) fn leave(&self, room: &Arc<Room>) {
        let mut joined = self.joined.lock();
        if let Some(at) = joined.iter().position(|other| Arc::ptr_eq(other, room)) {
            joined.swap_remove(at);
        }
    }

    /// The session is present in this room as long as the seat is held.
    pub(super) fn sit_down(&self, room: &Room) -> Seat {
        self.shared.presence().enter(room.key(), self.guest.clone())
    }

    /// To be called before seats are given back: looks whether the link is gone, and whether the peer had said that it
    /// would be. If not, its seats are kept for a while.
    pub(super) fn note_end(&self) {
        let has_vanished = match self.link.closed().now_or_never() {
            // What a client says when it has given up a silent connection and is on another one.
            Some(LinkError::ClosedByPeer { code, .. }) => code == Code::TIMED_OUT,
            Some(LinkError::TimedOut | LinkError::Broken(_)) => true,
            Some(LinkError::ClosedHere) | None => false,
        };
        if has_vanished {
            self.guest.has_vanished.store(true, Ordering::Relaxed);
        }
    }

    /// From now on marks in these rooms are told, until [`end_watch`](Self::end_watch).
    pub(super) fn begin_watch(&self, watch: &Watch) {
        self.watched.lock().push(watch.clone());
    }

    pub(super) fn end_watch(&self, watch: &Watch) {
        let mut watched = self.watched.lock();
        if let Some(at) = watched.iter().position(|other| other == watch) {
            watched.swap_remove(at);
        }
    }

    /// Whether the session has joined the room or watches it.
    pub(super) fn follows(&self, room: &RoomName) -> bool {
        let watches = |watch: &Watch| match watch {
            Watch::Rooms(rooms) => rooms.contains(room),
            Watch::Prefix(prefix) => room.as_str().starts_with(&**prefix),
        };
        self.joined.lock().iter().any(|joined| joined.key().room == *room) || self.watched.lock().iter().any(watches)
    }

    /// Takes a datagram of the peer. Nobody is told of a bad one: it may be of a room that was just left.
    pub(super) fn handle_datagram(&self, datagram: Bytes) {
        let ephemeral = Ephemeral::from_datagram(datagram).ok();
        let room = ephemeral
            .as_ref()
            .and_then(|ephemeral| self.joined.lock().iter().find(|room| room.handle() == ephemeral.handle).cloned());
        match ephemeral.zip(room) {
            Some((ephemeral, room)) => self.say(&room, ephemeral),
            None => self.shared.stats().ephemerals_dropped.increment(),
        }
    }

    /// Tells a room that is joined something that is true for a moment.
    pub(super) fn say(&self, room: &Room, ephemeral: Ephemeral) {
        let stats = self.shared.stats();
        let is_taken = self.ephemeral_rate.lock().take(Instant::now())
            && self.permissions.read().may(Action::Say, &room.key().room)
            && room.say(Ephemeral { sender: self.id, ..ephemeral });
        if is_taken { stats.ephemerals.increment() } else { stats.ephemerals_dropped.increment() }
    }

    /// Sends values of others by datagram; those that a datagram cannot carry are returned.
    pub(super) fn send_datagrams(&self, all: Vec<Arc<Said>>) -> Vec<Arc<Said>> {
        let others: Vec<_> = all.into_iter().filter(|said| said.ephemeral.sender != self.id).collect();
        self.shared.stats().ephemerals_delivered.add(others.len() as u64);
        others.into_iter().filter(|said| self.link.send_datagram(said.datagram.clone()).is_err()).collect()
    }

    /// Writes chunks to a stream that goes before catch-up: beyond a full send window, and then the second value is
    /// true. Cancel-safe: nothing is written unless it returns.
    pub(super) async fn write_ahead(
        &self,
        send: &mut L::Send,
        chunks: &mut [Bytes],
    ) -> Result<(usize, bool), StreamError> {
        let set = |bytes| self.link.set_send_window(bytes);
        let (written, was_full) = self.window.ahead(set, pin!(send.write_chunks(chunks))).await;
        written.map(|written| (written, was_full))
    }

    /// Writes all of them, likewise. Not cancel-safe.
    pub(super) async fn write_all_ahead(
        &self,
        send: &mut L::Send,
        mut chunks: &mut [Bytes],
    ) -> Result<(), StreamError> {
        while !chunks.is_empty() {
            let (written, _) = self.write_ahead(send, chunks).await?;
            chunks = &mut chunks[written..];
        }
        Ok(())
    }

    /// Lets the send window follow the path. To be called when a write did not fit: only then can the window be too
    /// small, and then a look at the path is cheap beside the wait.
    pub(super) fn follow_path(&self) {
        if let Some(bytes) = self.window.follow(self.link.congestion_window()) {
            self.link.set_send_window(bytes);
        }
    }

    /// Lets the send window, and pages with it, grow. To be called when `bytes` were written without waiting.
    pub(super) fn speed_up(&self, bytes: u64) {
        if bytes >= self.page_bytes() as u64 / 2
            && let Some(bytes) = self.window.grow()
        {
            self.link.set_send_window(bytes);
        }
    }

    /// Gives back the part of the send window that was not needed of late. Called at each ping, which is often enough
    /// and needs no timer.
    pub(super) fn rest(&self) {
        if let Some(bytes) = self.window.rest() {
            self.link.set_send_window(bytes);
        }
    }

    /// How many bytes a reader may take from the log at once: so few that they add little to a full window.
    pub(super) fn page_bytes(&self) -> usize {
        usize::try_from(self.window.bytes() / 4).unwrap_or(usize::MAX).min(limits::LOAD_BYTES_MAX)
    }
}

pub(super) fn forbidden(what: &str) -> Ending {
    Ending::refuse(Code::FORBIDDEN, format!("not allowed here: {what}"))
}
