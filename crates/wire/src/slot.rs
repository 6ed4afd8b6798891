//! How rooms are spread: 1,024 slots by a hash of (tenant, room), 16 partitions of 64 slots each. The hash is pinned by
//! the vectors, because it is part of every key in the log.

use crate::name::{RoomName, TenantName};

/// How many slots there are.
pub const SLOTS: u16 = 1024;

/// How many partitions there are, on every node and in every data directory.
pub const PARTITIONS: u16 = 16;

const _: () = assert!(SLOTS.is_multiple_of(PARTITIONS));

/// One of 1,024 parts of the room names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

/// One of 16 groups of slots: the unit of ordering work and of replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Slot {
    /// The slot of a room: the low 10 bits of XXH3-64 (seed 0) over the tenant, a zero byte and the room.
    pub fn of(tenant: &TenantName, room: &RoomName) -> Self {
        let mut key = Vec::with_capacity(tenant.as_str().len() + 1 + room.as_str().len());
        key.extend_from_slice(tenant.as_str().as_bytes());
        key.push(0);
        key.extend_from_slice(room.as_str().as_bytes());
        Self((xxhash_rust::xxh3::xxh3_64(&key) % u64::from(SLOTS)) as u16)
    }

    /// `None` from 1,024 on.
    pub fn new(number: u16) -> Option<Self> {
        (number < SLOTS).then_some(Self(number))
    }

    /// The number, 0 to 1,023.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The partition that the slot belongs to.
    pub fn partition(self) -> Partition {
        Partition((self.0 / (SLOTS / PARTITIONS)) as u8)
    }
}

impl Partition {
    /// `None` from 16 on.
    pub fn new(number: u8) -> Option<Self> {
        (u16::from(number) < PARTITIONS).then_some(Self(number))
    }

    /// All of them in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS as u8).map(Self)
    }

    /// The number, 0 to 15.
    pub fn get(self) -> u8 {
        self.0
    }
}
