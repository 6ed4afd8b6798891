//! What the streams of one session share after the welcome.

use std::sync::Arc;

use loquic_wire::{Code, Principal, RoomName};
use parking_lot::RwLock;

use super::{
    auth::{Action, Admission, Permissions},
    shared::Shared,
    stream::Ending,
    window::Window,
};
use crate::{config::limits, room::RoomKey, transport::Link};

pub(super) struct Context<L> {
    pub(super) shared: Arc<Shared>,
    pub(super) principal: Principal,
    /// Replaced by `Refresh`.
    permissions: RwLock<Arc<dyn Permissions>>,
    link: L,
    window: Window,
}

impl<L: Link> Context<L> {
    pub(super) fn new(shared: Arc<Shared>, link: L, admission: Admission) -> Arc<Self> {
        let window = shared.windows.open();
        let permissions = RwLock::new(admission.permissions);
        Arc::new(Self { shared, principal: admission.principal, permissions, link, window })
    }

    pub(super) fn key(&self, room: &RoomName) -> RoomKey {
        RoomKey { tenant: self.principal.tenant.clone(), room: room.clone() }
    }

    pub(super) fn permissions(&self) -> Arc<dyn Permissions> {
        self.permissions.read().clone()
    }

    pub(super) fn replace_permissions(&self, permissions: Arc<dyn Permissions>) {
        *self.permissions.write() = permissions;
    }

    pub(super) fn check(&self, action: Action, room: &RoomName) -> Result<(), Ending> {
        if self.permissions.read().may(action, room) { Ok(()) } else { Err(forbidden(room.as_str())) }
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
