//! Values that a profile is made of, and how they are written.

use std::{fmt, str::FromStr, time::Duration};

use crate::limits;

/// A probability, in parts per million: exact, comparable, and written as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);

    /// Above 100 it is 100.
    pub const fn percent(percent: u32) -> Self {
        Self::parts_per_million(percent.saturating_mul(10_000))
    }

    /// Above a million it is a million.
    pub const fn parts_per_million(parts: u32) -> Self {
        Self(if parts < MILLION { parts } else { MILLION })
    }

    /// Whether a throw of 32 even bits means that it happens.
    pub(crate) fn is_hit(self, throw: u32) -> bool {
        (u64::from(throw) * u64::from(MILLION)) >> 32 < u64::from(self.0)
    }
}

const MILLION: u32 = 1_000_000;

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        match rest {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Chance {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = text.strip_suffix('%').ok_or(())?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(rest) || rest.len() > 4 {
            return Err(());
        }
        let whole: u32 = whole.parse().map_err(|_| ())?;
        let rest: u32 = format!("{rest:0<4}").parse().map_err(|_| ())?;
        let parts = whole.checked_mul(10_000).and_then(|parts| parts.checked_add(rest)).ok_or(())?;
        if parts > MILLION { Err(()) } else { Ok(Self(parts)) }
    }
}

/// Bits of payload per second, at least [`limits::RATE_BITS_PER_SECOND_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// Below the least one it is the least one.
    pub const fn bits_per_second(bits: u64) -> Self {
        let min = limits::RATE_BITS_PER_SECOND_MIN;
        Self(if bits < min { min } else { bits })
    }

    /// How long so many bytes are on the line.
    pub(crate) fn time_of(self, bytes: usize) -> Duration {
        // A datagram at the least rate is half a million seconds of nanoseconds per bit: far within 64 bits.
        let nanoseconds = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

const RATE_UNITS: [(&str, u64); 4] = [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = RATE_UNITS.iter().find(|(_, bits)| self.0.is_multiple_of(*bits));
        let (name, bits) = unit.copied().unwrap_or(("bit", 1));
        write!(f, "{}{name}", self.0 / bits)
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let unit = RATE_UNITS.iter().find_map(|(name, bits)| Some((text.strip_suffix(name)?, *bits)));
        let (number, bits) = unit.ok_or(())?;
        let rate = number.parse::<u64>().map_err(|_| ())?.checked_mul(bits).ok_or(())?;
        if rate < limits::RATE_BITS_PER_SECOND_MIN { Err(()) } else { Ok(Self(rate)) }
    }
}

/// A duration such as `1s 500ms`, up to [`limits::DURATION_MAX`].
pub(crate) fn duration(text: &str) -> Result<Duration, ()> {
    let duration = humantime::parse_duration(text).map_err(|_| ())?;
    if duration > limits::DURATION_MAX { Err(()) } else { Ok(duration) }
}
