//! The sessions of a run.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use loquic_client::{Client, Endpoint, Error, OutboxBounds, SessionId, Status};
use tokio::sync::watch;

use crate::{
    cli::Failed,
    limits::{CONNECTING_MAX, OUTBOX_BYTES_MAX, OUTBOX_COUNT_MAX},
    network::Network,
    plan::{Plan, Transport},
};

pub(crate) struct Sessions {
    clients: Vec<Client>,
    /// Shared by the sessions: a packet of one wakes the task that reads for all, and takes theirs along.
    endpoints: Vec<Endpoint>,
    seen: Vec<(watch::Receiver<Status>, Option<SessionId>)>,
    reconnects: u64,
}

impl Sessions {
    /// Opens all of them.
    pub(crate) async fn open(plan: &Plan, network: &Network) -> Result<Self, Failed> {
        // A network has one link for each address, and every session is to have its own.
        let count = if network.is_impaired() { usize::MAX } else { plan.threads };
        let endpoints = (0..count.min(plan.sessions as usize)).map(|_| bind()).collect::<Result<Vec<_>, _>>();
        let endpoints = endpoints.map_err(Failed::tool)?;
        let clients: Vec<Client> = stream::iter(0..plan.sessions as usize)
            .map(|number| connect(plan, network.url(), number, &endpoints[number % endpoints.len()]))
            .buffered(CONNECTING_MAX)
            .try_collect()
            .await
            .map_err(|error| failed(plan, &error))?;
        let seen = clients.iter().map(|client| (client.status(), None)).collect();
        Ok(Self { clients, endpoints, seen, reconnects: 0 })
    }

    pub(crate) fn client(&self, session: usize) -> &Client {
        &self.clients[session]
    }

    /// How many are connected now.
    pub(crate) fn online(&mut self) -> u64 {
        let mut online = 0;
        for (status, known) in &mut self.seen {
            if let Status::Online { session, .. } = &*status.borrow() {
                online += 1;
                self.reconnects += u64::from(known.replace(*session).is_some_and(|known| known != *session));
            }
        }
        online
    }

    /// How many were lost and came back, as far as [`online`](Self::online) was asked in between.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Says goodbye, so that the server need not wait for their silence.
    pub(crate) async fn close(self) {
        for client in &self.clients {
            client.close().await;
        }
        drop(self.clients);
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
    }
}

/// For both address families where the system has both.
fn bind() -> Result<Endpoint, Error> {
    let any = |address: std::net::IpAddr| Endpoint::bind(SocketAddr::from((address, 0)));
    any(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| any(Ipv4Addr::UNSPECIFIED.into()))
}

async fn connect(plan: &Plan, url: &str, number: usize, endpoint: &Endpoint) -> Result<Client, Error> {
    let transport = match plan.transport {
        Transport::Quic => loquic_client::Transport::Quic,
        Transport::WebTransport => loquic_client::Transport::WebTransport,
        Transport::WebSocket => loquic_client::Transport::WebSocket,
    };
    Client::builder(url)
        .transport(transport)
        .name(format!("loadgen-{number}"))
        .endpoint(endpoint)
        .danger_accept_any_certificate(plan.insecure)
        .outbox(OutboxBounds { count_max: OUTBOX_COUNT_MAX, bytes_max: OUTBOX_BYTES_MAX })
        .connect_timeout(plan.connect_timeout.max(Duration::from_millis(1)))
        .connect()
        .await
}

fn failed(plan: &Plan, error: &Error) -> Failed {
    let advice = match error {
        Error::Address(_) => return Failed::Usage(format!("--url: {error}")),
        Error::Connect(_) | Error::TimedOut | Error::Tls(_) if plan.insecure => "\n    Is the server running there?",
        Error::Connect(_) | Error::TimedOut | Error::Tls(_) => {
            "\n    Is the server running there? A development server's certificate is taken with --insecure."
        }
        _ => "",
    };
    Failed::tool(format_args!("{}: {error}{advice}", plan.url))
}
