//! `GET /v1/rooms/{room}`: where a room is, and `GET /v1/rooms`: which rooms there are.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use loquic_wire::{Code, RoomName, limits::ROOM_BYTES_MAX};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    caller::Caller,
    history::put,
    problem::Problem,
    request::{Named, Parameters},
};
use crate::{
    config::limits,
    room::{Listed, Status},
    session::auth::Action,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Room<'a> {
    room: &'a str,
    epoch: u64,
    head: u64,
    floor: u64,
}

#[derive(Serialize)]
struct Page<'a> {
    rooms: Vec<Room<'a>>,
    more: bool,
}

impl<'a> Room<'a> {
    fn new(room: &'a RoomName, status: Status) -> Self {
        let Status { epoch, head, floor } = status;
        Self { room: room.as_str(), epoch: epoch.get(), head: head.get(), floor: floor.get() }
    }
}

/// A room without a record is a room: whoever publishes first makes no other difference.
pub(super) async fn get(State(api): State<Arc<Api>>, caller: Caller, Named(name): Named) -> Result<Response, Problem> {
    let room = caller.attach(&api, Action::Read, name.clone()).await?;
    Ok(answer(&Room::new(&name, room.status())))
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Response, Problem> {
    let Which { prefix, after, limit } = which;
    if prefix.len() > ROOM_BYTES_MAX {
        return Err(Problem::of(Code::BAD_NAME, "prefix is longer than any room name"));
    }
    if let Some(other) = prefix.chars().find(|c| !(c.is_ascii_alphanumeric() || "_~@.-:".contains(*c))) {
        return Err(Problem::of(Code::BAD_NAME, format!("prefix: {other:?} is in no room name")));
    }
    let after = after.map(|name| RoomName::new(&name)).transpose();
    let after = after.map_err(|error| Problem::of(Code::BAD_NAME, format!("after: {error}")))?;
    let limit = limit.unwrap_or(limits::HTTP_ROOMS_DEFAULT);
    if limit == 0 {
        return Err(Problem::bad_request("limit=0: a list of no rooms"));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let tenant = caller.tenant_of(&prefix)?;
    let Listed { rooms, more } = api.sessions.rooms().list(tenant, &prefix, after.as_ref(), limit).await?;
    let rooms = rooms.iter().map(|(name, status)| Room::new(name, *status)).collect();
    Ok(answer(&Page { rooms, more }))
}

fn answer(body: &impl Serialize) -> Response {
    let mut out = Vec::new();
    put(&mut out, body);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, out).into_response()
}
