//! Bringing the chunks that deletes refer to into memory, for one batch, because applying reads no store.

use std::collections::HashMap;

use loquic_wire::{Code, Offset};
use tracing::error;

use super::apply::{Delta, Partition};
use crate::{
    journal::{Item, Op, RoomKey},
    log::{
        Chunk, Space, Store,
        keys::RoomId,
        reading::{self, ReadError},
    },
};

/// Reads them. What the batch appends itself `apply` knows; what is below the floor or past the head it refuses without
/// a look.
pub(super) fn bring(store: &dyn Store, state: &mut Partition, ops: &[Op]) {
    for op in ops {
        let Op::Append { room: key, items, .. } = op else { continue };
        let Some(room) = state.rooms.get_mut(key) else { continue };
        let Some(row) = &room.row else { continue };
        let deletes = items.iter().filter_map(|item| match item {
            Item::Delete { publish, .. } => publish.refers,
            Item::Publish(_) | Item::Refused { .. } => None,
        });
        for target in deletes.filter(|target| row.floor <= *target && *target <= row.head) {
            let Some(space) = row.space_of(target) else { continue };
            let chunk = room.targets.entry(target);
            chunk.or_insert_with(|| read(store, key, row.id(key.slot()), space, target));
        }
    }
}

/// Lets go of them once the batch is applied.
pub(super) fn drop(state: &mut Partition, delta: &Delta) {
    for change in &delta.rooms {
        if let Some(room) = state.rooms.get_mut(&change.key) {
            room.targets = HashMap::new();
        }
    }
}

/// The chunk that holds an offset. What cannot be read is told to readers as lost, so there is nothing to delete; a
/// code on which clients try again would hold up for ever what they publish behind it.
fn read(store: &dyn Store, key: &RoomKey, id: RoomId, space: Space, offset: Offset) -> Result<Chunk, Code> {
    match reading::chunk_at(store, id, space, offset) {
        Ok(Some(chunk)) => Ok(chunk),
        Ok(None) => Err(Code::BAD_RECORD),
        Err(error) => {
            error!(room = %key.room, %offset, %error, "a record that is to be deleted cannot be read");
            match error {
                ReadError::Store(_) => Err(Code::INTERNAL),
                ReadError::Chunk { .. } | ReadError::Unreadable { .. } | ReadError::Row { .. } => Err(Code::BAD_RECORD),
            }
        }
    }
}
