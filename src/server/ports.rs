//! Binding the ports, and saying which one could not be had.

use std::{net::SocketAddr, sync::Arc};

use super::{StartError, options};
use crate::{
    api::Listener,
    config::Config,
    transport::{
        endpoint::{BindError, Endpoint},
        tls::Certificates,
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

pub(super) fn bind_http(
    addresses: &[SocketAddr],
    config: &Config,
    flag: &'static str,
) -> Result<Vec<Arc<Listener>>, StartError> {
    let bind = |address: &SocketAddr| {
        Listener::bind(*address, options::http(config)).map_err(|error| StartError::Listen {
            protocol: "TCP",
            address: *address,
            error: error.to_string(),
            flag,
        })
    };
    addresses.iter().map(bind).collect()
}
