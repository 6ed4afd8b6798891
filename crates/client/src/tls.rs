//! TLS: which certificates are trusted. TLS 1.3 with aws-lc-rs, AES-128-GCM first because it is the cheapest one on
//! processors with AES instructions, and that is where the time of a busy connection goes.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, aws_lc_rs::cipher_suite},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::error::Error;

/// Which servers are believed to be who they say.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// Those with a certificate from an authority that the system trusts.
    #[default]
    System,
    /// Those with a certificate from one of these authorities, or with one of these certificates.
    Authorities(Arc<[u8]>),
    /// Those with a certificate that has one of these SHA-256 hashes.
    Hashes(Vec<[u8; 32]>),
    /// All.
    Anyone,
}

/// The configuration of the handshake.
pub(crate) fn config(trust: &Trust, alpn: &str) -> Result<ClientConfig, Error> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Tls(error.to_string().into()))?;
    let pinned = |hashes| Arc::new(Pinned { hashes, algorithms });
    let mut config = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        Trust::Authorities(pem) => builder.with_root_certificates(roots(pem)?).with_no_client_auth(),
        Trust::Hashes(hashes) => {
            builder.dangerous().with_custom_certificate_verifier(pinned(Some(hashes.clone()))).with_no_client_auth()
        }
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(pinned(None)).with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.into()];
    // Early data could be replayed by anyone who recorded it.
    config.enable_early_data = false;
    Ok(config)
}

/// Fills `bytes` with unpredictable ones.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    provider().secure_random.fill(bytes).map_err(|_| Error::Tls("no random numbers".into()))
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn system_roots() -> Result<RootCertStore, Error> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let reason = loaded.errors.first().map_or_else(|| "it is empty".to_owned(), ToString::to_string);
        return Err(Error::Tls(format!("the system's trust store cannot be used: {reason}").into()));
    }
    Ok(roots)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Error::Tls(error.to_string().into()))?;
        roots.add(certificate).map_err(|error| Error::Tls(error.to_string().into()))?;
    }
    if roots.is_empty() {
        return Err(Error::Tls("the PEM text holds no certificate".into()));
    }
    Ok(roots)
}

/// Takes a certificate by its hash, or any; the proof that the peer has its key is always checked.
#[derive(Debug)]
struct Pinned {
    /// `None` for any.
    hashes: Option<Vec<[u8; 32]>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let known = |hashes: &Vec<[u8; 32]>| sha256(end_entity).is_some_and(|hash| hashes.contains(&hash));
        if self.hashes.as_ref().is_none_or(known) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
    suite.common.hash_provider.hash(bytes).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha_256() {
        let hash = sha256(b"abc").expect("a hash");
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_pem_text_without_certificates_is_an_error() {
        assert!(matches!(config(&Trust::Authorities(b"nothing".as_slice().into()), "x"), Err(Error::Tls(_))));
    }

    #[test]
    fn the_cheapest_cipher_is_offered_first() {
        let config = config(&Trust::Anyone, "loquic-1").expect("a configuration");
        assert_eq!(config.crypto_provider().cipher_suites[0], cipher_suite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(config.alpn_protocols, [b"loquic-1"]);
    }
}
