//! Who asks: the same authenticator and the same permissions as for sessions.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use loquic_wire::{
    Code, ProducerId, RoomName, TenantName, Time, UserName,
    control::{Auth, Token},
    limits::TOKEN_BYTES_MAX,
};

use super::{Api, problem::Problem, request::header_text};
use crate::{
    room::{Author, ProducerKey, Refusal, Room, RoomKey},
    session::auth::{Action, Admission},
};

/// The name of who gives none. A server that wants tokens refuses it like any other name.
const NOBODY: &str = "anonymous";

/// Where a request comes from; the listener puts it there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who asks, and what it may do.
pub(super) struct Caller(Admission);

impl Caller {
    /// When its token ends, if it does.
    pub(super) fn expires_at(&self) -> Option<Time> {
        self.0.expires_at
    }

    /// The room, if it may do this there.
    pub(super) fn key(&self, action: Action, room: RoomName) -> Result<RoomKey, Problem> {
        if !self.0.permissions.may(action, &room) {
            return Err(Problem::forbidden(room.as_str()));
        }
        Ok(RoomKey { tenant: self.0.principal.tenant.clone(), room })
    }

    /// It, as somebody who appends to the room.
    pub(super) fn author(&self, room: &RoomKey, producer: ProducerId) -> Author {
        let moderates = self.0.permissions.may(Action::Moderate, &room.room);
        Author { producer: ProducerKey { user: self.0.principal.user.clone(), producer }, moderates }
    }

    /// The room itself.
    pub(super) async fn attach(&self, api: &Api, action: Action, room: RoomName) -> Result<Arc<Room>, Problem> {
        Ok(api.sessions.rooms().attach(&self.key(action, room)?).await?)
    }

    /// Its tenant, if it may see the names of all rooms that begin like this.
    pub(super) fn tenant_of(&self, prefix: &str) -> Result<&TenantName, Problem> {
        let may = self.0.permissions.may_watch_prefix(prefix);
        if may { Ok(&self.0.principal.tenant) } else { Err(Problem::forbidden(prefix)) }
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let auth = auth(&parts.headers)?;
        let nowhere = || Peer(SocketAddr::from(([0, 0, 0, 0], 0)));
        let Peer(peer) = parts.extensions.get().copied().unwrap_or_else(nowhere);
        api.sessions.authenticate(&auth, peer).await.map(Self).map_err(Problem::unauthenticated)
    }
}

fn auth(headers: &HeaderMap) -> Result<Auth, Problem> {
    let name = header_text(headers, "loquic-name")?;
    let Some(authorization) = header_text(headers, header::AUTHORIZATION.as_str())? else {
        let name = UserName::new(name.unwrap_or(NOBODY));
        return name
            .map(|name| Auth::Anonymous { name })
            .map_err(|error| Problem::of(Code::BAD_NAME, format!("Loquic-Name: {error}")));
    };
    let token = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token.map(|(_, token)| token.trim()) {
        Some(token) if !token.is_empty() && token.len() <= TOKEN_BYTES_MAX => {
            Ok(Auth::Bearer { token: Token(token.into()) })
        }
        _ => {
            let message = format!("Authorization has to be 'Bearer TOKEN', with at most {TOKEN_BYTES_MAX} bytes");
            Err(Problem::unauthenticated(Refusal { code: Code::BAD_TOKEN, message }))
        }
    }
}
