//! Who shows a token, what it allows, and its end.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use loquic_wire::{
    Code, Frame, RoomPattern, UserName,
    control::{Auth, Expiring, Hello, Refresh, Refreshed, Token, Welcome},
    join::{CaughtUp, From, Left},
    watch::{Head, Watch},
};

use super::peer::{Peer, PeerStream, hello, join, open, publish, room};
use crate::{
    config::limits,
    room::testing,
    session::{Config, Shared, auth::Admissions},
    token::{Claims, Right, Signer, Verifier},
};

const ALL: [Right; 2] = [Right::Read, Right::Publish];

/// A server that trusts a key, and who has that key.
struct Service {
    signer: Signer,
    shared: Arc<Shared>,
}

impl Service {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, [b's'; limits::TOKEN_SECRET_BYTES_MIN]).unwrap();
        let verifier = Some(Verifier::open(&path, None, None).unwrap());
        let admissions = Admissions { verifier, danger_accept_any_name: false };
        let shared = Shared::new(testing::rooms(), admissions, Config::default());
        Self { signer: Signer::open(&path).unwrap(), shared }
    }

    fn token(&self, user: &str, span: Duration, rooms: &[(&str, &[Right])]) -> Token {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let rooms = rooms.iter().map(|(pattern, rights)| (RoomPattern::new(pattern).unwrap(), rights.to_vec()));
        let claims =
            Claims { user: UserName::new(user).unwrap(), expires: (now + span).as_secs(), rooms: rooms.collect() };
        Token(self.signer.sign(&claims, None, None).unwrap().into())
    }

    async fn greet(&self, token: Token) -> (Peer, PeerStream, Welcome) {
        let peer = Peer::connect(&self.shared);
        let mut control = peer.open(Hello { auth: Auth::Bearer { token }, ..hello() }).await;
        let welcome = control.hear().await;
        (peer, control, welcome)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn only_good_tokens_are_let_in() {
    let service = Service::new();
    let good = service.token("ada", HOUR, &[("**", &ALL)]);
    let forged = Token(format!("{}x", good.0).into());
    for (auth, code) in [
        (Auth::Bearer { token: forged }, Code::BAD_TOKEN),
        (Auth::Bearer { token: Token("".into()) }, Code::BAD_TOKEN),
        (Auth::Anonymous { name: UserName::new("ada").unwrap() }, Code::UNAUTHENTICATED),
    ] {
        let mut peer = Peer::connect(&service.shared);
        peer.open(Hello { auth, ..hello() }).await.refused(code).await;
        peer.closed_with(code).await;
    }
    let mut old = Peer::connect(&service.shared);
    let expired = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x";
    old.open(Hello { auth: Auth::Bearer { token: Token(expired.into()) }, ..hello() })
        .await
        .refused(Code::BAD_TOKEN)
        .await;
    old.closed_with(Code::BAD_TOKEN).await;
    let (_peer, mut control, welcome) = service.greet(good).await;
    assert_eq!(welcome.principal.user.as_str(), "ada");
    assert!(welcome.expires_at.is_some_and(|at| at > welcome.server_time));
    control.is_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_token_unless_it_brings_another() {
    let service = Service::new();
    let (mut peer, mut control, welcome) = service.greet(service.token("ada", MINUTE, &[])).await;
    let expiring: Expiring = control.hear().await;
    assert_eq!(Some(expiring.at), welcome.expires_at);
    control.say(Refresh { token: service.token("ada", MINUTE * 3 / 2, &[]) }).await;
    let refreshed: Refreshed = control.hear().await;
    assert!(refreshed.expires_at > welcome.expires_at);
    // The second one is let run out: first the word, then the end.
    let expiring: Expiring = control.hear().await;
    assert_eq!(Some(expiring.at), refreshed.expires_at);
    control.closing(Code::TOKEN_EXPIRED).await;
    peer.closed_with(Code::TOKEN_EXPIRED).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_of_somebody_else_ends_the_session() {
    let service = Service::new();
    let (mut peer, mut control, _) = service.greet(service.token("ada", HOUR, &[])).await;
    control.say(Refresh { token: service.token("eve", HOUR, &[]) }).await;
    control.closing(Code::PRINCIPAL_CHANGED).await;
    peer.closed_with(Code::PRINCIPAL_CHANGED).await;
}

#[tokio::test]
async fn rights_hold_room_by_room() {
    let service = Service::new();
    let token = service.token("ada", HOUR, &[("chat:**", &ALL), ("news:*", &[Right::Read])]);
    let (peer, mut control, _) = service.greet(token).await;
    let (_joined, _) = peer.join("news:today", From::Live).await;
    peer.open(open("news:today", 1)).await.refused(Code::FORBIDDEN).await;
    peer.open(join("secret", From::Live)).await.refused(Code::FORBIDDEN).await;
    peer.open(Watch::Rooms(vec![room("chat:a"), room("secret")])).await.refused(Code::FORBIDDEN).await;
    peer.open(Watch::Prefix("chat".into())).await.refused(Code::FORBIDDEN).await;
    let (mut publisher, _) = peer.publisher("chat:a", 1).await;
    publisher.say(publish(1, "hello")).await;
    publisher.acks(1).await;
    let head: Head = peer.open(Watch::Prefix("chat:".into())).await.hear().await;
    assert_eq!(head.room, room("chat:a"));
    control.is_alive().await;
}

/// Lost rights end the streams that they were needed for, and nothing else.
#[tokio::test]
async fn a_token_that_allows_less_ends_what_it_does_not_allow() {
    let service = Service::new();
    let both: [(&str, &[Right]); 2] = [("chat:**", &ALL), ("news:**", &ALL)];
    let (peer, mut control, _) = service.greet(service.token("ada", HOUR, &both)).await;
    let (mut chat, _) = peer.join("chat:a", From::Live).await;
    let (mut news, _) = peer.join("news:a", From::Live).await;
    let (_, _): (CaughtUp, CaughtUp) = (chat.hear().await, news.hear().await);
    // This one waits for credit in place of records.
    let mut starved = peer.open(loquic_wire::join::Join { credit: 0, ..join("news:b", From::Oldest) }).await;
    let (mut publisher, _) = peer.publisher("chat:a", 1).await;
    let (mut forbidden, _) = peer.publisher("news:b", 1).await;
    forbidden.say(publish(1, "before")).await;
    forbidden.acks(1).await;
    control.say(Refresh { token: service.token("ada", HOUR, &both[..1]) }).await;
    let _: Refreshed = control.hear().await;
    let left: Left = news.hear().await;
    assert_eq!(left.code, Code::FORBIDDEN);
    forbidden.say(publish(2, "after")).await;
    forbidden.refused(Code::FORBIDDEN).await;
    let left = loop {
        if let Frame::Left(left) = starved.frame().await {
            break left;
        }
    };
    assert_eq!(left.code, Code::FORBIDDEN);
    publisher.say(publish(1, "still here")).await;
    publisher.acks(1).await;
    assert_eq!(chat.records(1).await[0].payload, "still here");
    control.is_alive().await;
}
