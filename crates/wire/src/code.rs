//! The one registry of codes. The range alone tells any client what to do, so a client that is older than a code still
//! acts rightly.

use std::{fmt, time::Duration};

/// Why something was refused or ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u16);

crate::coded_newtype!(Code);

/// What a client does about a code; decided by its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// 1000–1999: try again now.
    RetryNow,
    /// 2000–2999: try again after the delay that came with the code.
    RetryLater,
    /// 3000–3999: do not try again; the request has to change.
    FixRequest,
    /// 4000–4999: the session is over; authenticate again.
    Reauthenticate,
    /// 5000–5999 and everything unknown: the server is at fault; try again, on another node where there is one.
    RetryElsewhere,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $number:literal $constant:ident $name:literal),* $(,)?) => {
        impl Code {
            $($(#[doc = $doc])* pub const $constant: Self = Self($number);)*

            /// Every code with its name and what it means, in order.
            pub const ALL: &[(Self, &'static str, &'static str)] = &[
                $((Self::$constant, $name, concat!($($doc),*).trim_ascii())),*
            ];
        }
    };
}

codes! {
    /// The session or stream ended in good order: the peer left, or the server is done with it.
    1000 DONE "done",
    /// A publish's id is past the next one expected; send from `expected` on.
    1001 ID_GAP "id_gap",
    /// A publish was not looked at because one before it failed; send it again in order.
    1002 SKIPPED "skipped",
    /// The node has not applied the position yet; try again.
    1003 NOT_YET_APPLIED "not_yet_applied",
    /// The peer was silent for too long.
    1004 TIMED_OUT "timed_out",

    /// A queue is full: the room takes in less than is being published.
    2001 OVERLOADED "overloaded",
    /// The node is shutting down; it, or another one, takes sessions again after the delay.
    2002 DRAINING "draining",
    /// The node holds as many sessions as it may.
    2003 TOO_MANY_SESSIONS "too_many_sessions",
    /// The disk is nearly full; reads go on, publishes are refused until there is room.
    2004 DISK_FULL "disk_full",
    /// More requests than the limit in a span of time.
    2005 RATE_LIMITED "rate_limited",

    /// The bytes are not a frame of this protocol.
    3001 BAD_FRAME "bad_frame",
    /// A frame is longer than its kind allows.
    3002 FRAME_TOO_LARGE "frame_too_large",
    /// A frame came where its kind is not allowed.
    3003 UNEXPECTED_FRAME "unexpected_frame",
    /// A room, user or tenant name breaks the grammar of names.
    3004 BAD_NAME "bad_name",
    /// A payload is longer than the server allows.
    3005 PAYLOAD_TOO_LARGE "payload_too_large",
    /// The principal may not do this.
    3006 FORBIDDEN "forbidden",
    /// The position is past the head of the room.
    3007 POSITION_AHEAD "position_ahead",
    /// The id was used before with another payload.
    3008 CONFLICT "conflict",
    /// A newer stream publishes under the same producer.
    3009 FENCED "fenced",
    /// The session has as many streams of this sort as it may.
    3010 TOO_MANY_STREAMS "too_many_streams",
    /// No version of the protocol is known to both sides.
    3011 UNSUPPORTED_VERSION "unsupported_version",
    /// The frame is part of the protocol, but this server does not offer what it asks for.
    3012 NOT_OFFERED "not_offered",
    /// The record kind is reserved for the server, or `refers` names no earlier record.
    3013 BAD_RECORD "bad_record",
    /// More publishes in flight than `Opened` allowed, or more credit than a number holds.
    3014 FLOW_CONTROL "flow_control",
    /// The stream's first frame did not come in time.
    3015 STREAM_TIMEOUT "stream_timeout",
    /// The HTTP API has nothing at this path.
    3016 NOT_FOUND "not_found",
    /// A request of the HTTP API is malformed: a header, a parameter or the body.
    3020 BAD_REQUEST "bad_request",

    /// The first frame was not a `Hello`, or it did not come in time.
    4001 UNAUTHENTICATED "unauthenticated",
    /// The token is not valid here.
    4002 BAD_TOKEN "bad_token",
    /// The token has expired.
    4003 TOKEN_EXPIRED "token_expired",
    /// The new token is somebody else's.
    4004 PRINCIPAL_CHANGED "principal_changed",
    /// A second `Hello` on one session.
    4005 ALREADY_GREETED "already_greeted",

    /// The server failed in a way that is its own fault.
    5001 INTERNAL "internal",
    /// A write to the log failed; the node takes no publishes until it is restarted. Reads go on.
    5002 LOG_POISONED "log_poisoned",
    /// Stored bytes are not what was written.
    5003 LOG_CORRUPT "log_corrupt",
}

impl Code {
    /// What a client does about it.
    pub fn action(self) -> Action {
        match self.0 {
            1000..=1999 => Action::RetryNow,
            2000..=2999 => Action::RetryLater,
            3000..=3999 => Action::FixRequest,
            4000..=4999 => Action::Reauthenticate,
            _ => Action::RetryElsewhere,
        }
    }

    /// The code's name, if this build knows it.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(code, ..)| *code == self).map(|(_, name, _)| *name)
    }

    /// How long a client waits before it tries again when the server named no delay.
    pub fn default_delay(self) -> Duration {
        match self.action() {
            Action::RetryLater => Duration::from_secs(1),
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
