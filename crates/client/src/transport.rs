//! The transports that there are.

use crate::webtransport;

/// How a client gets to its server. Sessions are the same over each of them, at the same address and port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The protocol straight over QUIC: what costs least.
    #[default]
    Quic,
    /// What browsers use: sessions of HTTP/3. For paths that let nothing else through.
    WebTransport,
}

impl Transport {
    /// What TLS agrees on.
    pub(crate) fn alpn(self) -> &'static str {
        match self {
            Self::Quic => loquic_wire::ALPN,
            Self::WebTransport => webtransport::ALPN,
        }
    }
}
