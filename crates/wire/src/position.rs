//! Where something is in a room's log, and when it happened.

use std::{fmt, time::Duration};

use crate::{
    coding::{Decode, DecodeError, Encode, Reader, put_varint},
    limits::NUMBER_MAX,
};

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// The lowest value.
            pub const ZERO: Self = Self(0);

            /// The highest value: 2^53 − 1.
            pub const MAX: Self = Self(NUMBER_MAX);

            /// `None` past 2^53 − 1.
            pub const fn new(value: u64) -> Option<Self> {
                if value <= NUMBER_MAX { Some(Self(value)) } else { None }
            }

            /// The value, cut at 2^53 − 1.
            pub const fn saturating(value: u64) -> Self {
                if value <= NUMBER_MAX { Self(value) } else { Self(NUMBER_MAX) }
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                put_varint(out, self.0);
            }
        }

        impl Decode for $name {
            fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
                Self::new(input.varint()?).ok_or(DecodeError::Range(stringify!($name)))
            }
        }
    };
}

number!(
    /// A position in a room's log. Dense; the first record has 1, and 0 stands for "before the first".
    Offset
);

number!(
    /// The identity of one stretch of a partition's life: max(previous + 1, Unix milliseconds at its start).
    Epoch
);

number!(
    /// Milliseconds since 1970 by the partition's clock, which never goes back.
    Time
);

impl Offset {
    /// The offset of the first record.
    pub const FIRST: Self = Self(1);

    /// The offset behind this one.
    pub const fn next(self) -> Self {
        Self::saturating(self.0 + 1)
    }

    /// The offset before this one; that of 0 is 0.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The offset `count` further on.
    pub const fn plus(self, count: u64) -> Self {
        Self::saturating(self.0.saturating_add(count))
    }

    /// How many records lie behind `earlier` up to and including this one.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Time {
    /// The time `span` earlier, at least 0.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self::saturating(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

crate::coded_struct! {
    /// A place in a room's log that can be resumed from: valid iff the offset is not past the end of that epoch in
    /// the room's lineage.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Position {
        /// The epoch the position was seen in.
        pub epoch: Epoch,
        /// The last offset that was seen; 0 for none.
        pub offset: Offset,
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl std::str::FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        // Exactly what `Display` writes: a position has one text form, so that texts can be compared.
        let number = |part: &str| part.parse().ok().filter(|number: &u64| number.to_string() == part);
        let (epoch, offset) = text.split_once('-').ok_or(PositionError)?;
        Ok(Self {
            epoch: number(epoch).and_then(Epoch::new).ok_or(PositionError)?,
            offset: number(offset).and_then(Offset::new).ok_or(PositionError)?,
        })
    }
}

/// Text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a position is written EPOCH-OFFSET, two numbers below 2^53, like 1795361689123-42")]
pub struct PositionError;

/// A span of time in milliseconds, at most 49 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u32);

crate::coded_newtype!(Millis);

impl From<Duration> for Millis {
    fn from(span: Duration) -> Self {
        Self(u32::try_from(span.as_millis()).unwrap_or(u32::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Duration::from_millis(span.0.into())
    }
}
