//! The ready line, and how a server ends.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use loquic_wire::{Code, Frame, control::GoawayReason, join::From};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    raw::{self, Session, publish},
    support::Site,
};

/// Starts a server, waits for its ready line, and kills it.
pub(super) async fn ready_then_killed(mut command: Command) -> Value {
    let ready = move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "it ended by itself: {said}");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: {line:?}, {said}"))
    };
    tokio::task::spawn_blocking(ready).await.unwrap()
}

#[tokio::test]
async fn the_ready_line_says_where_it_is() {
    let site = Site::new("");
    let node = site.start().await;
    let ready = node.ready();
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["quic"], serde_json::json!([format!("127.0.0.1:{}", site.port())]));
    assert_eq!(ready["https"], ready["quic"], "the same port of TCP");
    for http in ["http", "ops"] {
        assert_eq!(ready[http].as_array().unwrap().len(), 1);
        assert!(node.address(http).ip().is_loopback() && node.address(http).port() > 0);
    }
    assert_eq!(ready["pid"], node.pid());
    assert_eq!(ready["data_dir"], site.data().to_str().unwrap());
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ready.as_object().unwrap().len(), 8);
    node.terminate().await;
}

#[tokio::test]
async fn the_first_sigterm_tells_clients_and_lets_them_leave() {
    let site = Site::new("timeouts.drain = '50s'\n");
    let mut node = site.start().await;
    let mut session = Session::connect(site.port()).await;
    let (mut publisher, _) = session.publisher("room", 1).await;
    publisher.say(publish(1, "before")).await;
    assert!(matches!(publisher.next().await, Some(Frame::AckRun(_) | Frame::Ack(_))));

    node.signal(Signal::TERM);
    match session.control.next().await {
        Some(Frame::Goaway(goaway)) => {
            assert_eq!(goaway.reason, GoawayReason::Shutdown);
            let deadline = std::time::Duration::from(goaway.deadline).as_secs();
            assert!((40..=50).contains(&deadline), "{deadline}");
            assert!(std::time::Duration::from(goaway.delay) > std::time::Duration::ZERO);
            assert!(goaway.nodes.is_empty());
        }
        other => panic!("no Goaway, but {other:?}"),
    }
    // What was begun goes on; who comes now is sent away.
    session.lives().await;
    let late = raw::Peer::connect(site.port()).await;
    late.open(&raw::hello("late").to_bytes()).await.refused(Code::DRAINING).await;
    late.close().await;
    assert!(!node.has_ended());
    session.peer.close().await;
    assert!(node.exited().await.success(), "it ends when everybody has left, long before the deadline");
    assert_eq!(site.verify()["records"], 1);
}

#[tokio::test]
async fn who_does_not_leave_is_told_and_cut_off_at_the_deadline() {
    let site = Site::new("timeouts.drain = '1s'\n").allow("sessions that did not leave are cut off");
    let mut node = site.start().await;
    let mut session = Session::connect(site.port()).await;
    let (mut joined, _) = session.join("room", From::Live, 0).await;
    assert!(matches!(joined.next().await, Some(Frame::CaughtUp(_))));
    node.signal(Signal::TERM);
    assert!(matches!(session.control.next().await, Some(Frame::Goaway(_))));
    match session.control.next().await {
        Some(Frame::Closing(closing)) => assert_eq!(closing.code, Code::DRAINING),
        other => panic!("no Closing, but {other:?}"),
    }
    assert_eq!(session.peer.closed().await, Code::DRAINING);
    assert!(node.exited().await.success());
    site.verify();
}

#[tokio::test]
async fn the_second_sigterm_ends_at_once_and_loses_nothing_acked() {
    let site = Site::new("timeouts.drain = '1h'\n");
    let mut node = site.start().await;
    let mut session = Session::connect(site.port()).await;
    let (mut publisher, _) = session.publisher("room", 1).await;
    publisher.say(publish(1, "acked")).await;
    assert!(matches!(publisher.next().await, Some(Frame::AckRun(_) | Frame::Ack(_))));
    node.signal(Signal::TERM);
    assert!(matches!(session.control.next().await, Some(Frame::Goaway(_))));
    node.signal(Signal::TERM);
    assert_eq!(node.exited().await.code(), Some(1));
    assert!(site.lines().iter().any(|line| line.contains("second signal before the drain was over")));
    assert_eq!(site.verify()["records"], 1);
    // And the next one serves it.
    let node = site.start().await;
    let client = site.connect("tester").await;
    let history = client.history("room", loquic_client::Range::Newest, 10).await.unwrap();
    assert_eq!(history.records[0].payload, "acked");
    client.close().await;
    node.terminate().await;
}
