//! Follows the development certificate while the node runs: half of its time is days, and nodes run for longer.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{
    api::Info,
    config::{IdentitySource, certs::CertError, limits},
    transport::tls::Certificates,
};

/// Looks after the certificate from time to time; never ends. An operator's certificate is read at the start alone.
pub(super) async fn run(source: IdentitySource, certificates: Certificates, info: Arc<Info>) {
    if !matches!(source, IdentitySource::Development(_)) {
        return;
    }
    let mut looks = interval(limits::CERTIFICATE_INTERVAL);
    // A machine that slept has nothing to make up for.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let (source, certificates, info) = (source.clone(), certificates.clone(), info.clone());
        let looked = tokio::task::spawn_blocking(move || look(&source, &certificates, &info)).await;
        if !matches!(looked, Ok(Ok(()))) {
            warn!(?looked, "cannot look after the development certificate; the one that is served stays");
        }
    }
}

/// Serves the certificate whose time it is, and tells its hash.
fn look(source: &IdentitySource, certificates: &Certificates, info: &Info) -> Result<(), CertError> {
    let identity = source.load()?;
    let hashes = identity.trusted_hashes();
    if certificates.replace(identity.chain, identity.key).is_ok() && info.set_certificate_hashes(hashes) {
        info!("another development certificate, or another one to follow it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{api::Addresses, config::Advertise};

    /// Moves the time from which a certificate is served to days ago.
    fn age(file: &Path, days: u64) {
        let text = fs::read_to_string(file).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let (words, from) = head.rsplit_once(' ').unwrap();
        let from = from.parse::<u64>().unwrap() - days * 24 * 60 * 60;
        fs::write(file, format!("{words} {from}\n{rest}")).unwrap();
    }

    #[test]
    fn the_announced_certificate_follows_while_the_node_runs() {
        let dir = tempfile::tempdir().unwrap();
        let source = IdentitySource::Development(dir.path().into());
        let first = source.load().unwrap();
        let told = first.trusted_hashes();
        let certificates = Certificates::new(first.chain, first.key).unwrap();
        let info = Info::new("n".into(), &Addresses::default(), &Advertise::default());
        look(&source, &certificates, &info).unwrap();
        assert_eq!(info.certificate_hashes(), told, "nothing has changed");
        assert!(!info.set_certificate_hashes(told.clone()));

        age(&dir.path().join("dev.pem"), 7);
        age(&dir.path().join("dev-next.pem"), 7);
        look(&source, &certificates, &info).unwrap();
        let now = info.certificate_hashes();
        assert_eq!(now[0], told[1], "the one that was announced");
        assert!(!told.contains(&now[1]));
        assert_eq!(source.load().unwrap().trusted_hashes(), now);
    }
}
