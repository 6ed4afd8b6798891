//! Configurations that do not hold, and who wins.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Ran, loquic, run};
use crate::support::Site;

async fn serve(home: &Path, config: &str, arguments: &[&str]) -> Ran {
    fs::write(home.join("loquic.toml"), config).unwrap();
    let mut command = loquic(home, &["serve", "--config", "loquic.toml", "--listen", "127.0.0.1:0"]);
    command.args(arguments);
    run(command).await
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    let home = TempDir::new().unwrap();
    let config = "[limits]\nrooms_max = 10\nroms_max = 10\n\n[lmits]\n";
    let ran = serve(home.path(), config, &["--dev"]).await;
    ran.says(2, &["loquic.toml:3", "roms_max", "rooms_max", "loquic.toml:5", "lmits", "limits"]);
    assert!(ran.out.is_empty() && !home.path().join("data").exists(), "nothing was begun");

    let checked = run(loquic(home.path(), &["config", "check", "loquic.toml", "--dev"])).await;
    assert_ne!(checked.code, Some(0));
    assert!(checked.err.contains("loquic.toml:3") && checked.err.contains("rooms_max"), "{checked:#?}");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let home = TempDir::new().unwrap();
    let config = "[limits]\nrooms_max = 'many'\nsessions_max = 0\n[timeouts]\nidle = '1s'\n[[rooms]]\nlevel = 'disc'\n";
    let ran = serve(home.path(), config, &["--dev"]).await;
    let words = ["loquic.toml:2", "loquic.toml:3", "loquic.toml:5", "loquic.toml:7", "rooms.pattern", "disc"];
    ran.says(2, &words);
    serve(home.path(), "limits = [", &["--dev"]).await.says(2, &["loquic.toml:1", "TOML"]);
    let missing = run(loquic(home.path(), &["serve", "--dev", "--config", "nowhere.toml"])).await;
    missing.says(2, &["nowhere.toml", "config print"]);
    let mut environment = loquic(home.path(), &["serve", "--dev"]);
    environment.env("LOQUIC_LIMITS__ROMS_MAX", "3");
    run(environment).await.says(2, &["LOQUIC_LIMITS__ROMS_MAX", "rooms_max"]);
}

#[tokio::test]
async fn without_dev_it_refuses_to_start_and_says_what_to_configure() {
    let home = TempDir::new().unwrap();
    let ran = serve(home.path(), "", &[]).await;
    ran.says(2, &["--dev", "auth.danger_accept_any_name", "tls.certificate", "tls.key"]);
    assert!(!home.path().join("data").exists() && !home.path().join("certs").exists());
}

#[tokio::test]
async fn what_is_printed_is_good_and_changes_nothing() {
    let home = TempDir::new().unwrap();
    let printed = run(loquic(home.path(), &["config", "print"])).await;
    printed.says(0, &[]);
    fs::write(home.path().join("printed.toml"), &printed.out).unwrap();
    let checked = run(loquic(home.path(), &["config", "check", "printed.toml", "--dev"])).await;
    checked.says(0, &[]);
    assert_eq!(checked.out, "printed.toml: good\n");
}

#[tokio::test]
async fn flags_go_over_the_environment_over_the_file() {
    let file = "listen.quic = ['127.0.0.1:1']\nnode.data_dir = 'from-file'\nlimits.payload_bytes_max = '1KiB'\n";
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("loquic.toml"), file).unwrap();
    // Port 1 cannot be had by whoever is not root, and nothing of this may listen on it: each start overrides it.
    for (arguments, environment, data) in [
        (vec!["--listen", "127.0.0.1:0", "--data-dir", "from-flag"], Some("from-environment"), "from-flag"),
        (vec!["--listen", "127.0.0.1:0"], Some("from-environment"), "from-environment"),
        (vec!["--listen", "127.0.0.1:0"], None, "from-file"),
    ] {
        let mut command = loquic(home.path(), &["serve", "--dev", "--config", "loquic.toml"]);
        command.args(arguments);
        environment.map(|data| command.env("LOQUIC_NODE__DATA_DIR", data));
        let ready = super::stop::ready_then_killed(command).await;
        assert_eq!(ready["data_dir"], data);
        assert!(home.path().join(data).join("META").exists(), "{data}");
        let address = ready["quic"][0].as_str().unwrap();
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":1") && !address.ends_with(":0"), "{address}");
    }
}

#[tokio::test]
async fn a_setting_of_the_file_has_its_effect() {
    let site = Site::new("limits.payload_bytes_max = '1KiB'\nnode.name = 'the-node'\n");
    let node = site.start().await;
    let client = site.connect("tester").await;
    assert!(client.publisher("room").unwrap().publish(vec![1; 1_024]).await.is_ok());
    assert!(client.publisher("room").unwrap().publish(vec![1; 1_025]).await.is_err());
    match &*client.status().borrow() {
        loquic_client::Status::Online { node, .. } => assert_eq!(&**node, "the-node"),
        other => panic!("{other:?}"),
    }
    client.close().await;
    node.terminate().await;
}
