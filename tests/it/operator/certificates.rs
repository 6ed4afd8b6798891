//! Certificates: missing, broken, and kept.

use std::fs;

use tempfile::TempDir;

use super::{loquic, run, stop::ready_then_killed};

#[tokio::test]
async fn missing_and_broken_files_are_named() {
    let home = TempDir::new().unwrap();
    let config = |certificate: &str, key: &str| {
        let text = format!("[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n");
        fs::write(home.path().join("loquic.toml"), text).unwrap();
        loquic(home.path(), &["serve", "--dev", "--config", "loquic.toml", "--listen", "127.0.0.1:0"])
    };
    run(loquic(home.path(), &["certs", "dev"])).await.says(0, &["certs/dev.pem"]);
    run(config("nowhere.pem", "certs/dev.pem")).await.says(1, &["certificate", "nowhere.pem"]);
    run(config("certs/dev.pem", "nowhere.pem")).await.says(1, &["private key", "nowhere.pem"]);
    fs::write(home.path().join("rubbish.pem"), "rubbish").unwrap();
    run(config("rubbish.pem", "certs/dev.pem")).await.says(1, &["certificate", "rubbish.pem"]);
    run(config("certs/dev.pem", "rubbish.pem")).await.says(1, &["private key", "rubbish.pem"]);
    // A key that belongs to another certificate.
    run(loquic(home.path(), &["certs", "dev", "--dir", "others"])).await.says(0, &[]);
    run(config("certs/dev.pem", "others/dev.pem")).await.says(1, &["certificate"]);
    assert!(!home.path().join("data").exists(), "nothing was begun");
    let one = "[tls]\ncertificate = 'certs/dev.pem'\n";
    fs::write(home.path().join("one.toml"), one).unwrap();
    run(loquic(home.path(), &["config", "check", "--dev", "one.toml"])).await.says(1, &["one.toml:2", "tls.key"]);
    ready_then_killed(config("certs/dev.pem", "certs/dev.pem")).await;
}

#[tokio::test]
async fn the_development_certificate_is_kept_over_restarts() {
    let home = TempDir::new().unwrap();
    let serve = || loquic(home.path(), &["serve", "--dev", "--listen", "127.0.0.1:0"]);
    ready_then_killed(serve()).await;
    let file = home.path().join("certs/dev.pem");
    let first = fs::read(&file).unwrap();
    ready_then_killed(serve()).await;
    assert_eq!(fs::read(&file).unwrap(), first);
    let hash = run(loquic(home.path(), &["certs", "dev"])).await;
    hash.says(0, &["certs/dev.pem"]);
    assert_eq!(hash.out.trim_end().len(), 44, "SHA-256 in base64: {hash:?}");
    assert_eq!(run(loquic(home.path(), &["certs", "dev"])).await.out, hash.out);
    assert_eq!(fs::read(&file).unwrap(), first);
}
