//! The ops listener: metrics that move with what happens, and readiness that says when to stay away.

use std::{collections::BTreeMap, net::SocketAddr};

use loquic_client::{Event, From};
use loquic_wire::{Code, Frame};
use rustix::process::Signal;

use crate::{
    http::get,
    raw::{Session, soon},
    support::Site,
};

/// Every sample by its name and labels. Fails on what is not Prometheus's text format, version 0.0.4.
async fn metrics(ops: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(ops, "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text().ends_with('\n'));
    let (mut samples, mut family) = (BTreeMap::new(), (String::new(), String::new()));
    for line in answer.text().lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            family.0 = name.into();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family.0, "HELP and TYPE are of the same family");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family.1 = kind.into();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let of_family = name == family.0
                || family.1 == "histogram"
                    && ["_bucket", "_sum", "_count"].iter().any(|end| name == family.0.clone() + end);
            assert!(of_family, "{line} is below {family:?}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(samples.insert(series.into(), value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    samples
}

#[tokio::test]
async fn they_move_with_a_publish_and_its_delivery() {
    let site = Site::new("");
    let node = site.start().await;
    let ops = node.address("ops");
    let before = metrics(ops).await;
    assert_eq!(before["loquic_sessions"], 0.0);
    assert_eq!(before["loquic_rooms"], 0.0);
    assert_eq!(before[&format!("loquic_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);

    let client = site.connect("tester").await;
    let mut room = client.room("room").from(From::Oldest).open().await.unwrap();
    for text in ["one", "two", "three"] {
        room.publish(text).await.unwrap();
    }
    let mut records = 0;
    while records < 3 {
        match soon("a record", room.next()).await.unwrap().unwrap() {
            Event::Record(_) => records += 1,
            Event::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let now = metrics(ops).await;
    let moved = |name: &str| now[name] - before.get(name).copied().unwrap_or_default();
    assert_eq!(now["loquic_sessions"], 1.0);
    assert_eq!(moved("loquic_sessions_opened_total{transport=\"quic\"}"), 1.0);
    assert_eq!(moved("loquic_sessions_closed_total{transport=\"quic\"}"), 0.0);
    assert_eq!(moved("loquic_sessions_welcomed_total"), 1.0);
    assert_eq!(moved("loquic_handshakes_total{outcome=\"completed\"}"), 1.0);
    assert_eq!(now["loquic_connections"], 1.0);
    assert_eq!(now["loquic_rooms"], 1.0);
    assert_eq!(moved("loquic_streams_opened_total"), 2.0, "one to join, one to publish");
    for name in ["loquic_publishes_total", "loquic_publishes_acked_total", "loquic_records_delivered_total"] {
        assert_eq!(moved(name), 3.0, "{name}");
    }
    for name in ["loquic_publishes_refused_total", "loquic_publishes_overloaded_total", "loquic_session_faults_total"] {
        assert_eq!(moved(name), 0.0, "{name}");
    }
    // Three records of eleven bytes of payload, with heads of some dozens.
    assert!((11.0..500.0).contains(&moved("loquic_delivered_bytes_total")));
    // Each was waited for, so each had a batch and a sync of its own.
    assert_eq!(moved("loquic_journal_batches_total"), 3.0);
    assert!(moved("loquic_journal_written_bytes_total") > 11.0);
    assert_eq!(moved("loquic_journal_sync_seconds_count"), 3.0);
    assert_eq!(moved("loquic_journal_sync_seconds_bucket{le=\"+Inf\"}"), 3.0);
    assert!(moved("loquic_journal_sync_seconds_sum") > 0.0);
    assert!(now["loquic_tails_bytes"] > 0.0);
    assert!(moved("process_cpu_seconds_total") > 0.0);
    assert_eq!(moved("process_start_time_seconds"), 0.0);
    assert!(now["process_resident_memory_bytes"] > 1e6 && now["process_open_fds"] > 3.0);
    assert_eq!(moved("loquic_http_connections_opened_total{listener=\"ops\"}"), 1.0);

    client.close().await;
    node.terminate().await;
}

#[tokio::test]
async fn a_node_that_drains_is_alive_and_not_ready() {
    let site = Site::new("timeouts.drain = '50s'\n");
    let mut node = site.start().await;
    let (http, ops) = (node.address("http"), node.address("ops"));
    let ready = get(ops, "/readyz").await;
    assert_eq!((ready.status, ready.text(), ready.header("cache-control")), (200, "ready\n", "no-store"));
    assert_eq!(get(ops, "/healthz").await.status, 200);
    let mut session = Session::connect(site.port()).await;
    node.signal(Signal::TERM);
    // Who hears of the drain finds it told here as well: this comes first.
    assert!(matches!(session.control.next().await, Some(Frame::Goaway(_))));
    let unready = get(ops, "/readyz").await;
    assert_eq!((unready.status, unready.text()), (503, "draining\n"));
    assert_eq!(get(ops, "/healthz").await.status, 200);
    assert_eq!(get(http, "/v1/info").await.status, 200, "the page may still ask");
    let late = crate::raw::Peer::connect(site.port()).await;
    late.open(&crate::raw::hello("late").to_bytes()).await.refused(Code::DRAINING).await;
    assert_eq!(metrics(ops).await["loquic_sessions_refused_total{reason=\"draining\"}"], 1.0);
    late.close().await;
    session.peer.close().await;
    assert!(node.exited().await.success());
    assert!(tokio::net::TcpStream::connect(ops).await.is_err(), "it ends with the process");
}
