//! The transports that there are.

use crate::{websocket, webtransport};

/// How a client gets to its server. Sessions are the same over each of them, at the same address and port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The protocol straight over QUIC: what costs least.
    #[default]
    Quic,
    /// What browsers use: sessions of HTTP/3. For paths that let nothing else through.
    WebTransport,
    /// For networks that let no UDP through: QMux over a WebSocket, on the TCP port of the same number. One lost packet
    /// keeps all rooms waiting.
    WebSocket,
    /// QUIC, and if that has not connected after half a second, a WebSocket beside it: the first one that connects is
    /// taken. Anew for each session, so a network that stops UDP later is left for a WebSocket as well.
    Auto,
}

impl Transport {
    /// What TLS agrees on.
    pub(crate) fn alpn(self) -> &'static str {
        match self {
            Self::Quic | Self::Auto => loquic_wire::ALPN,
            Self::WebTransport => webtransport::ALPN,
            Self::WebSocket => websocket::ALPN,
        }
    }
}
