//! Is our coding the documented subset of bincode 2's `standard()` configuration, byte for byte? bincode is the oracle
//! for what we write, and everything that we read, it reads alike; where we are stricter, the test says so.

use std::sync::Arc;

use bytes::Bytes;
use loquic_wire::{
    coded_enum,
    coding::{Decode, DecodeError, Encode, Reader, put_varint, split_varint, varint_len},
    limits::NUMBER_MAX,
};
use proptest::prelude::*;

fn ours<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn theirs<T: bincode::Encode>(value: T) -> Vec<u8> {
    bincode::encode_to_vec(value, bincode::config::standard()).expect("bincode encodes")
}

fn read<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Reader::new(Bytes::copy_from_slice(bytes));
    let value = T::decode(&mut input)?;
    assert_eq!(input.remaining(), 0, "everything is read");
    Ok(value)
}

fn read_theirs<T: bincode::Decode<()>>(bytes: &[u8]) -> Option<T> {
    bincode::decode_from_slice(bytes, bincode::config::standard()).ok().map(|(value, _)| value)
}

coded_enum! {
    /// One of each shape of variant.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Shape {
        /// A unit.
        Unit = 0,
        /// A value.
        One(u64) = 1,
        /// Named fields.
        Named {
            /// A number.
            a: u32,
            /// A text.
            b: Arc<str>,
        } = 2,
    }
}

coded_enum! {
    /// Numbers with a hole between them, which bincode's derive cannot have.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Sparse {
        /// One byte.
        Near = 0,
        /// Three bytes.
        Far(bool) = 300,
    }
}

/// The same for bincode, which numbers variants by their order.
#[derive(Debug, bincode::Encode, bincode::Decode, PartialEq)]
enum Theirs {
    Unit,
    One(u64),
    Named { a: u32, b: String },
}

fn number() -> impl Strategy<Value = u64> {
    (0..=NUMBER_MAX, 0_u32..54).prop_map(|(number, shift)| number >> shift)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn numbers(a: u8, b: u16, c: u32, d in number(), shift in 0_u32..32) {
        let (b, c) = (b >> (shift / 2), c >> shift);
        prop_assert_eq!(ours(&a), theirs(a));
        prop_assert_eq!(ours(&b), theirs(b));
        prop_assert_eq!(ours(&c), theirs(c));
        prop_assert_eq!(ours(&d), theirs(d));
        prop_assert_eq!(varint_len(d), theirs(d).len());
        prop_assert_eq!(read::<u8>(&theirs(a)), Ok(a));
        prop_assert_eq!(read::<u16>(&theirs(b)), Ok(b));
        prop_assert_eq!(read::<u32>(&theirs(c)), Ok(c));
        prop_assert_eq!(read::<u64>(&theirs(d)), Ok(d));
    }

    #[test]
    fn put_varint_writes_all_64_bits_alike_though_nobody_reads_them(number: u64) {
        let mut out = Vec::new();
        put_varint(&mut out, number);
        prop_assert_eq!(&out, &theirs(number));
        prop_assert_eq!(read::<u64>(&out).is_ok(), number <= NUMBER_MAX);
    }

    #[test]
    fn compounds(
        bytes: Vec<u8>, text: String, list in prop::collection::vec(any::<u32>(), 0..400), option: Option<u32>, flag: bool,
        array: [u8; 16],
    ) {
        prop_assert_eq!(ours(&Bytes::from(bytes.clone())), theirs(bytes.clone()));
        prop_assert_eq!(ours(text.as_str()), theirs(text.as_str()));
        prop_assert_eq!(ours(&Arc::<str>::from(text.as_str())), theirs(text.clone()));
        prop_assert_eq!(ours(&list), theirs(list.clone()));
        prop_assert_eq!(ours(&option), theirs(option));
        prop_assert_eq!(ours(&flag), theirs(flag));
        prop_assert_eq!(ours(&array), theirs(array));
        prop_assert_eq!(read::<Bytes>(&theirs(bytes.clone())), Ok(Bytes::from(bytes)));
        prop_assert_eq!(read::<Vec<u32>>(&theirs(list.clone())), Ok(list));
        prop_assert_eq!(read::<Option<u32>>(&theirs(option)), Ok(option));
        prop_assert_eq!(read::<bool>(&theirs(flag)), Ok(flag));
        prop_assert_eq!(read::<[u8; 16]>(&theirs(array)), Ok(array));
    }

    #[test]
    fn enumerations(number in number(), a: u32, b in ".{0,40}") {
        let pairs = [
            (Shape::Unit, Theirs::Unit),
            (Shape::One(number), Theirs::One(number)),
            (Shape::Named { a, b: b.as_str().into() }, Theirs::Named { a, b }),
        ];
        for (shape, other) in pairs {
            let bytes = theirs(&other);
            prop_assert_eq!(&ours(&shape), &bytes);
            prop_assert_eq!(read::<Shape>(&bytes), Ok(shape));
        }
    }

    /// We take a part of what bincode takes, and read it alike.
    #[test]
    fn what_we_read_bincode_reads_alike(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4, 250_u8..], 0..24)) {
        let source = Bytes::from(bytes.clone());
        macro_rules! alike {
            ($($ours:ty as $theirs:ty),*) => {$(
                if let Ok(value) = <$ours>::decode(&mut Reader::new(source.clone())) {
                    let other = read_theirs::<$theirs>(&bytes).expect("bincode reads it too");
                    prop_assert_eq!(ours(&value), theirs(other));
                }
            )*};
        }
        alike!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, bool as bool, Bytes as Vec<u8>, Arc<str> as String);
        alike!(Option<u64> as Option<u64>, Vec<u16> as Vec<u16>, [u8; 4] as [u8; 4], Shape as Theirs);
    }
}

#[test]
fn a_tag_past_250_is_a_long_varint() {
    assert_eq!(ours(&Sparse::Far(true)), [251, 44, 1, 1]);
    assert_eq!(theirs(300_u32), [251, 44, 1]);
    assert_eq!(read::<Sparse>(&[251, 44, 1, 1]), Ok(Sparse::Far(true)));
    assert_eq!(read::<Sparse>(&[1]), Err(DecodeError::Variant("Sparse", 1)));
    assert_eq!(read::<Sparse>(&[0]), Ok(Sparse::Near));
}

/// bincode takes one number in several forms. We do not, so that equal values have equal bytes.
#[test]
fn bincode_takes_longer_forms_that_we_reject() {
    let forms: &[(&[u8], u64)] = &[
        (&[251, 5, 0], 5),
        (&[251, 250, 0], 250),
        (&[252, 5, 0, 0, 0], 5),
        (&[252, 255, 255, 0, 0], 65_535),
        (&[253, 5, 0, 0, 0, 0, 0, 0, 0], 5),
        (&[253, 255, 255, 255, 255, 0, 0, 0, 0], 4_294_967_295),
    ];
    for (bytes, value) in forms {
        assert_eq!(read_theirs::<u64>(bytes), Some(*value));
        assert_eq!(split_varint(bytes), Err(DecodeError::Varint), "{bytes:?}");
        assert_eq!(read::<u64>(bytes), Err(DecodeError::Varint), "{bytes:?}");
    }
}

#[test]
fn reserved_first_bytes_and_long_numbers_are_rejected() {
    for first in [254, 255] {
        let mut bytes = [1; 17];
        bytes[0] = first;
        assert_eq!(split_varint(&bytes), Err(DecodeError::Varint));
        assert_eq!(split_varint(&bytes[..1]), Err(DecodeError::Varint), "at once, not when the number is whole");
        assert_eq!(read_theirs::<u64>(&bytes), None);
    }
    let past = theirs(NUMBER_MAX + 1);
    assert_eq!(read_theirs::<u64>(&past), Some(NUMBER_MAX + 1));
    assert_eq!(split_varint(&past), Err(DecodeError::Range("a number")));
    assert_eq!(read::<u64>(&theirs(NUMBER_MAX)), Ok(NUMBER_MAX));
    assert_eq!(read::<u16>(&theirs(65_536_u32)), Err(DecodeError::Range("u16")));
}

#[test]
fn a_varint_that_is_not_whole_is_none() {
    for whole in [&[251, 251, 0][..], &[252, 0, 0, 1, 0], &[253, 0, 0, 0, 0, 1, 0, 0, 0]] {
        for length in 0..whole.len() {
            assert_eq!(split_varint(&whole[..length]), Ok(None), "{whole:?} cut to {length}");
        }
        assert!(split_varint(whole).is_ok_and(|found| found.is_some_and(|(_, size)| size == whole.len())));
    }
}
