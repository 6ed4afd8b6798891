//! Sessions: how they begin, how they end, and what follows.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use loquic_client::{Client, Code, Endpoint, Error, Status, TokenReason};
use loquic_wire::{
    Frame,
    control::{Auth, Closing, Goaway, GoawayReason, Peeked, Refused, Welcome},
    position::Millis,
};

use crate::fake::{Fake, ack_run, patient, welcome};

fn closing(code: Code) -> Closing {
    Closing { code, reason: "because".into() }
}

async fn until(client: &Client, what: &str, wanted: impl FnMut(&Status) -> bool) -> Status {
    let mut status = client.status();
    patient(what, status.wait_for(wanted)).await.expect("the client is there").clone()
}

async fn end_of(client: &Client) -> Option<Code> {
    until(client, "the end", |status| matches!(status, Status::Closed { .. })).await.code()
}

#[tokio::test]
async fn the_greeting_says_who_and_what() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    assert_eq!(peer.hello.versions, [1]);
    assert!(matches!(&peer.hello.auth, Auth::Anonymous { name } if name.as_str() == "ada"));
    assert!(peer.hello.client.starts_with("loquic-client/"));
    assert_eq!(peer.hello.previous, None);
    assert!(client.status().borrow().is_online());
    assert_eq!(client.principal().expect("online").user.as_str(), "ada");
}

#[tokio::test]
async fn certificates_are_checked() {
    let fake = Fake::start();
    let other = Fake::start();
    let builder = || Client::builder(&fake.url);
    for untrusting in [builder().certificate_hash([0; 32]), builder().ca_pem(&other.pem)] {
        let error = tokio::select! {
            client = untrusting.connect() => client.expect_err("not trusted"),
            _ = fake.session() => panic!("a session without trust"),
        };
        assert!(matches!(error, Error::Tls(_)), "{error}");
    }
    for trusting in [builder().ca_pem(&fake.pem), builder().danger_accept_any_certificate(true)] {
        let (client, _peer) = tokio::join!(trusting.connect(), fake.session());
        client.expect("trusted");
    }
}

#[tokio::test]
async fn a_refusal_for_good_is_the_error_of_connect() {
    let fake = Fake::start();
    let script = async {
        let mut peer = fake.greeted().await;
        peer.control.send(Refused { code: Code::BAD_TOKEN, message: "no".into(), retry_after: Millis(0) }).await;
        peer
    };
    let (client, _peer) = tokio::join!(fake.client().token("t").connect(), script);
    assert_eq!(client.expect_err("refused").code(), Some(Code::BAD_TOKEN));
}

#[tokio::test]
async fn a_provider_is_asked_again_when_its_token_was_refused() {
    let fake = Fake::start();
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    let builder = fake.client().token_provider(move |reason| {
        seen.lock().expect("no panic").push(reason);
        async move { Ok(if reason == TokenReason::Rejected { "fresh" } else { "stale" }.to_owned()) }
    });
    let script = async {
        let mut peer = fake.greeted().await;
        peer.control.send(Refused { code: Code::TOKEN_EXPIRED, message: "".into(), retry_after: Millis(0) }).await;
        let mut next = fake.greeted().await;
        assert!(matches!(&next.hello.auth, Auth::Bearer { token } if &*token.0 == "fresh"));
        next.control.send(welcome()).await;
        (peer, next)
    };
    let (client, _peers) = tokio::join!(builder.connect(), script);
    client.expect("a session");
    assert_eq!(*reasons.lock().expect("no panic"), [TokenReason::Connect, TokenReason::Rejected]);
}

#[tokio::test]
async fn the_range_of_a_closing_code_decides() {
    for (code, comes_back) in [
        (Code::TIMED_OUT, true),
        (Code::INTERNAL, true),
        (Code(1999), true),
        (Code::BAD_FRAME, false),
        (Code::BAD_TOKEN, false),
    ] {
        let fake = Fake::start();
        let (client, mut peer) = fake.connected().await;
        peer.control.send(closing(code)).await;
        peer.closed().await;
        if comes_back {
            let _peer = fake.session().await;
            until(&client, "the next session", Status::is_online).await;
        } else {
            assert_eq!(end_of(&client).await, Some(code));
        }
    }
}

#[tokio::test]
async fn a_delay_that_belongs_to_the_code_is_kept() {
    let fake = Fake::start();
    let (client, mut peer) = fake.connected().await;
    let start = Instant::now();
    peer.control.send(closing(Code::OVERLOADED)).await;
    let waiting = until(&client, "the wait", |status| matches!(status, Status::Waiting { .. })).await;
    assert_eq!(waiting.code(), Some(Code::OVERLOADED));
    let _peer = fake.session().await;
    assert!(start.elapsed() >= Duration::from_secs(1), "back after {:?}", start.elapsed());
}

#[tokio::test]
async fn goaway_is_followed_once_the_answers_are_there() {
    let fake = Fake::start();
    let (client, mut peer) = fake.connected().await;
    let publisher = client.publisher("r").expect("a name");
    let first = publisher.try_publish("a").expect("space");
    let mut line = peer.opened(0).await;
    line.publishes(1).await;
    let (deadline, delay) = (Millis(10_000), Millis(300));
    peer.control.send(Goaway { reason: GoawayReason::Shutdown, deadline, delay, nodes: Vec::new() }).await;
    // A round trip on the control stream: from here on the client has read it.
    client.peek(&["r"]).now_or_later(&mut peer).await;
    let second = publisher.try_publish("b").expect("space");
    line.silent().await;
    let start = Instant::now();
    line.send(ack_run(1, 1, 1)).await;
    first.await.expect("acknowledged");
    peer.closed().await;
    let peer = fake.session().await;
    assert!(start.elapsed() >= Duration::from_millis(300), "back after {:?}", start.elapsed());
    let mut line = peer.opened(1).await;
    line.publishes(1).await;
    line.send(ack_run(2, 1, 2)).await;
    second.await.expect("acknowledged in the next session");
}

/// A `Peek` that the script answers.
trait Answered {
    async fn now_or_later(self, peer: &mut crate::fake::Peer);
}

impl<F: Future<Output = Result<Vec<Option<loquic_client::RoomStatus>>, Error>>> Answered for F {
    async fn now_or_later(self, peer: &mut crate::fake::Peer) {
        let answer = async {
            assert!(matches!(peer.control.frame().await, Frame::Peek(_)));
            peer.control.send(Peeked { rooms: vec![None] }).await;
        };
        let (peeked, ()) = tokio::join!(self, answer);
        assert_eq!(peeked.expect("peeked"), [None]);
    }
}

#[tokio::test]
async fn peek_is_asked_again_after_a_cut() {
    let fake = Fake::start();
    let (client, mut peer) = fake.connected().await;
    let script = async {
        assert!(matches!(peer.control.frame().await, Frame::Peek(_)));
        peer.cut();
        let mut peer = fake.session().await;
        assert!(matches!(peer.control.frame().await, Frame::Peek(peek) if peek.rooms.len() == 2));
        peer.control.send(Peeked { rooms: vec![None, None] }).await;
        peer
    };
    let (peeked, _peer) = tokio::join!(client.peek(&["a", "b"]), script);
    assert_eq!(peeked.expect("peeked"), [None, None]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_pings_is_left() {
    let fake = Fake::start();
    let script = async {
        let mut peer = fake.greeted().await;
        peer.control.send(Welcome { ping_interval: Millis(100), ..welcome() }).await;
        for _ in 0..2 {
            assert!(matches!(peer.control.frame().await, Frame::Ping(_)));
        }
        peer.closed().await;
        fake.session().await
    };
    let (client, _peer) = tokio::join!(fake.client().connect(), script);
    until(&client.expect("a session"), "the next session", Status::is_online).await;
}

#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    let fake = Fake::start();
    let (client, peer) = fake.connected().await;
    let publisher = client.clone().publisher("r").expect("a name");
    drop(client);
    assert!(peer.connection.close_reason().is_none(), "a publisher is a handle too");
    let pending = publisher.try_publish("a").expect("space");
    let mut line = peer.opened(0).await;
    line.publishes(1).await;
    drop(publisher);
    peer.closed().await;
    assert!(matches!(patient("an answer", pending).await, Err(Error::Closed)));
}

#[tokio::test]
async fn clients_can_share_a_socket() {
    let fake = Fake::start();
    let endpoint = Endpoint::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let (a, first) = tokio::join!(fake.client().endpoint(&endpoint).connect(), fake.session());
    let (b, second) = tokio::join!(fake.client().endpoint(&endpoint).connect(), fake.session());
    let address = endpoint.local_address().expect("an address");
    assert_eq!((first.connection.remote_address(), second.connection.remote_address()), (address, address));
    drop(a);
    first.closed().await;
    assert!(second.connection.close_reason().is_none());
    drop(b);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_when_the_time_is_up() {
    let builder = Client::builder("https://127.0.0.1:9").connect_timeout(Duration::from_millis(300));
    let error =
        patient("an answer", builder.danger_accept_any_certificate(true).connect()).await.expect_err("nobody there");
    assert!(error.retryable(), "{error}");
}
