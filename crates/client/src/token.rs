//! Who the client says it is.

use std::future::Future;

use futures::{FutureExt, future::BoxFuture};
use loquic_wire::{
    UserName,
    control::{Auth, Token},
};

use crate::error::Error;

/// Why a token is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// For a new session.
    Connect,
    /// The session's token is about to expire.
    Expiring,
    /// The server did not take the last one.
    Rejected,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// Ask again later; the client waits as it does when a connection fails.
    Retry(String),
    /// There will be none; the client ends.
    Stop(String),
}

/// Where tokens come from. Closures that return a future are providers.
pub trait TokenProvider: Send + Sync {
    /// A token for this occasion.
    fn token(&self, reason: TokenReason) -> BoxFuture<'static, Result<String, TokenError>>;
}

impl<F, T> TokenProvider for F
where
    F: Fn(TokenReason) -> T + Send + Sync,
    T: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    fn token(&self, reason: TokenReason) -> BoxFuture<'static, Result<String, TokenError>> {
        self(reason).boxed()
    }
}

/// Where the first frame's `auth` comes from.
pub(crate) enum Identity {
    Anonymous(UserName),
    Token(Token),
    Provider(Box<dyn TokenProvider>),
}

impl Identity {
    pub(crate) async fn auth(&self, reason: TokenReason) -> Result<Auth, Error> {
        match self {
            Self::Anonymous(name) => Ok(Auth::Anonymous { name: name.clone() }),
            Self::Token(token) => Ok(Auth::Bearer { token: token.clone() }),
            Self::Provider(provider) => match provider.token(reason).await {
                Ok(token) => Ok(Auth::Bearer { token: Token(token.into()) }),
                Err(TokenError::Retry(reason)) => Err(Error::Connect(format!("no token: {reason}").into())),
                Err(TokenError::Stop(reason)) => Err(Error::Token(reason.into())),
            },
        }
    }

    /// Whether asking again can give something else.
    pub(crate) fn is_fresh_each_time(&self) -> bool {
        matches!(self, Self::Provider(_))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous(name) => write!(f, "Anonymous({name})"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Provider(_) => f.write_str("Provider(…)"),
        }
    }
}
