//! The one place where everything is put together, in one order, and taken apart in the reverse one.

mod options;
mod ports;
mod renewal;
mod status;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    api::{self, Addresses, Api, Info, Listener, Page, Router},
    config::{
        Config,
        certs::{CertError, Identity},
        limits,
    },
    journal::local::Ended,
    log::{Directory, DirectoryError, MarkFile, Rocks, StoreError},
    metrics::{Metrics, Ports},
    room::{Journal, Place, Rooms},
    session,
    token::KeyError,
    transport::{
        Link,
        endpoint::{Endpoint, Serve},
        tls::Certificates,
        websocket::Acceptor,
    },
};

use self::{
    ports::{bind_http, bind_https, bind_quic},
    status::Status,
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
    http: Http,
    websockets: Arc<Acceptor>,
    status: Arc<Status>,
    drain_timeout: Duration,
    /// Goes on as long as the server is there.
    _renewal: JoinSet<()>,
}

/// The HTTP ports and their tasks.
struct Http {
    public: Vec<Arc<Listener>>,
    page: Vec<Arc<Listener>>,
    ops: Vec<Arc<Listener>>,
    serving: JoinSet<()>,
    stop: Vec<oneshot::Sender<()>>,
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
    /// The key of tokens.
    #[error(transparent)]
    Tokens(#[from] KeyError),
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
        "cannot listen on {protocol} {address}: {error}; is another program using the port? Choose another one with {flag}"
    )]
    Listen {
        /// UDP or TCP.
        protocol: &'static str,
        /// Which one.
        address: SocketAddr,
        /// Why not.
        error: String,
        /// What sets the address.
        flag: &'static str,
    },
    /// The demo page.
    #[error(
        "cannot read the demo page from {path}: {error}; build it first, or name another directory with --demo-dir"
    )]
    Page {
        /// From where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl Server {
    /// Starts a node: first what can refuse to start, then the log, then the ports. Must be called inside a runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let started = SystemTime::now();
        let identity = config.identity.load()?;
        let hashes = identity.trusted_hashes();
        let Identity { chain, key, .. } = identity;
        let certificates = Certificates::new(chain, key)?;
        let page = open_page(&config)?;
        let admissions = options::admissions(&config)?;
        let directory = Directory::open(&config.data_dir, || config.node.to_string())?;
        let endpoints = bind_quic(&config, &certificates)?;
        let mut http = Http::bind(&config, &certificates, &endpoints)?;
        let (rooms, journal) = open_rooms(&config, &directory)?;
        let sessions = session::Shared::new(rooms.clone(), admissions, options::session(&config));
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
        let websockets = Acceptor::new(options::websocket(&config), Sessions(sessions.clone()));
        let ports = Ports { endpoints: endpoints.clone(), listeners: http.named(), websockets: websockets.clone() };
        let info = Arc::new(Info::new(config.node.clone(), &http.addresses(&endpoints), &config.advertise));
        info.set_certificate_hashes(hashes);
        let api = Api::new(sessions.clone(), info.clone(), options::api(&config));
        let metrics = Metrics::new(started, sessions.clone(), rooms.clone(), ports, api.clone());
        let status = Arc::new(Status::new(metrics, rooms.clone()));
        http.start(api::api(api, websockets.clone()), &info, page, status.clone());
        let mut renewal = JoinSet::new();
        renewal.spawn(renewal::run(config.identity.clone(), certificates, info));
        let drain_timeout = config.timeouts.drain;
        Ok(Self {
            directory,
            rooms,
            journal,
            sessions,
            endpoints,
            serving,
            stop,
            http,
            websockets,
            status,
            drain_timeout,
            _renewal: renewal,
        })
    }

    /// The addresses that are listened on for QUIC.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.local_address()).collect()
    }

    /// The addresses that are listened on for HTTPS.
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.http.public)
    }

    /// The addresses that are listened on for plain HTTP.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.http.page)
    }

    /// The addresses that are listened on for operators.
    pub fn ops_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.http.ops)
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
    /// Whoever sends clients here is told first, and can watch until the end.
    pub async fn drain(mut self) {
        self.status.drain();
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
        self.websockets.close().await;
        self.end_log().await;
    }

    async fn end_log(self) {
        let Self { directory, journal, http, .. } = self;
        let ended = tokio::task::spawn_blocking(move || match journal.end() {
            Ended::Clean => directory.close_clean(),
            Ended::Unclean => Ok(()),
        });
        match ended.await {
            Ok(Ok(())) => info!("the log is closed"),
            Ok(Err(error)) => warn!(%error, "cannot note that the log was closed in good order"),
            Err(error) => warn!(%error, "closing the log was cut short"),
        }
        http.end().await;
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

impl Http {
    fn bind(config: &Config, certificates: &Certificates, quic: &[Arc<Endpoint>]) -> Result<Self, StartError> {
        let public = bind_https(config, certificates, quic)?;
        let page = bind_http(&config.http, config, "--http-listen")?;
        let ops = bind_http(&config.ops, config, "--ops-listen")?;
        for address in addresses(&page).into_iter().chain(addresses(&ops)).filter(|it| !it.ip().is_loopback()) {
            warn!(%address, "plain HTTP that other machines reach: nothing is encrypted, and nobody is asked who they are");
        }
        Ok(Self { public, page, ops, serving: JoinSet::new(), stop: Vec::new() })
    }

    /// Each listener with its name.
    fn named(&self) -> Vec<(&'static str, Arc<Listener>)> {
        let named = |name, listeners: &[Arc<Listener>]| listeners.iter().map(move |it| (name, it.clone())).collect();
        let all: [Vec<_>; 3] = [named("https", &self.public), named("http", &self.page), named("ops", &self.ops)];
        all.concat()
    }

    /// Where what is to be had.
    fn addresses(&self, quic: &[Arc<Endpoint>]) -> Addresses {
        Addresses {
            quic: quic.iter().map(|endpoint| endpoint.local_address()).collect(),
            https: addresses(&self.public),
            http: addresses(&self.page),
        }
    }

    fn start(&mut self, api: Router, info: &Info, page: Page, status: Arc<Status>) {
        let (public, local, ops) = (api::public(api.clone()), api::local(api, info, page), api::ops::router(status));
        let groups = [(&self.public, public), (&self.page, local), (&self.ops, ops)];
        for (listener, router) in groups.iter().flat_map(|(group, router)| group.iter().map(move |it| (it, router))) {
            let (sender, stopped) = oneshot::channel::<()>();
            self.serving.spawn(listener.clone().run(router.clone(), async {
                // A dropped sender ends it as well.
                let _ = stopped.await;
            }));
            self.stop.push(sender);
        }
    }

    /// Answers what was asked, at most `limits::HTTP_CLOSING_TIMEOUT`.
    async fn end(mut self) {
        drop(self.stop);
        let answered = async { while self.serving.join_next().await.is_some() {} };
        if timeout(limits::HTTP_CLOSING_TIMEOUT, answered).await.is_err() {
            debug!("some HTTP clients did not take their answers");
        }
    }
}

fn addresses(listeners: &[Arc<Listener>]) -> Vec<SocketAddr> {
    listeners.iter().map(|listener| listener.local_address()).collect()
}

fn open_page(config: &Config) -> Result<Page, StartError> {
    Page::open(config.demo_dir.clone()).map_err(|error| {
        let path = config.demo_dir.clone().unwrap_or_default();
        StartError::Page { path, error }
    })
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
