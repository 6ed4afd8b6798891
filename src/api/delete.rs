//! `DELETE /v1/rooms/{room}/records/{offset}`: the record stays, its content goes.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use loquic_wire::{
    Code, Flags, Format, Kind, Offset,
    publish::{Nack, Publish},
};

use super::{
    Api,
    caller::Caller,
    problem::Problem,
    producer,
    publish::{acked, append, only},
    request::{At, Named},
};
use crate::session::auth::Action;

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(room): Named,
    At(offset): At,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = caller.key(Action::Publish, room)?;
    let (producer, id) = producer::numbered(&headers)?.unwrap_or_else(|| producer::of_delete(offset));
    let (kind, format, flags) = (Kind::DELETE, Format::Bytes, Flags::NONE);
    let publish = Publish { id, kind, format, flags, refers: Some(offset), payload: Bytes::new() };
    let answers = append(&api, &key, &caller.author(&key, producer), &[publish]).await?;
    let ack = only(answers)?.map_err(|nack| problem(offset, &nack))?;
    Ok(acked(&key.room, &ack, StatusCode::OK))
}

fn problem(offset: Offset, nack: &Nack) -> Problem {
    match nack.code {
        Code::FORBIDDEN => Problem::of(
            Code::FORBIDDEN,
            format!("record {offset} is somebody else's: to delete it takes the right to moderate"),
        ),
        Code::BAD_RECORD => Problem::of(
            Code::NOT_FOUND,
            format!("there is no record {offset} here that could be deleted: not yet, not any more, or it is a delete"),
        ),
        _ => Problem::from(nack),
    }
}
