//! The vectors that are not frames: names, slots, codes, varints, positions, limits, and bytes that are rejected.

use loquic_wire::{
    Action, Code, Frame, RoomName, Slot, TenantName,
    coding::{put_varint, varint_len},
    control::{Hello, Peek},
    frame::Body,
    limits::*,
};
use serde_json::{Value, json};

use crate::{render::hex, samples};

pub(crate) fn tables() -> Vec<(&'static str, Value)> {
    vec![
        ("codes", codes()),
        ("limits", limits()),
        ("malformed", malformed()),
        ("names", names()),
        ("positions", positions()),
        ("slots", slots()),
        ("varints", varints()),
    ]
}

pub(crate) fn action_name(action: Action) -> &'static str {
    match action {
        Action::RetryNow => "retry_now",
        Action::RetryLater => "retry_later",
        Action::FixRequest => "fix_request",
        Action::Reauthenticate => "reauthenticate",
        Action::RetryElsewhere => "retry_elsewhere",
    }
}

fn codes() -> Value {
    let all = Code::ALL.iter().map(|(code, name, meaning)| {
        json!({"code": code.0, "name": name, "meaning": meaning, "action": action_name(code.action())})
    });
    let unknown = [0, 999, 1_999, 2_999, 3_999, 4_999, 5_999, 6_000, 65_535]
        .map(|number| json!({"code": number, "action": action_name(Code(number).action())}));
    json!({
        "about": "every code; `unknown` says what a client does about numbers that are in no table",
        "codes": all.collect::<Vec<_>>(),
        "unknown": unknown,
    })
}

fn limits() -> Value {
    let frames = Frame::ALL.iter().map(|(kind, name, max)| json!({"kind": kind, "frame": name, "body_bytes_max": max}));
    json!({
        "about": "kinds and longest bodies of all frames, and the bounds of the protocol",
        "frames": frames.collect::<Vec<_>>(),
        "unknown_frame_body_bytes_max": UNKNOWN_FRAME_BODY_MAX,
        "payload_bytes_max_hard": PAYLOAD_BYTES_MAX_HARD,
        "payload_bytes_max_default": PAYLOAD_BYTES_MAX_DEFAULT,
        "room_bytes_max": ROOM_BYTES_MAX,
        "room_segments_max": ROOM_SEGMENTS_MAX,
        "segment_bytes_max": SEGMENT_BYTES_MAX,
        "user_bytes_max": USER_BYTES_MAX,
        "tenant_bytes_max": TENANT_BYTES_MAX,
        "text_bytes_max": TEXT_BYTES_MAX,
        "token_bytes_max": TOKEN_BYTES_MAX,
        "list_length_max": LIST_LENGTH_MAX,
        "peek_rooms_max": PEEK_ROOMS_MAX,
        "read_records_max": READ_RECORDS_MAX,
        "who_members_max": WHO_MEMBERS_MAX,
        "datagram_bytes_max": DATAGRAM_BYTES_MAX,
        "number_max": NUMBER_MAX,
    })
}

fn varints() -> Value {
    let values =
        [0, 1, 250, 251, 252, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, 1_795_361_689_123, NUMBER_MAX];
    let valid = values.map(|value| {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        assert_eq!(bytes.len(), varint_len(value));
        json!({"value": value, "hex": hex(&bytes)})
    });
    json!({
        "about": "numbers and their only form; `invalid` is rejected at once, `truncated` needs more bytes",
        "valid": valid,
        "invalid": [
            {"hex": "fb0000", "comment": "0 in three bytes"},
            {"hex": "fbfa00", "comment": "250 in three bytes"},
            {"hex": "fc00000000", "comment": "0 in five bytes"},
            {"hex": "fcfb000000", "comment": "251 in five bytes"},
            {"hex": "fcffff0000", "comment": "65,535 in five bytes"},
            {"hex": "fd0000000000000000", "comment": "0 in nine bytes"},
            {"hex": "fd0000010000000000", "comment": "65,536 in nine bytes"},
            {"hex": "fdffffffff00000000", "comment": "4,294,967,295 in nine bytes"},
            {"hex": "fd0000000000002000", "comment": "2^53"},
            {"hex": "fdffffffffffffffff", "comment": "2^64 - 1"},
            {"hex": "fe", "comment": "the reserved first byte 254"},
            {"hex": "ff", "comment": "the reserved first byte 255"},
        ],
        "truncated": ["", "fb", "fb00", "fc", "fc000001", "fd", "fd00000000010000"],
    })
}

fn positions() -> Value {
    json!({
        "about": "positions as text; `invalid` is rejected",
        "valid": [
            {"text": "1795361689123-42", "epoch": 1_795_361_689_123_u64, "offset": 42},
            {"text": "1-0", "epoch": 1, "offset": 0},
            {"text": "9007199254740991-9007199254740991", "epoch": NUMBER_MAX, "offset": NUMBER_MAX},
        ],
        "invalid": [
            "", "-", "1", "1-", "-1", "1-2-3", "+1-2", "1-+2", "01-2", "1-02", " 1-2", "1-2 ", "1_0-2", "0x1-2", "1.0-2",
            "1-9007199254740992", "9007199254740992-1", "99999999999999999999-1", "a-b", "１-２",
        ],
    })
}

fn names() -> Value {
    let segments = |count: usize, segment: &str| vec![segment; count].join(":");
    let long = |length: usize| "a".repeat(length);
    let rooms_valid = [
        "a".to_owned(),
        "lobby".to_owned(),
        "Lobby".to_owned(),
        "game:42:chat".to_owned(),
        "a.b_c~d@e-f:0".to_owned(),
        "...".to_owned(),
        ".a:a.".to_owned(),
        long(64),
        segments(8, "a"),
        segments(8, &long(24)),
        format!("{}:{}", segments(3, &long(64)), long(5)),
    ];
    let rooms_invalid = [
        ("".to_owned(), "empty"),
        (":".to_owned(), "empty segments"),
        ("a:".to_owned(), "an empty last segment"),
        (":a".to_owned(), "an empty first segment"),
        ("a::b".to_owned(), "an empty segment"),
        (".".to_owned(), "the segment ."),
        ("a:..".to_owned(), "the segment .."),
        ("a b".to_owned(), "a space"),
        ("a/b".to_owned(), "a slash"),
        ("a*".to_owned(), "an asterisk"),
        ("*".to_owned(), "a pattern is not a name"),
        ("a\u{0}".to_owned(), "a zero byte"),
        ("zoë".to_owned(), "a letter that is not ASCII"),
        (long(65), "a segment of 65 bytes"),
        (segments(9, "a"), "nine segments"),
        (format!("{}:{}", segments(3, &long(64)), long(6)), "201 bytes"),
    ];
    let invalid = |list: &[(String, &str)]| -> Value {
        list.iter().map(|(name, comment)| json!({"name": name, "comment": comment})).collect()
    };
    let users_valid = [
        "a".to_owned(),
        "alice".to_owned(),
        "Zoë 🦊".to_owned(),
        " ".to_owned(),
        "a:b/c*".to_owned(),
        long(128),
        "é".repeat(64),
    ];
    let users_invalid = [
        ("".to_owned(), "empty"),
        ("a\nb".to_owned(), "a control character, U+000A"),
        ("\u{0}".to_owned(), "a control character, U+0000"),
        ("\u{7f}".to_owned(), "a control character, U+007F"),
        ("\u{9f}".to_owned(), "a control character, U+009F"),
        (long(129), "129 bytes"),
        ("é".repeat(65), "130 bytes in 65 characters"),
    ];
    let tenants_invalid = [
        ("".to_owned(), "empty"),
        ("a:b".to_owned(), "two segments"),
        ("..".to_owned(), "the segment .."),
        (long(65), "65 bytes"),
    ];
    json!({
        "about": "names and patterns that are taken as they are, and ones that are rejected (bad_name)",
        "rooms": {"valid": rooms_valid, "invalid": invalid(&rooms_invalid)},
        "users": {"valid": users_valid, "invalid": invalid(&users_invalid)},
        "tenants": {"valid": ["main", "a.b", &long(64)], "invalid": invalid(&tenants_invalid)},
        "patterns": {
            "valid": [
                {"pattern": "lobby", "matches": ["lobby"], "misses": ["Lobby", "lobby:a", "lobb", "lobbyx"]},
                {"pattern": "*", "matches": ["a", "lobby"], "misses": ["a:b"]},
                {"pattern": "**", "matches": ["a", "a:b", "a:b:c:d:e:f:g:h"], "misses": []},
                {"pattern": "game:*", "matches": ["game:1"], "misses": ["game", "game:1:2", "Game:1"]},
                {"pattern": "game:**", "matches": ["game:1", "game:1:2"], "misses": ["game", "games:1"]},
                {"pattern": "*:chat", "matches": ["a:chat"], "misses": ["chat", "a:b:chat", "a:chats"]},
                {"pattern": "a:*:c:**", "matches": ["a:b:c:d", "a:b:c:d:e"], "misses": ["a:b:c", "a:c:d"]},
            ],
            "invalid": ["", "**:a", "a:**:b", "a*", "*a", "***", "a:", "a b", "..", "a:a:a:a:a:a:a:a:*"],
        },
    })
}

fn slots() -> Value {
    let rooms = ["a", "lobby", "Lobby", "game:42:chat", "room-1", "room-2", "room-3", "a.b_c~d@e-f:0"];
    let long = ["abcdefghijklmnopqrstuvwx"; 8].join(":");
    let entry = |tenant: &str, room: &str| {
        let slot =
            Slot::of(&tenant.parse::<TenantName>().expect("a tenant"), &room.parse::<RoomName>().expect("a room"));
        let key = [tenant.as_bytes(), &[0], room.as_bytes()].concat();
        let hash = xxhash_rust::xxh3::xxh3_64(&key);
        assert_eq!(u64::from(slot.get()), hash & 1_023);
        json!({
            "tenant": tenant, "room": room, "key_hex": hex(&key), "xxh3_64": format!("{hash:016x}"), "slot": slot.get(),
            "partition": slot.partition().get(),
        })
    };
    let mut all: Vec<Value> = rooms.iter().map(|room| entry("main", room)).collect();
    all.push(entry("main", &long));
    all.push(entry("other", "lobby"));
    json!({
        "about": "slot = low 10 bits of XXH3-64, seed 0, over tenant, a zero byte, room; partition = slot / 64",
        "slots": all,
    })
}

/// A header, and a body that the caller has made wrong.
fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, body.len() as u64);
    put_varint(&mut out, u64::from(kind));
    out.extend_from_slice(body);
    out
}

fn numbers(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| put_varint(&mut out, *value));
    out
}

/// The streams that are rejected, as they are collected.
#[derive(Default)]
struct Rejected(Vec<Value>);

impl Rejected {
    fn add(&mut self, comment: &str, bytes: Vec<u8>, before: &[&str], code: Code) {
        self.0.push(json!({
            "comment": comment, "hex": hex(&bytes), "frames_before": before, "code": code.0,
            "name": code.name().expect("a known code"),
        }));
    }

    fn bad(&mut self, comment: &str, bytes: Vec<u8>) {
        self.add(comment, bytes, &[], Code::BAD_FRAME);
    }

    fn name(&mut self, comment: &str, bytes: Vec<u8>) {
        self.add(comment, bytes, &[], Code::BAD_NAME);
    }
}

/// A sound frame before something that is not.
fn ping_then(rest: &[u8]) -> Vec<u8> {
    [&framed(0x07, &[1])[..], rest].concat()
}

const LOBBY: [u8; 6] = [5, b'l', b'o', b'b', b'b', b'y'];

fn malformed() -> Value {
    let mut rejected = Rejected::default();
    headers(&mut rejected);
    cut_bodies(&mut rejected);
    variants(&mut rejected);
    ranges(&mut rejected);
    bad_names(&mut rejected);
    json!({
        "about": "streams that are rejected: first come `frames_before`, then the code; `hex` is the whole stream",
        "streams": rejected.0,
    })
}

fn headers(all: &mut Rejected) {
    for (what, bytes) in [
        ("three bytes for 1", vec![0xfb, 1, 0]),
        ("five bytes for 1", vec![0xfc, 1, 0, 0, 0]),
        ("nine bytes for 1", vec![0xfd, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("2^53", vec![0xfd, 0, 0, 0, 0, 0, 0, 0x20, 0]),
        ("2^64 - 1", vec![0xfd, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("the reserved first byte 254", vec![0xfe]),
        ("the reserved first byte 255", vec![0xff]),
    ] {
        all.bad(&format!("length: {what}"), bytes.clone());
        all.bad(&format!("kind: {what}"), [&[1], &bytes[..]].concat());
        all.bad(&format!("a field (Ping.token): {what}"), framed(0x07, &bytes));
        all.add(&format!("length of the second frame: {what}"), ping_then(&bytes), &["Ping"], Code::BAD_FRAME);
    }
    for (kind, name, max) in Frame::ALL {
        let header = numbers(&[*max as u64 + 1, u64::from(*kind)]);
        all.add(&format!("{name} of {} bytes; the header alone decides", max + 1), header, &[], Code::FRAME_TOO_LARGE);
    }
    let unknown = UNKNOWN_FRAME_BODY_MAX as u64 + 1;
    all.add(&format!("an unknown kind of {unknown} bytes"), numbers(&[unknown, 9_999]), &[], Code::FRAME_TOO_LARGE);
    all.add("a length that no kind allows, before the kind is there", numbers(&[1 << 32]), &[], Code::FRAME_TOO_LARGE);

    all.bad("the stream ends inside a length", vec![0xfb, 0]);
    all.bad("the stream ends inside a kind", vec![1, 0xfb]);
    all.bad("the stream ends inside a body", vec![2, 0x07, 5]);
    all.add("the stream ends inside the second frame", ping_then(&[1, 0x07]), &["Ping"], Code::BAD_FRAME);
}

fn cut_bodies(all: &mut Rejected) {
    // Every frame cut in its last field: the length is right, the fields do not fit it.
    let mut cut = Vec::new();
    for (_, frames) in samples::groups() {
        for (_, frame) in frames {
            let whole = frame.to_bytes();
            let (_, body) = split(&whole);
            if !cut.contains(&frame.name()) {
                cut.push(frame.name());
                let body = &body[..body.len() - 1];
                all.bad(&format!("{} without its last byte", frame.name()), framed(frame.kind(), body));
            }
        }
    }
    all.bad("an empty body", framed(0x07, &[]));
}

fn variants(all: &mut Rejected) {
    let join = |rest: &[u8]| framed(0x10, &[&LOBBY, rest].concat());
    all.bad("Join.from: variant 6", join(&[6, 0, 1, 0]));
    all.bad("Join.mode: variant 2", join(&[0, 2, 1, 0]));
    all.bad("Join.presence: variant 3", join(&[0, 0, 1, 3]));
    all.bad("Hello.auth: variant 2", framed(Hello::KIND, &[1, 1, 2, 1, b'a', 0, 0]));
    all.bad("Hello.previous: an option of 2", framed(Hello::KIND, &[1, 1, 0, 1, b'a', 0, 2]));
    all.bad("Watch: variant 2", framed(0x20, &[2, 0]));
    all.bad("Gap.reason: variant 3", framed(0x13, &[1, 2, 3]));
    all.bad("Goaway.reason: variant 2", framed(0x0c, &[2, 0, 0, 0]));
    all.bad("Publish.format: variant 3", framed(0x32, &[1, 0, 3, 0, 0, 0]));
    all.bad("Ack.duplicate: variant 3", framed(0x33, &[1, 1, 1, 1, 3]));
    all.bad("Read.range: variant 5", framed(0x40, &[&LOBBY[..], &[5, 1]].concat()));
    all.bad("ReadEnd.more: a bool of 2", framed(0x42, &[0, 0, 2]));
}

fn ranges(all: &mut Rejected) {
    all.bad("Refused.code: 65,536 in a u16", framed(0x03, &numbers(&[65_536, 0, 0])));
    all.bad("Joined.handle: 2^32 in a u32", framed(0x11, &numbers(&[1 << 32, 1, 0, 1])));
    let past = [0xfd, 0, 0, 0, 0, 0, 0, 0x20, 0];
    all.bad("CaughtUp.head: 2^53", framed(0x15, &past));
    all.bad("Publish.id: 2^53", framed(0x32, &[&past[..], &[0, 0, 0, 0, 0]].concat()));
    all.bad("Credit.bytes: 2^53", framed(0x19, &past));

    all.bad("Peek: a count larger than the frame", framed(Peek::KIND, &[3, 1, b'a']));
    let many = [numbers(&[101]), [1, b'a'].repeat(101)].concat();
    all.bad("Peek: 101 rooms", framed(Peek::KIND, &many));
    let many = [numbers(&[1_025]), vec![1; 1_025], vec![0, 1, b'a', 0, 0]].concat();
    all.bad("Hello: 1,025 versions", framed(Hello::KIND, &many));
    all.bad("Publish: a payload longer than the frame", framed(0x32, &[1, 0, 0, 0, 0, 9, 1]));
    let text = [numbers(&[1_025]), vec![b'a'; 1_025]].concat();
    all.bad("Closing.reason: 1,025 bytes", framed(0x0d, &[&numbers(&[1_000]), &text[..]].concat()));
    all.bad("Closing.reason: not UTF-8", framed(0x0d, &[1, 1, 0xff]));
    all.bad("Join.room: not UTF-8", framed(0x10, &[2, 0xc3, 0x28, 0, 0, 1, 0]));
    all.bad("Join.room: not UTF-8, a surrogate", framed(0x10, &[3, 0xed, 0xa0, 0x80, 0, 0, 1, 0]));
}

fn bad_names(all: &mut Rejected) {
    all.name("Join.room: a space", framed(0x10, &[3, b'a', b' ', b'b', 0, 0, 1, 0]));
    all.name("Join.room: empty", framed(0x10, &[0, 0, 0, 1, 0]));
    all.name("Join.room: ..", framed(0x10, &[2, b'.', b'.', 0, 0, 1, 0]));
    let long = [vec![201], vec![b'a'; 201]].concat();
    all.name("Open.room: 201 bytes", framed(0x30, &[&long[..], &[0; 16]].concat()));
    all.name("Read.room: a::b", framed(0x40, &[4, b'a', b':', b':', b'b', 3, 1]));
    all.name("Watch.rooms: a slash", framed(0x20, &[0, 1, 1, b'/']));
    all.name("Hello.auth.name: a line feed", framed(Hello::KIND, &[1, 1, 0, 1, b'\n', 0, 0]));
    all.add(
        "Peek.rooms: an asterisk; behind a Ping",
        ping_then(&framed(0x09, &[1, 1, b'*'])),
        &["Ping"],
        Code::BAD_NAME,
    );
}

fn split(frame: &[u8]) -> (&[u8], &[u8]) {
    let (header, _) = loquic_wire::frame::header(frame).expect("sound").expect("whole");
    frame.split_at(header)
}
