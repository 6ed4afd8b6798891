//! Arbitrary frames: every kind, every variant, numbers of every size.

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
use proptest::{
    collection::vec,
    option,
    prelude::*,
    strategy::{BoxedStrategy, Union},
};

/// Numbers below 2^53, small ones as often as large ones.
pub(crate) fn number() -> impl Strategy<Value = u64> + Clone {
    (0..=NUMBER_MAX, 0_u32..54).prop_map(|(number, shift)| number >> shift)
}

fn small() -> impl Strategy<Value = u32> + Clone {
    (any::<u32>(), 0_u32..32).prop_map(|(number, shift)| number >> shift)
}

fn offset() -> impl Strategy<Value = Offset> + Clone {
    number().prop_map(Offset::saturating)
}

fn epoch() -> impl Strategy<Value = Epoch> + Clone {
    number().prop_map(Epoch::saturating)
}

fn time() -> impl Strategy<Value = Time> + Clone {
    number().prop_map(Time::saturating)
}

fn millis() -> impl Strategy<Value = Millis> + Clone {
    small().prop_map(Millis)
}

fn code() -> impl Strategy<Value = Code> + Clone {
    any::<u16>().prop_map(Code)
}

fn position() -> impl Strategy<Value = Position> + Clone {
    (epoch(), offset()).prop_map(|(epoch, offset)| Position { epoch, offset })
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~@.-";

fn segment() -> impl Strategy<Value = String> + Clone {
    vec(prop::sample::select(ALPHABET), 1..=24)
        .prop_map(|bytes| bytes.into_iter().map(char::from).collect::<String>())
        .prop_map(|text| if text == "." || text == ".." { "dots".into() } else { text })
}

pub(crate) fn room() -> impl Strategy<Value = RoomName> + Clone {
    vec(segment(), 1..=8).prop_map(|segments| RoomName::new(&segments.join(":")).expect("a room name"))
}

pub(crate) fn tenant() -> impl Strategy<Value = TenantName> + Clone {
    segment().prop_map(|name| TenantName::new(&name).expect("a tenant name"))
}

fn user() -> impl Strategy<Value = UserName> + Clone {
    vec(any::<char>().prop_filter("not a control character", |c| !c.is_control()), 1..=32)
        .prop_map(|name| UserName::new(&name.into_iter().collect::<String>()).expect("a user name"))
}

fn text() -> impl Strategy<Value = Arc<str>> + Clone {
    vec(any::<char>(), 0..=100).prop_map(|text| text.into_iter().collect::<String>().into())
}

fn session() -> impl Strategy<Value = SessionId> + Clone {
    any::<[u8; 16]>().prop_map(SessionId)
}

fn payload(max: usize) -> impl Strategy<Value = Bytes> + Clone {
    prop_oneof![vec(any::<u8>(), 0..=40), vec(any::<u8>(), 0..=max)].prop_map(Bytes::from)
}

fn format() -> impl Strategy<Value = Format> + Clone {
    prop_oneof![Just(Format::Bytes), Just(Format::Text), Just(Format::Json)]
}

fn auth() -> impl Strategy<Value = Auth> + Clone {
    prop_oneof![
        user().prop_map(|name| Auth::Anonymous { name }),
        text().prop_map(|token| Auth::Bearer { token: Token(token) }),
    ]
}

fn from() -> impl Strategy<Value = join::From> + Clone {
    prop_oneof![
        Just(join::From::Live),
        Just(join::From::Oldest),
        offset().prop_map(join::From::AtOffset),
        position().prop_map(join::From::After),
        number().prop_map(join::From::Last),
        time().prop_map(join::From::AtTime),
    ]
}

fn range() -> impl Strategy<Value = Range> + Clone {
    prop_oneof![
        offset().prop_map(Range::After),
        offset().prop_map(Range::Before),
        (offset(), offset()).prop_map(|(after, before)| Range::Between { after, before }),
        Just(Range::Newest),
        time().prop_map(Range::Since),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> + Clone {
    let head = (offset(), time(), any::<u8>().prop_map(Kind), format(), any::<u8>().prop_map(Flags), user());
    let rest = (any::<[u8; 4]>().prop_map(ProducerTag), number(), option::of(offset()), payload(600));
    (head, rest).prop_map(|((offset, time, kind, format, flags, sender), (producer, id, refers, payload))| Record {
        offset,
        time,
        kind,
        format,
        flags,
        sender,
        producer,
        id,
        refers,
        payload,
    })
}

/// About one in ten is too long for a datagram.
pub(crate) fn ephemeral() -> impl Strategy<Value = Ephemeral> + Clone {
    (small(), session(), any::<u8>(), number(), payload(1_400))
        .prop_map(|(handle, sender, slot, stamp, payload)| Ephemeral { handle, sender, slot, stamp, payload })
}

/// A strategy for each field, and the body made of them.
macro_rules! bodies {
    ($($body:ident { $($field:ident: $strategy:expr),* $(,)? })*) => {
        vec![$(($($strategy,)*).prop_map(|($($field,)*)| Frame::from($body { $($field),* })).boxed()),*]
    };
}

fn control() -> Vec<BoxedStrategy<Frame>> {
    let limits =
        (small(), small(), small(), small()).prop_map(|(rooms_max, reads_max, publish_max, payload_bytes_max)| {
            SessionLimits { rooms_max, reads_max, publish_max, payload_bytes_max }
        });
    let status = (epoch(), offset(), offset(), option::of(offset()))
        .prop_map(|(epoch, head, floor, mark)| RoomStatus { epoch, head, floor, mark });
    let principal = (tenant(), user()).prop_map(|(tenant, user)| Principal { tenant, user });
    let goaway = prop_oneof![Just(GoawayReason::Shutdown), Just(GoawayReason::Rebalance)];
    bodies! {
        Hello { versions: vec(any::<u16>(), 0..8), auth: auth(), client: text(), previous: option::of(session()) }
        Welcome {
            version: any::<u16>(),
            session: session(),
            node: text(),
            principal: principal,
            limits: limits,
            ping_interval: millis(),
            expires_at: option::of(time()),
            server_time: time(),
            nodes: vec(text(), 0..4),
        }
        Refused { code: code(), message: text(), retry_after: millis() }
        Refresh { token: text().prop_map(Token) }
        Refreshed { expires_at: option::of(time()) }
        Expiring { at: time() }
        Ping { token: number() }
        Pong { token: number(), server_time: time() }
        Peek { rooms: vec(room(), 0..6) }
        Peeked { rooms: vec(option::of(status), 0..6) }
        Marked { room: room(), offset: offset() }
        Goaway { reason: goaway, deadline: millis(), delay: millis(), nodes: vec(text(), 0..4) }
        Closing { code: code(), reason: text() }
    }
}

fn join_stream() -> Vec<BoxedStrategy<Frame>> {
    let mode = prop_oneof![Just(Mode::All), Just(Mode::Latest)];
    let presence = prop_oneof![Just(PresenceLevel::None), Just(PresenceLevel::Count), Just(PresenceLevel::Changes)];
    let reason = prop_oneof![Just(GapReason::Retention), Just(GapReason::Skipped), Just(GapReason::Lost)];
    let member = (user(), small()).prop_map(|(user, sessions)| Member { user, sessions });
    let mut all = bodies! {
        Join { room: room(), from: from(), mode: mode, credit: number(), presence: presence }
        Joined { handle: small(), epoch: epoch(), head: offset(), floor: offset() }
        Gap { from: offset(), to: offset(), reason: reason }
        Reset { epoch: epoch(), valid_to: offset(), head: offset() }
        CaughtUp { head: offset() }
        Presence { count: number(), snapshot: any::<bool>(), members: vec(member, 0..5) }
        Left { code: code() }
        Credit { bytes: number() }
        Mark { offset: offset() }
    };
    all.push(record().prop_map(Frame::from).boxed());
    all.push(ephemeral().prop_map(Frame::from).boxed());
    all
}

fn others() -> Vec<BoxedStrategy<Frame>> {
    let duplicate = prop_oneof![Just(Duplicate::No), Just(Duplicate::Yes), Just(Duplicate::Trimmed)];
    let watch = prop_oneof![vec(room(), 0..6).prop_map(Watch::Rooms), text().prop_map(Watch::Prefix)];
    let mut all = bodies! {
        Head { room: room(), epoch: epoch(), head: offset() }
        Open { room: room(), producer: any::<[u8; 16]>().prop_map(ProducerId) }
        Opened { last_id: number(), in_flight_max: small() }
        Publish {
            id: number(),
            kind: any::<u8>().prop_map(Kind),
            format: format(),
            flags: any::<u8>().prop_map(Flags),
            refers: option::of(offset()),
            payload: payload(600),
        }
        Ack { id: number(), position: position(), time: time(), duplicate: duplicate }
        AckRun { epoch: epoch(), first_id: number(), count: small(), first_offset: offset(), time: time() }
        Nack { id: number(), code: code(), expected: number(), retry_after: millis() }
        Read { room: room(), range: range(), limit: small() }
        ReadHead { epoch: epoch(), floor: offset(), head: offset() }
        ReadEnd { first: offset(), last: offset(), more: any::<bool>() }
        Who { room: room(), after: option::of(user()), limit: small() }
        Members { count: number(), members: vec((user(), small()).prop_map(|(user, sessions)| Member { user, sessions }), 0..5), more: any::<bool>() }
    };
    all.push(watch.prop_map(Frame::from).boxed());
    all
}

/// A strategy for each kind of frame.
pub(crate) fn kinds() -> Vec<BoxedStrategy<Frame>> {
    [control(), join_stream(), others()].concat()
}

/// Any frame, each kind as often as any other.
pub(crate) fn frame() -> Union<BoxedStrategy<Frame>> {
    Union::new(kinds())
}
