//! What can go wrong, and what to do about it.

use std::{sync::Arc, time::Duration};

use loquic_wire::{
    Code, FrameError,
    code::Action,
    coding::DecodeError,
    control::{Closing, Refused},
    name::NameError,
};

/// Why something failed. Cheap to clone, because one cause can end many publishes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one.
    #[error("{0:?} is not an address like https://example.com:4433")]
    Address(Arc<str>),
    /// A name breaks the grammar of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Certificates, keys or the system's trust store cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(Arc<str>),
    /// No connection came about. The client tries again by itself once it has been connected.
    #[error("cannot connect: {0}")]
    Connect(Arc<str>),
    /// The connection was lost under something that cannot go on in the next one.
    #[error("the connection was lost: {0}")]
    Disconnected(Arc<str>),
    /// The server said no, or ended what was going on.
    #[error("the server refused: {code}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// Its code; the range says what to do.
        code: Code,
        /// For people; may be empty.
        message: Arc<str>,
        /// How long the server asks to wait before the next attempt; zero if it does not say.
        retry_after: Duration,
    },
    /// The token provider gave no token.
    #[error("no token: {0}")]
    Token(Arc<str>),
    /// The outbox holds as much as it may. Only `try_publish` says so; `publish` waits.
    #[error("the outbox of the room is full")]
    OutboxFull,
    /// The payload is longer than the server takes.
    #[error("the payload has {length} bytes, the server takes at most {max}")]
    PayloadTooLarge {
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// As many rooms are joined as the server allows in one session.
    #[error("the server allows {max} joined rooms in one session")]
    RoomsFull {
        /// The server's limit.
        max: u32,
    },
    /// It took too long.
    #[error("timed out")]
    TimedOut,
    /// The client was closed on this side. The outcome of publishes that wait is unknown.
    #[error("the client is closed")]
    Closed,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(Arc<str>),
}

impl Error {
    /// The protocol's code for it, where there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Name(_) => Some(Code::BAD_NAME),
            Self::PayloadTooLarge { .. } => Some(Code::PAYLOAD_TOO_LARGE),
            Self::RoomsFull { .. } => Some(Code::TOO_MANY_STREAMS),
            Self::OutboxFull => Some(Code::OVERLOADED),
            Self::TimedOut => Some(Code::TIMED_OUT),
            Self::Protocol(_) => Some(Code::BAD_FRAME),
            Self::Address(_)
            | Self::Tls(_)
            | Self::Connect(_)
            | Self::Disconnected(_)
            | Self::Token(_)
            | Self::Closed => None,
        }
    }

    /// Whether the same thing may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                matches!(code.action(), Action::RetryNow | Action::RetryLater | Action::RetryElsewhere)
            }
            Self::Connect(_) | Self::Disconnected(_) | Self::OutboxFull | Self::RoomsFull { .. } | Self::TimedOut => {
                true
            }
            _ => false,
        }
    }

    /// How long to wait before the next attempt, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { code, retry_after, .. } if retry_after.is_zero() => {
                Some(code.default_delay()).filter(|delay| !delay.is_zero())
            }
            Self::Refused { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    pub(crate) fn code_only(code: Code, retry_after: Duration) -> Self {
        Self::Refused { code, message: "".into(), retry_after }
    }

    pub(crate) fn disconnected(reason: impl std::fmt::Display) -> Self {
        Self::Disconnected(reason.to_string().into())
    }

    pub(crate) fn protocol(reason: impl std::fmt::Display) -> Self {
        Self::Protocol(reason.to_string().into())
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused { code: refused.code, message: refused.message, retry_after: refused.retry_after.into() }
    }
}

impl From<Closing> for Error {
    fn from(closing: Closing) -> Self {
        Self::Refused { code: closing.code, message: closing.reason, retry_after: Duration::ZERO }
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::protocol(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::protocol(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_code_decides() {
        for (code, retryable) in [
            (Code::ID_GAP, true),
            (Code::DRAINING, true),
            (Code::FORBIDDEN, false),
            (Code::BAD_TOKEN, false),
            (Code::INTERNAL, true),
        ] {
            assert_eq!(Error::code_only(code, Duration::ZERO).retryable(), retryable, "{code}");
        }
    }

    #[test]
    fn a_delay_that_is_missing_is_the_default_of_the_code() {
        assert_eq!(Error::code_only(Code::OVERLOADED, Duration::ZERO).retry_after(), Some(Duration::from_secs(1)));
        assert_eq!(
            Error::code_only(Code::OVERLOADED, Duration::from_secs(7)).retry_after(),
            Some(Duration::from_secs(7))
        );
        assert_eq!(Error::code_only(Code::SKIPPED, Duration::ZERO).retry_after(), None);
    }
}
