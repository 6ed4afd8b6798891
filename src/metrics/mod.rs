//! Every metric of a node, in one place. They are read from the counters of each part when somebody asks; nothing is
//! counted twice, and nothing here is in the way of a delivery.
//!
//! Labels have few values that are known beforehand: never the name of a room or of a user.

mod process;
mod text;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

pub use text::CONTENT_TYPE;

use self::{process::Process, text::Text};
use crate::{
    api,
    journal::Refusing,
    room::Rooms,
    session,
    transport::{
        endpoint::{Endpoint, HandshakeStats},
        websocket::Acceptor,
    },
};

/// Where the metrics are read.
pub struct Metrics {
    /// The sessions.
    sessions: Arc<session::Shared>,
    /// The rooms and their journal.
    rooms: Rooms,
    ports: Ports,
    /// The HTTP API.
    api: Arc<api::Api>,
    process: Process,
}

/// What is listened on.
pub struct Ports {
    /// The UDP ports.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The HTTP ports and what each is for.
    pub listeners: Vec<(&'static str, Arc<api::Listener>)>,
    /// WebSockets of all of these.
    pub websockets: Arc<Acceptor>,
}

impl Metrics {
    /// Metrics of these parts of a process that started then.
    pub fn new(
        started: SystemTime,
        sessions: Arc<session::Shared>,
        rooms: Rooms,
        ports: Ports,
        api: Arc<api::Api>,
    ) -> Self {
        Self { sessions, rooms, ports, api, process: Process::new(started) }
    }

    /// All of them as they are now.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        text.info("loquic_build_info", "The version that runs.", &[("version", env!("CARGO_PKG_VERSION"))]);
        self.write_sessions(&mut text);
        self.write_handshakes(&mut text);
        self.write_connects(&mut text);
        self.write_streams(&mut text);
        self.write_publishes(&mut text);
        self.write_ephemerals(&mut text);
        self.write_presence(&mut text);
        self.write_rooms(&mut text);
        self.write_journal(&mut text);
        self.write_http(&mut text);
        self.write_api(&mut text);
        self.process.write(&mut text);
        text.finish()
    }

    fn write_sessions(&self, text: &mut Text) {
        let stats = self.sessions.stats();
        let tallies = stats.sessions_by_transport.get();
        text.gauge("loquic_sessions", "Sessions that are served.", self.sessions.sessions());
        text.counters(
            "loquic_sessions_opened_total",
            "Connections taken over, by transport.",
            "transport",
            tallies.iter().map(|(transport, tally)| (*transport, tally.opened)),
        );
        text.counters(
            "loquic_sessions_closed_total",
            "Connections done with, by transport.",
            "transport",
            tallies.iter().map(|(transport, tally)| (*transport, tally.closed)),
        );
        text.counter("loquic_sessions_welcomed_total", "Sessions that were let in.", stats.sessions_welcomed.get());
        text.counters(
            "loquic_sessions_refused_total",
            "Sessions that were not let in: the node was full or drained, the client is not admitted, it said nothing \
             in time, or too many were being refused already.",
            "reason",
            [
                ("full", stats.sessions_refused_full.get()),
                ("draining", stats.sessions_refused_draining.get()),
                ("hello", stats.sessions_refused_hello.get()),
                ("silent", stats.hello_timeouts.get()),
                ("dropped", stats.sessions_dropped.get()),
            ],
        );
        text.counter(
            "loquic_session_faults_total",
            "Sessions ended because the peer broke the protocol.",
            stats.faults.get(),
        );
    }

    fn write_handshakes(&self, text: &mut Text) {
        let sum = |of| self.handshakes(of);
        let connections: usize = self.ports.endpoints.iter().map(|endpoint| endpoint.connections()).sum();
        text.gauge(
            "loquic_connections",
            "QUIC connections that are open or closing, handshakes included.",
            connections,
        );
        text.counter("loquic_handshakes_opened_total", "QUIC handshakes begun.", sum(|stats| &stats.opened));
        text.counters(
            "loquic_handshakes_total",
            "Attempts to connect over QUIC, by what came of them. What was sent back for a proof of its address, or \
             dropped because there were too many, was not begun.",
            "outcome",
            [
                ("completed", sum(|stats| &stats.completed)),
                ("failed", sum(|stats| &stats.failed)),
                ("retried", sum(|stats| &stats.retried)),
                ("dropped", sum(|stats| &stats.dropped)),
            ],
        );
    }

    /// The sum of one counter over all ports.
    fn handshakes(&self, of: fn(&HandshakeStats) -> &AtomicU64) -> u64 {
        self.ports.endpoints.iter().map(|endpoint| of(endpoint.handshake_stats()).load(Ordering::Relaxed)).sum()
    }

    fn write_connects(&self, text: &mut Text) {
        text.counters(
            "loquic_webtransport_connections_lost_total",
            "HTTP/3 connections that did not become sessions: nothing was asked in time, or path or origin were not \
             allowed.",
            "reason",
            [("unused", self.handshakes(|stats| &stats.unused)), ("refused", self.handshakes(|stats| &stats.refused))],
        );
        let stats = self.ports.websockets.stats();
        text.counter(
            "loquic_websocket_upgrades_total",
            "Connections upgraded to a WebSocket.",
            stats.upgraded.load(Ordering::Relaxed),
        );
        text.counters(
            "loquic_websockets_lost_total",
            "Requests for a WebSocket that did not become sessions: subprotocol or origin were not allowed, too many were \
             being opened, or nothing followed in time.",
            "reason",
            [
                ("unused", stats.unused.load(Ordering::Relaxed)),
                ("refused", stats.refused.load(Ordering::Relaxed)),
            ],
        );
    }

    fn write_streams(&self, text: &mut Text) {
        let stats = self.sessions.stats();
        text.counter("loquic_streams_opened_total", "Streams that were served.", stats.streams_opened.get());
        text.counter(
            "loquic_streams_closed_total",
            "Streams that were served and have ended.",
            stats.streams_closed.get(),
        );
        text.counter("loquic_streams_refused_total", "Streams that were refused.", stats.streams_refused.get());
        text.counter(
            "loquic_records_delivered_total",
            "Records written to subscribers.",
            stats.records_delivered.get(),
        );
        text.counter("loquic_delivered_bytes_total", "Bytes of those.", stats.bytes_delivered.get());
    }

    fn write_ephemerals(&self, text: &mut Text) {
        let stats = self.sessions.stats();
        text.counter("loquic_ephemerals_total", "Ephemerals taken.", stats.ephemerals.get());
        text.counter(
            "loquic_ephemerals_dropped_total",
            "Ephemerals that were not: too many, out of date, too long, not allowed, malformed, or of a room that is not \
             joined.",
            stats.ephemerals_dropped.get(),
        );
        text.counter(
            "loquic_ephemerals_delivered_total",
            "Ephemerals sent to subscribers.",
            stats.ephemerals_delivered.get(),
        );
    }

    fn write_presence(&self, text: &mut Text) {
        let stats = self.sessions.presence().stats();
        // In this order one that leaves in between does not make the difference negative.
        let left = stats.left.load(Ordering::Relaxed);
        let entered = stats.entered.load(Ordering::Relaxed);
        let present = entered.saturating_sub(left);
        text.gauge("loquic_presence", "Sessions that are present in rooms, each counted in each room.", present);
        text.counter("loquic_presence_entered_total", "Sessions that have come into a room.", entered);
        text.counter("loquic_presence_left_total", "Sessions that are not present in a room any more.", left);
        text.counter(
            "loquic_presence_rounds_total",
            "Times that a room told its followers who came and went.",
            stats.rounds.load(Ordering::Relaxed),
        );
        text.counter(
            "loquic_presence_delivered_total",
            "Frames that said so, or who is there, to a subscriber.",
            self.sessions.stats().presence_delivered.get(),
        );
    }

    fn write_publishes(&self, text: &mut Text) {
        let stats = self.sessions.stats();
        text.counter("loquic_publishes_total", "Publishes taken.", stats.publishes.get());
        text.counter("loquic_publishes_acked_total", "Publishes that are in the log.", stats.acks.get());
        text.counter(
            "loquic_publishes_duplicate_total",
            "Of those, the ones that had been there.",
            stats.duplicates.get(),
        );
        text.counter("loquic_publishes_refused_total", "Publishes that are not in the log.", stats.nacks.get());
        text.counter(
            "loquic_publishes_overloaded_total",
            "Of those, the ones to come back later.",
            stats.overloaded.get(),
        );
    }

    fn write_rooms(&self, text: &mut Text) {
        let stats = self.rooms.stats();
        // In this order a room that closes in between does not make the difference negative.
        let closed = stats.rooms_closed.load(Ordering::Relaxed);
        let opened = stats.rooms_opened.load(Ordering::Relaxed);
        text.gauge("loquic_rooms", "Rooms in memory.", opened.saturating_sub(closed));
        text.counter("loquic_rooms_opened_total", "Rooms brought into memory.", opened);
        text.counter("loquic_rooms_closed_total", "Rooms that have left memory.", closed);
        text.gauge("loquic_tails_bytes", "Recent records held in memory, in bytes.", self.rooms.tails_bytes());
    }

    fn write_journal(&self, text: &mut Text) {
        let stats = &self.rooms.stats().journal;
        let is = |refusing| u8::from(stats.refusing() == Some(refusing));
        text.counter(
            "loquic_journal_batches_total",
            "Batches written to the log.",
            stats.batches.load(Ordering::Relaxed),
        );
        let bytes = stats.batch_bytes.load(Ordering::Relaxed);
        text.counter("loquic_journal_written_bytes_total", "Bytes of keys and values in those.", bytes);
        let failures = stats.failures.load(Ordering::Relaxed);
        text.counter("loquic_journal_failures_total", "Writes and syncs of the log that failed.", failures);
        text.histogram(
            "loquic_journal_sync_seconds",
            "How long the syncs took that publishes waited for.",
            stats.syncs.at_most().map(|(bound, count)| (bound.as_secs_f64(), count)),
            (stats.syncs.count(), Duration::as_secs_f64(&stats.syncs.sum())),
        );
        text.gauges(
            "loquic_journal_refusing",
            "Whether publishes are refused, and why: the disk is nearly full, or the log is poisoned by a failure.",
            "reason",
            [("disk_full", is(Refusing::DiskFull)), ("poisoned", is(Refusing::Poisoned))],
        );
    }

    fn write_http(&self, text: &mut Text) {
        let by_listener = |of: fn(&api::Listener) -> u64| {
            let mut sums: Vec<(&'static str, u64)> = Vec::new();
            for (name, listener) in &self.ports.listeners {
                match sums.iter_mut().find(|(known, _)| known == name) {
                    Some((_, sum)) => *sum += of(listener),
                    None => sums.push((name, of(listener))),
                }
            }
            sums
        };
        text.counters(
            "loquic_http_connections_opened_total",
            "HTTP connections accepted, by listener.",
            "listener",
            by_listener(api::Listener::opened),
        );
        text.counters(
            "loquic_http_connections_closed_total",
            "HTTP connections done with, by listener.",
            "listener",
            by_listener(api::Listener::closed),
        );
    }

    fn write_api(&self, text: &mut Text) {
        let stats = self.api.stats();
        text.counters_by_two(
            "loquic_http_requests_total",
            "Requests below /v1, by what they are for and by the class of the answer's status.",
            ("request", "status"),
            stats.requests(),
        );
        text.counter("loquic_event_streams_opened_total", "Event streams (SSE) begun.", stats.streams_opened());
        text.counter("loquic_event_streams_closed_total", "Event streams done with.", stats.streams_closed());
        text.counter(
            "loquic_event_streams_records_total",
            "Records written to event streams.",
            stats.records_delivered(),
        );
    }
}
