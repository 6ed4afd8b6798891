//! Keeps a session open: connects, greets, and after an end waits and connects again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use loquic_wire::{SessionId, VERSION, code::Action, control::Hello};

use crate::{
    address::Address,
    backoff::Jitter,
    core::{Core, Phase},
    error::Error,
    session::{self, Control, End},
    status::Status,
    token::TokenReason,
};

/// The task that owns the connection of one client.
pub(crate) struct Supervisor {
    core: Arc<Core>,
    jitter: Jitter,
    /// Of the last session; also how many there have been.
    generation: u64,
    previous: Option<SessionId>,
    /// Attempts since a session that lasted.
    attempt: u32,
    /// Tokens refused in a row.
    rejected: u32,
    /// Where the server says its clients may go, tried in turn when the first address fails.
    nodes: Vec<Address>,
    next_node: usize,
}

/// A session this long means that the server takes us: the next wait starts small again.
const LASTING: Duration = Duration::from_secs(5);

/// Fresh tokens that are tried before a refusal is final.
const REJECTED_MAX: u32 = 3;

/// More addresses than this from a server are not kept.
const NODES_MAX: usize = 16;

impl Supervisor {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let jitter = Jitter::new();
        Self { core, jitter, generation: 0, previous: None, attempt: 0, rejected: 0, nodes: Vec::new(), next_node: 0 }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let end = self.attempt().await;
            if self.core.closed().is_some() {
                return;
            }
            if !self.goes_on(&end.error) {
                tracing::warn!(error = %end.error, "the client ends");
                return self.core.close(end.error);
            }
            self.wait(end).await;
        }
    }

    /// One session, from the attempt to connect to its end.
    async fn attempt(&mut self) -> End {
        self.core.status.send_replace(Status::Connecting);
        let control = match self.connect().await {
            Ok(control) => control,
            Err(error) => {
                self.next_node += 1;
                return error.into();
            }
        };
        let start = Instant::now();
        self.welcome(&control);
        let end = control.run().await;
        self.core.phase.send_if_modified(|phase| {
            let online = matches!(phase, Phase::Online(_));
            if online {
                *phase = Phase::Offline;
            }
            online
        });
        if start.elapsed() >= LASTING {
            self.attempt = 0;
        }
        self.adopt(&end.nodes);
        end
    }

    async fn connect(&mut self) -> Result<Control, Error> {
        let config = Arc::clone(&self.core.config);
        let reason = if self.rejected > 0 { TokenReason::Rejected } else { TokenReason::Connect };
        let auth = config.identity.auth(reason).await?;
        let link = config.endpoints.connect(self.target(), &config.ways).await?;
        let client = concat!("loquic-client/", env!("CARGO_PKG_VERSION")).into();
        let hello = Hello { versions: vec![VERSION], auth, client, previous: self.previous };
        session::greet(link, hello, self.generation + 1, &config).await
    }

    fn welcome(&mut self, control: &Control) {
        let session = &control.session;
        let welcome = &session.welcome;
        self.generation = session.generation;
        self.previous = Some(welcome.session);
        self.rejected = 0;
        self.adopt(&welcome.nodes);
        self.core.payload_bytes_max.store(welcome.limits.payload_bytes_max as usize, Ordering::Relaxed);
        tracing::debug!(session = %welcome.session, node = %welcome.node, "online");
        let mut closed = false;
        self.core.phase.send_modify(|phase| match phase {
            Phase::Closed(_) => closed = true,
            _ => *phase = Phase::Online(Arc::clone(session)),
        });
        if closed {
            return session.link.close();
        }
        let (session, node, principal) = (welcome.session, Arc::clone(&welcome.node), welcome.principal.clone());
        self.core.status.send_replace(Status::Online { session, node, principal });
    }

    fn target(&self) -> &Address {
        let count = self.nodes.len() + 1;
        match self.next_node % count {
            0 => &self.core.config.address,
            index => &self.nodes[index - 1],
        }
    }

    /// Where else to go. A name that is no address is ignored: the first one is still there.
    fn adopt(&mut self, nodes: &[Arc<str>]) {
        if nodes.is_empty() {
            return;
        }
        let address = &self.core.config.address;
        let parsed = nodes.iter().filter_map(|node| Address::parse(node).ok()).filter(|node| node != address);
        self.nodes = parsed.take(NODES_MAX).collect();
    }

    /// Whether another attempt makes sense.
    fn goes_on(&mut self, error: &Error) -> bool {
        match error {
            Error::Refused { code, .. } => match code.action() {
                Action::FixRequest => false,
                Action::Reauthenticate => {
                    self.rejected += 1;
                    self.core.config.identity.is_fresh_each_time() && self.rejected <= REJECTED_MAX
                }
                Action::RetryNow | Action::RetryLater | Action::RetryElsewhere => true,
            },
            // Certificates are exchanged while servers run, but one that never fitted will not fit by waiting.
            Error::Tls(_) => self.generation > 0,
            Error::Token(_) | Error::Address(_) | Error::Name(_) => false,
            _ => true,
        }
    }

    async fn wait(&mut self, end: End) {
        let delay = self.core.config.backoff.delay(self.attempt, end.delay, self.jitter.next());
        self.attempt = self.attempt.saturating_add(1);
        if !end.nodes.is_empty() || matches!(end.error.code().map(|code| code.action()), Some(Action::RetryElsewhere)) {
            self.next_node += 1;
        }
        tracing::debug!(error = %end.error, ?delay, "waiting");
        self.core.status.send_replace(Status::Waiting { error: end.error, delay });
        tokio::time::sleep(delay).await;
    }
}
