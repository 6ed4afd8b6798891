//! Where a subscription starts: `--from` and `?from=`.

use loquic_wire::{Offset, Position, join::From};

use super::time;

/// Reads `oldest`, `live`, `OFFSET`, `EPOCH-OFFSET`, `last:N` or `at:RFC3339`.
pub fn parse(text: &str) -> Result<From, String> {
    let error = || {
        format!(
            "{text:?} is no place to start; it is one of oldest, live, OFFSET (with that record), EPOCH-OFFSET (behind \
             that position), last:N, at:RFC3339 (like at:2026-11-22T12:00:00Z)"
        )
    };
    match text.split_once(':') {
        Some(("last", count)) => count.parse().map(From::Last).map_err(|_| error()),
        Some(("at", when)) => time::parse_rfc3339(when).map(From::AtTime).ok_or_else(error),
        Some(_) => Err(error()),
        None => match text {
            "oldest" => Ok(From::Oldest),
            "live" => Ok(From::Live),
            _ if text.contains('-') => text.parse::<Position>().map(From::After).map_err(|_| error()),
            _ => text.parse().ok().and_then(Offset::new).map(From::AtOffset).ok_or_else(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::{Epoch, Time};

    use super::*;

    #[test]
    fn every_form() {
        let position = Position { epoch: Epoch::saturating(1_795_361_689_123), offset: Offset::saturating(42) };
        for (text, from) in [
            ("oldest", From::Oldest),
            ("live", From::Live),
            ("42", From::AtOffset(Offset::saturating(42))),
            ("1795361689123-42", From::After(position)),
            ("last:10", From::Last(10)),
            ("at:1970-01-01T00:00:01Z", From::AtTime(Time::saturating(1000))),
        ] {
            assert_eq!(parse(text), Ok(from), "{text}");
        }
        for bad in ["", "newest", "-1", "1-", "last:", "last:x", "at:noon", "first:1", "9007199254740992"] {
            assert!(parse(bad).unwrap_err().contains("is no place to start"), "{bad}");
        }
    }
}
