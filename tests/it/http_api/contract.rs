//! The description of the API against real answers: each status that it names can be had, and no other comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use serde_json::Value;

use super::TEXT;
use crate::{
    http::{Answer, get, send},
    support::Site,
};

type Case = (&'static str, &'static str, &'static str, Vec<(&'static str, &'static str)>, Vec<u8>);

const FOREIGN: (&str, &str) = ("Origin", "https://evil.example");
const TOKEN: (&str, &str) = ("Authorization", "Bearer x");

/// Requests, each with the path as the description has it.
fn cases() -> Vec<Case> {
    let (rooms, room) = ("/v1/rooms", "/v1/rooms/{room}");
    let (records, record) = ("/v1/rooms/{room}/records", "/v1/rooms/{room}/records/{offset}");
    let (events, presence) = ("/v1/rooms/{room}/events", "/v1/rooms/{room}/presence");
    let key = ("Idempotency-Key", "k");
    let mut cases = vec![
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, key], b"one".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, key], b"one".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, key], b"two".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT], b"\xff".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT], vec![b'x'; 100_000]),
        ("POST", records, "/v1/rooms/room/records", vec![], b"x".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, ("Loquic-Kind", "system")], b"x".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, ("Content-Length", "9")], Vec::new()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, TOKEN], b"x".to_vec()),
        ("POST", records, "/v1/rooms/room/records", vec![TEXT, FOREIGN], b"x".to_vec()),
        ("GET", record, "/v1/rooms/room/records/99", vec![], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/1", vec![], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/1", vec![key], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/x", vec![], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/99", vec![], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/1", vec![TOKEN], Vec::new()),
        ("DELETE", record, "/v1/rooms/room/records/1", vec![FOREIGN], Vec::new()),
        ("GET", events, "/v1/rooms/room/events?last_event_id=EPOCH-99", vec![], Vec::new()),
    ];
    for (path, good, bad) in [
        ("/v1/info", "/v1/info", None),
        ("/v1/openapi.json", "/v1/openapi.json", None),
        (rooms, "/v1/rooms", Some("/v1/rooms?limit=0")),
        (room, "/v1/rooms/room", Some("/v1/rooms/..a::")),
        (records, "/v1/rooms/room/records", Some("/v1/rooms/room/records?limit=0")),
        (record, "/v1/rooms/room/records/1", Some("/v1/rooms/room/records/x")),
        (presence, "/v1/rooms/room/presence", Some("/v1/rooms/room/presence?limit=0")),
        (events, "/v1/rooms/room/events?until=caught-up", Some("/v1/rooms/room/events?from=x")),
    ] {
        cases.push(("GET", path, good, vec![], Vec::new()));
        cases.push(("GET", path, good, vec![FOREIGN], Vec::new()));
        if let Some(bad) = bad {
            cases.push(("GET", path, bad, vec![], Vec::new()));
            cases.push(("GET", path, good, vec![TOKEN], Vec::new()));
        }
    }
    cases
}

/// Every operation with the statuses it may answer.
fn described(document: &Value) -> BTreeMap<(String, String), BTreeSet<u16>> {
    let mut described = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses = statuses.filter(|status| *status != "default").map(|status| status.parse().unwrap());
            described.insert((path.clone(), method.to_uppercase()), statuses.collect());
        }
    }
    described
}

/// The answer has a content type that is described for it.
fn is_described(document: &Value, path: &str, method: &str, answer: &Answer) {
    let responses = &document["paths"][path][method.to_lowercase()]["responses"];
    let mut response = &responses[answer.status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let content_type = answer.header("content-type");
    assert!(response["content"].get(content_type).is_some(), "{method} {path}: {content_type} of {answer:?}");
    for required in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let may_miss = required == "Location";
        assert!(may_miss || answer.has(required), "{method} {path}: no {required} in {answer:?}");
    }
}

async fn witness(http: SocketAddr, cases: Vec<Case>, seen: &mut BTreeSet<(String, String, u16)>, document: &Value) {
    let epoch = get(http, "/v1/rooms/room").await.json()["epoch"].to_string();
    for (method, path, target, headers, body) in cases {
        // A length that is announced and does not come needs a request of its own.
        let answer = if headers.iter().any(|(name, _)| *name == "Content-Length") {
            let text = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
            );
            crate::http::ask(http, &text).await
        } else {
            send(http, method, &target.replace("EPOCH", &epoch), &headers, &body).await
        };
        is_described(document, path, method, &answer);
        seen.insert((path.into(), method.into(), answer.status));
    }
}

#[tokio::test]
async fn each_status_that_is_described_can_be_had_and_no_other_comes() {
    let site = Site::new("timeouts.http = '1s'\n").allow("publishes are refused");
    let node = site.start().await;
    let http = node.address("http");
    let document = get(http, "/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut seen = BTreeSet::new();
    witness(http, cases(), &mut seen, &document).await;
    node.terminate().await;
    // Nothing goes any more: no place for a stream, no space on the disk.
    site.configure("limits.event_streams_max = 0\nlog.disk_free_min = '1024 GiB'\n");
    let node = site.start().await;
    let none: Vec<Case> = vec![
        ("GET", "/v1/rooms/{room}/events", "/v1/rooms/room/events", vec![], Vec::new()),
        ("POST", "/v1/rooms/{room}/records", "/v1/rooms/room/records", vec![TEXT], b"x".to_vec()),
        ("DELETE", "/v1/rooms/{room}/records/{offset}", "/v1/rooms/room/records/1", vec![], Vec::new()),
    ];
    witness(node.address("http"), none, &mut seen, &document).await;
    node.terminate().await;
    let described: BTreeSet<(String, String, u16)> = described(&document)
        .into_iter()
        .flat_map(|((path, method), statuses)| {
            statuses.into_iter().map(move |status| (path.clone(), method.clone(), status))
        })
        .collect();
    let never: Vec<_> = described.difference(&seen).collect();
    let unknown: Vec<_> = seen.difference(&described).collect();
    assert!(never.is_empty() && unknown.is_empty(), "never seen: {never:?}\nnot described: {unknown:?}");
}

#[tokio::test]
async fn requests_are_counted_by_what_they_are_for() {
    let site = Site::new("");
    let node = site.start().await;
    let (http, ops) = (node.address("http"), node.address("ops"));
    send(http, "POST", "/v1/rooms/secret-room/records", &[TEXT], b"x").await;
    get(http, "/v1/rooms/secret-room/records").await;
    get(http, "/v1/rooms/secret-room/records/7").await;
    get(http, "/v1/rooms/secret-room/presence").await;
    send(http, "DELETE", "/v1/rooms/secret-room/records/7", &[], b"").await;
    get(http, "/v1/nothing").await;
    get(http, "/v1/rooms/secret-room/events?from=oldest&until=caught-up").await;
    let metrics = get(ops, "/metrics").await;
    for line in [
        "loquic_http_requests_total{request=\"publish\",status=\"2xx\"} 1",
        "loquic_http_requests_total{request=\"history\",status=\"2xx\"} 1",
        "loquic_http_requests_total{request=\"presence\",status=\"2xx\"} 1",
        "loquic_http_requests_total{request=\"delete\",status=\"4xx\"} 1",
        "loquic_http_requests_total{request=\"record\",status=\"4xx\"} 1",
        "loquic_http_requests_total{request=\"other\",status=\"4xx\"} 1",
        "loquic_http_requests_total{request=\"events\",status=\"2xx\"} 1",
        "loquic_event_streams_opened_total 1",
        "loquic_event_streams_records_total 1",
        "loquic_publishes_total 2",
        "loquic_publishes_acked_total 1",
    ] {
        assert!(metrics.text().contains(&format!("\n{line}\n")), "{line}\n{}", metrics.text());
    }
    assert!(!metrics.text().contains("secret-room"));
    node.terminate().await;
}
