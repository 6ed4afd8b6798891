//! Who is in a room, asked over HTTP.

use loquic_client::{Client, Room};
use loquic_wire::Code;
use serde_json::{Value, json};

use crate::{
    http::{Events, get},
    raw::soon,
    support::{Node, Site},
};

const ROOM: &str = "/v1/rooms/room/presence";

async fn join(site: &Site, name: &str) -> (Client, Room) {
    let client = site.connect(name).await;
    let room = client.room("room").open().await.unwrap();
    (client, room)
}

/// The page, once so many users are there.
async fn page(node: &Node, query: &str, count: u64) -> Value {
    let page = async {
        loop {
            let page = get(node.address("http"), &format!("{ROOM}{query}")).await.json();
            if page["count"] == count {
                return page;
            }
        }
    };
    soon("so many users", page).await
}

#[tokio::test]
async fn who_is_there_comes_in_pages() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    assert_eq!(get(http, ROOM).await.json(), json!({"room": "room", "count": 0, "members": [], "more": false}));
    let mut joined = Vec::new();
    for name in ["cid", "ann", "bob", "ann"] {
        joined.push(join(&site, name).await);
    }
    let member = |user: &str, sessions: u32| json!({"user": user, "sessions": sessions});
    let two = async { while page(&node, "", 3).await["members"][0]["sessions"] != 2 {} };
    soon("both sessions of ann", two).await;
    let all = page(&node, "", 3).await;
    assert_eq!(all["members"], json!([member("ann", 2), member("bob", 1), member("cid", 1)]));
    assert_eq!(all["more"], false);
    let first = page(&node, "?limit=2", 3).await;
    assert_eq!((&first["members"], &first["more"]), (&json!([member("ann", 2), member("bob", 1)]), &true.into()));
    let second = page(&node, "?limit=2&after=bob", 3).await;
    assert_eq!((&second["members"], &second["more"]), (&json!([member("cid", 1)]), &false.into()));
    assert_eq!(page(&node, "?after=zoe", 3).await["members"], json!([]));
    assert_eq!(get(http, "/v1/rooms/other/presence").await.json()["count"], 0);
    // Whoever follows without a session is not there.
    let mut events = Events::open(http, "/v1/rooms/room/events", &[]).await;
    assert_eq!(events.next().await.unwrap().name, "caught-up");
    let (client, room) = joined.remove(0);
    drop(room);
    client.close().await;
    assert_eq!(page(&node, "?limit=1", 2).await["members"], json!([member("ann", 2)]));
    drop(events);
    for (client, room) in joined {
        drop(room);
        client.close().await;
    }
    page(&node, "", 0).await;
    node.terminate().await;
}

#[tokio::test]
async fn what_is_asked_badly_is_refused() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    for query in ["?limit=0", "?limit=-1", "?limit=x", "?who=ann"] {
        get(http, &format!("{ROOM}{query}")).await.is_problem(400, Code::BAD_REQUEST.0);
    }
    for query in ["?after=", "?after=%00", &format!("?after={}", "x".repeat(129))] {
        get(http, &format!("{ROOM}{query}")).await.is_problem(400, Code::BAD_NAME.0);
    }
    get(http, "/v1/rooms/a::b/presence").await.is_problem(400, Code::BAD_NAME.0);
    assert_eq!(get(http, &format!("{ROOM}?limit=4294967295")).await.status, 200);
    node.terminate().await;
}
