//! How a client command reaches a server, and who it says it is.

use std::{
    convert::Infallible,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::ValueEnum;
use loquic_client::{Client, Error, Status};
use loquic_wire::UserName;

use super::{Exit, Failed};

/// Flags of every command that is a client.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    /// The server
    #[arg(long, env = "LOQUIC_URL", default_value = "https://127.0.0.1:4433")]
    url: String,
    /// How to get there
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    transport: Transport,
    /// PEM file with the authorities to trust in place of the system's; a development server's certs/dev.pem is one
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate: for a development server only
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// The name to use where the server accepts any [default: the user's name on this machine]
    #[arg(long, conflicts_with = "token")]
    name: Option<UserName>,
    /// The token that says who you are; other users of this machine see flags, so rather set the variable
    #[arg(long, env = "LOQUIC_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// The transports that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "WebTransport is a name")]
pub(crate) enum Transport {
    /// `loquic-1` straight over QUIC
    Quic,
    /// WebTransport, as browsers do
    #[value(name = "webtransport")]
    WebTransport,
    /// a WebSocket, where UDP does not get through
    #[value(name = "websocket")]
    WebSocket,
    /// QUIC, and a WebSocket if that does not connect in half a second
    Auto,
}

impl Connect {
    /// Opens a session, and says what to do if there is none.
    pub(super) async fn open(&self) -> Result<Client, Failed> {
        let transport = match self.transport {
            Transport::Quic => loquic_client::Transport::Quic,
            Transport::WebTransport => loquic_client::Transport::WebTransport,
            Transport::WebSocket => loquic_client::Transport::WebSocket,
            Transport::Auto => loquic_client::Transport::Auto,
        };
        let builder = Client::builder(&self.url).transport(transport).danger_accept_any_certificate(self.insecure);
        let builder = match &self.ca {
            Some(path) => builder.ca_pem(fs::read(path).map_err(|error| {
                Failed::new(format_args!("cannot read the authorities of --ca from {}: {error}", path.display()))
            })?),
            None => builder,
        };
        let builder = match self.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => builder.token(token),
            None => builder.name(self.user()),
        };
        let client = builder.connect().await;
        client.map_err(|error| match error {
            Error::Connect(_) | Error::TimedOut | Error::Tls(_) => {
                Failed::new(format_args!("{}: {error}{}", self.url, self.advice()))
            }
            other => other.into(),
        })
    }

    fn user(&self) -> String {
        let of_machine = || std::env::var("USER").ok().filter(|name| UserName::new(name).is_ok());
        self.name.as_ref().map(ToString::to_string).or_else(of_machine).unwrap_or_else(|| "cli".into())
    }

    fn advice(&self) -> &'static str {
        match self.insecure {
            true => "\n    Is the server running there? Another address is given with --url.",
            false => {
                "\n    Is the server running there? Whom to trust is given with --ca, \
             and a development server's certificate is taken with --insecure."
            }
        }
    }
}

/// Tells on standard error when the connection is lost and when it is back, for as long as it is polled.
pub(super) async fn tell(client: &Client) -> Infallible {
    let mut status = client.status();
    let mut lost = false;
    loop {
        let line = match &*status.borrow_and_update() {
            Status::Waiting { error, .. } if !lost => {
                lost = true;
                Some(format!("loquic: the connection is lost, tries again: {error}"))
            }
            Status::Online { .. } if lost => {
                lost = false;
                Some("loquic: connected again".to_owned())
            }
            _ => None,
        };
        if let Some(line) = line {
            // Nobody is left to be told if standard error is closed.
            let _ = writeln!(io::stderr(), "{line}");
        }
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::Refused { .. } | Error::PayloadTooLarge { .. } | Error::RoomsFull { .. } => Exit::Refused,
            Error::Address(_) | Error::Name(_) => Exit::Usage,
            _ => Exit::Failure,
        };
        Self { exit, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::Code;

    use super::*;

    #[test]
    fn who_is_at_fault_decides_the_exit_code() {
        let refused = Error::Refused { code: Code::FORBIDDEN, message: "".into(), retry_after: Default::default() };
        assert_eq!(Failed::from(refused).exit, Exit::Refused);
        assert_eq!(Failed::from(Error::PayloadTooLarge { length: 2, max: 1 }).exit, Exit::Refused);
        assert_eq!(Failed::from(Error::Address("x".into())).exit, Exit::Usage);
        assert_eq!(Failed::from(Error::TimedOut).exit, Exit::Failure);
    }
}
