//! The rooms of a tenant by name.

use loquic_wire::{Code, Epoch, RoomName, TenantName};
use tokio::task::spawn_blocking;
use tracing::error;

use super::{Refusal, RoomKey, Rooms, Status};
use crate::{
    config::limits,
    log::{
        Next, Space, Store, StoreError, keys,
        rows::{RoomRow, decode},
    },
};

/// Some rooms, ascending by name.
#[derive(Debug)]
pub struct Listed {
    /// The rooms and where they are.
    pub rooms: Vec<(RoomName, Status)>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Rooms {
    /// At most `count` rooms that have records, or had some: those whose names begin with `prefix` and come behind
    /// `after`, by bytes.
    pub async fn list(
        &self,
        tenant: &TenantName,
        prefix: &str,
        after: Option<&RoomName>,
        count: usize,
    ) -> Result<Listed, Refusal> {
        let count = count.min(limits::LIST_ROOMS_MAX);
        let (context, tenant, prefix, after) =
            (self.context.clone(), tenant.clone(), prefix.to_owned(), after.cloned());
        let listed = spawn_blocking(move || list(&*context.store, &tenant, &prefix, after.as_ref(), count + 1)).await;
        let Ok(Ok(rows)) = listed else {
            error!(failed = ?listed, "the rooms cannot be listed");
            return Err(Refusal { code: Code::INTERNAL, message: "the rooms cannot be listed".into() });
        };
        let more = rows.len() > count;
        let rooms = rows.into_iter().take(count).map(|(key, row)| (key.room, status(&row))).collect();
        Ok(Listed { rooms, more })
    }
}

/// At most `count` rooms, ascending by name.
pub(super) fn list(
    store: &dyn Store,
    tenant: &TenantName,
    prefix: &str,
    after: Option<&RoomName>,
    count: usize,
) -> Result<Vec<(RoomKey, RoomRow)>, StoreError> {
    let (mut from, until) = keys::rooms(tenant, prefix);
    if let Some(after) = after {
        // The lowest key that is above that room's.
        from = from.max([keys::room(tenant, after).as_slice(), &[0]].concat());
    }
    let mut rooms = Vec::new();
    if from >= until {
        return Ok(rooms);
    }
    store.scan(Space::Meta, &from, &until, &mut |key, value| {
        let named = keys::parse_room(key).map(|(tenant, room)| RoomKey { tenant, room });
        if let (Some(key), Ok(row)) = (named, decode(value.to_vec())) {
            rooms.push((key, row));
        }
        if rooms.len() >= count { Next::Stop } else { Next::Continue }
    })?;
    Ok(rooms)
}

/// Where a room is as far as the store knows.
pub(super) fn status(row: &RoomRow) -> Status {
    let epoch = row.lineage.last().map_or(Epoch::ZERO, |stretch| stretch.epoch);
    Status { epoch, head: row.head, floor: row.floor }
}
