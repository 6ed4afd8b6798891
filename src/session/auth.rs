//! Who a session is, and what it may do.

use std::{net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;
use loquic_wire::{Code, Principal, RoomName, TenantName, Time, UserName, control::Auth};

use crate::{
    room::Refusal,
    token::{Claims, Right, TokenError, Verifier},
};

/// Decides who a client is. Called once per session and once per `Refresh`.
pub trait Authenticator: Send + Sync + 'static {
    /// Admits the client at `peer`, or says why not. Waited for at most `limits::HELLO_TIMEOUT`.
    fn authenticate<'a>(&'a self, auth: &'a Auth, peer: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>>;
}

/// A client that is known.
#[derive(Clone)]
pub struct Admission {
    /// Who it is.
    pub principal: Principal,
    /// What it may do.
    pub permissions: Arc<dyn Permissions>,
    /// When it has to show another token, if it has to.
    pub expires_at: Option<Time>,
}

/// What a session asks to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Subscribe.
    Join,
    /// Append.
    Publish,
    /// Read the log, or peek.
    Read,
    /// Follow the head.
    Watch,
    /// Send ephemerals to a room that it has joined.
    Say,
    /// Learn who is there.
    Presence,
    /// Delete what others have published.
    Moderate,
}

/// What one principal may do. Asked for each stream, so it must be cheap.
pub trait Permissions: Send + Sync + 'static {
    /// Whether it may do this in this room.
    fn may(&self, action: Action, room: &RoomName) -> bool;

    /// Whether it may follow the heads of all rooms whose names begin with `prefix`.
    fn may_watch_prefix(&self, prefix: &str) -> bool;
}

/// Admits who has a good token, and, if the operator wants it so, everybody else under any name. All into the tenant
/// `main`.
pub struct Admissions {
    /// Checks tokens; without it none are taken.
    pub verifier: Option<Verifier>,
    /// Whether names are taken that nobody vouches for, and everything is allowed to whoever uses them.
    pub danger_accept_any_name: bool,
}

/// Everybody, and no tokens.
pub const DANGER_ADMIT_EVERYBODY: Admissions = Admissions { verifier: None, danger_accept_any_name: true };

impl Admissions {
    fn admit(&self, auth: &Auth) -> Result<Admission, Refusal> {
        match (auth, &self.verifier) {
            (Auth::Anonymous { name }, _) if self.danger_accept_any_name => Ok(anybody(name)),
            (Auth::Anonymous { .. }, _) => {
                let message = "this server admits only who has a token".to_owned();
                Err(Refusal { code: Code::UNAUTHENTICATED, message })
            }
            (Auth::Bearer { token }, Some(verifier)) => verifier.verify(&token.0).map(bearer).map_err(refuse),
            (Auth::Bearer { .. }, None) => {
                let message = "this server was not told how to verify tokens".to_owned();
                Err(Refusal { code: Code::NOT_OFFERED, message })
            }
        }
    }
}

impl Authenticator for Admissions {
    fn authenticate<'a>(&'a self, auth: &'a Auth, _: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>> {
        Box::pin(std::future::ready(self.admit(auth)))
    }
}

fn refuse(error: TokenError) -> Refusal {
    let code = if error == TokenError::Expired { Code::TOKEN_EXPIRED } else { Code::BAD_TOKEN };
    Refusal { code, message: error.to_string() }
}

fn bearer(claims: Claims) -> Admission {
    Admission {
        principal: Principal { tenant: TenantName::main(), user: claims.user.clone() },
        expires_at: Some(Time::saturating(claims.expires.saturating_mul(1_000))),
        permissions: Arc::new(claims),
    }
}

impl Permissions for Claims {
    fn may(&self, action: Action, room: &RoomName) -> bool {
        let right = match action {
            Action::Join | Action::Read | Action::Watch => Right::Read,
            Action::Publish | Action::Say => Right::Publish,
            Action::Presence => Right::Presence,
            Action::Moderate => Right::Moderate,
        };
        Claims::may(self, right, room)
    }

    fn may_watch_prefix(&self, prefix: &str) -> bool {
        self.may_all(Right::Read, prefix)
    }
}

fn anybody(name: &UserName) -> Admission {
    Admission {
        principal: Principal { tenant: TenantName::main(), user: name.clone() },
        permissions: Arc::new(DangerAllowEverything),
        expires_at: None,
    }
}

/// Allows everything but to moderate: that takes somebody whom the others trust, and here nobody vouches for a name.
#[derive(Debug, Clone, Copy)]
pub struct DangerAllowEverything;

impl Permissions for DangerAllowEverything {
    fn may(&self, action: Action, _: &RoomName) -> bool {
        action != Action::Moderate
    }

    fn may_watch_prefix(&self, _: &str) -> bool {
        true
    }
}
