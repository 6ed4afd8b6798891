//! How a client command reaches a server, and who it says it is.

use std::sync::Arc;

use clap::ValueEnum;
use loquic_wire::UserName;

/// Flags of every command that is a client.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    /// The server
    #[arg(long, env = "LOQUIC_URL", default_value = "https://127.0.0.1:4433")]
    pub(super) url: String,
    /// How to get there
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    pub(super) transport: Transport,
    /// Take any certificate: for a development server only
    #[arg(long)]
    pub(super) insecure: bool,
    /// The name to use where the server accepts any [default: the user's name on this machine]
    #[arg(long, conflicts_with = "token")]
    pub(super) name: Option<UserName>,
    /// The token that says who you are; other users of this machine see flags, so rather set the variable
    #[arg(long, env = "LOQUIC_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
}

/// The transports that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// `loquic-1` straight over QUIC
    Quic,
}

impl Connect {
    /// The name to ask for.
    pub(super) fn user(&self) -> UserName {
        let chosen = self.name.clone().or_else(|| UserName::new(&std::env::var("USER").ok()?).ok());
        chosen.unwrap_or_else(|| UserName::new("cli").expect("three letters are a name"))
    }

    /// The token, if there is one.
    pub(super) fn token(&self) -> Option<Arc<str>> {
        self.token.as_deref().filter(|token| !token.is_empty()).map(Into::into)
    }
}
