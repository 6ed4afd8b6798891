//! `loquic serve`: one node, from its configuration to its drain.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, Failed, logging::Logging};
use crate::{
    config::{Config, Flags, limits},
    server::Server,
};

/// Run a node.
///
/// Prints one line of JSON with the actual addresses when it is ready. The first SIGTERM or SIGINT tells clients and
/// lets them leave; the second ends at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Try it out: listen on this machine only, with a development certificate, and let everybody in under any name
    #[arg(long)]
    dev: bool,
    /// Configuration file; `loquic config print` shows what can be in it
    #[arg(long, value_name = "FILE", env = "LOQUIC_CONFIG")]
    config: Option<PathBuf>,
    /// Where the rooms are kept [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// UDP address for QUIC and TCP address for HTTPS, several times for several [default: every address, port 4433;
    /// with --dev 127.0.0.1:4433]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// TCP address for plain HTTP, the page and the API, several times for several [default: none; with --dev
    /// 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    http_listen: Vec<SocketAddr>,
    /// TCP address for operators, metrics and health, several times for several [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Vec<SocketAddr>,
    /// Read the demo page from this directory in place of the one that is built in
    #[arg(long, value_name = "DIR")]
    demo_dir: Option<PathBuf>,
    #[command(flatten)]
    logging: Logging,
}

/// The line on standard output that scripts wait for.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    quic: Vec<String>,
    https: Vec<String>,
    http: Vec<String>,
    ops: Vec<String>,
    data_dir: &'a Path,
    version: &'static str,
    pid: u32,
}

/// The library of WebTransport warns of whatever a peer does wrong, as often as the peer likes.
const LOG: &str = "info,web_transport_quinn=error";

impl Serve {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        self.logging.start(LOG)?;
        let flags = Flags {
            dev: self.dev,
            file: self.config,
            data_dir: self.data_dir,
            listen: self.listen,
            http_listen: self.http_listen,
            ops_listen: self.ops_listen,
            demo_dir: self.demo_dir,
        };
        let config = Config::load(&flags)
            .map_err(|problems| Failed::usage(format_args!("the configuration does not hold:\n{problems}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.runtime.workers)
            .max_blocking_threads(limits::READ_THREADS_MAX)
            .enable_all()
            .build()
            .map_err(|error| Failed::new(format_args!("cannot start {} threads: {error}", config.runtime.workers)))?;
        let result = runtime.block_on(serve(config));
        // Nothing is left to wait for: after a drain everything is on the disk, and a second signal does not wait.
        runtime.shutdown_background();
        result
    }
}

async fn serve(config: Config) -> Result<Exit, Failed> {
    // Before the server starts, so that a signal during a long recovery is not lost.
    let mut signals = Signals::new().map_err(|error| Failed::new(format_args!("cannot handle signals: {error}")))?;
    let data_dir = config.data_dir.clone();
    let drain_timeout = config.timeouts.drain;
    if config.danger_accept_any_name {
        tracing::warn!("everybody who reaches this node may use any name");
    }
    let server = tokio::select! {
        server = Server::start(config) => server.map_err(Failed::new)?,
        () = signals.next() => return Ok(Exit::Success),
    };
    print_ready(&server, &data_dir)?;
    signals.next().await;
    tracing::info!(?drain_timeout, "drains; a second signal ends at once");
    tokio::select! {
        () = server.drain() => {
            tracing::info!("is drained");
            Ok(Exit::Success)
        }
        () = signals.next() => Err(Failed::new("ended by a second signal before the drain was over")),
    }
}

fn print_ready(server: &Server, data_dir: &Path) -> Result<(), Failed> {
    let texts = |addresses: Vec<SocketAddr>| addresses.iter().map(SocketAddr::to_string).collect();
    let ready = Ready {
        event: "ready",
        quic: texts(server.addresses()),
        https: texts(server.https_addresses()),
        http: texts(server.http_addresses()),
        ops: texts(server.ops_addresses()),
        data_dir,
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
    };
    let line = serde_json::to_string(&ready).map_err(Failed::new)?;
    let mut out = io::stdout().lock();
    // A supervisor that has closed the pipe is not a reason to stop serving.
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "cannot print the ready line");
    }
    Ok(())
}

/// The two signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
