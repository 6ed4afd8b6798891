//! What the operator decides: read from defaults, file, environment and flags, checked once, and handed on as plain
//! data. Nothing in here does anything; the server does.

pub mod certs;
mod layers;
pub mod limits;
pub mod origin;
mod policy;
mod print;
mod problem;
mod rooms;
mod sections;
mod setting;
pub mod unit;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use policy::{Class, Level, Policy};
pub use print::print;
pub use problem::{Place, Problem, Problems};
pub use rooms::Rooms;
pub use sections::{Advertise, Limits, Log, Runtime, Timeouts};

use layers::Layers;
use origin::Origin;
use sections::{Auth, Demo, Listen, Node, Origins, Tls};
use setting::Raw;

/// Where `serve --dev` listens: only this machine gets in, under any name it likes.
const DEV_LISTEN: &str = "127.0.0.1:4433";

/// From where pages get in with `--dev`: from any server on this machine.
const DEV_ORIGINS: [&str; 2] = ["http://localhost:*", "http://127.0.0.1:*"];

/// Where `serve --dev` serves the page.
const DEV_LISTEN_HTTP: &str = "127.0.0.1:8080";

/// Where development certificates live, in the working directory, unless somebody says otherwise.
pub const DEV_CERTS_DIR: &str = "certs";

/// A configuration that is whole and free of contradictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whether `--dev` was given.
    pub dev: bool,
    /// UDP addresses for QUIC; at least one.
    pub quic: Vec<SocketAddr>,
    /// TCP addresses for HTTPS; none: those of QUIC.
    pub https: Option<Vec<SocketAddr>>,
    /// TCP addresses for plain HTTP.
    pub http: Vec<SocketAddr>,
    /// TCP addresses for operators.
    pub ops: Vec<SocketAddr>,
    /// Where clients are told to find the node.
    pub advertise: Advertise,
    /// Where the demo page is read from, in place of the one that is built in.
    pub demo_dir: Option<PathBuf>,
    /// The node's name.
    pub node: Arc<str>,
    /// The directory with every room's log.
    pub data_dir: PathBuf,
    /// Where the certificate comes from.
    pub identity: IdentitySource,
    /// Whether everybody is let in under the name they ask for.
    pub danger_accept_any_name: bool,
    /// Which tokens are taken.
    pub tokens: Option<Tokens>,
    /// The origins of web pages that may open sessions.
    pub origins: Vec<Origin>,
    /// How much of everything.
    pub limits: Limits,
    /// How long the server waits.
    pub timeouts: Timeouts,
    /// The rooms' log on disk.
    pub log: Log,
    /// The process.
    pub runtime: Runtime,
    /// Which policy a room has.
    pub rooms: Rooms,
}

/// Which tokens a node takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The file with what they are checked with: a secret, or a public key in PEM.
    pub key: PathBuf,
    /// The issuer that they have to name.
    pub issuer: Option<Arc<str>>,
    /// The audience that they have to name.
    pub audience: Option<Arc<str>>,
}

/// Where a node's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// Two PEM files.
    Files {
        /// The certificate and those between it and the root.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// A development certificate that is made, kept and renewed in this directory.
    Development(PathBuf),
}

impl IdentitySource {
    /// Reads the certificate, or makes it.
    pub fn load(&self) -> Result<certs::Identity, certs::CertError> {
        match self {
            Self::Files { certificate, key } => certs::read(certificate, key),
            Self::Development(dir) => certs::dev_certificate(dir),
        }
    }
}

/// What was said on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--dev`.
    pub dev: bool,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`, as often as it was given.
    pub listen: Vec<SocketAddr>,
    /// `--http-listen`, as often as it was given.
    pub http_listen: Vec<SocketAddr>,
    /// `--ops-listen`, as often as it was given.
    pub ops_listen: Vec<SocketAddr>,
    /// `--demo-dir`.
    pub demo_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the file that the flags name, the process's environment and the flags.
    pub fn load(flags: &Flags) -> Result<Self, Problems> {
        // A variable that is not Unicode is none of ours: every value of a key is.
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::load_with(flags, variables)
    }

    /// The same with an environment of the caller's.
    pub fn load_with(flags: &Flags, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Problems> {
        let file = flags.file.as_deref().map(read_file).transpose()?;
        let mut layers = Layers::default();
        if flags.dev {
            // Only defaults: who writes addresses or origins into a file means them.
            layers.set("listen.quic", Raw::Text(DEV_LISTEN.into()), Place::Flag("--dev"));
            layers.set("origins.allow", Raw::Text(DEV_ORIGINS.join(",")), Place::Flag("--dev"));
            layers.set("listen.http", Raw::Text(DEV_LISTEN_HTTP.into()), Place::Flag("--dev"));
        }
        if let Some((path, text)) = file {
            layers.add_file(&path, &text).map_err(|problem| Problems(vec![problem]))?;
        }
        layers.add_environment(environment);
        if flags.dev {
            layers.set("auth.danger_accept_any_name", Raw::Flag(true), Place::Flag("--dev"));
        }
        if let Some(dir) = &flags.data_dir {
            layers.set("node.data_dir", Raw::Text(dir.to_string_lossy().into_owned()), Place::Flag("--data-dir"));
        }
        let listen = [
            ("listen.quic", &flags.listen, "--listen"),
            ("listen.https", &flags.listen, "--listen"),
            ("listen.http", &flags.http_listen, "--http-listen"),
            ("listen.ops", &flags.ops_listen, "--ops-listen"),
        ];
        for (key, addresses, flag) in listen.into_iter().filter(|(_, addresses, _)| !addresses.is_empty()) {
            let addresses = addresses.iter().map(|address| Raw::Text(address.to_string())).collect();
            layers.set(key, Raw::List(addresses), Place::Flag(flag));
        }
        Self::validate(layers, flags)
    }

    /// The configuration of `serve --dev --data-dir DIR` on free ports, without a file or environment: for tests.
    pub fn dev(data_dir: &Path) -> Self {
        Self {
            dev: true,
            quic: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            https: None,
            http: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            ops: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            advertise: Advertise::default(),
            demo_dir: None,
            node: "dev".into(),
            data_dir: data_dir.into(),
            identity: IdentitySource::Development(data_dir.join(DEV_CERTS_DIR)),
            danger_accept_any_name: true,
            tokens: None,
            origins: DEV_ORIGINS.iter().filter_map(|origin| origin.parse().ok()).collect(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            log: Log::default(),
            runtime: Runtime::default(),
            rooms: Rooms::default(),
        }
    }

    fn validate(mut layers: Layers, flags: &Flags) -> Result<Self, Problems> {
        let node = Node::read(&mut layers);
        let tls = Tls::read(&mut layers);
        let listen = Listen::read(&mut layers);
        let auth = Auth::read(&mut layers);
        let config = Self {
            dev: flags.dev,
            quic: listen.quic,
            https: listen.https,
            http: listen.http,
            ops: listen.ops,
            advertise: Advertise::read(&mut layers),
            demo_dir: flags.demo_dir.clone().or(Demo::read(&mut layers).dir),
            node: node.name.unwrap_or_else(host_name),
            // A path need not be Unicode, a layer's text is.
            data_dir: flags.data_dir.clone().unwrap_or(node.data_dir),
            identity: identity(&mut layers, tls, flags.dev),
            danger_accept_any_name: auth.danger_accept_any_name,
            tokens: tokens(&mut layers, auth),
            origins: Origins::read(&mut layers).allow,
            limits: Limits::read(&mut layers),
            timeouts: Timeouts::read(&mut layers),
            log: Log::read(&mut layers),
            runtime: Runtime::read(&mut layers),
            rooms: Rooms::read(&mut layers),
        };
        config.check_relations(&mut layers);
        let mut problems = layers.problems;
        if problems.is_empty() {
            return Ok(config);
        }
        problems.sort_by_key(|problem| if let Place::File(_, line) = problem.place { line } else { usize::MAX });
        Err(Problems(problems))
    }

    fn check_relations(&self, layers: &mut Layers) {
        if !self.danger_accept_any_name && self.tokens.is_none() {
            layers.problem(
                layers.place("auth.danger_accept_any_name"),
                "nobody could open a session: there is no key to check tokens with".into(),
                "Name the file with the key in auth.token_key. For development, start with --dev; on a network \
                 where everybody may use any name, write auth.danger_accept_any_name = true."
                    .into(),
            );
        }
        let Limits { rooms_max, reads_max, publish_max, send_window_min, send_window_max, .. } = self.limits;
        let streams = u64::from(rooms_max) + u64::from(reads_max) + u64::from(publish_max);
        if streams >= u64::from(limits::STREAMS_MAX) {
            layers.problem(
                later(layers, &["limits.rooms_max", "limits.reads_max", "limits.publish_max"]),
                format!(
                    "limits.rooms_max + reads_max + publish_max is {streams}, but a session has {} streams",
                    limits::STREAMS_MAX
                ),
                format!("One stream is for control: make them at most {} together.", limits::STREAMS_MAX - 1),
            );
        }
        if send_window_min > send_window_max {
            layers.problem(
                later(layers, &["limits.send_window_min", "limits.send_window_max"]),
                format!(
                    "limits.send_window_min is {}, more than limits.send_window_max with {}",
                    unit::size(send_window_min),
                    unit::size(send_window_max)
                ),
                "Lower the one or raise the other.".into(),
            );
        }
        let Timeouts { ping, idle, .. } = self.timeouts;
        if idle < 2 * ping {
            layers.problem(
                later(layers, &["timeouts.idle", "timeouts.ping"]),
                format!(
                    "timeouts.idle is {}, less than twice timeouts.ping with {}",
                    unit::duration(idle),
                    unit::duration(ping)
                ),
                "One lost ping would end a session: raise idle or lower ping.".into(),
            );
        }
    }
}

/// The place of the first of these keys that somebody wrote.
fn later(layers: &Layers, keys: &[&str]) -> Place {
    let mut places = keys.iter().map(|key| layers.place(key));
    places.find(|place| *place != Place::Default).unwrap_or(Place::Default)
}

fn tokens(layers: &mut Layers, auth: Auth) -> Option<Tokens> {
    let Auth { token_key: Some(key), .. } = auth else {
        let wanted = [("token_issuer", &auth.token_issuer), ("token_audience", &auth.token_audience)];
        for (key, _) in wanted.into_iter().filter(|(_, value)| value.is_some()) {
            layers.problem(
                layers.place(&format!("auth.{key}")),
                format!("auth.{key} says which tokens are good, but there is no key to check them with"),
                "Name the file with the key in auth.token_key.".into(),
            );
        }
        return None;
    };
    Some(Tokens { key, issuer: auth.token_issuer, audience: auth.token_audience })
}

fn identity(layers: &mut Layers, tls: Tls, dev: bool) -> IdentitySource {
    match (tls.certificate, tls.key) {
        (Some(certificate), Some(key)) => return IdentitySource::Files { certificate, key },
        (None, None) if dev => {}
        (None, None) => layers.problem(
            Place::Default,
            "tls.certificate and tls.key are missing: QUIC needs a certificate".into(),
            "Name the two PEM files in [tls], or start with --dev to use a development certificate.".into(),
        ),
        (Some(_), None) => layers.problem(
            layers.place("tls.certificate"),
            "tls.key is missing".into(),
            "Name the PEM file with the certificate's private key.".into(),
        ),
        (None, Some(_)) => layers.problem(
            layers.place("tls.key"),
            "tls.certificate is missing".into(),
            "Name the PEM file with the certificate of this key.".into(),
        ),
    }
    IdentitySource::Development(DEV_CERTS_DIR.into())
}

fn read_file(path: &Path) -> Result<(String, String), Problems> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Problems(vec![Problem {
            place: Place::Flag("--config"),
            what: format!("cannot read {name}: {error}"),
            advice: "`loquic config print` writes a complete configuration to start from.".into(),
        }])),
    }
}

/// The machine's name, reduced to what a node's name may have in it.
fn host_name() -> Arc<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| setting::is_name_character(*c)).take(64).collect();
    if name.is_empty() { "loquic".into() } else { name.into() }
}

#[cfg(test)]
mod tests;
