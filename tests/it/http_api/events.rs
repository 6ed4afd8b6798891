//! Following a room over server-sent events: whole, in order, from anywhere, and at no cost to others.

use std::{net::SocketAddr, time::Duration};

use loquic_wire::Code;
use serde_json::json;
use tokio::{net::TcpListener, task::yield_now};

use super::{TEXT, fill, post};
use crate::{
    http::{Event, Events, get, say},
    raw::soon,
    support::Site,
};

const ROOM: &str = "/v1/rooms/room/events";

async fn texts(events: &mut Events, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let event = events.next().await.expect("the stream goes on");
        if event.name == "message" {
            texts.push(event.data["payload"].as_str().unwrap().to_owned());
        }
    }
    texts
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_room_is_followed_from_anywhere_to_the_live_end() {
    let site = Site::new("");
    let node = site.start().await;
    let http = node.address("http");
    fill(http, "room", (1..=5).map(|number| number.to_string())).await;
    let mut events = Events::open(http, &format!("{ROOM}?from=oldest"), &[]).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data), ("message", &get(http, "/v1/rooms/room/records/1").await.json()));
    let epoch = first.data["epoch"].as_u64().unwrap();
    assert_eq!(first.id, format!("{epoch}-1"));
    assert_eq!(texts(&mut events, 4).await, numbers(2..=5));
    let seam = Event {
        id: format!("{epoch}-5"),
        name: "caught-up".into(),
        data: json!({"event": "caught-up", "room": "room", "head": 5}),
    };
    assert_eq!(events.next().await.unwrap(), seam);
    assert!(events.retry.is_some());
    post(http, "room", &[TEXT], "6").await;
    assert_eq!(texts(&mut events, 1).await, ["6"]);
    for (query, count, first) in [
        ("?from=3", 4, "3"),
        ("?from=last:2", 2, "5"),
        ("?from=at:2000-01-01T00:00:00Z", 6, "1"),
        (&*format!("?from={epoch}-4"), 2, "5"),
        (&*format!("?from=live&last_event_id={epoch}-2"), 4, "3"),
    ] {
        let mut events = Events::open(http, &format!("{ROOM}{query}&until=caught-up"), &[]).await;
        assert_eq!(texts(&mut events, count).await[0], first, "{query}");
        assert_eq!(events.next().await.unwrap().name, "caught-up");
        assert_eq!(events.next().await, None, "it ends there");
    }
    // The header goes before the parameters; an empty one says nothing.
    let id = format!("{epoch}-5");
    let path = format!("{ROOM}?from=oldest&last_event_id={epoch}-1");
    assert_eq!(texts(&mut Events::open(http, &path, &[("Last-Event-ID", &id)]).await, 1).await, ["6"]);
    assert_eq!(texts(&mut Events::open(http, &path, &[("Last-Event-ID", "")]).await, 1).await, ["2"]);
    let mut live = Events::open(http, ROOM, &[]).await;
    let seam = live.next().await.unwrap();
    assert_eq!((seam.name.as_str(), seam.id), ("caught-up", format!("{epoch}-6")));
    post(http, "room", &[TEXT], "7").await;
    assert_eq!(texts(&mut live, 1).await, ["7"]);
    drop((events, live));
    node.terminate().await;
}

#[tokio::test]
async fn gaps_and_resets_are_events_that_can_be_resumed_behind() {
    let site = Site::new("[[rooms]]\npattern = 'room'\ncount = 3\n");
    let node = site.start().await;
    let http = node.address("http");
    fill(http, "room", (1..=9).map(|number| number.to_string())).await;
    let mut events = Events::open(http, &format!("{ROOM}?from=2"), &[]).await;
    let gap = events.next().await.unwrap();
    assert_eq!((gap.name.as_str(), &gap.data["from"], &gap.data["to"]), ("gap", &2.into(), &6.into()));
    assert_eq!((&gap.data["reason"], &gap.data["event"]), (&"retention".into(), &"gap".into()));
    let mut behind = Events::open(http, ROOM, &[("Last-Event-ID", &gap.id)]).await;
    assert_eq!(texts(&mut behind, 3).await, numbers(7..=9));
    // An epoch that there never was: from the oldest on.
    let mut events = Events::open(http, &format!("{ROOM}?last_event_id=1-8"), &[]).await;
    let reset = events.next().await.unwrap();
    assert_eq!((reset.name.as_str(), &reset.data["head"]), ("reset", &9.into()));
    assert_eq!(reset.id, format!("{}-{}", reset.data["epoch"], reset.data["valid_to"]));
    assert_eq!(events.next().await.unwrap().name, "gap");
    assert_eq!(texts(&mut events, 3).await, numbers(7..=9));
    // Past the head: nobody can have seen that.
    let epoch = reset.data["epoch"].as_u64().unwrap();
    get(http, &format!("{ROOM}?last_event_id={epoch}-99")).await.is_problem(409, Code::POSITION_AHEAD.0);
    drop((events, behind));
    node.terminate().await;
}

/// What `EventSource` does: comes back with the last id when the stream ends, however it ends.
async fn follow(to: SocketAddr, room: &str, count: usize) -> (Vec<u64>, usize) {
    let path = format!("/v1/rooms/{room}/events?from=oldest");
    let (mut seen, mut last, mut returns) = (Vec::new(), None::<String>, 0);
    loop {
        let headers: Vec<_> = last.iter().map(|id| ("Last-Event-ID", id.as_str())).collect();
        let Ok(mut events) = Events::try_open(to, &path, &headers).await else {
            yield_now().await;
            continue;
        };
        while let Some(event) = events.next().await {
            last = Some(event.id);
            match event.name.as_str() {
                "message" => seen.push(event.data["offset"].as_u64().unwrap()),
                "caught-up" => {}
                name => panic!("{name}: {}", event.data),
            }
            if seen.len() == count {
                return (seen, returns);
            }
        }
        returns += 1;
    }
}

#[tokio::test]
async fn a_follower_misses_nothing_through_kills_and_restarts() {
    let site = Site::new("");
    // The same port for all its processes: one that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let arguments = ["--http-listen", &*listen];
    let start = || site.start_saying(&arguments);
    let mut node = start().await;
    let followers: Vec<_> = (0..3).map(|_| tokio::spawn(follow(port, "room", 240))).collect();
    for round in 0..4_u64 {
        fill(port, "room", (1..=60).map(|number| (60 * round + number).to_string())).await;
        match round {
            0 | 2 => {
                // What is sent and not answered is asked again; here everything is answered.
                node.kill().await;
                node = start().await;
            }
            1 => {
                node.terminate().await;
                node = start().await;
            }
            _ => {}
        }
    }
    for follower in followers {
        let (seen, returns) = soon("the last record", follower).await.unwrap();
        assert_eq!(seen, (1..=240).collect::<Vec<_>>());
        assert!(returns >= 3, "it came back {returns} times");
    }
    node.terminate().await;
    site.verify();
}

#[tokio::test]
async fn a_drain_ends_streams_and_says_when_to_come_back() {
    let site = Site::new("");
    let node = site.start().await;
    let mut events = Events::open(node.address("http"), ROOM, &[]).await;
    assert_eq!(events.next().await.unwrap().name, "caught-up");
    let before = events.retry;
    let (_, end) = tokio::join!(node.terminate(), events.next());
    assert_eq!(end, None);
    let told = events.retry.unwrap();
    assert!(Some(told) != before && (500..=1_000).contains(&told), "{told}");
}

#[tokio::test]
async fn a_silent_stream_lives_longer_than_slow_clients_may() {
    let site = Site::new("timeouts.http = '1s'\ntimeouts.keep_alive = '1s'\n");
    let node = site.start().await;
    let http = node.address("http");
    let mut events = Events::open(http, ROOM, &[]).await;
    assert_eq!(events.next().await.unwrap().name, "caught-up");
    events.comments(3).await;
    post(http, "room", &[TEXT], "still here").await;
    assert_eq!(texts(&mut events, 1).await, ["still here"]);
    drop(events);
    node.terminate().await;
}

#[tokio::test]
async fn who_does_not_read_costs_little_and_holds_nobody_up() {
    let site = Site::new("limits.tail_bytes_max = '256 KiB'\ntimeouts.http = '60s'\n");
    let node = site.start().await;
    let http = node.address("http");
    let long = "x".repeat(60_000);
    post(http, "room", &[TEXT], "first").await;
    let request = format!("GET {ROOM}?from=oldest HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(say(http, request.as_bytes()).await);
    }
    let before = memory(node.pid());
    for _ in 0..300 {
        assert_eq!(post(http, "room", &[TEXT], &long).await.status, 201);
    }
    // Whoever reads has all of it meanwhile.
    let mut events = Events::open(http, &format!("{ROOM}?from=oldest"), &[]).await;
    assert_eq!(texts(&mut events, 301).await.len(), 301);
    // 18 MB each, if they were queued.
    let grown = memory(node.pid()).saturating_sub(before);
    assert!(grown < 100 * 1024 * 1024, "{} MiB for 20 who do not read", grown / 1024 / 1024);
    // They go on where they stopped, and nothing is missing.
    let slow = slow.pop().unwrap();
    let got = soon("the rest", read_until(slow, "-301\n")).await;
    assert!(!got.contains("event: gap") && !got.contains("event: reset"));
    assert_eq!(got.matches("\nid: ").count(), 301 + got.matches("event: caught-up").count());
    drop(events);
    node.terminate().await;
}

async fn read_until(mut stream: tokio::net::TcpStream, text: &str) -> String {
    use tokio::io::AsyncReadExt;
    let (mut got, mut piece) = (Vec::new(), vec![0; 256 * 1024]);
    loop {
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the stream goes on");
        got.extend_from_slice(&piece[..count]);
        let tail = got.len().saturating_sub(count + 200_000);
        if String::from_utf8_lossy(&got[tail..]).contains(text) {
            return String::from_utf8_lossy(&got).into_owned();
        }
    }
}

/// Memory that is not shared with files, in bytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn streams_have_a_bound_and_make_room_when_they_are_left() {
    let site = Site::new("limits.event_streams_max = 1\n");
    let node = site.start().await;
    let http = node.address("http");
    let mut first = Events::open(http, ROOM, &[]).await;
    assert_eq!(first.next().await.unwrap().name, "caught-up");
    let refused = get(http, ROOM).await;
    assert_eq!(refused.is_problem(503, Code::TOO_MANY_SESSIONS.0).header("retry-after"), "1");
    assert_eq!(get(http, "/v1/rooms/room").await.status, 200);
    drop(first);
    let second = async {
        loop {
            let path = format!("{ROOM}?until=caught-up");
            if get(http, &path).await.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon("a place", second).await;
    node.terminate().await;
}
