//! `loquic token`: the tokens that clients show.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use loquic_wire::{RoomPattern, UserName};

use super::{Exit, Failed};
use crate::{
    config::unit,
    token::{Claims, Right, Signer, Verifier},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token: for trying out, for scripts, and to compare with what your own service makes
    Mint(Mint),
    /// Say what a token allows, or why it is not good
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Mint {
    /// Who shows it
    #[arg(long)]
    user: UserName,
    /// What it allows where, like 'chat:**=read,publish,presence'; may be given several times
    #[arg(long = "room", value_name = "PATTERN=RIGHTS", required = true)]
    rooms: Vec<Grant>,
    /// How long it is good
    #[arg(long = "for", value_name = "SPAN", default_value = "1h", value_parser = span)]
    span: Duration,
    /// File with the secret that the server checks with, or with the private key, in PEM, of its public one
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The token, or - to read it from standard input; other users of this machine see arguments
    #[arg(default_value = "-")]
    token: String,
    /// File with the secret or the public key that the server checks with
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// The issuer that the server wants
    #[arg(long)]
    issuer: Option<String>,
    /// The audience that the server wants
    #[arg(long)]
    audience: Option<String>,
}

#[derive(Debug, Clone)]
struct Grant(RoomPattern, Vec<Right>);

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, rights) = text.split_once('=').ok_or("it has no =; an example is 'chat:**=read,publish'")?;
        let pattern = RoomPattern::new(pattern).map_err(|error| error.to_string())?;
        Ok(Self(pattern, rights.split(',').map(str::parse).collect::<Result<_, _>>()?))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let span = unit::parse_duration(text).filter(|span| !span.is_zero());
    span.ok_or_else(|| "a duration has a unit (s, m, h, d), like 1h".to_owned())
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        match self {
            Self::Mint(mint) => mint.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl Mint {
    fn run(self) -> Result<Exit, Failed> {
        let signer = Signer::open(&self.key_file).map_err(Failed::new)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            user: self.user,
            expires: now.saturating_add(self.span).as_secs(),
            rooms: self.rooms.into_iter().map(|Grant(pattern, rights)| (pattern, rights)).collect(),
        };
        let Wanted { issuer, audience } = self.wanted;
        let token = signer.sign(&claims, issuer.as_deref(), audience.as_deref()).map_err(Failed::new)?;
        writeln!(io::stdout().lock(), "{token}")?;
        Ok(Exit::Success)
    }
}

impl Check {
    fn run(self) -> Result<Exit, Failed> {
        let Wanted { issuer, audience } = self.wanted;
        let verifier = Verifier::open(&self.key_file, issuer.as_deref(), audience.as_deref()).map_err(Failed::new)?;
        let mut token = self.token;
        if token == "-" {
            token.clear();
            let read = io::stdin().lock().take(TOKEN_INPUT_BYTES_MAX).read_to_string(&mut token);
            read.map_err(|error| Failed::new(format_args!("cannot read the token: {error}")))?;
        }
        let claims = verifier.verify(token.trim()).map_err(Failed::new)?;
        let mut out = io::stdout().lock();
        if self.json {
            let rights = |rights: &[Right]| rights.iter().map(ToString::to_string).collect::<Vec<_>>();
            let rooms: serde_json::Map<_, _> =
                claims.rooms.iter().map(|(room, all)| (room.as_str().to_owned(), rights(all).into())).collect();
            let json = serde_json::json!({ "user": claims.user.as_str(), "expires": claims.expires, "rooms": rooms });
            writeln!(out, "{json}")?;
        } else {
            let time = time::OffsetDateTime::from_unix_timestamp(i64::try_from(claims.expires).unwrap_or(i64::MAX));
            let text = time.ok().and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
            writeln!(out, "user     {}", claims.user)?;
            writeln!(out, "expires  {}", text.unwrap_or_else(|| claims.expires.to_string()))?;
            for (room, rights) in &claims.rooms {
                let rights: Vec<_> = rights.iter().map(ToString::to_string).collect();
                writeln!(out, "rooms    {}: {}", room.as_str(), rights.join(", "))?;
            }
        }
        Ok(Exit::Success)
    }
}

/// Longer than any token that a server takes.
const TOKEN_INPUT_BYTES_MAX: u64 = 64 * 1024;
