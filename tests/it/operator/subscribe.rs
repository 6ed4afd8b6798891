//! `loquic sub`.

use serde_json::{Value, json};

use super::{client, keys, run, run_with};
use crate::support::{Node, Site};

/// A room with the texts 1 to 10, of which only the last five are held if it is called `short`.
async fn ten(room: &str) -> (Site, Node, Vec<Value>) {
    let site = Site::new("[[rooms]]\npattern = 'short'\ncount = 5\n");
    let node = site.start().await;
    let input = (1..=10).map(|number| format!("{number}\n")).collect::<String>();
    let acks = run_with(client(&site, "pub", &[room, "-"]), input.into_bytes()).await;
    acks.says(0, &[]);
    let acks = acks.json();
    (site, node, acks)
}

fn offsets(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["offset"].as_u64()).collect()
}

#[tokio::test]
async fn a_record_is_one_line_of_json() {
    let (site, node, acks) = ten("chat:a").await;
    run_with(client(&site, "pub", &["chat:a", "--bytes"]), vec![0xff, b'\n']).await.says(0, &[]);
    run(client(&site, "pub", &["chat:a", "{\"b\": 1.50, \"a\": null}", "--json-payload"])).await.says(0, &[]);
    let ran = run(client(&site, "sub", &["chat:a", "--from", "10", "--count", "3"])).await;
    ran.says(0, &[]);
    let lines: Vec<_> = ran.out.lines().collect();
    let head = ["room", "epoch", "offset", "time", "sender", "kind", "refers", "producer", "id"];
    assert_eq!(keys(lines[0]), [&head[..], &["payload"]].concat());
    assert_eq!(keys(lines[1]), [&head[..], &["payload_base64"]].concat());
    assert!(lines[2].ends_with("\"payload\":{\"b\": 1.50, \"a\": null}}"), "nested, and as it was: {}", lines[2]);
    let record = &ran.json()[0];
    let expected = json!({
        "room": "chat:a", "epoch": acks[9]["epoch"], "offset": 10, "time": acks[9]["time"], "sender": "tester",
        "kind": "message", "refers": null, "producer": record["producer"], "id": 10, "payload": "10",
    });
    assert_eq!(*record, expected);
    assert_eq!(record["producer"].as_str().map(str::len), Some(8), "a tag in hexadecimal");
    assert_eq!(ran.json()[1]["payload_base64"], "/w==");
    node.terminate().await;
}

#[tokio::test]
async fn every_place_to_start() {
    let (site, node, acks) = ten("a").await;
    let epoch = &acks[0]["epoch"];
    for (from, expected) in [
        ("oldest".to_owned(), (1..=10).collect::<Vec<_>>()),
        ("live".into(), vec![]),
        ("8".into(), vec![8, 9, 10]),
        (format!("{epoch}-8"), vec![9, 10]),
        ("last:2".into(), vec![9, 10]),
        ("last:0".into(), vec![]),
        ("at:1970-01-01T00:00:00Z".into(), (1..=10).collect()),
        ("at:2200-01-01T00:00:00+01:00".into(), vec![]),
    ] {
        let ran = run(client(&site, "sub", &["a", "--until-caught-up", "--from", &from])).await;
        ran.says(0, &[]);
        assert_eq!(offsets(&ran.json()), expected, "{from}");
    }
    for bad in ["newest", "-1", "1-", "last:", "at:noon", "9007199254740992"] {
        let ran = run(client(&site, "sub", &["a", &format!("--from={bad}")])).await;
        ran.says(2, &[bad, "oldest", "EPOCH-OFFSET"]);
    }
    // 3: what the room has not got.
    run(client(&site, "sub", &["a", "--from", "12"])).await.says(3, &["position_ahead"]);
    run(client(&site, "sub", &["a", "--from", &format!("{epoch}-11")])).await.says(3, &["position_ahead"]);
    node.terminate().await;
}

#[tokio::test]
async fn it_ends_after_the_count_also_live() {
    let (site, node, _) = ten("a").await;
    let ran = run(client(&site, "sub", &["a", "--from", "oldest", "--count", "4"])).await;
    assert_eq!(offsets(&ran.says(0, &[]).json()), [1, 2, 3, 4]);
    let live = tokio::spawn(run(client(&site, "sub", &["a", "--from", "10", "--count", "3"])));
    run_with(client(&site, "pub", &["a"]), b"11\n12\n".to_vec()).await.says(0, &[]);
    assert_eq!(offsets(&live.await.unwrap().says(0, &[]).json()), [10, 11, 12]);
    run(client(&site, "sub", &["a", "--count", "0"])).await.says(2, &["--count"]);
    node.terminate().await;
}

#[tokio::test]
async fn a_gap_is_told_and_is_exit_code_4() {
    let (site, node, _) = ten("short").await;
    let arguments = ["short", "--from", "1", "--until-caught-up"];
    let lines = run(client(&site, "sub", &[&arguments[..], &["--events"]].concat())).await;
    assert_eq!(lines.code, Some(4), "{lines:#?}");
    let first = lines.out.lines().next().unwrap();
    assert_eq!(keys(first), ["event", "room", "from", "to", "reason"]);
    assert_eq!(lines.json()[0], json!({"event": "gap", "room": "short", "from": 1, "to": 5, "reason": "retention"}));
    assert_eq!(offsets(&lines.json()), [6, 7, 8, 9, 10]);
    // In words on standard error, where programs do not look.
    let words = run(client(&site, "sub", &arguments)).await;
    words.says(4, &["gap", "1 to 5", "short", "retention"]);
    assert_eq!(offsets(&words.json()), [6, 7, 8, 9, 10]);
    // Who asks for the oldest misses nothing.
    run(client(&site, "sub", &["short", "--from", "oldest", "--until-caught-up"])).await.says(0, &[]);
    node.terminate().await;
}

#[tokio::test]
async fn a_reset_is_told_and_is_exit_code_4() {
    let (site, node, acks) = ten("a").await;
    let arguments = ["a", "--from", "17-3", "--until-caught-up"];
    let lines = run(client(&site, "sub", &[&arguments[..], &["--events"]].concat())).await;
    assert_eq!(lines.code, Some(4), "{lines:#?}");
    assert_eq!(keys(lines.out.lines().next().unwrap()), ["event", "room", "epoch", "valid_to", "head"]);
    let reset = json!({"event": "reset", "room": "a", "epoch": acks[0]["epoch"], "valid_to": 0, "head": 10});
    assert_eq!(lines.json()[0], reset);
    assert_eq!(offsets(&lines.json()), (1..=10).collect::<Vec<_>>());
    run(client(&site, "sub", &arguments)).await.says(4, &["reset", "epoch"]);
    node.terminate().await;
}
