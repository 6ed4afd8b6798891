//! `loquic log`: a stopped directory looked into.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{Ran, client, keys, loquic, run};
use crate::support::Site;

/// With little in common, so that compression leaves each of them as it is.
const TEXTS: [&str; 3] = ["alpha-7Q", "bravo_2X", "Gulf~59k"];

/// A stopped directory with two rooms.
async fn stopped() -> Site {
    let site = Site::new("");
    let node = site.start().await;
    for text in TEXTS {
        run(client(&site, "pub", &["chat:a", text])).await.says(0, &[]);
    }
    run(client(&site, "pub", &["chat:b", "{\"a\": [1, 2]}", "--json-payload"])).await.says(0, &[]);
    node.terminate().await;
    site
}

async fn log(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = loquic(Path::new("/"), &["log"]);
    command.args(arguments).arg("--data-dir").arg(site.data()).arg("--json");
    run(command).await
}

#[tokio::test]
async fn rooms_and_records_are_printed_as_everywhere() {
    let site = stopped().await;
    let rooms = log(&site, &["rooms"]).await;
    rooms.says(0, &[]);
    assert_eq!(keys(rooms.out.lines().next().unwrap()), ["tenant", "room", "epoch", "floor", "head", "time", "bytes"]);
    let mut heads: Vec<_> = rooms.json().iter().map(|room| (room["room"].clone(), room["head"].clone())).collect();
    heads.sort_by_key(|(room, _)| room.to_string());
    assert_eq!(heads, [(json!("chat:a"), json!(3)), (json!("chat:b"), json!(1))]);

    let all = log(&site, &["cat", "chat:a"]).await;
    all.says(0, &[]);
    assert_eq!(
        keys(all.out.lines().next().unwrap()),
        ["room", "epoch", "offset", "time", "sender", "kind", "refers", "producer", "id", "payload"]
    );
    let payloads: Vec<_> = all.json().iter().map(|record| record["payload"].clone()).collect();
    assert_eq!(payloads, TEXTS);
    let part = log(&site, &["cat", "chat:a", "--from", "2", "--to", "2"]).await;
    assert_eq!(part.json().iter().map(|record| record["offset"].clone()).collect::<Vec<Value>>(), [2]);
    assert_eq!(log(&site, &["cat", "chat:b"]).await.json()[0]["payload"], json!({"a": [1, 2]}));
    log(&site, &["cat", "nobody:was:here"]).await.says(1, &["nobody:was:here"]);
    log(&site, &["cat", "not a room"]).await.says(2, &["not a room"]);
    log(&site, &["cat", "chat:a", "--from", "0"]).await.says(2, &["--from"]);
}

#[tokio::test]
async fn verify_is_0_when_all_is_well_and_1_with_what_is_wrong_and_where() {
    let site = stopped().await;
    let good = log(&site, &["verify"]).await;
    good.says(0, &[]);
    assert_eq!(keys(&good.out), ["good", "rooms", "records", "bytes", "producers", "findings"]);
    let good = &good.json()[0];
    assert_eq!((&good["good"], &good["rooms"], &good["records"]), (&json!(true), &json!(2), &json!(4)));

    // One byte of a payload, wherever RocksDB keeps it.
    let mut changed = 0;
    for entry in fs::read_dir(site.data().join("log")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap_or_default();
        if let Some(at) = bytes.windows(8).position(|window| window == TEXTS[1].as_bytes()) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            changed += 1;
        }
    }
    assert!(changed > 0, "the payload was not found in any file");
    let bad = log(&site, &["verify"]).await;
    assert_eq!(bad.code, Some(1), "{bad:#?}");
    if bad.out.is_empty() {
        // RocksDB's own checksum of the block came first, and nothing of it can be read.
        assert!(bad.err.to_lowercase().contains("corrupt") && bad.err.contains("log"), "{bad:#?}");
    } else {
        let bad = &bad.json()[0];
        assert_eq!(bad["good"], false);
        let finding = &bad["findings"][0];
        assert!(finding["what"].is_string() && finding.get("room").is_some() && finding.get("offset").is_some());
    }
}
