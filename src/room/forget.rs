//! Removing the rows of producers that are forgotten: their last record is trimmed and `PRODUCER_KEPT` has passed.
//! `apply` treats them as unknown by the same rule whether their row is still there or not; this frees the space.

use loquic_wire::Time;

use crate::{
    config::limits,
    log::{
        Batch, Next, Space, Store, StoreError,
        keys::{self, RoomId},
        rows::{self, ProducerKey, ProducerRow, RoomRow},
    },
};

/// Rows that are looked at in one go.
const ROWS_MAX: usize = 256;

/// Whether a producer is forgotten at `time`.
pub(super) fn is_forgotten(producer: &ProducerRow, row: &RoomRow, time: Time) -> bool {
    producer.offset < row.floor && time >= producer.time.after(limits::PRODUCER_KEPT)
}

/// Adds the removal of forgotten producers to the batch, unless `is_open`, and returns where to go on: an empty key
/// when all of the room's producers have been looked at.
pub(super) fn forget(
    store: &dyn Store,
    room: RoomId,
    row: &RoomRow,
    time: Time,
    from: Vec<u8>,
    is_open: impl Fn(&ProducerKey) -> bool,
    batch: &mut Batch,
) -> Result<Vec<u8>, StoreError> {
    let (first, until) = keys::producers(room);
    let (mut looked_at, mut go_on) = (0, Vec::new());
    store.scan(Space::Meta, &from.max(first), &until, &mut |key, value| {
        if looked_at == ROWS_MAX {
            go_on = key.to_vec();
            return Next::Stop;
        }
        looked_at += 1;
        let producer = rows::decode::<ProducerRow>(value.to_vec());
        let open = keys::parse_producer(key).is_none_or(|key| is_open(&key));
        if !open && producer.is_ok_and(|producer| is_forgotten(&producer, row, time)) {
            batch.delete(Space::Meta, key.to_vec());
        }
        Next::Continue
    })?;
    Ok(go_on)
}

#[cfg(test)]
mod tests {
    use loquic_wire::{Offset, ProducerId, RoomName, Slot, TenantName};

    use super::*;
    use crate::log::{
        Memory,
        rows::{Policy, encode},
    };

    /// Goal: only producers whose last record is trimmed and whose time is over go, in bounded steps, and open ones
    /// stay.
    #[test]
    fn only_forgotten_producers_go() {
        let store = Memory::default();
        let slot = Slot::of(&TenantName::main(), &RoomName::new("chat:1").unwrap());
        let mut row = RoomRow::new(1, Policy::default());
        (row.head, row.floor) = (Offset::saturating(2000), Offset::saturating(1001));
        let room = row.id(slot);
        let key = |number: u16| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            ProducerKey { user: "ann".parse().unwrap(), producer: ProducerId(id) }
        };
        let mut batch = Batch::default();
        for number in 1..=2000_u16 {
            // Offsets 1 to 1000 are trimmed; every other producer is recent.
            let time = Time::saturating(if number % 2 == 0 { 0 } else { 1_000 });
            let producer = ProducerRow { last_id: 1, offset: Offset::saturating(number.into()), time };
            batch.put(Space::Meta, keys::producer(room, &key(number)), encode(&producer));
        }
        store.write(&batch).unwrap();
        let now = Time::ZERO.after(limits::PRODUCER_KEPT);
        let (mut from, mut steps) = (Vec::new(), 0);
        loop {
            let mut batch = Batch::default();
            from = forget(&store, room, &row, now, from, |open| *open == key(4), &mut batch).unwrap();
            assert!(batch.writes().len() <= ROWS_MAX);
            store.write(&batch).unwrap();
            steps += 1;
            if from.is_empty() {
                break;
            }
        }
        assert_eq!(steps, 2000_usize.div_ceil(ROWS_MAX));
        let mut left = Vec::new();
        let (first, until) = keys::producers(room);
        store
            .scan(Space::Meta, &first, &until, &mut |key, _| {
                left.push(keys::parse_producer(key).unwrap());
                Next::Continue
            })
            .unwrap();
        let expected = (1..=2000).filter(|number| *number > 1000 || number % 2 == 1 || *number == 4).map(key);
        assert_eq!(left, expected.collect::<Vec<_>>());
    }
}
