//! Requests that are wrong, late, too long, or of somebody who may not ask.

use loquic_wire::Code;

use super::{BYTES, JSON, LINES, TEXT, post};
use crate::{
    http::{ask, get, rest, say, send},
    support::Site,
};

#[tokio::test]
async fn names_are_taken_as_they_are_or_refused() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for name in [
        "%20",
        "a%00",
        "a%0d%0aX:1",
        "a%2Fb",
        "%2e%2e",
        "..",
        "a::b",
        ":a",
        "a:",
        "%C3%A9",
        "a b",
        "*",
        "a:%2A%2A",
        "a%25b",
    ] {
        let answer = get(http, &format!("/v1/rooms/{name}/records")).await;
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    for name in ["%ff", "%C3%28", "a%E9"] {
        get(http, &format!("/v1/rooms/{name}/records")).await.is_problem(400, Code::BAD_NAME.0);
    }
    for name in ["x".repeat(65), ["a"; 9].join(":"), vec!["x".repeat(60); 4].join(":")] {
        get(http, &format!("/v1/rooms/{name}")).await.is_problem(400, Code::BAD_NAME.0);
        post(http, &name, &[TEXT], "x").await.is_problem(400, Code::BAD_NAME.0);
        get(http, &format!("/v1/rooms/{name}/events")).await.is_problem(400, Code::BAD_NAME.0);
    }
    // Encoded or not it is the same room.
    assert_eq!(post(http, "%61%3ab", &[TEXT], "x").await.header("location"), "/v1/rooms/a:b/records/1");
    for path in
        ["/v1", "/v1/", "/v1/rooms/", "/v1/rooms/a/", "/v1/rooms/a/record", "/v1/rooms/a/records/1/2", "/v2/rooms"]
    {
        get(http, path).await.is_problem(404, Code::NOT_FOUND.0);
    }
    node.terminate().await;
}

#[tokio::test]
async fn bodies_have_to_fit_their_type() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let bad = |headers: Vec<(&'static str, &'static str)>, body: &'static [u8], status, code: Code| async move {
        post(http, "room", &headers, body).await.is_problem(status, code.0);
    };
    bad(vec![], b"x", 415, Code::BAD_REQUEST).await;
    bad(vec![("Content-Type", "text/html")], b"x", 415, Code::BAD_REQUEST).await;
    bad(vec![("Content-Type", "application/x-www-form-urlencoded")], b"x", 415, Code::BAD_REQUEST).await;
    bad(vec![("Content-Type", "text/plain; charset=utf-16")], b"x", 415, Code::BAD_REQUEST).await;
    bad(vec![TEXT, ("Content-Encoding", "gzip")], b"x", 415, Code::BAD_REQUEST).await;
    bad(vec![TEXT], b"\xff", 400, Code::BAD_REQUEST).await;
    for json in ["", "{", "{} {}", "\u{1}", "NaN", "\"\n\""] {
        bad(vec![JSON], json.as_bytes(), 400, Code::BAD_REQUEST).await;
    }
    bad(vec![JSON], Box::leak(Box::new("[".repeat(10_000))).as_bytes(), 400, Code::BAD_REQUEST).await;
    bad(vec![LINES], b"[]", 400, Code::BAD_REQUEST).await;
    bad(vec![LINES], b"\xff\xfe", 400, Code::BAD_REQUEST).await;
    for (name, value) in [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "a b"),
        ("Loquic-Producer", "00"),
        ("Loquic-Id", "1"),
        ("Loquic-Kind", "256"),
        ("Loquic-Kind", "nonsense"),
        ("Loquic-Refers", "-1"),
        ("Loquic-Refers", "9007199254740992"),
        ("Loquic-Encrypted", "yes"),
    ] {
        bad(vec![TEXT, (name, value)], b"x", 400, Code::BAD_REQUEST).await;
    }
    let producer = ("Loquic-Producer", "000102030405060708090a0b0c0d0e0f");
    bad(vec![TEXT, producer, ("Loquic-Id", "0")], b"x", 400, Code::BAD_REQUEST).await;
    bad(vec![TEXT, producer, ("Loquic-Id", "18446744073709551615")], b"x", 400, Code::BAD_REQUEST).await;
    bad(vec![TEXT, producer, ("Loquic-Id", "1"), ("Idempotency-Key", "k")], b"x", 400, Code::BAD_REQUEST).await;
    bad(vec![TEXT, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")], b"x", 400, Code::BAD_REQUEST).await;
    bad(vec![TEXT, ("Loquic-Name", "a"), ("Loquic-Name", "b")], b"x", 400, Code::BAD_REQUEST).await;
    bad(vec![TEXT, ("Loquic-Name", "")], b"x", 400, Code::BAD_NAME).await;
    let long: &str = Box::leak("k".repeat(256).into_boxed_str());
    bad(vec![TEXT, ("Idempotency-Key", long)], b"x", 400, Code::BAD_REQUEST).await;
    // Kinds that are ours, and references to what is not there yet.
    bad(vec![TEXT, ("Loquic-Kind", "system")], b"x", 422, Code::BAD_RECORD).await;
    bad(vec![TEXT, ("Loquic-Refers", "0")], b"x", 422, Code::BAD_RECORD).await;
    bad(vec![TEXT, ("Loquic-Refers", "7")], b"x", 422, Code::BAD_RECORD).await;
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 0);
    // Nothing at all is a payload.
    assert_eq!(post(http, "room", &[TEXT], "").await.status, 201);
    assert_eq!(post(http, "room", &[BYTES], "").await.status, 201);
    node.terminate().await;
}

#[tokio::test]
async fn long_and_slow_bodies_are_not_waited_for() {
    let site = Site::new("timeouts.http = '1s'\nlimits.payload_bytes_max = 1000\n");
    let node = site.start().await;
    let http = node.address("http");
    assert_eq!(post(http, "room", &[TEXT], "x".repeat(1_000)).await.status, 201);
    post(http, "room", &[TEXT], "x".repeat(1_001)).await.is_problem(413, Code::PAYLOAD_TOO_LARGE.0);
    let head = |more: &str| {
        format!(
            "POST /v1/rooms/room/records HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n{more}\r\n\r\n"
        )
    };
    // What is announced is not sent, and need not be.
    let huge = ask(http, &head("Content-Length: 1000000000000")).await;
    huge.is_problem(413, Code::PAYLOAD_TOO_LARGE.0);
    let chunks =
        format!("{}{}", head("Transfer-Encoding: chunked"), format!("64\r\n{}\r\n", "x".repeat(100)).repeat(20));
    ask(http, &chunks).await.is_problem(413, Code::PAYLOAD_TOO_LARGE.0);
    let slow = ask(http, &(head("Content-Length: 10") + "x")).await;
    slow.is_problem(408, Code::TIMED_OUT.0);
    ask(http, &(head("Transfer-Encoding: chunked") + "zz\r\n")).await.is_problem(400, Code::BAD_REQUEST.0);
    // Two lengths, or none that is one.
    for bad in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: x",
        "Content-Length: 1\r\nTransfer-Encoding: nonsense",
    ] {
        let said = rest(say(http, (head(bad) + "xy").as_bytes()).await).await;
        assert!(said.starts_with(b"HTTP/1.1 4"), "{bad}: {:?}", String::from_utf8_lossy(&said));
    }
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 1);
    node.terminate().await;
}

#[tokio::test]
async fn methods_are_told() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for (method, path, allow) in [
        ("DELETE", "/v1/info", "GET,HEAD"),
        ("POST", "/v1/rooms", "GET,HEAD"),
        ("PUT", "/v1/rooms/room/records", "GET,HEAD,POST"),
        ("POST", "/v1/rooms/room/events", "GET,HEAD"),
        ("PUT", "/v1/rooms/room/records/1", "GET,HEAD,DELETE"),
        ("DELETE", "/v1/rooms/room/presence", "GET,HEAD"),
        ("BREW", "/v1/rooms/room", "GET,HEAD"),
    ] {
        let answer = send(http, method, path, &[], b"").await;
        assert_eq!(answer.is_problem(405, Code::NOT_OFFERED.0).header("allow"), allow, "{path}");
    }
    let head = send(http, "HEAD", "/v1/rooms/room/records", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    node.terminate().await;
}

#[tokio::test]
async fn pages_of_strangers_neither_read_nor_publish() {
    let site = Site::new("[origins]\nallow = ['https://chat.example.com']\n");
    let node = site.start().await;
    let http = node.address("http");
    let ours = ("Origin", "https://chat.example.com");
    for origin in ["https://evil.example", "null", "http://localhost:8080", "https://chat.example.com.evil.example"] {
        // A text needs no preflight, so this is all that stands between that page and the room.
        let answer = post(http, "room", &[TEXT, ("Origin", origin)], "spam").await;
        assert!(!answer.is_problem(403, Code::FORBIDDEN.0).has("access-control-allow-origin"), "{answer:?}");
        for path in ["/v1/info", "/v1/rooms", "/v1/rooms/room/events", "/v1/openapi.json"] {
            send(http, "GET", path, &[("Origin", origin)], b"").await.is_problem(403, Code::FORBIDDEN.0);
        }
        let ask = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let preflight = send(http, "OPTIONS", "/v1/rooms/room/records", &ask, b"").await;
        assert!(!preflight.has("access-control-allow-origin"), "{preflight:?}");
    }
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 0);
    let answer = post(http, "room", &[TEXT, ours], "hello").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (201, ours.1));
    assert!(answer.header("access-control-expose-headers").contains("location"));
    // Errors can be read as well.
    let missing = send(http, "GET", "/v1/nothing", &[ours], b"").await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, ours.1));
    let ask = [ours, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "idempotency-key")];
    let preflight = send(http, "OPTIONS", "/v1/rooms/room/records", &ask, b"").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, ours.1));
    for header in ["authorization", "content-type", "idempotency-key", "last-event-id", "loquic-name", "loquic-kind"] {
        assert!(preflight.header("access-control-allow-headers").contains(header), "{header}");
    }
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert_eq!(preflight.header("access-control-max-age"), "600");
    node.terminate().await;
}

#[tokio::test]
async fn with_dev_pages_of_this_machine_may_ask() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for origin in ["http://localhost:5173", "http://127.0.0.1:8080"] {
        let answer = send(http, "GET", "/v1/info", &[("Origin", origin)], b"").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
    }
    send(http, "GET", "/v1/info", &[("Origin", "https://evil.example")], b"").await.is_problem(403, Code::FORBIDDEN.0);
    node.terminate().await;
}

#[tokio::test]
async fn who_shows_a_token_is_not_somebody_without_one() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    // This server cannot verify tokens; taking the name instead would let a mistake pass.
    for (authorization, code) in [
        ("Bearer abc", Code::NOT_OFFERED),
        ("Basic YTpi", Code::BAD_TOKEN),
        ("Bearer ", Code::BAD_TOKEN),
        ("", Code::BAD_TOKEN),
    ] {
        let answer = post(http, "room", &[TEXT, ("Authorization", authorization), ("Loquic-Name", "ann")], "x").await;
        assert!(answer.is_problem(401, code.0).header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        let events = send(http, "GET", "/v1/rooms/room/events", &[("Authorization", authorization)], b"").await;
        events.is_problem(401, code.0);
    }
    get(http, "/v1/rooms?access_token=abc").await.is_problem(400, Code::BAD_REQUEST.0);
    assert_eq!(get(http, "/v1/rooms/room").await.json()["head"], 0);
    node.terminate().await;
}
