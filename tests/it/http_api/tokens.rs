//! Tokens over HTTP, on a node that lets nobody in without one.

use std::net::SocketAddr;

use loquic::token::Right::{self, Moderate, Presence, Publish, Read};
use loquic_wire::Code;

use super::{TEXT, post};
use crate::{
    http::{Answer, Events, send},
    raw::soon,
    support::Site,
};

const ORIGIN: (&str, &str) = ("Origin", "https://chat.example.com");

/// Every route that asks who one is.
const ROUTES: [(&str, &str); 8] = [
    ("GET", "/v1/rooms"),
    ("GET", "/v1/rooms/chat:a"),
    ("GET", "/v1/rooms/chat:a/events"),
    ("GET", "/v1/rooms/chat:a/presence"),
    ("GET", "/v1/rooms/chat:a/records"),
    ("GET", "/v1/rooms/chat:a/records/1"),
    ("POST", "/v1/rooms/chat:a/records"),
    ("DELETE", "/v1/rooms/chat:a/records/1"),
];

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The value of a header for a token that is good for a while.
fn bearer(site: &Site, user: &str, rooms: &[(&str, &[Right])]) -> String {
    format!("Bearer {}", site.token(user, rooms, now() + 600))
}

async fn ask(to: SocketAddr, (method, path): (&str, &str), authorization: &str) -> Answer {
    send(to, method, path, &[TEXT, ("Authorization", authorization)], b"").await
}

#[tokio::test]
async fn without_a_good_token_nothing_is_answered() {
    let site = Site::with_tokens("origins.allow = ['https://chat.example.com']\n");
    let node = site.start().await;
    let http = node.address("http");
    let rights: &[(&str, &[Right])] = &[("**", &[Read, Publish, Presence])];
    let good = site.token("alice", rights, now() + 600);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", head.split_once('.').unwrap().1);
    let expired = site.token("alice", rights, now() - 60);
    for route in ROUTES {
        for (token, code) in [(&forged, Code::BAD_TOKEN), (&unsigned, Code::BAD_TOKEN), (&expired, Code::TOKEN_EXPIRED)]
        {
            let answer = ask(http, route, &format!("Bearer {token}")).await;
            assert_eq!(answer.is_problem(401, code.0).header("www-authenticate"), "Bearer error=\"invalid_token\"");
        }
        // A name is nobody's word, and a token in a URL is none.
        let in_url = format!("{}?access_token={good}", route.1);
        for path in [route.1, &in_url] {
            let answer = send(http, route.0, path, &[TEXT, ("Loquic-Name", "alice"), ORIGIN], b"").await;
            assert_eq!(answer.is_problem(401, Code::UNAUTHENTICATED.0).header("www-authenticate"), "Bearer");
            assert_eq!(answer.header("access-control-allow-origin"), ORIGIN.1, "a page can read why");
        }
    }
    for path in ["/v1/info", "/v1/openapi.json"] {
        assert_eq!(send(http, "GET", path, &[], b"").await.status, 200);
    }
    // Who one is comes from the token, whatever else is said.
    let good = ("Authorization", &*format!("Bearer {good}"));
    assert_eq!(post(http, "chat:a", &[TEXT, good, ("Loquic-Name", "mallory")], "hello").await.status, 201);
    let record = send(http, "GET", "/v1/rooms/chat:a/records/1", &[good], b"").await.json();
    assert_eq!((&record["sender"], &record["offset"]), (&"alice".into(), &1.into()));
    node.terminate().await;
}

#[tokio::test]
async fn a_token_allows_what_it_says_and_no_more() {
    let site = Site::with_tokens("");
    let node = site.start().await;
    let http = node.address("http");
    let writer = bearer(&site, "alice", &[("chat:**", &[Read, Publish, Presence]), ("news:*", &[Read])]);
    let allowed = |route: (&'static str, String)| {
        let writer = &writer;
        async move { ask(http, (route.0, &route.1), writer).await.status }
    };
    for (method, path) in ROUTES.into_iter().skip(1).rev() {
        let status = allowed((method, path.replace("events", "events?until=caught-up"))).await;
        let expected = if path.ends_with("records/1") { 404 } else { 200 + u16::from(method == "POST") };
        // The record is posted behind the first look for it.
        assert!(status == expected || status == 200, "{method} {path}: {status}");
        let news = path.replace("chat:a", "news:a").replace("events", "events?until=caught-up");
        let reads = method == "GET" && !path.ends_with("presence");
        let expected = if !reads {
            403
        } else if path.ends_with("records/1") {
            404
        } else {
            200
        };
        assert_eq!(allowed((method, news)).await, expected, "{method} {path}");
        ask(http, (method, &path.replace("chat:a", "other")), &writer).await.is_problem(403, Code::FORBIDDEN.0);
    }
    // Names of rooms are told to who may read all of them.
    for (prefix, status) in [("", 403), ("?prefix=chat", 403), ("?prefix=chat:", 200), ("?prefix=news:", 403)] {
        assert_eq!(allowed(("GET", format!("/v1/rooms{prefix}"))).await, status, "{prefix}");
    }
    node.terminate().await;
}

#[tokio::test]
async fn who_moderates_deletes_what_others_wrote() {
    let site = Site::with_tokens("");
    let node = site.start().await;
    let http = node.address("http");
    let own = bearer(&site, "alice", &[("**", &[Read, Publish])]);
    let other = bearer(&site, "bob", &[("**", &[Read, Publish])]);
    let moderator = bearer(&site, "carol", &[("chat:*", &[Publish, Moderate]), ("**", &[Read, Publish])]);
    let helpless = bearer(&site, "dave", &[("**", &[Read, Moderate])]);
    for room in ["chat:a", "private"] {
        post(http, room, &[TEXT, ("Authorization", &own)], "regretted").await;
    }
    let there = ("DELETE", "/v1/rooms/chat:a/records/1");
    ask(http, there, &other).await.is_problem(403, Code::FORBIDDEN.0);
    // It is a publish, too.
    ask(http, there, &helpless).await.is_problem(403, Code::FORBIDDEN.0);
    ask(http, ("DELETE", "/v1/rooms/private/records/1"), &moderator).await.is_problem(403, Code::FORBIDDEN.0);
    assert_eq!(ask(http, there, &moderator).await.status, 200);
    let record = ask(http, ("GET", there.1), &own).await.json();
    assert_eq!((&record["redacted"], &record["sender"]), (&true.into(), &"alice".into()));
    node.terminate().await;
}

#[tokio::test]
async fn an_event_stream_ends_with_its_token() {
    let site = Site::with_tokens("");
    let node = site.start().await;
    let http = node.address("http");
    // It is over, but within what clocks may be apart.
    let token = format!("Bearer {}", site.token("alice", &[("**", &[Read])], now() - 8));
    let authorization = [("Authorization", &*token)];
    let mut events = Events::open(http, "/v1/rooms/room/events", &authorization).await;
    assert_eq!(events.next().await.unwrap().name, "caught-up");
    assert_eq!(events.next().await, None);
    assert_eq!(events.comment, "the stream ends: 4003 token_expired");
    let refused = async {
        loop {
            let answer = send(http, "GET", "/v1/rooms/room/events", &authorization, b"").await;
            // The last second is not over for both at once. What begins in it ends at once.
            match answer.status {
                200 => assert!(!answer.text().contains("data: "), "{answer:?}"),
                _ => break answer,
            }
        }
    };
    soon("the end of the second", refused).await.is_problem(401, Code::TOKEN_EXPIRED.0);
    node.terminate().await;
}

#[tokio::test]
async fn a_page_asks_before_it_shows_its_token_and_need_not_show_it_for_that() {
    let site = Site::with_tokens("origins.allow = ['https://chat.example.com']\n");
    let node = site.start().await;
    for (method, path) in ROUTES {
        let wanted = [
            ORIGIN,
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", "authorization,last-event-id"),
        ];
        let answer = send(node.address("http"), "OPTIONS", path, &wanted, b"").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ORIGIN.1));
        assert!(answer.header("access-control-allow-methods").contains(method), "{method} {path}");
        let headers = answer.header("access-control-allow-headers");
        assert!(headers.contains("authorization") && headers.contains("last-event-id"), "{headers}");
    }
    node.terminate().await;
}
