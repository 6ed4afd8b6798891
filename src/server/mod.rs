//! The one place where everything is put together, in one order, and taken apart in the reverse one.

mod options;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use crate::{
    config::{
        Config,
        certs::{CertError, Identity},
        limits,
    },
    journal::local::Ended,
    log::{Directory, DirectoryError, MarkFile, Rocks, StoreError},
    room::{Journal, Place, Rooms},
    session::{self, auth::DangerAdmitEverybody},
    transport::{
        Link,
        endpoint::{BindError, Endpoint, Serve},
        tls::Certificates,
    },
};

/// A running node.
pub struct Server {
    directory: Directory,
    rooms: Rooms,
    journal: Journal,
    sessions: Arc<session::Shared>,
    endpoints: Vec<Arc<Endpoint>>,
    serving: JoinSet<()>,
    stop: Vec<oneshot::Sender<()>>,
    drain_timeout: Duration,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// The certificate and its key, taken together.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The mark file.
    #[error("cannot open the mark file in {path}: {error}")]
    Mark {
        /// In which directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The log.
    #[error("cannot open the log in {path}: {error}")]
    Store {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: StoreError,
    },
    /// A port.
    #[error(
        "cannot listen on UDP {address}: {error}; is another program using the port? Choose another one with --listen"
    )]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why not.
        error: String,
    },
}

impl Server {
    /// Starts a node: first what can refuse to start, then the log, then the ports. Must be called inside a runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let Identity { chain, key, .. } = config.identity.load()?;
        let certificates = Certificates::new(chain, key)?;
        let directory = Directory::open(&config.data_dir, || config.node.to_string())?;
        let endpoints = bind(&config, &certificates)?;
        let (rooms, journal) = open_rooms(&config, &directory)?;
        let sessions = session::Shared::new(rooms.clone(), DangerAdmitEverybody, options::session(&config));
        let (mut serving, mut stop) = (JoinSet::new(), Vec::new());
        for endpoint in &endpoints {
            let (sender, stopped) = oneshot::channel::<()>();
            let shared = sessions.clone();
            serving.spawn(endpoint.clone().run(Sessions(shared), async {
                // A dropped sender ends it as well.
                let _ = stopped.await;
            }));
            stop.push(sender);
        }
        let drain_timeout = config.timeouts.drain;
        Ok(Self { directory, rooms, journal, sessions, endpoints, serving, stop, drain_timeout })
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.local_address()).collect()
    }

    /// The rooms.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// The sessions.
    pub fn sessions(&self) -> &Arc<session::Shared> {
        &self.sessions
    }

    /// Tells clients to leave, waits until they have, at most the configured time, and closes the log in good order.
    pub async fn drain(mut self) {
        let (deadline, delay) = (Instant::now() + self.drain_timeout, limits::RESTART_DELAY);
        self.sessions.drain(session::Drain { deadline, delay, nodes: Vec::new() });
        let patience = self.drain_timeout + limits::CLOSING_TIMEOUT;
        if timeout(patience, self.sessions.emptied()).await.is_err() {
            warn!(left = self.sessions.sessions(), "sessions that did not leave are cut off");
        }
        drop(std::mem::take(&mut self.stop));
        for endpoint in &self.endpoints {
            endpoint.close().await;
        }
        self.serving.shutdown().await;
        self.end_log().await;
    }

    async fn end_log(self) {
        let Self { directory, journal, .. } = self;
        let ended = tokio::task::spawn_blocking(move || match journal.end() {
            Ended::Clean => directory.close_clean(),
            Ended::Unclean => Ok(()),
        });
        match ended.await {
            Ok(Ok(())) => info!("the log is closed"),
            Ok(Err(error)) => warn!(%error, "cannot note that the log was closed in good order"),
            Err(error) => warn!(%error, "closing the log was cut short"),
        }
    }
}

/// Makes a session of every link.
#[derive(Clone)]
struct Sessions(Arc<session::Shared>);

impl Serve for Sessions {
    async fn serve<L: Link>(self, link: L) {
        session::run(link, self.0).await;
    }
}

fn bind(config: &Config, certificates: &Certificates) -> Result<Vec<Arc<Endpoint>>, StartError> {
    let bind = |address: &SocketAddr| {
        Endpoint::bind(*address, certificates.clone(), options::endpoint(config)).map_err(|error| {
            let error = match error {
                BindError::Socket { error, .. } => error.to_string(),
                BindError::Tls(error) => error,
            };
            StartError::Listen { address: *address, error }
        })
    };
    config.quic.iter().map(bind).collect()
}

fn open_rooms(config: &Config, directory: &Directory) -> Result<(Rooms, Journal), StartError> {
    let path = directory.path().to_path_buf();
    let mark = MarkFile::open(&path).map_err(|error| StartError::Mark { path: path.clone(), error })?;
    let store_path = directory.store_path();
    let unreadable = |error| StartError::Store { path: store_path.clone(), error };
    let store = Rocks::open(&store_path, options::rocks(config)).map_err(unreadable)?;
    let place = Place { directory: Some(path), clean: directory.was_clean(), mark: Some(mark) };
    Rooms::open(Arc::new(store), place, options::rooms(config)).map_err(unreadable)
}
