//! `GET /v1/info`: where clients find this node, and which certificate they may trust.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use parking_lot::RwLock;
use serde::Serialize;

use super::websocket::PATH as PATH_WEBSOCKET;
use crate::config::Advertise;

/// What a node tells about itself.
#[derive(Debug)]
pub struct Info {
    node: Arc<str>,
    ports: Ports,
    transports: Transports,
    /// Replaced when a development certificate is followed by the next one.
    certificate_hashes: RwLock<Vec<String>>,
}

/// The ports as they are, which behind a load balancer are not what clients use.
#[derive(Debug, Serialize)]
struct Ports {
    quic: Vec<u16>,
    https: Vec<u16>,
    http: Vec<u16>,
}

/// Where each transport is to be had: URLs.
#[derive(Debug, Serialize)]
struct Transports {
    webtransport: Vec<String>,
    quic: Vec<String>,
    websocket: Vec<String>,
}

/// Where a node listens.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// UDP.
    pub quic: Vec<SocketAddr>,
    /// TCP, with TLS.
    pub https: Vec<SocketAddr>,
    /// TCP, without.
    pub http: Vec<SocketAddr>,
}

#[derive(Serialize)]
struct Body<'a> {
    version: &'static str,
    protocol: &'static str,
    node: &'a str,
    ports: &'a Ports,
    transports: &'a Transports,
    /// SHA-256 of the certificate's DER in base64: of the current one, then of the next. Empty if clients trust the
    /// certificate by its issuer.
    certificate_hashes: &'a [String],
}

impl Info {
    /// A node of this name on these addresses.
    pub fn new(node: Arc<str>, addresses: &Addresses, advertise: &Advertise) -> Self {
        let Addresses { quic, https, http } = addresses;
        let ports = |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::port).collect();
        let urls = |scheme: &str, addresses: &[SocketAddr], path: &str| -> Vec<String> {
            addresses.iter().map(|address| format!("{scheme}://{}{path}", reachable(*address))).collect()
        };
        let or =
            |advertised: &[String], own: Vec<String>| if advertised.is_empty() { own } else { advertised.to_vec() };
        // Pages from the plain port, and browsers that know the certificate by its hash alone, can use the plain one.
        let websocket = [urls("wss", https, PATH_WEBSOCKET), urls("ws", http, PATH_WEBSOCKET)].concat();
        let transports = Transports {
            webtransport: or(&advertise.webtransport, urls("https", quic, "/v1")),
            quic: or(&advertise.quic, urls("https", quic, "")),
            websocket: or(&advertise.websocket, websocket),
        };
        let ports = Ports { quic: ports(quic), https: ports(https), http: ports(http) };
        Self { node, ports, transports, certificate_hashes: RwLock::default() }
    }

    /// Which certificates are trusted by their hash from now on. Whether that is news.
    pub fn set_certificate_hashes(&self, hashes: Vec<String>) -> bool {
        let mut told = self.certificate_hashes.write();
        let is_news = *told != hashes;
        *told = hashes;
        is_news
    }

    /// Which certificates are trusted by their hash.
    pub fn certificate_hashes(&self) -> Vec<String> {
        self.certificate_hashes.read().clone()
    }

    /// Every address a page may be told to connect to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.transports.webtransport.iter().chain(&self.transports.websocket).map(String::as_str)
    }

    fn body(&self) -> Vec<u8> {
        let body = Body {
            version: env!("CARGO_PKG_VERSION"),
            protocol: loquic_wire::ALPN,
            node: &self.node,
            ports: &self.ports,
            transports: &self.transports,
            certificate_hashes: &self.certificate_hashes.read(),
        };
        // Texts and numbers always make JSON.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// Who may ask names this machine, so what listens on every address is told as this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => ([127, 0, 0, 1], address.port()).into(),
        false => address,
    }
}

pub(super) async fn get(State(info): State<Arc<Info>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, info.body()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(quic: &str, advertise: &Advertise) -> serde_json::Value {
        let quic: SocketAddr = quic.parse().unwrap();
        let addresses = Addresses { quic: vec![quic], https: vec![quic], http: Vec::new() };
        let info = Info::new("n1".into(), &addresses, advertise);
        info.set_certificate_hashes(vec!["a".into(), "b".into()]);
        serde_json::from_slice(&info.body()).unwrap()
    }

    #[test]
    fn addresses_are_told_as_this_machine_reaches_them() {
        let info = told("127.0.0.1:4433", &Advertise::default());
        assert_eq!(info["transports"]["webtransport"][0], "https://127.0.0.1:4433/v1");
        assert_eq!(info["transports"]["quic"][0], "https://127.0.0.1:4433");
        assert_eq!(info["ports"], serde_json::json!({"quic": [4433], "https": [4433], "http": []}));
        assert_eq!(info["transports"]["websocket"], serde_json::json!(["wss://127.0.0.1:4433/v1/ws"]));
        assert_eq!(info["certificate_hashes"], serde_json::json!(["a", "b"]));
        assert_eq!((&info["node"], &info["protocol"]), (&"n1".into(), &"loquic-1".into()));
        let every = told("[::]:443", &Advertise::default());
        assert_eq!(every["transports"]["quic"][0], "https://127.0.0.1:443");
        let one = told("[::1]:443", &Advertise::default());
        assert_eq!(one["transports"]["webtransport"][0], "https://[::1]:443/v1");
    }

    #[test]
    fn what_is_advertised_goes_before_them() {
        let advertise = Advertise { webtransport: vec!["https://a.example/v1".into()], ..Advertise::default() };
        let info = told("0.0.0.0:443", &advertise);
        assert_eq!(info["transports"]["webtransport"], serde_json::json!(["https://a.example/v1"]));
        assert_eq!(info["transports"]["quic"], serde_json::json!(["https://127.0.0.1:443"]));
    }
}
