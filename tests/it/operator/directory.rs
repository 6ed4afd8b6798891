//! Data directories and ports that cannot be used: the server says why, and changes nothing in them.

use std::{fs, net::UdpSocket, path::Path};

use tempfile::TempDir;

use super::{Ran, loquic, run};
use crate::support::Site;

async fn serve(home: &Path, data: &Path) -> Ran {
    let mut command = loquic(home, &["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data);
    run(command).await
}

#[tokio::test]
async fn a_directory_in_use_is_left_to_whoever_uses_it() {
    let site = Site::new("");
    let node = site.start().await;
    let client = site.connect("tester").await;
    let publisher = client.publisher("room").unwrap();
    publisher.publish("before").await.unwrap();
    let home = TempDir::new().unwrap();
    serve(home.path(), &site.data()).await.says(1, &["in use", "--data-dir", &site.data().display().to_string()]);
    for command in ["rooms", "verify"] {
        let mut command = loquic(home.path(), &["log", command, "--data-dir"]);
        command.arg(site.data());
        run(command).await.says(1, &["in use"]);
    }
    publisher.publish("after").await.unwrap();
    client.close().await;
    node.terminate().await;
    assert_eq!(site.verify()["records"], 2);
}

#[tokio::test]
async fn another_format_and_damage_are_named() {
    let site = Site::new("");
    site.start().await.terminate().await;
    let meta = site.data().join("META");
    let good = fs::read_to_string(&meta).unwrap();
    let home = TempDir::new().unwrap();
    for (text, words) in [
        (good.replace("\"format\": 1", "\"format\": 9"), vec!["format 9", "format 1"]),
        (good.replace("\"format\"", "\"shape\""), vec!["no format"]),
        (good.replace("xxh3-64", "md5"), vec!["md5", "xxh3-64"]),
        (good[..good.len() / 2].into(), vec!["META", "damaged"]),
        (String::new(), vec!["META", "damaged"]),
        ("not JSON".into(), vec!["META", "damaged"]),
    ] {
        fs::write(&meta, &text).unwrap();
        serve(home.path(), &site.data()).await.says(1, &words);
        assert_eq!(fs::read_to_string(&meta).unwrap(), text, "it is left as it was");
    }
    fs::write(&meta, good).unwrap();
    site.start().await.terminate().await;
}

#[tokio::test]
async fn a_directory_of_something_else_is_left_alone() {
    let home = TempDir::new().unwrap();
    let foreign = home.path().join("photos");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("cat.jpg"), "a cat").unwrap();
    serve(home.path(), &foreign).await.says(1, &["photos", "not a data directory", "empty"]);
    let mut left: Vec<_> = fs::read_dir(&foreign).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name != "LOCK");
    assert_eq!(left, ["cat.jpg"]);
    for command in [&["log", "rooms"][..], &["log", "verify"], &["log", "cat", "room"]] {
        for directory in ["photos", "nowhere"] {
            let mut command = loquic(home.path(), command);
            command.args(["--data-dir", directory]);
            run(command).await.says(1, &[directory]);
        }
    }
    assert!(!home.path().join("nowhere").exists());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    // Whoever is root may write anywhere but here.
    let home = TempDir::new().unwrap();
    let file = home.path().join("a-file");
    fs::write(&file, "").unwrap();
    serve(home.path(), &file).await.says(1, &["a-file"]);
    serve(home.path(), &file.join("below")).await.says(1, &["a-file/below"]);
    serve(home.path(), Path::new("/proc/loquic")).await.says(1, &["/proc/loquic", "create"]);
    serve(home.path(), Path::new("/proc/self/fd")).await.says(1, &["/proc/self/fd"]);
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_directory_stays_good() {
    let home = TempDir::new().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let serve = |address: &str| loquic(home.path(), &["serve", "--dev", "--listen", address]);
    run(serve(&address)).await.says(1, &[&address, "--listen"]);
    // An address that no machine has.
    run(serve("203.0.113.1:4433")).await.says(1, &["203.0.113.1:4433"]);
    run(serve("nonsense")).await.says(2, &["--listen"]);
    super::stop::ready_then_killed(serve("127.0.0.1:0")).await;
}
