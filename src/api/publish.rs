//! `POST /v1/rooms/{room}/records`: one record, or a batch.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use loquic_wire::{
    Code, RoomName,
    publish::{Ack, Duplicate, Nack, Publish},
};

use super::{
    Api,
    caller::Caller,
    payload::{self, Media},
    problem::Problem,
    producer,
    request::{Named, header_text, read_body},
};
use crate::{
    config::limits,
    notation::json,
    room::{Answer, Author, RoomKey},
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
    let (producer, first_id) = producer::numbered(&parts.headers)?.map_or_else(producer::random, Ok)?;
    let author = caller.author(&key, producer);
    let publishes = read(&api, &parts.headers, media, body).await?;
    let publishes: Vec<Publish> = (first_id..).zip(publishes).map(|(id, publish)| Publish { id, ..publish }).collect();
    let answers = append(&api, &key, &author, &publishes).await?;
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
pub(super) async fn append(
    api: &Api,
    room: &RoomKey,
    author: &Author,
    publishes: &[Publish],
) -> Result<Vec<Result<Ack, Nack>>, Problem> {
    let stats = api.sessions.stats();
    stats.note_publishes(publishes.len());
    let answers = api.sessions.rooms().append(room, author, publishes).await?;
    for answer in &answers {
        stats.note_answer(&answer.clone().map_or_else(Answer::Nack, Answer::Ack));
    }
    Ok(answers)
}

fn one(room: &RoomName, answers: Vec<Result<Ack, Nack>>) -> Result<Response, Problem> {
    let ack = only(answers)?.map_err(|nack| Problem::from(&nack))?;
    Ok(acked(room, &ack, StatusCode::CREATED))
}

/// The answer to a single publish.
pub(super) fn only(answers: Vec<Result<Ack, Nack>>) -> Result<Result<Ack, Nack>, Problem> {
    answers.into_iter().next().ok_or_else(|| Problem::of(Code::INTERNAL, "there is no answer"))
}

/// The record is there; `status` is for one that was not there before.
pub(super) fn acked(room: &RoomName, ack: &Ack, status: StatusCode) -> Response {
    // Texts and numbers always make JSON.
    let body = serde_json::to_vec(&json::Ack::of(room, ack)).unwrap_or_default();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let location = [(header::LOCATION, format!("/v1/rooms/{room}/records/{}", ack.position.offset))];
    match ack.duplicate {
        Duplicate::No => (status, headers, location, body).into_response(),
        Duplicate::Yes => (headers, location, body).into_response(),
        // There is nothing there any more.
        Duplicate::Trimmed => (headers, body).into_response(),
    }
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
