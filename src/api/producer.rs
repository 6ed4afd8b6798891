//! Under which producer and id a request appends: whoever asks again under the same ones asks for the same record.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use axum::http::HeaderMap;
use loquic_wire::{Code, Offset, ProducerId};

use super::{problem::Problem, request::header_text};
use crate::config::limits;

/// A producer, and the id of the first record.
pub(super) type Numbered = (ProducerId, u64);

/// What the headers say. `None` if they say nothing.
pub(super) fn numbered(headers: &HeaderMap) -> Result<Option<Numbered>, Problem> {
    let key = header_text(headers, "idempotency-key")?;
    let own = (header_text(headers, "loquic-producer")?, header_text(headers, "loquic-id")?);
    match (key, own) {
        (Some(key), (None, None)) => {
            let is_sound = (1..=limits::HTTP_IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic());
            let detail = format!(
                "an Idempotency-Key is 1 to {} visible ASCII characters",
                limits::HTTP_IDEMPOTENCY_KEY_BYTES_MAX
            );
            let numbered = is_sound.then(|| (named(&format!("http:{key}")), 1));
            numbered.map(Some).ok_or_else(|| Problem::bad_request(detail))
        }
        (None, (Some(producer), Some(id))) => {
            let id = id.parse().ok().filter(|id| (1..=u64::MAX - limits::HTTP_BATCH_RECORDS_MAX as u64).contains(id));
            let numbered = parse(producer).zip(id);
            let detail = "Loquic-Producer is 32 hexadecimal digits, and Loquic-Id a number from 1 on";
            numbered.map(Some).ok_or_else(|| Problem::bad_request(detail))
        }
        (None, (None, None)) => Ok(None),
        (None, _) => Err(Problem::bad_request("Loquic-Producer and Loquic-Id belong together")),
        (Some(_), _) => Err(Problem::bad_request("Idempotency-Key and Loquic-Producer exclude each other")),
    }
}

/// One that nobody else has: asking again appends again.
pub(super) fn random() -> Result<Numbered, Problem> {
    let mut id = [0; 16];
    let filled = rand::fill(&mut id).map_err(|_| Problem::of(Code::INTERNAL, "there are no random numbers"));
    filled.map(|()| (ProducerId(id), 1))
}

/// The one that deletes this record: to ask again deletes nothing more, so it appends nothing more either.
pub(super) fn of_delete(offset: Offset) -> Numbered {
    (named(&format!("http-delete:{offset}")), 1)
}

fn named(text: &str) -> ProducerId {
    let hash = digest(&SHA256, text.as_bytes());
    let mut id = [0; 16];
    // Both are that long.
    id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    ProducerId(id)
}

fn parse(text: &str) -> Option<ProducerId> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(ProducerId(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producer_of_a_key_is_the_start_of_its_hash() {
        // printf 'http:order-42' | sha256sum
        let hex: String = named("http:order-42").0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5257663e92a19eedbadd2fea69c82e5b");
        assert_eq!(parse(&hex), Some(named("http:order-42")));
        for bad in ["", "1", "0123456789abcdef0123456789abcdeg", "+123456789abcdef0123456789abcdef"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_never_that_of_a_delete() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", "http-delete:1".parse().unwrap());
        let offset = Offset::new(1).unwrap();
        assert_ne!(numbered(&headers).unwrap(), Some(of_delete(offset)));
        assert_ne!(of_delete(offset), of_delete(offset.next()));
    }
}
