//! Binding the ports, and saying which one could not be had.

use std::{io, net::SocketAddr, sync::Arc};

use super::{StartError, options};
use crate::{
    api::{self, Listener},
    config::Config,
    transport::{
        endpoint::{BindError, Endpoint},
        tls::{self, Certificates},
    },
};

pub(super) fn bind_quic(config: &Config, certificates: &Certificates) -> Result<Vec<Arc<Endpoint>>, StartError> {
    let bind = |address: &SocketAddr| {
        Endpoint::bind(*address, certificates.clone(), options::endpoint(config)).map_err(|error| {
            let error = match error {
                BindError::Socket { error, .. } => error.to_string(),
                BindError::Tls(error) => error,
            };
            StartError::Listen { protocol: "UDP", address: *address, error, flag: "--listen" }
        })
    };
    config.quic.iter().map(bind).collect()
}

/// Where nobody says otherwise, the ports of QUIC: clients have one address for everything.
pub(super) fn bind_https(
    config: &Config,
    certificates: &Certificates,
    quic: &[Arc<Endpoint>],
) -> Result<Vec<Arc<Listener>>, StartError> {
    let tls = tls::server_config(certificates.clone(), &[api::ALPN])?;
    let (tls, options) = (Arc::new(tls), options::http(config));
    let bind = |address: SocketAddr| Listener::bind(address, options, Some(tls.clone()));
    let addresses = config.https.as_ref().unwrap_or(&config.quic);
    let bound = addresses.iter().enumerate().map(|(at, address)| {
        // Any port: best the one that the system gave QUIC.
        let same = quic.get(at).map(|endpoint| endpoint.local_address()).filter(|same| same.ip() == address.ip());
        let listener = match same {
            Some(same) if address.port() == 0 => bind(same).or_else(|_| bind(*address)),
            _ => bind(*address),
        };
        listener.map_err(|error| unbound(*address, &error, "--listen"))
    });
    bound.collect()
}

pub(super) fn bind_http(
    addresses: &[SocketAddr],
    config: &Config,
    flag: &'static str,
) -> Result<Vec<Arc<Listener>>, StartError> {
    let bind = |address: &SocketAddr| {
        Listener::bind(*address, options::http(config), None).map_err(|error| unbound(*address, &error, flag))
    };
    addresses.iter().map(bind).collect()
}

fn unbound(address: SocketAddr, error: &io::Error, flag: &'static str) -> StartError {
    StartError::Listen { protocol: "TCP", address, error: error.to_string(), flag }
}
