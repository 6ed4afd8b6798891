//! TLS of every listener: which ciphers, and a certificate that can be replaced while the node runs.

use std::sync::Arc;

use ::aws_lc_rs::digest;
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The certificate that new handshakes are answered with. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct Certificates {
    current: Arc<RwLock<Arc<CertifiedKey>>>,
    reset_secret: [u8; 32],
}

impl Certificates {
    /// Starts with this chain (the node's own certificate first) and its key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        let mut derived = digest::Context::new(&digest::SHA256);
        derived.update(b"loquic stateless reset");
        derived.update(key.secret_der());
        let mut reset_secret = [0; 32];
        reset_secret.copy_from_slice(derived.finish().as_ref());
        Ok(Self { current: Arc::new(RwLock::new(certified(chain, key)?)), reset_secret })
    }

    /// A secret that is the same after a restart with the same key.
    pub fn reset_secret(&self) -> &[u8; 32] {
        &self.reset_secret
    }

    /// Answers with another certificate from the next handshake on. On an error the old one stays.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), rustls::Error> {
        *self.current.write() = certified(chain, key)?;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

/// The cryptography of this process, passed explicitly so that no other crate's choice of a default matters.
///
/// AES-128-GCM comes first: it is the fastest of the three with AES instructions and as safe here.
pub fn provider() -> CryptoProvider {
    let cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

/// TLS 1.3 for a server that speaks `protocols`, best first. Early data is off: it can be replayed.
pub fn server_config(certificates: Certificates, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Most clients name AES-256 first.
    config.ignore_client_order = true;
    config.max_early_data_size = 0;
    // A client that reconnects skips the signature; the state is in its ticket, so it costs no memory here.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new)
}
