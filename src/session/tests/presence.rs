//! Who is there, as sessions hear of it over the link in memory. What is to be told when is tested in `presence`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use loquic_wire::{
    Code, RoomName, SessionId, UserName,
    control::{Auth, Hello, Welcome},
    join::{CaughtUp, From, Join, Joined, Left, Member, Presence, PresenceLevel},
    who::{Members, Who},
};

use super::peer::{self, Peer, PeerStream, hello, join, room};
use crate::{
    presence::Options,
    room::{Refusal, testing},
    session::{
        Config, Shared,
        auth::{Action, Admission, Authenticator, DANGER_ADMIT_EVERYBODY, Permissions},
    },
    transport::{Link, SendStream},
};

const FOR_EVER: Duration = Duration::from_secs(3_600);

fn shared(list_max: usize, grace: Duration) -> Arc<Shared> {
    let config = Config { presence: Options { list_max, grace }, ..Config::default() };
    Shared::new(testing::rooms(), DANGER_ADMIT_EVERYBODY, config)
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn member(name: &str, sessions: u32) -> Member {
    Member { user: user(name), sessions }
}

/// A session that has joined room a.
struct Guest {
    peer: Peer,
    session: SessionId,
    stream: PeerStream,
    _control: PeerStream,
}

impl Guest {
    async fn join(shared: &Arc<Shared>, name: &str, level: PresenceLevel) -> Self {
        Self::succeed(shared, name, level, None).await
    }

    async fn succeed(shared: &Arc<Shared>, name: &str, presence: PresenceLevel, previous: Option<SessionId>) -> Self {
        let peer = Peer::connect(shared);
        let auth = Auth::Anonymous { name: user(name) };
        let mut control = peer.open(Hello { auth, previous, ..hello() }).await;
        let Welcome { session, .. } = control.hear().await;
        // Presence needs no credit.
        let mut stream = peer.open(Join { presence, credit: 0, ..join("a", From::Live) }).await;
        let _: Joined = stream.hear().await;
        let _: CaughtUp = stream.hear().await;
        Self { peer, session, stream, _control: control }
    }

    async fn hear(&mut self) -> (u64, bool, Vec<Member>) {
        let Presence { count, snapshot, members } = self.stream.hear().await;
        (count, snapshot, members)
    }

    /// Waits for a change and takes others for part of it: what comes together depends on the time.
    async fn hears(&mut self, count: u64, changes: &[Member]) {
        let mut heard = Vec::new();
        while heard.len() < changes.len() {
            let (told, snapshot, members) = self.hear().await;
            assert!(!snapshot && !members.is_empty());
            heard.extend(members);
            if heard.len() == changes.len() {
                assert_eq!(told, count);
            }
        }
        assert_eq!(heard, changes);
    }

    async fn who(&self, after: Option<&str>, limit: u32) -> Members {
        let mut stream = self.peer.open(Who { room: room("a"), after: after.map(user), limit }).await;
        let members = stream.hear().await;
        stream.ended().await;
        members
    }
}

#[tokio::test]
async fn a_list_and_then_who_comes_and_goes() {
    let shared = shared(500, FOR_EVER);
    let mut ann = Guest::join(&shared, "ann", PresenceLevel::Changes).await;
    assert_eq!(ann.hear().await, (1, true, vec![member("ann", 1)]));
    let mut ben = Guest::join(&shared, "ben", PresenceLevel::Count).await;
    assert_eq!(ben.hear().await.2, []);
    ann.hears(2, &[member("ben", 1)]).await;
    // A second session of the same user, and two streams of that, change one number.
    let twin = Guest::join(&shared, "ben", PresenceLevel::None).await;
    let (mut again, _) = twin.peer.join("a", From::Live).await;
    let _: CaughtUp = again.hear().await;
    ann.hears(2, &[member("ben", 2)]).await;
    again.send.finish();
    let _: Left = again.hear().await;
    twin.peer.link.close(Code::DONE, "");
    ann.hears(2, &[member("ben", 1)]).await;
    // A stream that is reset leaves as well.
    ben.stream.send.reset(Code::DONE);
    ann.hears(1, &[member("ben", 0)]).await;
    let delivered = shared.stats().presence_delivered.get();
    assert!(delivered >= 6, "{delivered}");
}

#[tokio::test]
async fn counts_are_told_when_they_move() {
    let shared = shared(500, FOR_EVER);
    let mut ann = Guest::join(&shared, "ann", PresenceLevel::Count).await;
    assert_eq!(ann.hear().await, (1, false, vec![]));
    let twin = Guest::join(&shared, "ann", PresenceLevel::None).await;
    let ben = Guest::join(&shared, "ben", PresenceLevel::None).await;
    assert_eq!(ann.hear().await, (2, false, vec![]));
    drop(twin);
    ben.peer.link.close(Code::DONE, "");
    assert_eq!(ann.hear().await, (1, false, vec![]));
}

#[tokio::test]
async fn the_vanished_leave_when_their_grace_ends() {
    let shared = shared(500, Duration::from_millis(50));
    let mut ann = Guest::join(&shared, "ann", PresenceLevel::Changes).await;
    assert_eq!(ann.hear().await, (1, true, vec![member("ann", 1)]));
    let ben = Guest::join(&shared, "ben", PresenceLevel::None).await;
    ann.hears(2, &[member("ben", 1)]).await;
    ben.peer.link.cut();
    ann.hears(1, &[member("ben", 0)]).await;
}

#[tokio::test]
async fn a_session_takes_over_where_another_one_was() {
    let shared = shared(500, FOR_EVER);
    let mut ann = Guest::join(&shared, "ann", PresenceLevel::Changes).await;
    assert_eq!(ann.hear().await, (1, true, vec![member("ann", 1)]));
    let mut ben = Guest::join(&shared, "ben", PresenceLevel::None).await;
    ann.hears(2, &[member("ben", 1)]).await;
    ben.peer.link.cut();
    ben.peer.closed().await;
    // Somebody else's session is not taken over, an own one is, whether it has vanished or not.
    let _eve = Guest::succeed(&shared, "eve", PresenceLevel::None, Some(ben.session)).await;
    let ben = Guest::succeed(&shared, "ben", PresenceLevel::None, Some(ben.session)).await;
    let later = Guest::succeed(&shared, "ben", PresenceLevel::None, Some(ben.session)).await;
    // What was taken over does not count any more when it ends.
    ben.peer.link.close(Code::DONE, "");
    let _zoe = Guest::join(&shared, "zoe", PresenceLevel::None).await;
    ann.hears(4, &[member("eve", 1), member("zoe", 1)]).await;
    later.peer.link.close(Code::DONE, "");
    ann.hears(3, &[member("ben", 0)]).await;
}

#[tokio::test]
async fn in_a_large_room_only_the_count_is_pushed_and_the_rest_is_asked_for() {
    let shared = shared(2, FOR_EVER);
    let mut ann = Guest::join(&shared, "ann", PresenceLevel::Changes).await;
    assert_eq!(ann.hear().await, (1, true, vec![member("ann", 1)]));
    let _ben = Guest::join(&shared, "ben", PresenceLevel::None).await;
    ann.hears(2, &[member("ben", 1)]).await;
    let cleo = Guest::join(&shared, "cleo", PresenceLevel::None).await;
    assert_eq!(ann.hear().await, (3, true, vec![]));
    let page = ann.who(None, 2).await;
    assert_eq!(page, Members { count: 3, members: vec![member("ann", 1), member("ben", 1)], more: true });
    let page = ann.who(Some("ben"), 2_000_000).await;
    assert_eq!(page, Members { count: 3, members: vec![member("cleo", 1)], more: false });
    cleo.peer.link.close(Code::DONE, "");
    assert_eq!(ann.hear().await, (2, true, vec![member("ann", 1), member("ben", 1)]));
}

/// Allows everything but to learn who is there.
struct Discreet;

impl Authenticator for Discreet {
    fn authenticate<'a>(&'a self, auth: &'a Auth, peer: SocketAddr) -> BoxFuture<'a, Result<Admission, Refusal>> {
        Box::pin(async move {
            let admission = DANGER_ADMIT_EVERYBODY.authenticate(auth, peer).await?;
            Ok(Admission { permissions: Arc::new(Discreet), ..admission })
        })
    }
}

impl Permissions for Discreet {
    fn may(&self, action: Action, _: &RoomName) -> bool {
        action != Action::Presence
    }

    fn may_watch_prefix(&self, _: &str) -> bool {
        true
    }
}

#[tokio::test]
async fn who_is_there_is_not_for_everybody() {
    let shared = Shared::new(testing::rooms(), Discreet, Config::default());
    let (peer, _control) = Peer::greet(&shared).await;
    let who = Who { room: room("a"), after: None, limit: 1 };
    peer.open(who).await.refused(Code::FORBIDDEN).await;
    for presence in [PresenceLevel::Count, PresenceLevel::Changes] {
        peer.open(Join { presence, ..join("a", From::Live) }).await.refused(Code::FORBIDDEN).await;
    }
    peer.join("a", From::Live).await;
}

#[tokio::test]
async fn a_page_of_nobody_is_refused_and_one_of_an_empty_room_is_empty() {
    let (peer, _control) = Peer::greet(&peer::shared()).await;
    peer.open(Who { room: room("a"), after: None, limit: 0 }).await.refused(Code::BAD_FRAME).await;
    let mut stream = peer.open(Who { room: room("a"), after: None, limit: 1 }).await;
    let nobody: Members = stream.hear().await;
    assert_eq!(nobody, Members { count: 0, members: vec![], more: false });
    stream.ended().await;
}
