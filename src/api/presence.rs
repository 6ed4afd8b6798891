//! `GET /v1/rooms/{room}/presence`: how many are in a room, and a page of who.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use loquic_wire::{Code, UserName, who::Members};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    caller::Caller,
    history::put,
    problem::Problem,
    request::{Named, Parameters},
};
use crate::{config::limits, session::auth::Action};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Member<'a> {
    user: &'a str,
    sessions: u32,
}

#[derive(Serialize)]
struct Page<'a> {
    room: &'a str,
    count: u64,
    members: Vec<Member<'a>>,
    more: bool,
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(room): Named,
    Parameters(Which { after, limit }): Parameters<Which>,
) -> Result<Response, Problem> {
    let key = caller.key(Action::Presence, room)?;
    let after = after.map(|name| UserName::new(&name)).transpose();
    let after = after.map_err(|error| Problem::of(Code::BAD_NAME, format!("after: {error}")))?;
    let limit = limit.unwrap_or(limits::HTTP_MEMBERS_DEFAULT);
    if limit == 0 {
        return Err(Problem::bad_request("limit=0: a page of nobody"));
    }
    // The room need not be in memory, and nobody who asks like this is in it.
    let Members { count, members, more } = api.sessions.presence().members(&key, after.as_ref(), limit);
    let members = members.iter().map(|it| Member { user: it.user.as_str(), sessions: it.sessions }).collect();
    let mut body = Vec::new();
    put(&mut body, &Page { room: key.room.as_str(), count, members, more });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}
