//! Appending: once, in order, and together with sessions.

use loquic_client::{Event, From};
use loquic_wire::Code;
use serde_json::{Value, json};

use super::{BYTES, JSON, LINES, TEXT, offsets, post};
use crate::{http::get, raw::soon, support::Site};

#[tokio::test]
async fn what_is_published_is_there_in_its_format_and_the_same_in_the_command_line() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let ann = ("Loquic-Name", "ann");
    let first = post(http, "chat:a", &[TEXT, ann], "hé\n").await;
    assert_eq!((first.status, first.header("content-type")), (201, "application/json"));
    let ack = first.json();
    let keys: std::collections::BTreeSet<&str> = ack.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["room", "epoch", "offset", "time", "duplicate"].into());
    assert_eq!((&ack["room"], &ack["offset"], &ack["duplicate"]), (&"chat:a".into(), &1.into(), &false.into()));
    let document = "{\"b\": 1.10,\n \"a\": 18446744073709551616}";
    assert_eq!(post(http, "chat:a", &[JSON], document).await.status, 201);
    let custom = [BYTES, ann, ("Loquic-Kind", "40"), ("Loquic-Refers", "1")];
    assert_eq!(post(http, "chat:a", &custom, [0xff, 0]).await.status, 201);
    let one = get(http, first.header("location")).await;
    let record = one.json();
    assert_eq!(
        (&record["payload"], &record["sender"], &record["kind"]),
        (&"hé\n".into(), &"ann".into(), &"message".into())
    );
    let page = get(http, "/v1/rooms/chat:a/records").await;
    assert!(page.text().contains("\"payload\":{\"b\": 1.10,  \"a\": 18446744073709551616}"), "{}", page.text());
    let all = page.json()["records"].take();
    assert_eq!((&all[1]["sender"], &all[2]["payload_base64"]), (&"anonymous".into(), &"/wA=".into()));
    assert_eq!((&all[2]["kind"], &all[2]["refers"]), (&40.into(), &1.into()));
    node.terminate().await;
    let printed = site.loquic(&["log", "cat", "chat:a", "--json", "--data-dir", &site.data().display().to_string()]);
    let printed: Vec<Value> =
        String::from_utf8(printed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all, Value::from(printed));
    site.verify();
}

#[tokio::test]
async fn a_key_appends_once_over_restarts_too() {
    let site = Site::new("");
    let node = site.start().await;
    let key = [TEXT, ("Idempotency-Key", "order-42")];
    let first = post(node.address("http"), "orders", &key, "one").await;
    assert_eq!(first.status, 201);
    let again = post(node.address("http"), "orders", &key, "one").await;
    assert_eq!((again.status, again.json()["offset"].as_u64()), (200, Some(1)));
    assert_eq!((&again.json()["duplicate"], &again.json()["time"]), (&true.into(), &first.json()["time"]));
    assert_eq!(again.header("location"), first.header("location"));
    node.kill().await;
    let node = site.start().await;
    let http = node.address("http");
    let again = post(http, "orders", &key, "one").await;
    assert_eq!((again.status, again.json()["offset"].as_u64()), (200, Some(1)));
    post(http, "orders", &key, "two").await.is_problem(409, Code::CONFLICT.0);
    // Of another room, another user, another key: another record.
    assert_eq!(post(http, "orders:b", &key, "one").await.status, 201);
    assert_eq!(post(http, "orders", &[key[0], key[1], ("Loquic-Name", "bob")], "one").await.status, 201);
    assert_eq!(post(http, "orders", &[TEXT, ("Idempotency-Key", "order-43")], "one").await.status, 201);
    assert_eq!(get(http, "/v1/rooms/orders").await.json()["head"], 3);
    // Without one each is a record.
    assert_eq!(post(http, "orders", &[TEXT], "one").await.json()["offset"], 4);
    assert_eq!(post(http, "orders", &[TEXT], "one").await.json()["offset"], 5);
    node.terminate().await;
}

#[tokio::test]
async fn the_same_key_many_times_at_once_is_one_record() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let ask = || post(http, "orders", &[TEXT, ("Idempotency-Key", "k")], "one");
    let answers = futures::future::join_all((0..16).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.json()["offset"] == 1));
    assert_eq!(get(http, "/v1/rooms/orders").await.json()["head"], 1);
    node.terminate().await;
}

#[tokio::test]
async fn who_numbers_records_keeps_to_the_numbers() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let own = |id: &'static str| [TEXT, ("Loquic-Producer", "000102030405060708090a0b0c0d0e0f"), ("Loquic-Id", id)];
    assert_eq!(post(http, "room", &own("7"), "seven").await.status, 201);
    assert_eq!(post(http, "room", &own("8"), "eight").await.status, 201);
    let gap = post(http, "room", &own("10"), "ten").await;
    assert_eq!(gap.is_problem(409, Code::ID_GAP.0).json()["expected"], 9);
    assert_eq!(post(http, "room", &own("8"), "eight").await.status, 200);
    let record = get(http, "/v1/rooms/room/records/2").await.json();
    assert_eq!((&record["id"], &record["producer"]), (&8.into(), &"00010203".into()));
    node.terminate().await;
}

#[tokio::test]
async fn a_batch_is_taken_in_order_and_once() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let lines =
        "{\"payload\":\"a\"}\n\n{\"payload\":{\"n\":1},\"kind\":33}\r\n{\"payload_base64\":\"aGk=\",\"refers\":1}";
    let key = [LINES, ("Idempotency-Key", "batch-1")];
    let answer = post(http, "room", &key, lines).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    let acks = answer.json_lines();
    assert_eq!(offsets(&Value::from(acks.clone())), [1, 2, 3]);
    assert!(acks.iter().all(|ack| ack["duplicate"] == false));
    let again = post(http, "room", &key, lines).await.json_lines();
    assert_eq!(offsets(&Value::from(again.clone())), [1, 2, 3]);
    assert!(again.iter().all(|ack| ack["duplicate"] == true));
    // A refused line takes what is behind it along, and nothing of that is in the log.
    let mixed =
        post(http, "room", &[LINES], "{\"payload\":1}\n{\"payload\":2,\"kind\":\"system\"}\n{\"payload\":3}").await;
    let mixed = mixed.json_lines();
    assert_eq!(mixed[0]["offset"], 4);
    assert_eq!((&mixed[1]["status"], &mixed[1]["code"]), (&422.into(), &Code::BAD_RECORD.0.into()));
    assert_eq!((&mixed[2]["status"], &mixed[2]["code"]), (&424.into(), &Code::SKIPPED.0.into()));
    // A line that is no record at all: nothing is taken.
    let bad = post(http, "room", &[LINES], "{\"payload\":1}\n{\"payload\":").await;
    assert!(bad.is_problem(400, Code::BAD_REQUEST.0).text().contains("line 2"), "{bad:?}");
    let records = get(http, "/v1/rooms/room/records").await.json()["records"].take();
    let payloads: Vec<_> = records.as_array().unwrap().iter().map(|record| &record["payload"]).collect();
    assert_eq!(payloads, [&json!("a"), &json!({"n": 1}), &Value::Null, &json!(1)]);
    node.terminate().await;
}

#[tokio::test]
async fn a_batch_has_an_end() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let line = "{\"payload\":1}\n";
    let most = post(http, "room", &[LINES], line.repeat(1_000)).await;
    assert_eq!((most.status, most.json_lines().len()), (200, 1_000));
    post(http, "room", &[LINES], line.repeat(1_001)).await.is_problem(413, Code::PAYLOAD_TOO_LARGE.0);
    let long = format!("{line}{{\"payload\":\"{}\"}}", "x".repeat(65_537));
    let long = post(http, "room", &[LINES], long).await;
    assert!(long.is_problem(413, Code::PAYLOAD_TOO_LARGE.0).text().contains("line 2"));
    post(http, "room", &[LINES], "\n \n").await.is_problem(400, Code::BAD_REQUEST.0);
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 1_000);
    node.terminate().await;
}

#[tokio::test]
async fn sessions_and_http_are_in_one_order() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let client = site.connect("bob").await;
    let mut room = client.room("shared").from(From::Oldest).open().await.unwrap();
    for number in 0..3 {
        assert_eq!(post(http, "shared", &[TEXT], format!("http {number}")).await.status, 201);
        room.publish(format!("session {number}")).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 6 {
        if let Event::Record(record) = soon("a record", room.next()).await.unwrap().unwrap() {
            seen.push((record.offset.get(), String::from_utf8(record.payload.to_vec()).unwrap()));
        }
    }
    let expected = (0..6).map(|at| (at + 1, format!("{} {}", if at % 2 == 0 { "http" } else { "session" }, at / 2)));
    assert_eq!(seen, expected.collect::<Vec<_>>());
    let records = get(http, "/v1/rooms/shared/records").await.json()["records"].take();
    assert_eq!(offsets(&records), [1, 2, 3, 4, 5, 6]);
    drop(room);
    client.close().await;
    node.terminate().await;
}
