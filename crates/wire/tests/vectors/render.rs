//! A frame as the vectors show it: its fields in order, each as JSON, as bytes and with a word for the reader.
//!
//! JSON forms: numbers as numbers, names and texts as strings, ids, tags and payloads as hexadecimal strings, an absent
//! option as null, an enumeration without fields as a string, one with fields as an object with a `type`.

use bytes::Bytes;
use loquic_wire::{
    Code, Epoch, Flags, Format, Frame, Kind, Millis, Offset, Position, Principal, ProducerId, ProducerTag, RoomName,
    SessionId, TenantName, Time, UserName,
    coding::Encode,
    control::{Auth, GoawayReason, RoomStatus, SessionLimits, Token},
    join::{From, GapReason, Member, Mode, PresenceLevel},
    publish::Duplicate,
    read::Range,
    watch::Watch,
};
use serde_json::{Value, json};

/// One field of a frame's body.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    pub(crate) bytes: Vec<u8>,
    pub(crate) comment: &'static str,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

pub(crate) fn bytes_of<T: Encode>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

trait Json {
    fn json(&self) -> Value;
}

macro_rules! json_of {
    ($($type:ty, $value:ident => $json:expr;)*) => {$(
        impl Json for $type {
            fn json(&self) -> Value {
                let $value = self;
                $json
            }
        }
    )*};
}

json_of! {
    bool, value => json!(value);
    u8, value => json!(value);
    u16, value => json!(value);
    u32, value => json!(value);
    u64, value => json!(value);
    Offset, value => json!(value.get());
    Epoch, value => json!(value.get());
    Time, value => json!(value.get());
    Millis, value => json!(value.0);
    Code, value => json!(value.0);
    Kind, value => json!(value.0);
    Flags, value => json!(value.0);
    std::sync::Arc<str>, value => json!(&value[..]);
    RoomName, value => json!(value.as_str());
    UserName, value => json!(value.as_str());
    TenantName, value => json!(value.as_str());
    Token, value => json!(&value.0[..]);
    SessionId, value => json!(value.to_string());
    ProducerId, value => json!(value.to_string());
    ProducerTag, value => json!(hex(&value.0));
    Bytes, value => json!(hex(value));
    Position, value => json!({"epoch": value.epoch.get(), "offset": value.offset.get()});
    Principal, value => json!({"tenant": value.tenant.json(), "user": value.user.json()});
    Member, value => json!({"user": value.user.json(), "sessions": value.sessions});
    SessionLimits, value => json!({
        "rooms_max": value.rooms_max, "reads_max": value.reads_max, "publish_max": value.publish_max,
        "payload_bytes_max": value.payload_bytes_max,
    });
    RoomStatus, value => json!({
        "epoch": value.epoch.json(), "head": value.head.json(), "floor": value.floor.json(), "mark": value.mark.json(),
    });
    Auth, value => match value {
        Auth::Anonymous { name } => json!({"type": "anonymous", "name": name.json()}),
        Auth::Bearer { token } => json!({"type": "bearer", "token": token.json()}),
    };
    From, value => match value {
        From::Live => json!({"type": "live"}),
        From::Oldest => json!({"type": "oldest"}),
        From::AtOffset(offset) => json!({"type": "at_offset", "offset": offset.json()}),
        From::After(position) => json!({"type": "after", "position": position.json()}),
        From::Last(count) => json!({"type": "last", "count": count}),
        From::AtTime(time) => json!({"type": "at_time", "time": time.json()}),
    };
    Watch, value => match value {
        Watch::Rooms(rooms) => json!({"type": "rooms", "rooms": rooms.json()}),
        Watch::Prefix(prefix) => json!({"type": "prefix", "prefix": prefix.json()}),
    };
    Range, value => match value {
        Range::After(offset) => json!({"type": "after", "offset": offset.json()}),
        Range::Before(offset) => json!({"type": "before", "offset": offset.json()}),
        Range::Between { after, before } => json!({"type": "between", "after": after.json(), "before": before.json()}),
        Range::Newest => json!({"type": "newest"}),
        Range::Since(time) => json!({"type": "since", "time": time.json()}),
    };
    Mode, value => json!(match value { Mode::All => "all", Mode::Latest => "latest" });
    PresenceLevel, value => json!(match value {
        PresenceLevel::None => "none",
        PresenceLevel::Count => "count",
        PresenceLevel::Changes => "changes",
    });
    GapReason, value => json!(match value {
        GapReason::Retention => "retention",
        GapReason::Skipped => "skipped",
        GapReason::Lost => "lost",
    });
    GoawayReason, value => json!(match value {
        GoawayReason::Shutdown => "shutdown",
        GoawayReason::Rebalance => "rebalance",
    });
    Duplicate, value => json!(match value {
        Duplicate::No => "no",
        Duplicate::Yes => "yes",
        Duplicate::Trimmed => "trimmed",
    });
    Format, value => json!(match value { Format::Bytes => "bytes", Format::Text => "text", Format::Json => "json" });
}

impl<T: Json> Json for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Json::json)
    }
}

impl<T: Json> Json for Vec<T> {
    fn json(&self) -> Value {
        self.iter().map(Json::json).collect()
    }
}

macro_rules! fields {
    ($frame:ident; $($kind:ident { $($field:ident $comment:literal),* $(,)? })*) => {
        match $frame {
            $(Frame::$kind(body) => vec![$(Field {
                name: stringify!($field),
                value: body.$field.json(),
                bytes: bytes_of(&body.$field),
                comment: $comment,
            }),*],)*
            Frame::Watch(what) => vec![Field {
                name: "what",
                value: what.json(),
                bytes: bytes_of(what),
                comment: "variant 0 rooms: count and names; 1 prefix: text",
            }],
        }
    };
}

/// The fields of a frame in the order of its body.
pub(crate) fn fields(frame: &Frame) -> Vec<Field> {
    fields! { frame;
        Hello {
            versions "count, then each version, best first",
            auth "variant 0 anonymous: name; 1 bearer: token",
            client "text: what the client is, for the server's log",
            previous "option of 16 raw bytes: the session this one replaces",
        }
        Welcome {
            version "the version spoken from here on",
            session "16 raw bytes",
            node "text: the node's name",
            principal "tenant, then user",
            limits "rooms_max, reads_max, publish_max, payload_bytes_max",
            ping_interval "milliseconds",
            expires_at "option of a time: when the token expires",
            server_time "milliseconds since 1970",
            nodes "count, then URLs",
        }
        Refused {
            code "from the table of codes",
            message "text for a person",
            retry_after "milliseconds",
        }
        Refresh { token "text of at most 8 KiB" }
        Refreshed { expires_at "option of a time" }
        Expiring { at "time" }
        Ping { token "comes back in Pong" }
        Pong { token "that of the Ping", server_time "milliseconds since 1970" }
        Peek { rooms "count of at most 100, then names" }
        Peeked { rooms "count, then an option each of epoch, head, floor, option of mark" }
        Marked { room "name", offset "read up to here" }
        Goaway {
            reason "variant 0 shutdown, 1 rebalance",
            deadline "milliseconds until the session ends",
            delay "milliseconds to wait before the next session to the same node",
            nodes "count, then URLs",
        }
        Closing { code "from the table of codes", reason "text for a person" }
        Join {
            room "name",
            from "variant 0 live, 1 oldest, 2 at_offset: offset, 3 after: epoch and offset, 4 last: count, 5 at_time: time",
            mode "variant 0 all, 1 latest",
            credit "bytes of Record frames",
            presence "variant 0 none, 1 count, 2 changes",
        }
        Joined {
            handle "the node's number for the room",
            epoch "the epoch that is being written",
            head "the last offset, 0 for an empty room",
            floor "the oldest offset held, head + 1 if none is",
        }
        Record {
            offset "position in the log",
            time "milliseconds since 1970, never lower than the record before",
            kind "one raw byte",
            format "variant 0 bytes, 1 text, 2 json",
            flags "one raw byte: 1 encrypted, 2 redacted",
            sender "user name",
            producer "4 raw bytes: the start of the producer id",
            id "the publish's number",
            refers "option of an offset",
            payload "length and bytes",
        }
        Gap { from "first offset missing", to "last offset missing", reason "variant 0 retention, 1 skipped, 2 lost" }
        Reset {
            epoch "the epoch that is being written",
            valid_to "the last of the client's offsets that is in the log, 0 if none",
            head "the last offset in the room",
        }
        CaughtUp { head "the head that was reached" }
        Ephemeral {
            handle "from Joined",
            sender "16 raw bytes: the session, zeros from a client",
            slot "one raw byte: which of the sender's values",
            stamp "grows with each value of a slot",
            payload "length and bytes",
        }
        Presence {
            count "users in the room",
            snapshot "whether the list begins anew",
            members "count, then user and number of sessions each",
        }
        Left { code "from the table of codes" }
        Credit { bytes "added to what is left" }
        Mark { offset "read up to here" }
        Head { room "name", epoch "the epoch that is being written", head "the last offset" }
        Open { room "name", producer "16 raw bytes" }
        Opened { last_id "the producer's last id, 0 if unknown", in_flight_max "publishes without an answer at once" }
        Publish {
            id "the last id + 1, or a retry",
            kind "one raw byte: 0, 2 delete, or 32 and up",
            format "variant 0 bytes, 1 text, 2 json",
            flags "one raw byte: 1 encrypted",
            refers "option of an offset",
            payload "length and bytes",
        }
        Ack {
            id "the publish",
            position "epoch, then offset",
            time "when it was appended",
            duplicate "variant 0 no, 1 yes, 2 trimmed",
        }
        AckRun {
            epoch "of all the positions",
            first_id "the first publish",
            count "how many, at least 1",
            first_offset "the first one's offset; the others count up",
            time "when they were appended",
        }
        Nack {
            id "the publish",
            code "from the table of codes",
            expected "the next id that will be taken",
            retry_after "milliseconds",
        }
        Read {
            room "name",
            range "variant 0 after: offset, 1 before: offset, 2 between: after and before, 3 newest, 4 since: time",
            limit "1 to 1,000",
        }
        ReadHead { epoch "the epoch that is being written", floor "the oldest offset held", head "the last offset" }
        Who { room "name", after "option of a user name", limit "1 to 1,000" }
        Members {
            count "users in the room",
            members "count, then user and number of sessions each, ascending",
            more "whether there are users behind the last one",
        }
        ReadEnd {
            first "the first offset sent, 0 if none",
            last "the last offset sent, 0 if none",
            more "whether the limit cut the range",
        }
    }
}
