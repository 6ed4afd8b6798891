//! Numbers as people write them: `250ms`, `10k`, `64KiB`.

use std::time::Duration;

/// A duration: a number and its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "" if number == 0.0 => 0.0,
        "" => return Err(format!("{text:?} has no unit; write {text}s or {text}ms")),
        other => return Err(format!("{other:?} is no unit of time; there are us, ms, s, m and h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} is out of range"))
}

/// A number, which may be in thousands (`k`) or millions (`M`).
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    match unit {
        "" => Ok(number),
        "k" | "K" => Ok(number * 1e3),
        "M" => Ok(number * 1e6),
        other => Err(format!("{other:?} is no unit of numbers; there are k and M")),
    }
}

/// A number of things.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let number = number(text)?;
    if number.fract() != 0.0 || number > 1e15 {
        return Err(format!("{text:?} is not a whole number"));
    }
    Ok(number as u64)
}

/// A number of bytes.
pub(crate) fn bytes(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "k" | "K" | "KiB" => 1024.0,
        "M" | "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        other => return Err(format!("{other:?} is no unit of bytes; there are B, KB, MB, GB, KiB, MiB and GiB")),
    };
    Ok(number * factor)
}

/// The size of something that is held in memory.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let bytes = bytes(text)?;
    if bytes.fract() != 0.0 || bytes > 1e12 {
        return Err(format!("{text:?} is not a size"));
    }
    Ok(bytes as usize)
}

/// Digits first, then the unit.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    Ok((number, text[end..].trim()))
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds as people read them, three digits.
pub(crate) fn micros(micros: u64) -> String {
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", three_digits(value / 1e3)),
        _ => format!("{} s", three_digits(value / 1e6)),
    }
}

/// Bytes as people read them, three digits.
pub(crate) fn human_bytes(bytes: f64) -> String {
    match bytes.abs() {
        size if size < 1e3 => format!("{bytes:.0} B"),
        size if size < 1e6 => format!("{} KB", three_digits(bytes / 1e3)),
        size if size < 1e9 => format!("{} MB", three_digits(bytes / 1e6)),
        _ => format!("{} GB", three_digits(bytes / 1e9)),
    }
}

fn three_digits(value: f64) -> String {
    let digits = if value.abs() < 10.0 { 2 } else { usize::from(value.abs() < 100.0) };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!((count("10k"), count("2M"), count("7")), (Ok(10_000), Ok(2_000_000), Ok(7)));
        assert_eq!(number("0.5"), Ok(0.5));
        assert_eq!((size("128"), size("64KiB"), size("2KB")), (Ok(128), Ok(65_536), Ok(2_000)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(duration("10"), Err("\"10\" has no unit; write 10s or 10ms".into()));
        assert!(duration("10 days").unwrap_err().contains("days"));
        assert!(duration("").unwrap_err().contains("begin with a number"));
        assert!(duration("-1s").is_err());
        assert!(count("1.5").unwrap_err().contains("whole"));
        assert!(size("1.2.3").is_err());
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([7, 1_234, 45_678, 2_500_000].map(micros), ["7 µs", "1.23 ms", "45.7 ms", "2.50 s"]);
        assert_eq!([12.0, 4_200.0, 345e6].map(human_bytes), ["12 B", "4.20 KB", "345 MB"]);
    }
}
