//! Goal: bytes in the log are either what was written or an error: a chunk with any bit flipped or cut anywhere never
//! decodes, rows and names come back as they went in, and the order of keys is that of their numbers.
//!
//! Method: properties over random values; every bit and every length for each chunk that is generated.

use bytes::Bytes;
use loquic_wire::{Epoch, Flags, Format, Kind, Offset, ProducerId, Record, RoomName, Slot, TenantName, Time};
use proptest::prelude::*;

use crate::log::{
    Batch, Chunk, Memory, Space, Store,
    chunk::ChunkProducer,
    keys::{self, RoomId},
    reading::{self, cut, decode_chunk, skip_to},
    rows::{
        self, Class, DedupeRow, Level, PartitionRow, Policy, ProducerKey, ProducerRow, RoomRow, Run, Segment, Stretch,
    },
};

fn number() -> impl Strategy<Value = u64> + Clone {
    let max = loquic_wire::limits::NUMBER_MAX;
    prop_oneof![2 => 0..300u64, 1 => 0..70_000u64, 1 => 0..=max, 1 => (0..3u64).prop_map(move |back| max - back)]
}

fn producer() -> impl Strategy<Value = ProducerKey> {
    ("[a-z]{1,3}", prop_oneof![Just([0u8; 16]), Just([0xff; 16]), any::<[u8; 16]>()])
        .prop_map(|(user, id)| ProducerKey { user: user.parse().unwrap(), producer: ProducerId(id) })
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let producers = prop::collection::vec((producer(), number()), 0..4);
    let payloads = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5);
    (number(), 1..1_000_000u64, producers, payloads).prop_map(|(epoch, first, producers, payloads)| {
        let mut frames = Vec::new();
        for (offset, payload) in (first..).zip(&payloads) {
            let record = Record {
                offset: Offset::saturating(offset),
                time: Time::saturating(epoch),
                kind: Kind::MESSAGE,
                format: Format::Bytes,
                flags: Flags::NONE,
                sender: "ann".parse().unwrap(),
                producer: ProducerId([1; 16]).tag(),
                id: offset,
                refers: None,
                payload: Bytes::copy_from_slice(payload),
            };
            record.put_frame(&mut frames);
        }
        Chunk {
            epoch: Epoch::saturating(epoch),
            first: Offset::saturating(first),
            count: payloads.len() as u32,
            producers: producers.into_iter().map(|(key, last_id)| ChunkProducer { key, last_id }).collect(),
            frames: frames.into(),
        }
    })
}

fn space() -> impl Strategy<Value = Space> {
    let window = (class(), number())
        .prop_filter_map("keep has none", |(class, window)| class.window().map(|_| Space::Window(class, window)));
    prop_oneof![Just(Space::Meta), Just(Space::Keep), window]
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Hour), Just(Class::Day), Just(Class::Week), Just(Class::Month), Just(Class::Keep)]
}

fn room() -> impl Strategy<Value = RoomId> {
    (0..loquic_wire::slot::SLOTS, prop_oneof![number(), any::<u64>()])
        .prop_map(|(slot, number)| RoomId { slot: Slot::new(slot).unwrap(), number })
}

fn room_row() -> impl Strategy<Value = RoomRow> {
    let stretch = (number(), number())
        .prop_map(|(epoch, first)| Stretch { epoch: Epoch::saturating(epoch), first: Offset::saturating(first) });
    let segment = (space(), number(), number(), number(), number()).prop_map(|(space, first, time, last, bytes)| {
        let (time, last) = (Time::saturating(time), Time::saturating(last));
        Segment { space, first: Offset::saturating(first), time, last, bytes }
    });
    let level = prop_oneof![Just(Level::Memory), Just(Level::Process), Just(Level::Disk)];
    let limit = || prop::option::of(number());
    let policy = (level, class(), limit(), limit(), limit()).prop_map(|(level, class, age_ms, count, bytes)| Policy {
        level,
        class,
        age_ms,
        count,
        bytes,
    });
    let lists = (prop::collection::vec(stretch, 0..5), prop::collection::vec(segment, 0..5));
    (number(), number(), number(), number(), number(), policy, lists).prop_map(
        |(number, head, floor, trimmed, time, policy, (lineage, segments))| RoomRow {
            number,
            head: Offset::saturating(head),
            floor: Offset::saturating(floor),
            trimmed: Offset::saturating(trimmed),
            time: Time::saturating(time),
            policy,
            lineage,
            segments,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    /// About 2,000 flipped bits and 250 cuts in each of the cases.
    #[test]
    fn a_damaged_chunk_is_never_other_data(chunk in chunk(), longer in any::<u8>(), sample in 0..16usize) {
        let (bytes, frames) = chunk.encode();
        prop_assert_eq!(Chunk::decode(bytes.clone()).unwrap(), chunk.clone());
        prop_assert_eq!(chunk.records().unwrap().len(), chunk.count as usize);
        prop_assert_eq!(&frames, &chunk.frames);
        for bit in (sample..bytes.len() * 8).step_by(16) {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Chunk::decode(damaged.into()).is_err(), "bit {bit}");
        }
        for length in (sample..bytes.len()).step_by(16).chain([bytes.len() - 1]) {
            prop_assert!(Chunk::decode(bytes.slice(..length)).is_err(), "cut to {length}");
        }
        prop_assert!(Chunk::decode([&bytes[..], &[longer]].concat().into()).is_err());
        // A whole chunk under the key of another one.
        let place = RoomId { slot: Slot::new(1).unwrap(), number: 1 };
        prop_assert_eq!(decode_chunk(&keys::chunk(place, chunk.last()), &bytes).unwrap(), chunk.clone());
        prop_assert!(decode_chunk(&keys::chunk(place, chunk.last().next()), &bytes).is_err());
    }

    #[test]
    fn cutting_and_skipping_frames_take_whole_records(chunk in chunk(), max in 0..400u64, count in 0..6u64) {
        let lengths: Vec<u64> = chunk.records().unwrap().iter().map(|record| record.frame_len() as u64).collect();
        let (part, taken) = cut(&chunk.frames, max, count);
        let fits = |n: &usize| lengths[..*n].iter().sum::<u64>() <= max;
        let most = (0..=lengths.len().min(count as usize)).rev().find(fits).unwrap();
        prop_assert_eq!((part.len() as u64, taken), (lengths[..most].iter().sum(), most as u64));
        let rest = skip_to(&chunk.frames, count);
        prop_assert_eq!(rest.len() as u64, lengths.iter().skip(count as usize).sum::<u64>());
    }

    /// A page is the records from an offset on, dense, as many as fit, and at least one.
    #[test]
    fn pages_hold_what_fits_and_go_on_where_they_ended(chunks in prop::collection::vec(chunk(), 1..5), max in 1..400usize) {
        let place = RoomId { slot: Slot::new(1).unwrap(), number: 1 };
        let (store, mut batch, mut next, mut all) = (Memory::default(), Batch::default(), 1, Vec::new());
        for chunk in chunks {
            let mut records = chunk.records().unwrap();
            let mut frames = Vec::new();
            for (offset, record) in (next..).zip(&mut records) {
                record.offset = Offset::saturating(offset);
                record.put_frame(&mut frames);
            }
            let chunk = Chunk { first: Offset::saturating(next), frames: frames.into(), ..chunk };
            next += records.len() as u64;
            batch.put(Space::Keep, keys::chunk(place, chunk.last()), chunk.encode().0);
            all.extend(records);
        }
        store.write(&batch).unwrap();
        let (mut at, mut rest) = (Offset::FIRST, &all[..]);
        while let Some(first) = rest.first() {
            let page = reading::page(&store, place, Space::Keep, at, max).unwrap();
            prop_assert!(page.found.unwrap() <= at);
            let bytes: usize = page.parts.iter().map(|part| part.frames.len()).sum();
            let last = page.parts.back().unwrap().last;
            let (records, later) = rest.split_at(last.next().since(at) as usize);
            let mut frames = Vec::new();
            records.iter().for_each(|record| record.put_frame(&mut frames));
            prop_assert_eq!(page.parts.iter().flat_map(|part| part.frames.to_vec()).collect::<Vec<_>>(), frames);
            prop_assert!(bytes <= max || records.len() == 1, "{bytes} of {max}");
            prop_assert_eq!(first.offset, at);
            (at, rest) = (last.next(), later);
        }
        prop_assert!(reading::page(&store, place, Space::Keep, at, max).unwrap().parts.is_empty());
    }

    #[test]
    fn keys_are_in_the_order_of_their_numbers(
        a in (room(), number()), other in (room(), number()), producers in (producer(), producer()),
        same_room in any::<bool>(), same_producer in any::<bool>(),
    ) {
        let b = (if same_room { a.0 } else { other.0 }, other.1);
        let producers = (&producers.0, if same_producer { &producers.0 } else { &producers.1 });
        let (first, second) = (keys::chunk(a.0, Offset::saturating(a.1)), keys::chunk(b.0, Offset::saturating(b.1)));
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        let (one, two) = (keys::dedupe(a.0, producers.0, a.1), keys::dedupe(b.0, producers.1, b.1));
        let same = (a.0, producers.0, a.1) == (b.0, producers.1, b.1);
        prop_assert_eq!(one == two, same);
        if (a.0, producers.0) == (b.0, producers.1) {
            prop_assert_eq!(one.cmp(&two), a.1.cmp(&b.1));
        }
        prop_assert!(first != one && first != two, "chunks and dedupe rows are apart");
        let (from, until) = keys::dedupes_from(a.0, producers.0, a.1);
        let inside = (b.0, producers.1) == (a.0, producers.0) && b.1 >= a.1;
        prop_assert_eq!(from <= two && two < until, inside);
        let (from, until) = keys::chunks_from(a.0, Offset::saturating(a.1));
        prop_assert_eq!(from <= second && second < until, b.0 == a.0 && b.1 >= a.1);
        let (one, two) = (keys::producer(a.0, producers.0), keys::producer(b.0, producers.1));
        prop_assert_eq!(one == two, (a.0, producers.0) == (b.0, producers.1));
        prop_assert_eq!(keys::parse_producer(&one), Some(producers.0.clone()));
        let (from, until) = keys::producers(a.0);
        prop_assert_eq!(from <= two && two < until, a.0 == b.0);
    }

    #[test]
    fn rooms_are_found_by_their_names(
        tenants in ("[a-z]{1,3}", "[a-z]{1,3}"), names in ("[a-c]{1,3}(:[a-c~@]{1,2}){0,2}", "[a-c]{1,3}(:[a-c]{1,2})?"),
        prefix in "[a-c]{0,2}:?",
    ) {
        let tenant = |text: &str| TenantName::new(text).unwrap();
        let (a, b) = ((tenant(&tenants.0), RoomName::new(&names.0)?), (tenant(&tenants.1), RoomName::new(&names.1)?));
        let (one, two) = (keys::room(&a.0, &a.1), keys::room(&b.0, &b.1));
        prop_assert_eq!(one == two, a == b);
        prop_assert_eq!(keys::parse_room(&one), Some(a.clone()));
        let (from, until) = keys::rooms(&a.0, &prefix);
        prop_assert_eq!(from <= two && two < until, a.0 == b.0 && names.1.starts_with(&prefix));
        let (from, until) = keys::all_rooms();
        prop_assert!(from <= one && one < until);
    }

    #[test]
    fn rows_come_back_as_they_were_and_cut_ones_do_not(
        room in room_row(), numbers in (number(), number(), number(), 1..u32::MAX), space in space(),
    ) {
        let bytes = rows::encode(&room);
        prop_assert_eq!(rows::decode::<RoomRow>(bytes.clone()).unwrap(), room);
        for length in 0..bytes.len() {
            prop_assert!(rows::decode::<RoomRow>(bytes[..length].to_vec()).is_err());
        }
        let (a, b, c, count) = numbers;
        let (offset, time) = (Offset::saturating(b), Time::saturating(c));
        let row = ProducerRow { last_id: a, offset, time };
        prop_assert_eq!(rows::decode::<ProducerRow>(rows::encode(&row)).unwrap(), row);
        let row = DedupeRow { runs: vec![Run { id: a, offset, count }; (c % 4) as usize] };
        prop_assert_eq!(rows::decode::<DedupeRow>(rows::encode(&row)).unwrap(), row);
        let epochs = vec![Epoch::saturating(a), Epoch::saturating(b)];
        let row = PartitionRow { applied: a, time, next_room: b, epochs, feature: count };
        prop_assert_eq!(rows::decode::<PartitionRow>(rows::encode(&row)).unwrap(), row);
        prop_assert_eq!(Space::parse(&space.to_string()), Some(space));
    }

    #[test]
    fn text_that_is_no_space_is_none(text in "(hour|day|week|month|keep|meta|x)?[.]?[+]?[0-9]{0,3}[.]?") {
        if let Some(space) = Space::parse(&text) {
            prop_assert_eq!(space.to_string(), text, "a space has one name");
        }
    }
}
