//! The node's certificate: from the operator's files, or a development certificate that is made, kept and renewed here.
//!
//! A development certificate lives in one file with its key, so that a reader never sees the one without the other, and
//! only its owner reads it. It is P-256 and valid for less than 14 days, because browsers trust a certificate by its
//! hash under these conditions only.
//!
//! Half-way the next one takes its place. That one is made, and its hash is told, long before: a page that has both
//! hashes still connects when the node was restarted, or has changed certificates, since the page last asked.

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
    /// The same of the certificate that will follow, as far as that is known: of development certificates.
    pub next_hash: Option<[u8; 32]>,
}

impl Identity {
    /// The hash as browsers and `/v1/info` write it.
    pub fn hash_base64(&self) -> String {
        BASE64_STANDARD.encode(self.hash)
    }

    /// What a browser is told to trust, now and next. Nothing for an operator's certificate: browsers take a hash only
    /// for one of less than 14 days, and trust that one by its issuer.
    pub fn trusted_hashes(&self) -> Vec<String> {
        self.next_hash.map_or_else(Vec::new, |next| vec![self.hash_base64(), BASE64_STANDARD.encode(next)])
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

/// The same of the development certificate that follows.
pub const DEV_NEXT_FILE: &str = "dev-next.pem";

/// Before now, so that a client whose clock is behind takes it.
const DEV_NOT_BEFORE: Duration = Duration::from_secs(60 * 60);

/// How long a development certificate is valid. Browsers take 14 days at most; the hour before counts as well.
const DEV_VALIDITY: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// How long it is served: half of that, so that a hash that a client was given holds for days.
const DEV_SERVED: Duration = Duration::from_secs(DEV_VALIDITY.as_secs() / 2);

/// Names and addresses of a development certificate.
const DEV_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The text before the PEM sections; readers of PEM skip it.
const DEV_HEAD: &str = "loquic development certificate and key, not for production; served from Unix time ";

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

/// The development certificate of this directory: the one that is there, the next one if half the time of that is over,
/// or a new one if neither can be used. The one that follows it is made as well.
pub fn dev_certificate(dir: &Path) -> Result<Identity, CertError> {
    dev_certificate_at(dir, SystemTime::now())
}

fn dev_certificate_at(dir: &Path, now: SystemTime) -> Result<Identity, CertError> {
    // The file has whole seconds.
    let now = Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let (path, next_path) = (dir.join(DEV_FILE), dir.join(DEV_NEXT_FILE));
    let mut current = current(&path, now);
    if current.is_none() {
        // What follows is written over what it follows, and not moved there, so that two processes may both do it.
        let text = if let Some(next) = self::current(&next_path, now) { next.text } else { make_dev(now)? };
        write_private(dir, &path, &text)?;
        current = self::current(&path, now);
    }
    let current = current.ok_or_else(|| vanished(&path))?;
    let follows = current.from + DEV_SERVED;
    let mut next = read_dev(&next_path).filter(|next| next.from == follows);
    if next.is_none() {
        write_private(dir, &next_path, &make_dev(follows)?)?;
        next = read_dev(&next_path);
    }
    let next = next.ok_or_else(|| vanished(&next_path))?;
    Ok(Identity { next_hash: Some(next.identity.hash), ..current.identity })
}

/// A development certificate as it is kept.
struct Kept {
    /// Since when, or from when on, it is served; Unix time.
    from: Duration,
    text: String,
    identity: Identity,
}

/// The certificate in this file if it is its time.
fn current(path: &Path, now: Duration) -> Option<Kept> {
    read_dev(path).filter(|kept| kept.from <= now && now <= kept.from + DEV_SERVED)
}

fn read_dev(path: &Path) -> Option<Kept> {
    let text = std::fs::read_to_string(path).ok()?;
    let from = Duration::from_secs(text.lines().next()?.strip_prefix(DEV_HEAD)?.parse().ok()?);
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
    let identity = identity(vec![certificate], PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?);
    Some(Kept { from, text, identity })
}

fn vanished(path: &Path) -> CertError {
    CertError::Write { path: path.into(), source: io::Error::other("it is not there after writing") }
}

fn identity(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Identity {
    let mut hash = [0; 32];
    if let Some(first) = chain.first() {
        hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, first).as_ref());
    }
    Identity { chain, key, hash, next_hash: None }
}

fn make_dev(from: Duration) -> Result<String, CertError> {
    let not_before = UNIX_EPOCH + from - DEV_NOT_BEFORE;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.not_before = not_before.into();
    params.not_after = (not_before + DEV_VALIDITY).into();
    params.distinguished_name.push(DnType::CommonName, "loquic development");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in DEV_NAMES {
        params.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        });
    }
    let certificate = params.self_signed(&key)?;
    let mut text = format!("{DEV_HEAD}{}\n", from.as_secs());
    // Writing to a String does not fail.
    let _ = write!(text, "{}{}", certificate.pem(), key.serialize_pem());
    Ok(text)
}

/// Writes a file that only its owner reads, whole or not at all. If there was none and another process is faster, that
/// one's stays, and both serve it.
fn write_private(dir: &Path, path: &Path, text: &str) -> Result<(), CertError> {
    let written = || -> io::Result<()> {
        let existed = path.exists();
        std::fs::create_dir_all(dir)?;
        // Such files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        if existed {
            return file.persist(path).map(drop).map_err(|error| error.error);
        }
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    };
    written().map_err(|source| CertError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_certificate_is_kept_then_followed_by_the_one_that_was_announced() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made");
        // Whole seconds, as the file has them.
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = |time| dev_certificate_at(&dir, time).unwrap();
        let first = at(now);
        assert_eq!(first.hash_base64().len(), 44);
        let again = at(now + DEV_SERVED);
        assert_eq!((again.hash, again.next_hash), (first.hash, first.next_hash));
        let second = at(now + DEV_SERVED + Duration::from_secs(1));
        assert_eq!(Some(second.hash), first.next_hash, "the one that was announced");
        assert_eq!(at(now + 2 * DEV_SERVED).next_hash, second.next_hash, "until half of its own time is over");
        let third = at(now + 2 * DEV_SERVED + Duration::from_secs(1));
        assert_eq!(Some(third.hash), second.next_hash);
        // After a long rest neither is good any more.
        let late = at(now + 9 * DEV_SERVED);
        assert!(late.hash != third.hash && Some(late.hash) != third.next_hash);
        // A clock that was set back does not serve a certificate that is not valid yet.
        assert_ne!(at(now).hash, late.hash);
        assert_eq!(first.trusted_hashes(), [first.hash_base64(), second.hash_base64()]);
    }

    #[test]
    fn both_are_short_enough_for_browsers_and_valid_while_they_are_served() {
        let now = Duration::from_secs(1_800_000_000);
        let validity = DEV_VALIDITY.as_secs();
        assert!(validity <= 14 * 24 * 60 * 60);
        // The last moment at which one is served is well before its end, and the first well behind its start.
        assert!(DEV_SERVED + DEV_NOT_BEFORE < DEV_VALIDITY);
        assert!(make_dev(now).unwrap().starts_with(&format!("{DEV_HEAD}{}\n", now.as_secs())));
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
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the certificate and the next one");
        let next = dir.path().join(DEV_NEXT_FILE);
        assert_eq!(std::fs::metadata(&next).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&next, "rubbish").unwrap();
        let hashes = dev_certificate(dir.path()).unwrap().trusted_hashes();
        assert_eq!(dev_certificate(dir.path()).unwrap().trusted_hashes(), hashes);
        // The same file serves as the operator's two.
        let read = read(&path, &path).unwrap();
        assert_eq!((read.chain.len(), read.trusted_hashes()), (1, Vec::new()));
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let error = read(Path::new("/nowhere/a.pem"), Path::new("/nowhere/b.pem")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the certificate /nowhere/a.pem: "), "{error}");
    }
}
