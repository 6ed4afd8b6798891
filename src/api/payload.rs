//! What is published: a body of one record, or lines of a batch.

use std::borrow::Cow;

use axum::{body::Bytes, http::HeaderMap};
use base64::{Engine, prelude::BASE64_STANDARD};
use loquic_wire::{Code, Flags, Format, Kind, Offset, publish::Publish};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{problem::Problem, request::header_text};
use crate::config::limits;

/// What a content type says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// The payload of one record.
    One(Format),
    /// A record on each line.
    Batch,
}

impl Media {
    /// Reads `Content-Type`. `None` for what the API does not take.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let media = match &*essence {
            "application/json" => Self::One(Format::Json),
            "text/plain" => Self::One(Format::Text),
            "application/octet-stream" => Self::One(Format::Bytes),
            "application/x-ndjson" => Self::Batch,
            _ => return None,
        };
        // Only UTF-8 is kept; what else a type may say changes nothing.
        let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim() == "charset");
        let is_utf8 = charset.is_none_or(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
        (is_utf8 || media == Self::One(Format::Bytes)).then_some(media)
    }
}

/// One record whose payload is the body, and whose other properties are headers.
pub(super) fn one(headers: &HeaderMap, format: Format, payload: Bytes) -> Result<Publish, Problem> {
    match format {
        Format::Text if std::str::from_utf8(&payload).is_err() => {
            return Err(Problem::bad_request("the body is not UTF-8; send bytes as application/octet-stream"));
        }
        Format::Json => {
            serde_json::from_slice::<IgnoredAny>(&payload)
                .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
        }
        Format::Text | Format::Bytes => {}
    }
    let kind = header_text(headers, "loquic-kind")?.map(kind_of).transpose()?;
    let refers = header_text(headers, "loquic-refers")?.map(|text| {
        text.parse().ok().and_then(Offset::new).ok_or_else(|| Problem::bad_request("Loquic-Refers is not an offset"))
    });
    let flags = match header_text(headers, "loquic-encrypted")? {
        None | Some("false") => Flags::NONE,
        Some("true") => Flags::ENCRYPTED,
        Some(_) => return Err(Problem::bad_request("Loquic-Encrypted is true or false")),
    };
    Ok(Publish { id: 0, kind: kind.unwrap_or(Kind::MESSAGE), format, flags, refers: refers.transpose()?, payload })
}

fn kind_of(text: &str) -> Result<Kind, Problem> {
    let named = Kind::NAMES.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
    let kind = named.or_else(|| text.parse().ok().map(Kind));
    kind.ok_or_else(|| Problem::bad_request(format!("{text:?} is no kind: a name like message, or a number up to 255")))
}

/// A line of a batch: the fields of a record as it is read, as far as they are the publisher's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
    format: Option<FormatName>,
    kind: Option<KindName>,
    refers: Option<u64>,
    #[serde(default)]
    encrypted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatName {
    Bytes,
    Json,
    Text,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum KindName {
    Number(u8),
    Name(String),
}

/// A payload of `null` is a payload.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The records of a batch. It is refused as a whole if one line is not one.
pub(super) fn batch(body: &[u8], payload_bytes_max: usize) -> Result<Vec<Publish>, Problem> {
    let mut publishes = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if publishes.len() == limits::HTTP_BATCH_RECORDS_MAX {
            let detail = format!("a batch has at most {} records", limits::HTTP_BATCH_RECORDS_MAX);
            return Err(Problem::of(Code::PAYLOAD_TOO_LARGE, detail));
        }
        let wrong =
            |what: String| Problem::bad_request(format!("line {}: {what}; nothing of the batch was taken", index + 1));
        let publish = record(line).map_err(wrong)?;
        if publish.payload.len() > payload_bytes_max {
            let detail = format!("line {}: more than {payload_bytes_max} bytes of payload", index + 1);
            return Err(Problem::of(Code::PAYLOAD_TOO_LARGE, detail));
        }
        publishes.push(publish);
    }
    if publishes.is_empty() {
        return Err(Problem::bad_request("the batch is empty: one JSON object on each line"));
    }
    Ok(publishes)
}

fn record(line: &[u8]) -> Result<Publish, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let (format, payload) = content(line.payload, line.payload_base64.as_deref(), line.format)?;
    let kind = match line.kind {
        None => Kind::MESSAGE,
        Some(KindName::Number(number)) => Kind(number),
        Some(KindName::Name(name)) => {
            let known = Kind::NAMES.iter().find(|(_, known)| *known == name);
            known.map(|(kind, _)| *kind).ok_or_else(|| format!("{name:?} is no kind"))?
        }
    };
    let refers = line.refers.map(|offset| Offset::new(offset).ok_or("refers is no offset")).transpose()?;
    let flags = if line.encrypted { Flags::ENCRYPTED } else { Flags::NONE };
    Ok(Publish { id: 0, kind, format, flags, refers, payload })
}

/// A string is text unless the line says that it is JSON; anything else is JSON as it stands there.
fn content(
    payload: Option<&RawValue>,
    base64: Option<&str>,
    format: Option<FormatName>,
) -> Result<(Format, Bytes), String> {
    let json = |raw: &RawValue| (Format::Json, Bytes::copy_from_slice(raw.get().as_bytes()));
    match (payload, base64) {
        (Some(raw), None) => {
            let text = serde_json::from_str::<String>(raw.get()).ok();
            match (text, format) {
                (Some(text), None | Some(FormatName::Text)) => Ok((Format::Text, text.into())),
                (_, None | Some(FormatName::Json)) => Ok(json(raw)),
                (None, Some(FormatName::Text)) => Err("a payload of format text is a string".into()),
                (_, Some(FormatName::Bytes)) => Err("a payload of format bytes is payload_base64".into()),
            }
        }
        (None, Some(base64)) if matches!(format, None | Some(FormatName::Bytes)) => {
            let bytes = BASE64_STANDARD.decode(base64).map_err(|error| format!("payload_base64: {error}"))?;
            Ok((Format::Bytes, bytes.into()))
        }
        (None, Some(_)) => Err("payload_base64 is of format bytes".into()),
        (None, None) => Err("payload or payload_base64 is missing".into()),
        (Some(_), Some(_)) => Err("payload and payload_base64 exclude each other".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (text, media) in [
            ("application/json", Some(Media::One(Format::Json))),
            ("Application/JSON; Charset=\"UTF-8\"", Some(Media::One(Format::Json))),
            ("text/plain;charset=utf-8", Some(Media::One(Format::Text))),
            ("application/octet-stream", Some(Media::One(Format::Bytes))),
            ("application/x-ndjson", Some(Media::Batch)),
            ("text/plain; charset=latin1", None),
            ("text/html", None),
            ("application/x-www-form-urlencoded", None),
            ("", None),
        ] {
            assert_eq!(Media::new(text), media, "{text}");
        }
    }

    #[test]
    fn lines() {
        let line = |text: &str| record(text.as_bytes()).map(|it| (it.format, it.payload, it.kind.0, it.refers));
        let some = |format, payload: &'static str| Ok((format, Bytes::from_static(payload.as_bytes()), 0, None));
        assert_eq!(line(r#"{"payload":"h\u00e9"}"#), some(Format::Text, "hé"));
        assert_eq!(line(r#"{"payload":"a","format":"json"}"#), some(Format::Json, r#""a""#));
        assert_eq!(line(r#"{"payload":{"b": 1.10}}"#), some(Format::Json, r#"{"b": 1.10}"#));
        assert_eq!(line(r#"{"payload":null}"#), some(Format::Json, "null"));
        assert_eq!(line(r#"{"payload_base64":"aGk="}"#), some(Format::Bytes, "hi"));
        let custom = line(r#"{"payload":"a","kind":40,"refers":7}"#).unwrap();
        assert_eq!((custom.2, custom.3), (40, Offset::new(7)));
        assert_eq!(line(r#"{"payload":"a","kind":"reaction","refers":7}"#).unwrap().2, 3);
        for bad in [
            "",
            "1",
            "{}",
            r#"{"payload":"a","payload_base64":""}"#,
            r#"{"payload":1,"format":"text"}"#,
            r#"{"payload":"a","format":"bytes"}"#,
            r#"{"payload_base64":"a"}"#,
            r#"{"payload":"a","kind":256}"#,
            r#"{"payload":"a","kind":"nonsense"}"#,
            r#"{"payload":"a","refers":9007199254740992}"#,
            r#"{"payload":"a","offset":1}"#,
            r#"{"payload":"a"} {}"#,
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
