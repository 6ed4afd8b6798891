//! Reading back, and finding rooms.

use loquic_wire::Code;
use serde_json::{Value, json};

use super::{TEXT, fill, offsets, post};
use crate::{http::get, support::Site};

#[tokio::test]
async fn pages_both_ways() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    let page = |query: &'static str| async move { get(http, &format!("/v1/rooms/room/records{query}")).await.json() };
    let empty = page("").await;
    assert_eq!(
        (&empty["records"], &empty["head"], &empty["floor"], &empty["more"]),
        (&json!([]), &0.into(), &1.into(), &false.into())
    );
    fill(http, "room", (1..=250).map(|number| number.to_string())).await;
    let range = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    for (query, from, to, more) in [
        ("", 151, 250, true),
        ("?after=0", 1, 100, true),
        ("?after=100&limit=2", 101, 102, true),
        ("?after=200", 201, 250, false),
        ("?before=11", 1, 10, false),
        ("?before=111&limit=5", 106, 110, true),
        ("?after=10&before=14", 11, 13, false),
        ("?after=10&before=14&limit=1", 11, 11, true),
        ("?limit=1000000", 1, 250, false),
        ("?before=9007199254740991&limit=1", 250, 250, true),
    ] {
        let page = page(query).await;
        assert_eq!(offsets(&page["records"]), range(from, to), "{query}");
        assert_eq!((&page["more"], &page["head"], &page["gaps"]), (&more.into(), &250.into(), &json!([])), "{query}");
        assert_eq!(page["records"][0]["payload"], from.to_string());
    }
    for query in
        ["?after=250", "?after=9007199254740991", "?before=1", "?before=0", "?after=7&before=8", "?after=9&before=3"]
    {
        assert_eq!(page(query).await["records"], json!([]), "{query}");
    }
    for query in [
        "?limit=0",
        "?limit=-1",
        "?limit=",
        "?limit=x",
        "?after=-1",
        "?after=9007199254740992",
        "?after=1&after=2",
        "?afer=1",
        "?after=%ff",
    ] {
        get(http, &format!("/v1/rooms/room/records{query}")).await.is_problem(400, Code::BAD_REQUEST.0);
    }
    node.terminate().await;
}

#[tokio::test]
async fn what_retention_took_is_told() {
    let site = Site::new("[[rooms]]\npattern = 'short:*'\ncount = 5\n");
    let node = site.start().await;
    let http = node.address("http");
    fill(http, "short:room", (1..=12).map(|number| number.to_string())).await;
    let page = get(http, "/v1/rooms/short:room/records?after=2").await.json();
    let gap = json!({"event": "gap", "room": "short:room", "from": 3, "to": 7, "reason": "retention"});
    assert_eq!((&page["gaps"], &page["floor"]), (&json!([gap]), &8.into()));
    assert_eq!(offsets(&page["records"]), [8, 9, 10, 11, 12]);
    let gone = get(http, "/v1/rooms/short:room/records/3").await;
    assert!(gone.is_problem(404, Code::NOT_FOUND.0).text().contains("retention"), "{gone:?}");
    get(http, "/v1/rooms/short:room/records/13").await.is_problem(404, Code::NOT_FOUND.0);
    get(http, "/v1/rooms/short:room/records/0").await.is_problem(404, Code::NOT_FOUND.0);
    get(http, "/v1/rooms/short:room/records/x").await.is_problem(400, Code::BAD_REQUEST.0);
    assert_eq!(get(http, "/v1/rooms/short:room/records/12").await.json()["payload"], "12");
    let trimmed = [TEXT, ("Idempotency-Key", "k")];
    assert_eq!(post(http, "short:room", &trimmed, "early").await.status, 201);
    fill(http, "short:room", (1..=12).map(|number| number.to_string())).await;
    let answer = post(http, "short:room", &trimmed, "early").await;
    assert_eq!((answer.status, &answer.json()["offset"], answer.has("location")), (200, &0.into(), false));
    node.terminate().await;
}

#[tokio::test]
async fn long_records_come_whole() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for number in 0..100 {
        assert_eq!(post(http, "long", &[TEXT], number.to_string().repeat(20_000)).await.status, 201);
    }
    let page = get(http, "/v1/rooms/long/records?after=0").await.json();
    let records = page["records"].as_array().unwrap();
    assert_eq!(records.len(), 100);
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["payload"], number.to_string().repeat(20_000), "{number}");
    }
    node.terminate().await;
}

#[tokio::test]
async fn rooms_are_listed_by_name_a_page_at_a_time() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for room in ["b", "a:2", "a:1", "a", "a:10", "a-b"] {
        assert_eq!(post(http, room, &[TEXT], "x").await.status, 201);
    }
    let list = |query: &'static str| async move {
        let page = get(http, &format!("/v1/rooms{query}")).await.json();
        let rooms = page["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned());
        (rooms.collect::<Vec<_>>().join(" "), page["more"].as_bool().unwrap())
    };
    assert_eq!(list("").await, ("a a-b a:1 a:10 a:2 b".into(), false));
    assert_eq!(list("?limit=2").await, ("a a-b".into(), true));
    assert_eq!(list("?limit=2&after=a-b").await, ("a:1 a:10".into(), true));
    assert_eq!(list("?limit=2&after=a:10").await, ("a:2 b".into(), false));
    assert_eq!(list("?prefix=a%3A").await, ("a:1 a:10 a:2".into(), false));
    assert_eq!(list("?prefix=a:&after=a:1&limit=1").await, ("a:10".into(), true));
    assert_eq!(list("?prefix=a:&after=b").await, (String::new(), false));
    assert_eq!(list("?prefix=a:1&after=a").await, ("a:1 a:10".into(), false));
    let one = get(http, "/v1/rooms").await.json()["rooms"][0].take();
    assert_eq!(one, get(http, "/v1/rooms/a").await.json());
    assert_eq!((&one["head"], &one["floor"]), (&1.into(), &1.into()));
    assert_eq!(get(http, "/v1/rooms/nothing").await.json()["head"], Value::from(0));
    for bad in ["?limit=0", "?prefx=a", "?limit=x"] {
        get(http, &format!("/v1/rooms{bad}")).await.is_problem(400, Code::BAD_REQUEST.0);
    }
    get(http, "/v1/rooms?after=..").await.is_problem(400, Code::BAD_NAME.0);
    get(http, "/v1/rooms?prefix=%2A").await.is_problem(400, Code::BAD_NAME.0);
    get(http, &format!("/v1/rooms?prefix={}", "x".repeat(201))).await.is_problem(400, Code::BAD_NAME.0);
    node.terminate().await;
}
