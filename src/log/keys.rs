//! The keys, all numbers big-endian so that the order of bytes is the order of numbers.
//!
//! | space | key | value |
//! |---|---|---|
//! | meta | `P`, partition u8 | `rows::PartitionRow` |
//! | meta | `R`, tenant, 0, room | `rows::RoomRow` |
//! | meta | `D`, slot u16, room id u64, producer 16 B, user | `rows::ProducerRow` |
//! | meta | `M`, slot u16, room id u64, user | `rows::MarkRow` |
//! | data | slot u16, room id u64, last offset u64 | `chunk::Chunk` |
//! | data | slot u16 + 0x8000, room id u64, producer 16 B, user length u8, user, last id u64 | `rows::DedupeRow` |
//!
//! A chunk has its last offset in its key, so that a seek for an offset lands on the chunk that holds it. Dedupe rows
//! live in the space of their chunk and are dropped with it.

use loquic_wire::{Offset, Partition, ProducerId, RoomName, Slot, TenantName, UserName};

use super::rows::ProducerKey;

/// A room's place in the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId {
    /// The slot of its name.
    pub slot: Slot,
    /// The number that its partition gave it.
    pub number: u64,
}

const DEDUPE: u16 = 0x8000;
const _: () = assert!(loquic_wire::slot::SLOTS <= DEDUPE);

/// A partition's row.
pub fn partition(partition: Partition) -> Vec<u8> {
    vec![b'P', partition.get()]
}

/// A room's row.
pub fn room(tenant: &TenantName, room: &RoomName) -> Vec<u8> {
    [b"R", tenant.as_str().as_bytes(), &[0], room.as_str().as_bytes()].concat()
}

/// The first and the end key of the rows of a tenant's rooms whose name begins with `prefix`.
pub fn rooms(tenant: &TenantName, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let from = [b"R", tenant.as_str().as_bytes(), &[0], prefix.as_bytes()].concat();
    let until = after_prefix(&from);
    (from, until)
}

/// The first and the end key of all rooms' rows.
pub fn all_rooms() -> (Vec<u8>, Vec<u8>) {
    (b"R".to_vec(), b"S".to_vec())
}

/// Reads a room's name from the key of its row.
pub fn parse_room(key: &[u8]) -> Option<(TenantName, RoomName)> {
    let text = std::str::from_utf8(key.strip_prefix(b"R")?).ok()?;
    let (tenant, room) = text.split_once('\0')?;
    Some((TenantName::new(tenant).ok()?, RoomName::new(room).ok()?))
}

/// A producer's row.
pub fn producer(room: RoomId, producer: &ProducerKey) -> Vec<u8> {
    [producers(room).0.as_slice(), &producer.producer.0, producer.user.as_str().as_bytes()].concat()
}

/// The first and the end key of the rows of a room's producers.
pub fn producers(room: RoomId) -> (Vec<u8>, Vec<u8>) {
    let from = [b"D".as_slice(), &room.slot.get().to_be_bytes(), &room.number.to_be_bytes()].concat();
    let until = after_prefix(&from);
    (from, until)
}

/// Reads a producer from the key of its row.
pub fn parse_producer(key: &[u8]) -> Option<ProducerKey> {
    let rest = key.get(11..)?;
    let (producer, user) = rest.split_at_checked(16)?;
    Some(ProducerKey {
        producer: ProducerId(producer.try_into().ok()?),
        user: std::str::from_utf8(user).ok()?.parse().ok()?,
    })
}

/// A user's read mark.
pub fn mark(room: RoomId, user: &UserName) -> Vec<u8> {
    [b"M".as_slice(), &room.slot.get().to_be_bytes(), &room.number.to_be_bytes(), user.as_str().as_bytes()].concat()
}

/// A chunk.
pub fn chunk(room: RoomId, last: Offset) -> Vec<u8> {
    [room.slot.get().to_be_bytes().as_slice(), &room.number.to_be_bytes(), &last.get().to_be_bytes()].concat()
}

/// The first and the end key of the chunks whose last offset is in `from..`, up to the room's end.
pub fn chunks_from(room: RoomId, from: Offset) -> (Vec<u8>, Vec<u8>) {
    let end = [room.slot.get().to_be_bytes().as_slice(), &room.number.to_be_bytes(), &[0xff; 8]].concat();
    (chunk(room, from), end)
}

/// A dedupe row.
pub fn dedupe(room: RoomId, producer: &ProducerKey, last_id: u64) -> Vec<u8> {
    let mut key = dedupes(room, producer);
    key.extend_from_slice(&last_id.to_be_bytes());
    key
}

/// The first and the end key of a producer's dedupe rows with ids from `id` on.
pub fn dedupes_from(room: RoomId, producer: &ProducerKey, id: u64) -> (Vec<u8>, Vec<u8>) {
    let prefix = dedupes(room, producer);
    let until = after_prefix(&prefix);
    ([prefix.as_slice(), &id.to_be_bytes()].concat(), until)
}

fn dedupes(room: RoomId, producer: &ProducerKey) -> Vec<u8> {
    let user = producer.user.as_str().as_bytes();
    [
        (room.slot.get() | DEDUPE).to_be_bytes().as_slice(),
        &room.number.to_be_bytes(),
        &producer.producer.0,
        &[user.len() as u8],
        user,
    ]
    .concat()
}

const _: () = assert!(loquic_wire::limits::USER_BYTES_MAX <= u8::MAX as usize);

/// The lowest key that is above every key with this prefix. No prefix in use is all `0xff`.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut until = prefix.to_vec();
    while let Some(last) = until.pop() {
        if last < u8::MAX {
            until.push(last + 1);
            break;
        }
    }
    until
}
