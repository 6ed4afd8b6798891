//! Every key of a configuration: its type, its default, its bounds and its words. The structs that the server uses,
//! what `config print` writes and what an unknown key is compared with are all made from this one list.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use loquic_wire::limits as wire;

use super::{
    layers::Layers,
    limits,
    origin::Origin,
    setting::{
        Addresses, AddressesOrElse, AddressesOrNone, Count, Directory, Documented, File, Flag, Name, OriginList,
        Phrase, Setting, Size, Span, Urls, Workers,
    },
};

/// One key, as far as the documentation needs it.
pub(crate) struct Key {
    /// The name without its section.
    pub(crate) name: &'static str,
    /// What it means, one line each.
    pub(crate) doc: &'static [&'static str],
    /// Its default and what it takes.
    pub(crate) setting: &'static dyn Documented,
}

/// A table of the file.
pub(crate) struct Section {
    /// The table's name.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) doc: &'static [&'static str],
    /// Its keys in the order of the documentation.
    pub(crate) keys: &'static [Key],
}

macro_rules! sections {
    ($(
        $(#[doc = $about:literal])*
        $section:ident: $name:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $setting:expr;)*
        }
    )*) => {
        $(
            $(#[doc = $about])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name {
                $($(#[doc = $doc])* pub $key: $type,)*
            }

            impl $name {
                pub(crate) fn read(layers: &mut Layers) -> Self {
                    Self { $($key: layers.read(concat!(stringify!($section), ".", stringify!($key)), &$setting),)* }
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($key: Setting::default(&$setting),)* }
                }
            }
        )*

        /// Every section with its keys.
        pub(crate) const SECTIONS: &[Section] = &[$(
            Section {
                name: stringify!($section),
                doc: &[$($about),*],
                keys: &[$(Key { name: stringify!($key), doc: &[$($doc),*], setting: &$setting }),*],
            },
        )*];
    };
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

sections! {
    /// Where clients reach the node.
    listen: Listen {
        /// UDP addresses for QUIC. Port 0 takes any free port; `serve` prints the one it got.
        /// With --dev the default is 127.0.0.1:4433, which only this machine reaches.
        quic: Vec<SocketAddr> = Addresses(&["[::]:4433"]);
        /// TCP addresses for HTTPS: WebSockets for clients that UDP does not reach, and the HTTP API. Without it, those
        /// of quic: the same ports, and in place of port 0 the one that QUIC got, if it is free. [] for none.
        https: Option<Vec<SocketAddr>> = AddressesOrElse(&["[::]:4433"]);
        /// TCP addresses for plain HTTP: the demo page and the HTTP API, for development on this machine. Requests have
        /// to name localhost, 127.0.0.1 or ::1 as their host. With --dev the default is 127.0.0.1:8080.
        http: Vec<SocketAddr> = AddressesOrNone(&[]);
        /// TCP addresses for operators: /metrics, /healthz, /readyz. Not for clients; the same hosts as for http.
        ops: Vec<SocketAddr> = AddressesOrNone(&["127.0.0.1:9090"]);
    }

    /// Where clients are told to find the node, if not at the addresses it listens on: what GET /v1/info gives out.
    advertise: Advertise {
        /// For WebTransport. In production the port is best 443, which the fewest networks block.
        webtransport: Vec<String> = Urls("https://loquic.example.com/v1");
        /// For raw QUIC.
        quic: Vec<String> = Urls("https://loquic.example.com");
        /// For WebSockets.
        websocket: Vec<String> = Urls("wss://loquic.example.com/v1/ws");
    }

    /// What the node is, and where it keeps its rooms.
    node: Node {
        /// The name clients and operators see. Without it, the machine's host name.
        name: Option<Arc<str>> = Name("node-1");
        /// The directory with every room's log. Made if it is not there; used by one server at a time.
        data_dir: PathBuf = Directory("data");
    }

    /// Who the node is to its clients. With --dev, and neither key, a development certificate from the directory certs.
    tls: Tls {
        /// PEM file with the certificate, followed by those between it and the root.
        certificate: Option<PathBuf> = File("/etc/loquic/certificate.pem");
        /// PEM file with the certificate's private key.
        key: Option<PathBuf> = File("/etc/loquic/key.pem");
    }

    /// Who may open a session: whoever has a token that is signed with the key, JSON Web Tokens as docs/TOKENS.md says.
    auth: Auth {
        /// File with what tokens are checked with: a secret of 32 bytes at least (HS256), or a public key in PEM, of
        /// Ed25519 (EdDSA), P-256 (ES256) or RSA (RS256).
        token_key: Option<PathBuf> = File("/etc/loquic/token.secret");
        /// The issuer (`iss`) that tokens have to name.
        token_issuer: Option<Arc<str>> = Phrase("https://accounts.example.com");
        /// The audience (`aud`) that tokens have to name.
        token_audience: Option<Arc<str>> = Phrase("loquic");
        /// Lets everybody in under any name they ask for: for development and closed networks. --dev sets it.
        /// Tokens are taken beside it, if there is a key.
        danger_accept_any_name: bool = Flag(false);
    }

    /// Which web pages may open sessions. Browsers name the page's origin. Native clients name none, and are not asked.
    origins: Origins {
        /// Origins like `https://chat.example.com`, or with any port `http://localhost:*`.
        /// With --dev the default is what this machine serves: `http://localhost:*` and `http://127.0.0.1:*`.
        allow: Vec<Origin> = OriginList;
    }

    /// The demo page of the plain HTTP port.
    demo: Demo {
        /// Directory to read the page from, anew for each request, in place of the page that is built in.
        dir: Option<PathBuf> = File("clients/web/demo/dist");
    }

    /// How much of everything. What is past a limit is refused with a code that says so.
    limits: Limits {
        /// Sessions on this node; about 50 KB each when idle.
        sessions_max: usize = Count(limits::SESSIONS_MAX, 1..=1_000_000);
        /// Longest payload of a record.
        payload_bytes_max: usize = Size(wire::PAYLOAD_BYTES_MAX_DEFAULT, 1..=wire::PAYLOAD_BYTES_MAX_HARD);
        /// Rooms that one session has joined or watches at once.
        rooms_max: u32 = Count(limits::ROOMS_MAX, 1..=limits::STREAMS_MAX);
        /// History reads of one session at once.
        reads_max: u32 = Count(limits::READS_MAX, 1..=limits::STREAMS_MAX);
        /// Rooms that one session publishes to at once.
        publish_max: u32 = Count(limits::PUBLISH_MAX, 1..=limits::STREAMS_MAX);
        /// Publishes of one session to one room that may wait for their acks.
        in_flight_max: u32 = Count(limits::IN_FLIGHT_MAX, 1..=1_000_000);
        /// Recent records of one room held in memory; readers further behind read from the disk.
        tail_bytes_max: usize = Size(limits::TAIL_BYTES_MAX, 2 * limits::PAGE_BYTES_MAX..=GIB);
        /// Publishes that wait for one room; beyond it publishers are slowed down, then told to come back.
        inbox_bytes_max: usize = Size(limits::INBOX_BYTES_MAX, 256 * KIB..=GIB);
        /// Bytes on their way to one client that are not yet acknowledged: at first, and what a stopped client costs.
        send_window_min: u64 = Size(limits::SEND_WINDOW_MIN, 16 * 1024..=64 * 1024 * 1024);
        /// The same at most; in between it follows what the path to the client carries.
        send_window_max: u64 = Size(limits::SEND_WINDOW_MAX, 16 * 1024..=64 * 1024 * 1024);
        /// What all clients together may have beyond the minimum. More of it is faster for many clients that are far
        /// away and behind.
        send_windows_max: u64 = Size(limits::SEND_WINDOWS_MAX, 0..=1024 * GIB as u64);
        /// Users of a room up to which everybody in it who wants to is told who they are. In a larger room they are
        /// told how many, and ask for the list page by page.
        presence_list_max: usize = Count(limits::PRESENCE_LIST_MAX, 0..=100_000);
        /// Connections to one HTTP address; more wait until one is closed. At most 40 KB each, and with TLS 80 KB.
        /// What has become a WebSocket is counted as a session instead.
        http_connections_max: usize = Count(limits::HTTP_CONNECTIONS_MAX, 1..=100_000);
        /// Event streams (SSE) at once, each on a connection of its own: leave some of those for other requests.
        event_streams_max: usize = Count(limits::EVENT_STREAMS_MAX, 0..=100_000);
    }

    /// How long the server waits.
    timeouts: Timeouts {
        /// For a QUIC handshake to finish.
        handshake: Duration = Span(limits::HANDSHAKE_TIMEOUT, SECOND..=HOUR);
        /// For the request for a WebTransport session, or the beginning of one over a WebSocket, and then for any
        /// session's first frame.
        hello: Duration = Span(limits::HELLO_TIMEOUT, SECOND..=HOUR);
        /// How often clients send a ping.
        ping: Duration = Span(limits::PING_INTERVAL, SECOND..=HOUR);
        /// For anything at all from a client; then the connection is dropped. At least twice `ping`.
        idle: Duration = Span(limits::IDLE_TIMEOUT, SECOND..=HOUR);
        /// For a user whose connection was lost to come back; then they are not in the room any more.
        presence: Duration = Span(limits::PRESENCE_GRACE, Duration::ZERO..=HOUR);
        /// For an HTTP client to finish the handshake of TLS, to send the head of a request, the next one included,
        /// then its body, and to take some of an answer, or of what comes over a WebSocket.
        http: Duration = Span(limits::HTTP_TIMEOUT, SECOND..=HOUR);
        /// How often an event stream (SSE) on which nothing happens says that it is alive.
        keep_alive: Duration = Span(limits::KEEP_ALIVE_INTERVAL, SECOND..=HOUR);
        /// For sessions to leave when the server is asked to stop.
        drain: Duration = Span(limits::DRAIN_TIMEOUT, Duration::ZERO..=HOUR);
    }

    /// The rooms' log on disk.
    log: Log {
        /// Free space below which publishes are refused; reads go on.
        disk_free_min: u64 = Size(limits::DISK_FREE_MIN, 0..=1 << 40);
        /// Memory for blocks that were read.
        cache_bytes: usize = Size(limits::CACHE_BYTES, MIB..=1024 * GIB);
        /// Memory for records that are written but not yet in a table file.
        write_buffer_bytes: usize = Size(limits::WRITE_BUFFER_BYTES, MIB..=64 * GIB);
    }

    /// The process.
    runtime: Runtime {
        /// Threads that serve the network, or "auto": one for every two processors. Waking fewer threads is cheaper
        /// than using every processor, and the log has threads of its own.
        workers: usize = Workers;
    }
}
