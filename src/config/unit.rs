//! Durations and sizes as people write them: `30s`, `1h30m`, `64KiB`.

use std::time::Duration;

/// Units of time in milliseconds, largest first.
const TIME: &[(&str, u64)] =
    &[("d", 24 * 60 * 60 * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// Units of size in bytes, largest first.
const SIZE: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `1h30m`, `250ms`, `2 d`. A number without a unit is refused: nobody can tell what it means.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let (_, factor) = TIME.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_millis(total))
}

/// Reads `64KiB`, `2 GB`, `4096`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = SIZE.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.replace('_', "").parse().ok()?, rest.trim_start()))
}

/// The shortest form that [`parse_duration`] reads back.
pub fn duration(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in TIME {
        if rest / factor > 0 {
            text += &format!("{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// An exact form in binary units that [`parse_size`] reads back.
pub fn size(bytes: u64) -> String {
    let binary = SIZE.iter().filter(|(unit, _)| unit.ends_with("iB"));
    match binary.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Groups of three digits: `1,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let reads = |text: &str, ms| assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        reads("30s", 30_000);
        reads("250ms", 250);
        reads("1h30m", 5_400_000);
        reads("1h 30m", 5_400_000);
        reads("2 d", 172_800_000);
        for bad in ["", "30", "s", "30x", "-1s", "1.5s", "1s garbage", "99999999999999999d"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        for ms in [0, 1, 250, 1000, 5_400_000, 90_061_001] {
            reads(&duration(Duration::from_millis(ms)), ms);
        }
    }

    #[test]
    fn sizes() {
        let reads = |text, bytes| assert_eq!(parse_size(text), Some(bytes), "{text}");
        reads("64KiB", 65_536);
        reads("64 KiB", 65_536);
        reads("1MB", 1_000_000);
        reads("4_096", 4_096);
        for bad in ["", "KiB", "64K", "64 kib", "-1", "99999999TiB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
        assert_eq!(size(65_536), "64KiB");
        assert_eq!(size(1_000), "1000B");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
