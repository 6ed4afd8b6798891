//! The frames that the vectors show. `write_the_vectors` makes the files of them; the files are the truth.

use std::sync::Arc;

use bytes::Bytes;
use loquic_wire::{
    Code, Epoch, Flags, Format, Frame, Kind, Millis, Offset, Position, Principal, ProducerId, ProducerTag, Record,
    RoomName, SessionId, TenantName, Time, UserName,
    control::*,
    ephemeral::Ephemeral,
    join::{
        self, CaughtUp, Credit, Gap, GapReason, Join, Joined, Left, Mark, Member, Mode, Presence, PresenceLevel, Reset,
    },
    limits::NUMBER_MAX,
    publish::*,
    read::{Range, Read, ReadEnd, ReadHead},
    watch::{Head, Watch},
    who::{Members, Who},
};

/// A file's name, and its frames with a comment each.
pub(crate) type Group = (&'static str, Vec<(&'static str, Frame)>);

pub(crate) fn groups() -> Vec<Group> {
    vec![
        ("control", control()),
        ("join", join_stream()),
        ("watch", watch()),
        ("publish", publish()),
        ("read", read()),
        ("who", who()),
    ]
}

/// Ephemerals that fit a datagram, each without length and kind.
pub(crate) fn datagrams() -> Vec<(&'static str, Ephemeral)> {
    vec![
        (
            "from a client: zeros for the sender",
            Ephemeral {
                handle: 7,
                sender: SessionId([0; 16]),
                slot: 0,
                stamp: 1,
                payload: Bytes::from_static(b"typing"),
            },
        ),
        (
            "from the server: the session that says it",
            Ephemeral { handle: 70_000, sender: session(), slot: 255, stamp: 300, payload: Bytes::new() },
        ),
    ]
}

const EPOCH: u64 = 1_795_361_689_123;

fn offset(number: u64) -> Offset {
    Offset::new(number).expect("below 2^53")
}

fn epoch() -> Epoch {
    Epoch::new(EPOCH).expect("below 2^53")
}

fn time(after: u64) -> Time {
    Time::new(EPOCH + after).expect("below 2^53")
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).expect("a room name")
}

fn user(name: &str) -> UserName {
    UserName::new(name).expect("a user name")
}

fn session() -> SessionId {
    SessionId(std::array::from_fn(|at| at as u8 * 17))
}

fn producer() -> ProducerId {
    ProducerId(std::array::from_fn(|at| 0xa0 + at as u8))
}

fn token(text: &str) -> Token {
    Token(text.into())
}

fn position(at: u64) -> Position {
    Position { epoch: epoch(), offset: offset(at) }
}

fn control() -> Vec<(&'static str, Frame)> {
    let limits = SessionLimits { rooms_max: 256, reads_max: 8, publish_max: 64, payload_bytes_max: 65_536 };
    let principal = Principal { tenant: TenantName::main(), user: user("alice") };
    let url: Arc<str> = "https://b.example:4433".into();
    vec![
        (
            "anonymous, a first session",
            Hello {
                versions: vec![1],
                auth: Auth::Anonymous { name: user("alice") },
                client: "loquic-client/0.1.0".into(),
                previous: None,
            }
            .into(),
        ),
        (
            "with a token, in place of an earlier session; an empty client text; a version of three bytes",
            Hello {
                versions: vec![300, 1],
                auth: Auth::Bearer { token: token("eyJhbGciOiJFZERTQSJ9.e30.c2ln") },
                client: "".into(),
                previous: Some(session()),
            }
            .into(),
        ),
        (
            "without an expiry and without other nodes",
            Welcome {
                version: 1,
                session: session(),
                node: "node-1".into(),
                principal: principal.clone(),
                limits: limits.clone(),
                ping_interval: Millis(5_000),
                expires_at: None,
                server_time: time(0),
                nodes: vec![],
            }
            .into(),
        ),
        (
            "with an expiry and two other nodes; a user name that is not ASCII",
            Welcome {
                version: 1,
                session: session(),
                node: "ノード".into(),
                principal: Principal { tenant: TenantName::main(), user: user("Zoë 🦊") },
                limits,
                ping_interval: Millis(250),
                expires_at: Some(time(3_600_000)),
                server_time: time(0),
                nodes: vec![url.clone(), "https://c.example:4433".into()],
            }
            .into(),
        ),
        (
            "no version in common",
            Refused {
                code: Code::UNSUPPORTED_VERSION,
                message: "this node speaks version 1".into(),
                retry_after: Millis(0),
            }
            .into(),
        ),
        (
            "try again in two seconds",
            Refused { code: Code::OVERLOADED, message: "".into(), retry_after: Millis(2_000) }.into(),
        ),
        ("a new token", Refresh { token: token("new.token") }.into()),
        ("a token that expires", Refreshed { expires_at: Some(time(7_200_000)) }.into()),
        ("a token that does not expire", Refreshed { expires_at: None }.into()),
        ("expiry ahead", Expiring { at: time(60_000) }.into()),
        ("one byte of token", Ping { token: 250 }.into()),
        ("the largest number there is", Ping { token: NUMBER_MAX }.into()),
        ("answer", Pong { token: 251, server_time: time(12) }.into()),
        ("no room", Peek { rooms: vec![] }.into()),
        ("two rooms", Peek { rooms: vec![room("lobby"), room("game:42:chat")] }.into()),
        (
            "a room with a mark, one without, and one that the principal may not see",
            Peeked {
                rooms: vec![
                    Some(RoomStatus { epoch: epoch(), head: offset(41), floor: offset(1), mark: Some(offset(40)) }),
                    Some(RoomStatus { epoch: epoch(), head: offset(0), floor: offset(1), mark: None }),
                    None,
                ],
            }
            .into(),
        ),
        ("read up to 40", Marked { room: room("lobby"), offset: offset(40) }.into()),
        (
            "come back to the same node in three seconds",
            Goaway { reason: GoawayReason::Shutdown, deadline: Millis(10_000), delay: Millis(3_000), nodes: vec![] }
                .into(),
        ),
        (
            "go to another node",
            Goaway { reason: GoawayReason::Rebalance, deadline: Millis(60_000), delay: Millis(0), nodes: vec![url] }
                .into(),
        ),
        ("in good order", Closing { code: Code::DONE, reason: "".into() }.into()),
        (
            "the peer's fault",
            Closing { code: Code::BAD_FRAME, reason: "a varint is not in its shortest form".into() }.into(),
        ),
    ]
}

fn join_stream() -> Vec<(&'static str, Frame)> {
    let join =
        |from, mode, credit, presence| -> Frame { Join { room: room("lobby"), from, mode, credit, presence }.into() };
    let credit = 256 * 1024;
    let none = PresenceLevel::None;
    let record = Record {
        offset: offset(42),
        time: time(1_000),
        kind: Kind::MESSAGE,
        format: Format::Text,
        flags: Flags::NONE,
        sender: user("alice"),
        producer: producer().tag(),
        id: 7,
        refers: None,
        payload: Bytes::from_static(b"hello"),
    };
    vec![
        ("from now on", join(join::From::Live, Mode::Latest, credit, none)),
        ("from the start", join(join::From::Oldest, Mode::All, credit, none)),
        ("from an offset, inclusive", join(join::From::AtOffset(offset(1)), Mode::All, credit, none)),
        ("behind a position", join(join::From::After(position(41)), Mode::All, credit, none)),
        ("the newest 100", join(join::From::Last(100), Mode::All, credit, PresenceLevel::Count)),
        ("from a time", join(join::From::AtTime(time(0)), Mode::All, NUMBER_MAX, PresenceLevel::Changes)),
        ("a room with records", Joined { handle: 7, epoch: epoch(), head: offset(42), floor: offset(3) }.into()),
        ("an empty room", Joined { handle: u32::MAX, epoch: epoch(), head: offset(0), floor: offset(1) }.into()),
        ("a text", record.clone().into()),
        (
            "a kind of the application's, JSON, encrypted, about an earlier record, a payload with a length of three bytes",
            Record {
                offset: offset(NUMBER_MAX),
                kind: Kind(200),
                format: Format::Json,
                flags: Flags::ENCRYPTED,
                sender: user("Zoë 🦊"),
                id: 70_000,
                refers: Some(offset(42)),
                payload: Bytes::from(vec![0x5b; 300]),
                ..record.clone()
            }
            .into(),
        ),
        (
            "redacted: no payload",
            Record {
                format: Format::Bytes,
                flags: Flags::REDACTED,
                producer: ProducerTag([0; 4]),
                payload: Bytes::new(),
                ..record
            }
            .into(),
        ),
        ("removed by retention", Gap { from: offset(1), to: offset(2), reason: GapReason::Retention }.into()),
        ("skipped in mode latest", Gap { from: offset(43), to: offset(1_000), reason: GapReason::Skipped }.into()),
        ("not readable any more", Gap { from: offset(9), to: offset(9), reason: GapReason::Lost }.into()),
        ("nothing of the client's holds", Reset { epoch: epoch(), valid_to: offset(0), head: offset(42) }.into()),
        ("all up to 40 holds", Reset { epoch: epoch(), valid_to: offset(40), head: offset(42) }.into()),
        ("the seam", CaughtUp { head: offset(42) }.into()),
        (
            "where datagrams cannot be used",
            Ephemeral { handle: 7, sender: session(), slot: 1, stamp: 99, payload: Bytes::from_static(&[0, 255]) }
                .into(),
        ),
        (
            "everybody",
            Presence {
                count: 2,
                snapshot: true,
                members: vec![Member { user: user("alice"), sessions: 2 }, Member { user: user("bob"), sessions: 1 }],
            }
            .into(),
        ),
        (
            "too many for a list, or no list any more: only how many",
            Presence { count: 501, snapshot: true, members: vec![] }.into(),
        ),
        ("how many now", Presence { count: 502, snapshot: false, members: vec![] }.into()),
        (
            "bob has left",
            Presence { count: 1, snapshot: false, members: vec![Member { user: user("bob"), sessions: 0 }] }.into(),
        ),
        ("in good order", Left { code: Code::DONE }.into()),
        ("not offered", Left { code: Code::NOT_OFFERED }.into()),
        ("64 KiB more", Credit { bytes: 65_536 }.into()),
        ("read up to 42", Mark { offset: offset(42) }.into()),
    ]
}

fn watch() -> Vec<(&'static str, Frame)> {
    vec![
        ("two rooms", Watch::Rooms(vec![room("lobby"), room("game:42:chat")]).into()),
        ("all whose name begins so", Watch::Prefix("game:".into()).into()),
        ("a head", Head { room: room("lobby"), epoch: epoch(), head: offset(43) }.into()),
    ]
}

fn publish() -> Vec<(&'static str, Frame)> {
    vec![
        ("a producer in a room", Open { room: room("game:42:chat"), producer: producer() }.into()),
        ("a new producer", Opened { last_id: 0, in_flight_max: 1_024 }.into()),
        ("a known producer", Opened { last_id: 6, in_flight_max: 64 }.into()),
        (
            "a text",
            Publish {
                id: 7,
                kind: Kind::MESSAGE,
                format: Format::Text,
                flags: Flags::NONE,
                refers: None,
                payload: Bytes::from_static(b"hello"),
            }
            .into(),
        ),
        (
            "a kind of the application's, JSON, encrypted, about an earlier record",
            Publish {
                id: 4_294_967_296,
                kind: Kind::APPLICATION,
                format: Format::Json,
                flags: Flags::ENCRYPTED,
                refers: Some(offset(65_536)),
                payload: Bytes::from_static(b"{\"x\":1}"),
            }
            .into(),
        ),
        (
            "a delete",
            Publish {
                id: 8,
                kind: Kind::DELETE,
                format: Format::Bytes,
                flags: Flags::NONE,
                refers: Some(offset(42)),
                payload: Bytes::new(),
            }
            .into(),
        ),
        (
            "an empty payload",
            Publish {
                id: 1,
                kind: Kind(255),
                format: Format::Bytes,
                flags: Flags::NONE,
                refers: None,
                payload: Bytes::new(),
            }
            .into(),
        ),
        ("appended", Ack { id: 7, position: position(42), time: time(1_000), duplicate: Duplicate::No }.into()),
        ("was there", Ack { id: 7, position: position(42), time: time(1_000), duplicate: Duplicate::Yes }.into()),
        (
            "was there, trimmed since",
            Ack { id: 7, position: position(0), time: time(9_000), duplicate: Duplicate::Trimmed }.into(),
        ),
        (
            "ids 8 to 307 at offsets 43 to 342",
            AckRun { epoch: epoch(), first_id: 8, count: 300, first_offset: offset(43), time: time(2_000) }.into(),
        ),
        ("a hole in the ids", Nack { id: 9, code: Code::ID_GAP, expected: 8, retry_after: Millis(0) }.into()),
        ("a full queue", Nack { id: 8, code: Code::OVERLOADED, expected: 8, retry_after: Millis(500) }.into()),
        ("behind a failed one", Nack { id: 9, code: Code::SKIPPED, expected: 8, retry_after: Millis(0) }.into()),
    ]
}

fn read() -> Vec<(&'static str, Frame)> {
    let read = |range, limit| -> Frame { Read { room: room("lobby"), range, limit }.into() };
    vec![
        ("the first 100 behind 250", read(Range::After(offset(250)), 100)),
        ("the last 1,000 before 251", read(Range::Before(offset(251)), 1_000)),
        ("both ends exclusive", read(Range::Between { after: offset(0), before: offset(11) }, 10)),
        ("the newest record", read(Range::Newest, 1)),
        ("from a time on", read(Range::Since(time(0)), 250)),
        ("where the room is", ReadHead { epoch: epoch(), floor: offset(3), head: offset(42) }.into()),
        ("there is more", ReadEnd { first: offset(3), last: offset(42), more: true }.into()),
        ("nothing was sent", ReadEnd { first: offset(0), last: offset(0), more: false }.into()),
    ]
}

fn who() -> Vec<(&'static str, Frame)> {
    let member = |name: &str, sessions| Member { user: user(name), sessions };
    vec![
        ("from the first user on", Who { room: room("lobby"), after: None, limit: 1_000 }.into()),
        ("those behind alice", Who { room: room("game:42:chat"), after: Some(user("alice")), limit: 1 }.into()),
        ("there are more", Members { count: 300, members: vec![member("Zoë 🦊", 1)], more: true }.into()),
        (
            "everybody, in the order of the bytes",
            Members { count: 2, members: vec![member("Zoë 🦊", 300), member("alice", 2)], more: false }.into(),
        ),
        ("nobody", Members { count: 0, members: vec![], more: false }.into()),
    ]
}
