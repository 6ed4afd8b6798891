//! The byte coding of frame bodies and of stored metadata: the subset of bincode 2's `standard()` configuration that
//! Loquic uses, written out so that nothing unmaintained is shipped (RUSTSEC-2025-0141) and so that it can be stricter
//! and copy less. `tests/oracle.rs` compares it byte for byte with bincode 2.0.1; the golden vectors pin it for good.
//!
//! Stricter than bincode: a varint must have its shortest form, a number is below 2^53, a count never exceeds the bytes
//! that are left, and a byte string is a slice of the frame's own buffer, so decoding allocates nothing by a length it
//! has not checked.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::NUMBER_MAX;

/// Why bytes could not be read as what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes ended inside a value.
    #[error("the bytes end inside a value")]
    Truncated,
    /// A varint was not in its shortest form, or began with one of the reserved bytes 254 and 255.
    #[error("a varint is not in its shortest form")]
    Varint,
    /// A number is larger than its field allows.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// A tag names no variant of this enumeration.
    #[error("{0} has no variant {1}")]
    Variant(&'static str, u64),
    /// Text is not UTF-8.
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
    /// A name breaks the grammar of names.
    #[error("{0}")]
    Name(#[from] crate::name::NameError),
    /// A list or a text is longer than its maximum.
    #[error("{what} has length {length}, the maximum is {max}")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// The length found.
        length: u64,
        /// The longest that is allowed.
        max: u64,
    },
}

/// Something with a byte form.
pub trait Encode {
    /// Appends the byte form.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Something that can be read from its byte form.
pub trait Decode: Sized {
    /// Reads one value and moves `input` past it.
    fn decode(input: &mut Reader) -> Result<Self, DecodeError>;
}

/// A place in a buffer. Byte strings read from it share the buffer.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// Starts at the first byte.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have not been read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DecodeError> {
        let end = self.at.checked_add(count).ok_or(DecodeError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Reads a byte string of known length without copying it.
    pub fn slice(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        let start = self.at;
        self.take(count)?;
        Ok(self.bytes.slice(start..start + count))
    }

    /// Reads an unsigned varint and demands its shortest form; see [`split_varint`].
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let rest = &self.bytes[self.at..];
        let (value, size) = split_varint(rest)?.ok_or(DecodeError::Truncated)?;
        self.at += size;
        Ok(value)
    }

    /// Reads a length that must fit what is left of the buffer and `max`.
    pub fn length(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let length = self.varint()?;
        if length > max as u64 {
            return Err(DecodeError::TooLong { what, length, max: max as u64 });
        }
        if length > self.remaining() as u64 {
            return Err(DecodeError::Truncated);
        }
        Ok(length as usize)
    }

    /// Reads a text of at most `max` bytes.
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<&str, DecodeError> {
        let length = self.length(what, max)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Utf8(what))
    }

    /// Reads a list of at most `max` entries, each of which takes at least one byte.
    pub fn list<T: Decode>(&mut self, what: &'static str, max: usize) -> Result<Vec<T>, DecodeError> {
        let length = self.length(what, max)?;
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(T::decode(self)?);
        }
        Ok(list)
    }
}

/// The varint that `bytes` begin with and how many bytes it takes; `None` if it is not whole.
///
/// Every number of the protocol is below 2^53: a larger one has no exact form in JSON and TypeScript, so a record with
/// such an id would end the session of each browser that reads it. Where 64 whole bits are wanted, use `[u8; 8]`.
pub fn split_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, DecodeError> {
    let (value, size, least) = match *bytes {
        [] => return Ok(None),
        [first @ 0..=250, ..] => return Ok(Some((first.into(), 1))),
        [251, a, b, ..] => (u16::from_le_bytes([a, b]).into(), 3, 251),
        [252, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]).into(), 5, 1 << 16),
        [253, a, b, c, d, e, f, g, h, ..] => (u64::from_le_bytes([a, b, c, d, e, f, g, h]), 9, 1 << 32),
        [251..=253, ..] => return Ok(None),
        [254 | 255, ..] => return Err(DecodeError::Varint),
    };
    match value {
        _ if value < least => Err(DecodeError::Varint),
        _ if value > NUMBER_MAX => Err(DecodeError::Range("a number")),
        _ => Ok(Some((value, size))),
    }
}

/// Appends an unsigned varint in its shortest form. Nobody reads one of 2^53 or more; see [`split_varint`].
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 251 {
        out.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(251);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(252);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(253);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// How many bytes [`put_varint`] appends: 1, 3, 5 or 9.
pub fn varint_len(value: u64) -> usize {
    match value {
        0..=250 => 1,
        251..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a count and the entries.
pub fn put_list<T: Encode>(out: &mut Vec<u8>, list: &[T]) {
    put_varint(out, list.len() as u64);
    for entry in list {
        entry.encode(out);
    }
}

impl Encode for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Decode for u8 {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(input.array::<1>()?[0])
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Variant("bool", other.into())),
        }
    }
}

macro_rules! varint_coding {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                let value = u64::from(*self);
                debug_assert!(value <= NUMBER_MAX, "{value} is past 2^53 - 1: no peer takes it");
                put_varint(out, value);
            }
        }

        impl Decode for $type {
            fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
                input.varint()?.try_into().map_err(|_| DecodeError::Range(stringify!($type)))
            }
        }
    )*};
}

varint_coding!(u16, u32, u64);

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }
}

impl Decode for Bytes {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let length = input.length("a byte string", usize::MAX)?;
        input.slice(length)
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
}

impl Encode for Arc<str> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
}

impl Decode for Arc<str> {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(input.text("a text", crate::limits::TEXT_BYTES_MAX)?.into())
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(None),
            1 => Ok(Some(T::decode(input)?)),
            other => Err(DecodeError::Variant("option", other.into())),
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, self);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        input.list("a list", crate::limits::LIST_LENGTH_MAX)
    }
}

/// A type whose byte form is that of the one value it wraps.
#[macro_export]
macro_rules! coded_newtype {
    ($($type:ident),*) => {$(
        impl $crate::coding::Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl $crate::coding::Decode for $type {
            fn decode(input: &mut $crate::coding::Reader) -> Result<Self, $crate::coding::DecodeError> {
                Ok(Self($crate::coding::Decode::decode(input)?))
            }
        }
    )*};
}

/// A struct whose byte form is its fields in order.
#[macro_export]
macro_rules! coded_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }

        impl $crate::coding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $($crate::coding::Encode::encode(&self.$field, out);)*
            }
        }

        impl $crate::coding::Decode for $name {
            fn decode(input: &mut $crate::coding::Reader) -> Result<Self, $crate::coding::DecodeError> {
                let _ = &input;
                Ok(Self { $($field: $crate::coding::Decode::decode(input)?),* })
            }
        }
    };
}

/// An enumeration whose byte form is its number as a varint, then its fields in order.
#[macro_export]
macro_rules! coded_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident $(($inner:ty))? $({ $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })? = $number:literal),* $(,)?
    }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* $variant $(($inner))? $({ $($(#[$field_meta])* $field: $type),* })?),*
        }

        impl $crate::coding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::coded_enum!(@encode self, out, $name, $variant, $number $(, ($inner))? $(, { $($field),* })?);)*
            }
        }

        impl $crate::coding::Decode for $name {
            fn decode(input: &mut $crate::coding::Reader) -> Result<Self, $crate::coding::DecodeError> {
                match input.varint()? {
                    $($number => Ok($crate::coded_enum!(@decode input, $name, $variant $(, ($inner))? $(, { $($field),* })?)),)*
                    other => Err($crate::coding::DecodeError::Variant(stringify!($name), other)),
                }
            }
        }
    };
    (@encode $self:ident, $out:ident, $name:ident, $variant:ident, $number:literal) => {
        if let $name::$variant = $self {
            $crate::coding::put_varint($out, $number);
        }
    };
    (@encode $self:ident, $out:ident, $name:ident, $variant:ident, $number:literal, ($inner:ty)) => {
        if let $name::$variant(inner) = $self {
            $crate::coding::put_varint($out, $number);
            $crate::coding::Encode::encode(inner, $out);
        }
    };
    (@encode $self:ident, $out:ident, $name:ident, $variant:ident, $number:literal, { $($field:ident),* }) => {
        if let $name::$variant { $($field),* } = $self {
            $crate::coding::put_varint($out, $number);
            $($crate::coding::Encode::encode($field, $out);)*
        }
    };
    (@decode $input:ident, $name:ident, $variant:ident) => { $name::$variant };
    (@decode $input:ident, $name:ident, $variant:ident, ($inner:ty)) => {
        $name::$variant($crate::coding::Decode::decode($input)?)
    };
    (@decode $input:ident, $name:ident, $variant:ident, { $($field:ident),* }) => {
        $name::$variant { $($field: $crate::coding::Decode::decode($input)?),* }
    };
}
