//! Times as people read and write them.

use loquic_wire::Time;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(time: Time) -> String {
    let Ok(utc) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.get()) * 1_000_000) else {
        return time.to_string();
    };
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, milli) = utc.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}

/// Reads RFC 3339, with any time zone.
pub fn parse_rfc3339(text: &str) -> Option<Time> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Time::new(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let time = Time::saturating(1_795_361_689_123);
        assert_eq!(rfc3339(time), "2026-11-22T15:34:49.123Z");
        assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time));
        assert_eq!(rfc3339(Time::ZERO), "1970-01-01T00:00:00.000Z");
        assert_eq!(parse_rfc3339("1970-01-01T01:00:01+01:00"), Some(Time::saturating(1000)));
        // Far past what a calendar holds it is a number.
        assert_eq!(rfc3339(Time::MAX), Time::MAX.to_string());
        for bad in ["", "yesterday", "1969-12-31T23:59:59Z", "2026-11-22"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
