//! Looking into the data directory of a node that is not running: what `loquic log` prints.

use std::{ops::RangeInclusive, path::Path};

use loquic_wire::{Epoch, Offset, Record, RoomName, TenantName, Time};

use super::{
    Directory, DirectoryError, MarkFile, Next, Rocks, Space, Store, StoreError, keys, reading,
    reading::ReadError,
    rows::{self, RoomRow},
    verify as proof,
};
pub use proof::{Finding, Verified};

/// What there is to know of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whose.
    pub tenant: TenantName,
    /// Which.
    pub room: RoomName,
    /// The epoch of the last record.
    pub epoch: Epoch,
    /// The oldest offset held; head + 1 if none is.
    pub floor: Offset,
    /// The last offset, 0 if there is no record.
    pub head: Offset,
    /// When the last record was appended.
    pub time: Option<Time>,
    /// Bytes of the records held.
    pub bytes: u64,
}

/// One record and the epoch it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The epoch.
    pub epoch: Epoch,
    /// The record.
    pub record: Record,
}

/// Why a data directory cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The directory itself.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store in it.
    #[error("cannot read the log: {0}")]
    Store(#[from] StoreError),
    /// Something in the store.
    #[error("cannot read the log: {0}; `loquic log verify` says what else is wrong")]
    Read(#[from] ReadError),
    /// There is no such room.
    #[error("there is no room '{0}'; `loquic log rooms` lists the rooms")]
    NoRoom(RoomName),
}

/// Every room in the order of its name.
pub fn rooms(dir: &Path) -> Result<Vec<Summary>, InspectError> {
    let (_directory, store) = open(dir)?;
    let mut rooms = Vec::new();
    let (from, until) = keys::all_rooms();
    let mut failed = None;
    store.scan(Space::Meta, &from, &until, &mut |key, value| {
        let Some((tenant, room)) = keys::parse_room(key) else { return Next::Continue };
        match rows::decode::<RoomRow>(value.to_vec()) {
            Ok(row) => rooms.push(summary(tenant, room, &row)),
            Err(error) => failed = Some(ReadError::Row { what: "room", error }),
        }
        if failed.is_some() { Next::Stop } else { Next::Continue }
    })?;
    failed.map_or(Ok(rooms), |error| Err(error.into()))
}

/// The records of a room of the tenant `main` whose offset is in `range`, in order, one by one: a room may be larger
/// than the memory. Ends early, without an error, when `each` says `false`.
pub fn cat(
    dir: &Path,
    room: &RoomName,
    range: RangeInclusive<Offset>,
    each: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), InspectError> {
    let (_directory, store) = open(dir)?;
    let tenant = TenantName::main();
    let stored = store.get(Space::Meta, &keys::room(&tenant, room))?;
    let stored = stored.ok_or_else(|| InspectError::NoRoom(room.clone()))?;
    let row: RoomRow = rows::decode(stored).map_err(|error| ReadError::Row { what: "room", error })?;
    let id = row.id(loquic_wire::Slot::of(&tenant, room));
    let mut next = (*range.start()).max(row.floor);
    let last = (*range.end()).min(row.head);
    while next <= last {
        let space = row.space_of(next).unwrap_or(Space::Keep);
        let Some(chunk) = reading::chunk_at(&store, id, space, next)? else { break };
        let end = chunk.last();
        let records = chunk.records().map_err(|error| ReadError::Chunk { last: end, error })?;
        for record in records.into_iter().filter(|record| record.offset >= next && record.offset <= last) {
            if !each(Entry { epoch: chunk.epoch, record }) {
                return Ok(());
            }
        }
        next = end.next();
    }
    Ok(())
}

/// Proves density, checksums, lineage and dedupe state.
pub fn verify(dir: &Path) -> Result<Verified, InspectError> {
    let (_directory, store) = open(dir)?;
    Ok(proof::verify(&store, MarkFile::read(dir).as_deref())?)
}

fn open(dir: &Path) -> Result<(Directory, Rocks), InspectError> {
    let directory = Directory::inspect(dir)?;
    let store = Rocks::open_read_only(&directory.store_path())?;
    Ok((directory, store))
}

fn summary(tenant: TenantName, room: RoomName, row: &RoomRow) -> Summary {
    Summary {
        tenant,
        room,
        epoch: row.lineage.last().map_or(Epoch::ZERO, |stretch| stretch.epoch),
        floor: row.floor,
        head: row.head,
        time: (row.head > Offset::ZERO).then_some(row.time),
        bytes: row.segments.iter().map(|segment| segment.bytes).sum(),
    }
}
