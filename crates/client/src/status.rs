//! What a client is doing about its connection.

use std::{sync::Arc, time::Duration};

use loquic_wire::{Code, Principal, SessionId};

use crate::error::Error;

/// The state of a client. Rooms and publishers go on by themselves in all of them but the last.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// A connection is being made.
    Connecting,
    /// A session is open.
    Online {
        /// The session.
        session: SessionId,
        /// The node that it is with.
        node: Arc<str>,
        /// Who the client is there.
        principal: Principal,
    },
    /// The next attempt comes after the delay.
    Waiting {
        /// What went wrong.
        error: Error,
        /// How long it waits.
        delay: Duration,
    },
    /// It will not connect again.
    Closed {
        /// Why; `None` if this side closed it.
        error: Option<Error>,
    },
}

impl Status {
    /// The protocol's code for why it is so, where there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Waiting { error, .. } | Self::Closed { error: Some(error) } => error.code(),
            _ => None,
        }
    }

    /// Whether a session is open.
    pub fn is_online(&self) -> bool {
        matches!(self, Self::Online { .. })
    }
}
