//! Frames of the control stream: greeting, tokens, liveness, peeking, and the end of a session.

use std::sync::Arc;

use crate::{
    Code, coded_enum, coded_struct,
    coding::{Decode, DecodeError, Encode, Reader, put_bytes},
    id::{Principal, SessionId},
    limits,
    name::{RoomName, UserName},
    position::{Epoch, Millis, Offset, Time},
};

/// A bearer token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub Arc<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Encode for Token {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.0.as_bytes());
    }
}

impl Decode for Token {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self(input.text("a token", limits::TOKEN_BYTES_MAX)?.into()))
    }
}

coded_enum! {
    /// Who the client says it is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Auth {
        /// Nobody vouches for the name; only servers that were told to accept this do.
        Anonymous {
            /// The name asked for.
            name: UserName,
        } = 0,
        /// The token says who.
        Bearer {
            /// The token.
            token: Token,
        } = 1,
    }
}

coded_struct! {
    /// The first frame of a session; the stream that carries it is the control stream.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Hello {
        /// The versions of the protocol that the client speaks, best first.
        pub versions: Vec<u16>,
        /// Who the client says it is.
        pub auth: Auth,
        /// What the client is, for the server's log: `loquic-client/0.1.0`.
        pub client: Arc<str>,
        /// The session that this one replaces; it must be of the same principal.
        pub previous: Option<SessionId>,
    }
}

coded_struct! {
    /// What the client keeps to in this session.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SessionLimits {
        /// Joins and watches open at once.
        pub rooms_max: u32,
        /// Reads open at once.
        pub reads_max: u32,
        /// Publish streams open at once.
        pub publish_max: u32,
        /// Longest payload in bytes.
        pub payload_bytes_max: u32,
    }
}

coded_struct! {
    /// The session is open.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Welcome {
        /// The version of the protocol that is spoken from here on.
        pub version: u16,
        /// The session.
        pub session: SessionId,
        /// The node's name.
        pub node: Arc<str>,
        /// Who the session is.
        pub principal: Principal,
        /// What the client keeps to.
        pub limits: SessionLimits,
        /// How often the client sends `Ping`.
        pub ping_interval: Millis,
        /// When the token expires, if it does.
        pub expires_at: Option<Time>,
        /// The server's clock.
        pub server_time: Time,
        /// Where else the client may go: URLs.
        pub nodes: Vec<Arc<str>>,
    }
}

coded_struct! {
    /// What a stream's first frame asked for is refused; the stream ends.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Refused {
        /// Why.
        pub code: Code,
        /// Why, for a person; at most [`limits::TEXT_BYTES_MAX`].
        pub message: Arc<str>,
        /// When to try again; 0 leaves it to the code.
        pub retry_after: Millis,
    }
}

coded_struct! {
    /// A new token for the same principal.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Refresh {
        /// The token.
        pub token: Token,
    }
}

coded_struct! {
    /// The new token is accepted.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Refreshed {
        /// When it expires, if it does.
        pub expires_at: Option<Time>,
    }
}

coded_struct! {
    /// The token is about to expire.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Expiring {
        /// When.
        pub at: Time,
    }
}

coded_struct! {
    /// Are you there.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Ping {
        /// Comes back in `Pong`.
        pub token: u64,
    }
}

coded_struct! {
    /// The answer to `Ping`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Pong {
        /// The token of the `Ping`.
        pub token: u64,
        /// The server's clock.
        pub server_time: Time,
    }
}

/// Where are these rooms; at most [`limits::PEEK_ROOMS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// The rooms.
    pub rooms: Vec<RoomName>,
}

impl Encode for Peek {
    fn encode(&self, out: &mut Vec<u8>) {
        self.rooms.encode(out);
    }
}

impl Decode for Peek {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self { rooms: input.list("rooms", limits::PEEK_ROOMS_MAX)? })
    }
}

coded_struct! {
    /// Where one room is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RoomStatus {
        /// The epoch that is being written.
        pub epoch: Epoch,
        /// The last offset, 0 if there is no record.
        pub head: Offset,
        /// The oldest offset still held; head + 1 if none is.
        pub floor: Offset,
        /// The principal's read mark.
        pub mark: Option<Offset>,
    }
}

coded_struct! {
    /// The answer to `Peek`, one entry a room in the order asked; `None` for a room the principal may not see.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Peeked {
        /// The rooms.
        pub rooms: Vec<Option<RoomStatus>>,
    }
}

coded_struct! {
    /// The principal's read mark in a room has moved, in this session or another.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Marked {
        /// The room.
        pub room: RoomName,
        /// Read up to here.
        pub offset: Offset,
    }
}

coded_enum! {
    /// Why a client should go.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum GoawayReason {
        /// The node is shutting down.
        Shutdown = 0,
        /// The node has too much to do.
        Rebalance = 1,
    }
}

coded_struct! {
    /// Go elsewhere, or wait and come back. The session goes on until the deadline.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Goaway {
        /// Why.
        pub reason: GoawayReason,
        /// The session ends after this time.
        pub deadline: Millis,
        /// Wait this long before the next session to the same node.
        pub delay: Millis,
        /// Where to go: URLs; empty means back to the same node.
        pub nodes: Vec<Arc<str>>,
    }
}

coded_struct! {
    /// The session ends. The client closes on it; the server closes by force two seconds later.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Closing {
        /// Why.
        pub code: Code,
        /// Why, for a person; at most [`limits::TEXT_BYTES_MAX`].
        pub reason: Arc<str>,
    }
}
