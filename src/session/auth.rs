//! Who a session is, and what it may do. Tokens become another [`Authenticator`].

use std::{net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;
use loquic_wire::{Code, Principal, RoomName, TenantName, Time, control::Auth};

use crate::room::Refusal;

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

/// Admits everybody under any name that is asked for, into the tenant `main`, and allows everything but to moderate.
/// For `--dev`.
#[derive(Debug, Clone, Copy)]
pub struct DangerAdmitEverybody;

impl Authenticator for DangerAdmitEverybody {
    fn authenticate<'a>(&'a self, auth: &'a Auth, _: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>> {
        let admission = match auth {
            Auth::Anonymous { name } => Ok(Admission {
                principal: Principal { tenant: TenantName::main(), user: name.clone() },
                permissions: Arc::new(DangerAllowEverything),
                expires_at: None,
            }),
            Auth::Bearer { .. } => {
                let message = "this server was not told how to verify tokens".to_owned();
                Err(Refusal { code: Code::NOT_OFFERED, message })
            }
        };
        Box::pin(std::future::ready(admission))
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
