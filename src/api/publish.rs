//! `POST /v1/rooms/{room}/records`: one record, or a batch.

use std::sync::Arc;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use loquic_wire::{
    Code, ProducerId, RoomName,
    publish::{Ack, Duplicate, Nack, Publish},
};

use super::{
    Api,
    caller::Caller,
    payload::{self, Media},
    problem::Problem,
    request::{Named, header_text, read_body},
};
use crate::{
    config::limits,
    notation::json,
    room::{Answer, ProducerKey, RoomKey},
    session::auth::Action,
};

pub(super) async fn post(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(room): Named,
    request: Request,
) -> Result<Response, Problem> {
    let key = caller.key(Action::Publish, room)?;
    let (parts, body) = request.into_parts();
    let media = media(&parts.headers)?;
    let (producer, first_id) = numbered(&parts.headers)?;
    let producer = ProducerKey { user: caller.user().clone(), producer };
    let publishes = read(&api, &parts.headers, media, body).await?;
    let publishes: Vec<Publish> = (first_id..).zip(publishes).map(|(id, publish)| Publish { id, ..publish }).collect();
    let answers = append(&api, &key, &producer, &publishes).await?;
    match media {
        Media::One(_) => one(&key.room, answers),
        Media::Batch => Ok(batch(&key.room, &answers)),
    }
}

fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    let unsupported = |detail| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BAD_REQUEST, detail);
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported("a body with a Content-Encoding is not taken"));
    }
    let content_type = header_text(headers, header::CONTENT_TYPE.as_str())?;
    content_type.and_then(Media::new).ok_or_else(|| {
        unsupported(
            "Content-Type has to be application/json, text/plain (UTF-8), application/octet-stream, or \
             application/x-ndjson for a batch",
        )
    })
}

/// Under which producer, and from which id on. Whoever asks again with the same key asks for the same record.
fn numbered(headers: &HeaderMap) -> Result<(ProducerId, u64), Problem> {
    let key = header_text(headers, "idempotency-key")?;
    let own = (header_text(headers, "loquic-producer")?, header_text(headers, "loquic-id")?);
    match (key, own) {
        (Some(key), (None, None)) => {
            let is_sound = (1..=limits::HTTP_IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic());
            let producer = is_sound.then(|| producer_of(key));
            let detail = format!(
                "an Idempotency-Key is 1 to {} visible ASCII characters",
                limits::HTTP_IDEMPOTENCY_KEY_BYTES_MAX
            );
            producer.map(|producer| (producer, 1)).ok_or_else(|| Problem::bad_request(detail))
        }
        (None, (Some(producer), Some(id))) => {
            let id = id.parse().ok().filter(|id| (1..=u64::MAX - limits::HTTP_BATCH_RECORDS_MAX as u64).contains(id));
            let producer = parse_producer(producer);
            let detail = "Loquic-Producer is 32 hexadecimal digits, and Loquic-Id a number from 1 on";
            producer.zip(id).ok_or_else(|| Problem::bad_request(detail))
        }
        (None, (None, None)) => {
            let mut id = [0; 16];
            let filled = rand::fill(&mut id).map_err(|_| Problem::of(Code::INTERNAL, "there are no random numbers"));
            filled.map(|()| (ProducerId(id), 1))
        }
        (None, _) => Err(Problem::bad_request("Loquic-Producer and Loquic-Id belong together")),
        (Some(_), _) => Err(Problem::bad_request("Idempotency-Key and Loquic-Producer exclude each other")),
    }
}

fn producer_of(key: &str) -> ProducerId {
    let hash = digest(&SHA256, format!("http:{key}").as_bytes());
    let mut id = [0; 16];
    // Both are that long.
    id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    ProducerId(id)
}

fn parse_producer(text: &str) -> Option<ProducerId> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(ProducerId(number.to_be_bytes()))
}

async fn read(api: &Api, headers: &HeaderMap, media: Media, body: Body) -> Result<Vec<Publish>, Problem> {
    let (payload_max, patience) = (api.options.payload_bytes_max, api.options.body_timeout);
    match media {
        Media::One(format) => {
            let payload = read_body(headers, body, payload_max, patience).await?;
            Ok(vec![payload::one(headers, format, payload)?])
        }
        Media::Batch => {
            let body = read_body(headers, body, limits::HTTP_BATCH_BYTES_MAX, patience).await?;
            payload::batch(&body, payload_max)
        }
    }
}

/// An answer for each publish, counted like those of sessions.
async fn append(
    api: &Api,
    room: &RoomKey,
    producer: &ProducerKey,
    publishes: &[Publish],
) -> Result<Vec<Result<Ack, Nack>>, Problem> {
    let stats = api.sessions.stats();
    stats.note_publishes(publishes.len());
    let answers = api.sessions.rooms().append(room, producer, publishes).await?;
    for answer in &answers {
        stats.note_answer(&answer.clone().map_or_else(Answer::Nack, Answer::Ack));
    }
    Ok(answers)
}

fn one(room: &RoomName, answers: Vec<Result<Ack, Nack>>) -> Result<Response, Problem> {
    let answer = answers.into_iter().next();
    let ack = answer.ok_or_else(|| Problem::of(Code::INTERNAL, "there is no answer"))?;
    let ack = ack.map_err(|nack| Problem::from(&nack))?;
    // Texts and numbers always make JSON.
    let body = serde_json::to_vec(&json::Ack::of(room, &ack)).unwrap_or_default();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let location = [(header::LOCATION, format!("/v1/rooms/{room}/records/{}", ack.position.offset))];
    Ok(match ack.duplicate {
        Duplicate::No => (StatusCode::CREATED, headers, location, body).into_response(),
        Duplicate::Yes => (headers, location, body).into_response(),
        // There is nothing there any more.
        Duplicate::Trimmed => (headers, body).into_response(),
    })
}

fn batch(room: &RoomName, answers: &[Result<Ack, Nack>]) -> Response {
    let mut body = Vec::with_capacity(128 * answers.len());
    for answer in answers {
        // Writing to a vector does not fail.
        let _ = match answer {
            Ok(ack) => serde_json::to_writer(&mut body, &json::Ack::of(room, ack)),
            Err(nack) => serde_json::to_writer(&mut body, &Problem::from(nack).body()),
        };
        body.push(b'\n');
    }
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producer_of_a_key_is_the_start_of_its_hash() {
        // printf 'http:order-42' | sha256sum
        let hex: String = producer_of("order-42").0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5257663e92a19eedbadd2fea69c82e5b");
        assert_eq!(parse_producer(&hex), Some(producer_of("order-42")));
        for bad in ["", "1", "0123456789abcdef0123456789abcdeg", "+123456789abcdef0123456789abcdef"] {
            assert_eq!(parse_producer(bad), None, "{bad}");
        }
    }
}
