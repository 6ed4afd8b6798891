//! What the streams of one session share after the welcome.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use loquic_wire::{Code, Principal, RoomName};
use parking_lot::RwLock;

use super::{
    auth::{Action, Admission, Permissions},
    shared::Shared,
    stream::Ending,
};
use crate::{room::RoomKey, transport::Link};

pub(super) struct Context<L> {
    pub(super) shared: Arc<Shared>,
    pub(super) principal: Principal,
    /// Replaced by `Refresh`.
    permissions: RwLock<Arc<dyn Permissions>>,
    link: L,
    /// What the link was told last.
    send_window: AtomicU64,
}

impl<L: Link> Context<L> {
    pub(super) fn new(shared: Arc<Shared>, link: L, admission: Admission) -> Arc<Self> {
        let send_window = AtomicU64::new(*shared.config.send_window.start());
        let permissions = RwLock::new(admission.permissions);
        Arc::new(Self { shared, principal: admission.principal, permissions, link, send_window })
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

    /// Lets the send window follow the path. Called when a write did not fit: only then can the window be too small,
    /// and then a look at the path is cheap beside the wait.
    pub(super) fn follow_path(&self) {
        let wanted = send_window(self.link.congestion_window(), &self.shared.config.send_window);
        let current = self.send_window.load(Ordering::Relaxed);
        if wanted.abs_diff(current) > current / 8 {
            self.send_window.store(wanted, Ordering::Relaxed);
            self.link.set_send_window(wanted);
        }
    }
}

pub(super) fn forbidden(what: &str) -> Ending {
    Ending::refuse(Code::FORBIDDEN, format!("not allowed here: {what}"))
}

/// Twice what the path takes at once: one half is under way while the other is being acknowledged. A window is never
/// below the congestion window, so it does not keep that from growing.
fn send_window(congestion_window: u64, bounds: &RangeInclusive<u64>) -> u64 {
    congestion_window.saturating_mul(2).clamp(*bounds.start(), *bounds.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_send_window_is_twice_the_path_within_bounds() {
        let bounds = 65_536..=1_048_576;
        assert_eq!(send_window(0, &bounds), 65_536);
        assert_eq!(send_window(100_000, &bounds), 200_000);
        assert_eq!(send_window(u64::MAX, &bounds), 1_048_576);
    }
}
