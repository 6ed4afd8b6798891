//! How a client is set up.

use std::{future::Future, sync::Arc, time::Duration};

use loquic_wire::{ProducerId, UserName, control::Token};

use crate::{
    address::Address,
    backoff::Backoff,
    client::Client,
    core::{Config, OutboxBounds},
    endpoint::{self, Endpoint, Endpoints, Ways},
    error::Error,
    tls::{self, Trust},
    token::{Identity, TokenError, TokenReason},
    transport::Transport,
};

/// Sets a client up. Made by [`Client::builder`].
#[derive(Debug)]
pub struct Builder {
    url: String,
    trust: Trust,
    identity: Result<Identity, Error>,
    transport: Transport,
    endpoint: Option<Endpoint>,
    producer: Option<ProducerId>,
    backoff: Backoff,
    outbox: OutboxBounds,
    credit: u64,
    connect_timeout: Duration,
}

/// The user name when nothing was said.
const NAME_DEFAULT: &str = "anonymous";

/// An attempt at one address, and most of another one.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

impl Builder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            trust: Trust::System,
            identity: anonymous(NAME_DEFAULT),
            transport: Transport::default(),
            endpoint: None,
            producer: None,
            backoff: Backoff::default(),
            outbox: OutboxBounds::default(),
            credit: endpoint::CREDIT_BYTES_DEFAULT,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
        }
    }

    /// A user name that nobody vouches for, which only servers that were told to accept. Default `anonymous`.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.identity = anonymous(name.as_ref());
        self
    }

    /// A token that says who the client is. Once the server does not take it any more, the client ends.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.identity = Ok(Identity::Token(Token(token.into().into())));
        self
    }

    /// A source of tokens: asked for each session, before a token expires, and when one was refused.
    pub fn token_provider<F, T>(mut self, provider: F) -> Self
    where
        F: Fn(TokenReason) -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.identity = Ok(Identity::Provider(Box::new(provider)));
        self
    }

    /// Trusts these authorities (PEM text) in place of the system's.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.trust = Trust::Authorities(pem.as_ref().into());
        self
    }

    /// Trusts the server certificate with this SHA-256 hash, whatever its name, age and issuer. Can be said several
    /// times: a server that renews its certificate publishes the next hash in advance.
    pub fn certificate_hash(mut self, sha256: [u8; 32]) -> Self {
        match &mut self.trust {
            Trust::Hashes(hashes) => hashes.push(sha256),
            other => *other = Trust::Hashes(vec![sha256]),
        }
        self
    }

    /// Trusts any certificate: whoever sits on the path can read and change everything. For development on one machine.
    pub fn danger_accept_any_certificate(mut self, accept: bool) -> Self {
        if accept {
            self.trust = Trust::Anyone;
        }
        self
    }

    /// How to get to the server. Default: straight over QUIC.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Shares a UDP socket with other clients. Default: a socket of its own.
    pub fn endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.endpoint = Some(endpoint.clone());
        self
    }

    /// Under which identity publishes are numbered. Default: a random one. Whoever keeps it over restarts must not use
    /// it in two clients at once: the newer one ends the older one's publishing.
    pub fn producer(mut self, producer: ProducerId) -> Self {
        self.producer = Some(producer);
        self
    }

    /// Bounds of the wait between attempts to connect.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Bounds of the publishes that wait for an answer, for each room.
    pub fn outbox(mut self, bounds: OutboxBounds) -> Self {
        self.outbox = bounds;
        self
    }

    /// Bytes of records that may wait for the application, for each room; at least 384 KiB, default 1 MiB. It is less
    /// where the server allows so many rooms that all of them together would exceed 128 MiB.
    pub fn credit(mut self, bytes: u64) -> Self {
        self.credit = bytes;
        self
    }

    /// How long [`connect`](Self::connect) tries. Default 15 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects and waits for the first session. Fails at once where trying again is of no use, otherwise with the last
    /// reason when the time is up. Once connected, the client stays so by itself.
    pub async fn connect(self) -> Result<Client, Error> {
        let connect_timeout = self.connect_timeout;
        let client = self.connect_lazy()?;
        client.online(connect_timeout).await?;
        Ok(client)
    }

    /// Returns at once and connects behind the scenes, for as long as it takes. Must be called inside a tokio runtime.
    pub fn connect_lazy(self) -> Result<Client, Error> {
        let producer = match self.producer {
            Some(producer) => producer,
            None => {
                let mut bytes = [0; 16];
                tls::random(&mut bytes)?;
                ProducerId(bytes)
            }
        };
        Ok(Client::start(Config {
            address: Address::parse(&self.url)?,
            endpoints: Endpoints::new(self.endpoint),
            ways: Ways::new(&self.trust, self.transport)?,
            identity: self.identity?,
            producer,
            backoff: self.backoff,
            outbox: self.outbox,
            credit: self.credit,
        }))
    }
}

fn anonymous(name: &str) -> Result<Identity, Error> {
    Ok(Identity::Anonymous(UserName::new(name)?))
}

/// Shared configurations are checked once.
const _: fn() = || {
    fn is_shareable<T: Send + Sync + 'static>() {}
    is_shareable::<Arc<Config>>();
    is_shareable::<Client>();
};
