//! The node's certificate: from the operator's files, or a development certificate that is made, kept and renewed here.
//!
//! A development certificate lives in one file with its key, so that a reader never sees the one without the other, and
//! only its owner reads it. It is P-256 and valid for less than 14 days, because browsers trust a certificate by its
//! hash under these conditions only. Half-way it is replaced by a new one.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A chain of certificates, the first one's key, and its hash.
#[derive(Debug)]
pub struct Identity {
    /// The node's certificate, followed by those between it and the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
    /// SHA-256 of the first certificate's DER.
    pub hash: [u8; 32],
}

impl Identity {
    /// The hash as browsers and `/v1/info` write it.
    pub fn hash_base64(&self) -> String {
        BASE64_STANDARD.encode(self.hash)
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file could not be read.
    #[error("cannot read {what} {path}: {source}")]
    Read {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file could not be written.
    #[error("cannot write the development certificate {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a development certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The file of a development certificate and its key within its directory.
pub const DEV_FILE: &str = "dev.pem";

/// Before now, so that a client whose clock is behind takes it.
const DEV_NOT_BEFORE: Duration = Duration::from_secs(60 * 60);

/// How long a development certificate is valid. Browsers take 14 days at most; the hour before counts as well.
const DEV_VALIDITY: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// Names and addresses of a development certificate.
const DEV_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The text before the PEM sections; readers of PEM skip it.
const DEV_HEAD: &str = "loquic development certificate and key, not for production; made at Unix time ";

/// Reads the operator's certificate and key.
pub fn read(certificate: &Path, key: &Path) -> Result<Identity, CertError> {
    let chain_error = |source| CertError::Read { what: "the certificate", path: certificate.into(), source };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|items| items.collect::<Result<Vec<_>, _>>())
        .and_then(|chain| if chain.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(chain_error)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| CertError::Read {
        what: "the private key",
        path: key.into(),
        source,
    })?;
    Ok(identity(chain, key))
}

/// The development certificate of this directory: the one that is there, or a new one if there is none, it cannot be
/// read, or half its time is over.
pub fn dev_certificate(dir: &Path) -> Result<Identity, CertError> {
    dev_certificate_at(dir, SystemTime::now())
}

fn dev_certificate_at(dir: &Path, now: SystemTime) -> Result<Identity, CertError> {
    let path = dir.join(DEV_FILE);
    if let Some(identity) = read_dev(&path, now) {
        return Ok(identity);
    }
    let existed = path.exists();
    let text = make_dev(now)?;
    let write_error = |source| CertError::Write { path: path.clone(), source };
    match write_private(dir, &path, &text, existed) {
        Ok(()) => {}
        // Another process was faster; both serve its certificate.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(write_error(error)),
    }
    read_dev(&path, now).ok_or_else(|| write_error(io::Error::other("it is not there after writing")))
}

fn read_dev(path: &Path, now: SystemTime) -> Option<Identity> {
    let text = std::fs::read(path).ok()?;
    let head = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
    let made = Duration::from_secs(head.strip_prefix(DEV_HEAD)?.parse().ok()?);
    let age = now.duration_since(UNIX_EPOCH).ok()?.checked_sub(made)?;
    if age > DEV_VALIDITY / 2 {
        return None;
    }
    let certificate = CertificateDer::from_pem_slice(&text).ok()?;
    Some(identity(vec![certificate], PrivateKeyDer::from_pem_slice(&text).ok()?))
}

fn identity(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Identity {
    let mut hash = [0; 32];
    if let Some(first) = chain.first() {
        hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, first).as_ref());
    }
    Identity { chain, key, hash }
}

fn make_dev(now: SystemTime) -> Result<String, CertError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.not_before = (now - DEV_NOT_BEFORE).into();
    params.not_after = (now - DEV_NOT_BEFORE + DEV_VALIDITY).into();
    params.distinguished_name.push(DnType::CommonName, "loquic development");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in DEV_NAMES {
        params.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        });
    }
    let certificate = params.self_signed(&key)?;
    let made = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut text = format!("{DEV_HEAD}{made}\n");
    // Writing to a String does not fail.
    let _ = write!(text, "{}{}", certificate.pem(), key.serialize_pem());
    Ok(text)
}

/// Writes a file that only its owner reads, whole or not at all. Without `replace`, one that is already there stays.
fn write_private(dir: &Path, path: &Path, text: &str, replace: bool) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    // Such files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match replace {
        true => file.persist(path).map(drop).map_err(|error| error.error),
        false => file.persist_noclobber(path).map(drop).map_err(|error| error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_certificate_is_kept_then_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made");
        // Whole seconds, as the file has them.
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let first = dev_certificate_at(&dir, now).unwrap();
        assert_eq!(first.hash, dev_certificate_at(&dir, now + DEV_VALIDITY / 2).unwrap().hash);
        let renewed = dev_certificate_at(&dir, now + DEV_VALIDITY / 2 + Duration::from_secs(2)).unwrap();
        assert_ne!(first.hash, renewed.hash);
        assert_eq!(first.hash_base64().len(), 44);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it_and_rubbish_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DEV_FILE);
        std::fs::write(&path, "rubbish").unwrap();
        dev_certificate(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // The same file serves as the operator's two.
        assert_eq!(read(&path, &path).unwrap().chain.len(), 1);
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let error = read(Path::new("/nowhere/a.pem"), Path::new("/nowhere/b.pem")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the certificate /nowhere/a.pem: "), "{error}");
    }
}
