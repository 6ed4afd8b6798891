//! Deleting: the offset stays, the content goes, and asking again does no more.

use loquic_wire::Code;
use serde_json::json;

use super::{BYTES, LINES, TEXT, offsets, post};
use crate::{
    http::{Answer, Events, get, send},
    support::{Node, Site},
};

async fn delete(node: &Node, offset: &str, headers: &[(&str, &str)]) -> Answer {
    send(node.address("http"), "DELETE", &format!("/v1/rooms/room/records/{offset}"), headers, b"").await
}

#[tokio::test]
async fn a_record_is_deleted_once_by_whoever_wrote_it() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let (ann, bob) = (("Loquic-Name", "ann"), ("Loquic-Name", "bob"));
    post(http, "room", &[TEXT, ann], "regretted").await;
    assert!(delete(&node, "1", &[bob]).await.is_problem(403, Code::FORBIDDEN.0).text().contains("record 1"));
    let deleted = delete(&node, "1", &[ann]).await;
    assert_eq!((deleted.status, deleted.header("location")), (200, "/v1/rooms/room/records/2"));
    let ack = deleted.json();
    assert_eq!((&ack["offset"], &ack["duplicate"]), (&2.into(), &false.into()));
    let record = get(http, "/v1/rooms/room/records/1").await.json();
    assert_eq!((&record["payload"], &record["redacted"], &record["sender"]), (&"".into(), &true.into(), &"ann".into()));
    let record = get(http, deleted.header("location")).await.json();
    assert_eq!((&record["kind"], &record["refers"]), (&"delete".into(), &1.into()));
    node.kill().await;
    let node = site.start().await;
    let again = delete(&node, "1", &[ann]).await;
    assert_eq!((again.status, &again.json()["duplicate"], &again.json()["offset"]), (200, &true.into(), &2.into()));
    // What there is not, was never, or is a delete.
    for nothing in ["0", "3", "99", "2"] {
        delete(&node, nothing, &[ann]).await.is_problem(404, Code::NOT_FOUND.0);
    }
    delete(&node, "x", &[ann]).await.is_problem(400, Code::BAD_REQUEST.0);
    let path = "/v1/rooms/room/events?from=oldest&until=caught-up";
    let mut events = Events::open(node.address("http"), path, &[]).await;
    let (first, second) = (events.next().await.unwrap().data, events.next().await.unwrap().data);
    assert_eq!((&first["redacted"], &second["kind"]), (&true.into(), &"delete".into()));
    assert_eq!(get(node.address("http"), "/v1/rooms/room").await.json()["head"], 2);
    node.terminate().await;
    site.verify();
}

#[tokio::test]
async fn a_key_is_for_one_delete() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for payload in ["1", "2"] {
        post(http, "room", &[TEXT], payload).await;
    }
    let key = ("Idempotency-Key", "k");
    assert_eq!(delete(&node, "1", &[key]).await.json()["offset"], 3);
    assert_eq!(delete(&node, "1", &[key]).await.json()["duplicate"], true);
    delete(&node, "2", &[key]).await.is_problem(409, Code::CONFLICT.0);
    post(http, "room", &[TEXT, key], "three").await.is_problem(409, Code::CONFLICT.0);
    let own = |id| [("Loquic-Producer", "000102030405060708090a0b0c0d0e0f"), ("Loquic-Id", id)];
    assert_eq!(delete(&node, "2", &own("1")).await.json()["offset"], 4);
    let gap = delete(&node, "2", &own("3")).await;
    assert_eq!(gap.is_problem(409, Code::ID_GAP.0).json()["expected"], 2);
    delete(&node, "1", &[key, own("1")[0], own("1")[1]]).await.is_problem(400, Code::BAD_REQUEST.0);
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 4);
    node.terminate().await;
}

#[tokio::test]
async fn what_is_posted_deletes_too() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for name in ["ann", "ann", "bob"] {
        post(http, "room", &[TEXT, ("Loquic-Name", name)], "x").await;
    }
    let kind = |refers| [BYTES, ("Loquic-Name", "ann"), ("Loquic-Kind", "delete"), ("Loquic-Refers", refers)];
    assert_eq!(post(http, "room", &kind("1"), "").await.json()["offset"], 4);
    post(http, "room", &kind("3"), "").await.is_problem(403, Code::FORBIDDEN.0);
    post(http, "room", &kind("9"), "").await.is_problem(422, Code::BAD_RECORD.0);
    post(http, "room", &kind("2"), "x").await.is_problem(422, Code::BAD_RECORD.0);
    let line = |refers: u64| json!({"kind": "delete", "refers": refers, "payload": ""}).to_string() + "\n";
    let batch = post(http, "room", &[LINES, ("Loquic-Name", "ann")], [line(2), line(3)].concat()).await.json_lines();
    assert_eq!((&batch[0]["offset"], &batch[1]["code"]), (&5.into(), &Code::FORBIDDEN.0.into()));
    let mut records = get(http, "/v1/rooms/room/records").await.json()["records"].take();
    records.as_array_mut().unwrap().retain(|record| record["redacted"] == true);
    assert_eq!(offsets(&records), [1, 2]);
    node.terminate().await;
}
