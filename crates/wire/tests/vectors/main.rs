//! The golden vectors: the checked-in files are the truth, and this says whether the code still agrees with them.
//!
//! After a change that is meant: `cargo test -p loquic-wire --test vectors -- --ignored`, then read the difference.

mod protocol;
mod render;
mod samples;
mod tables;

use std::{fs, path::PathBuf};

use bytes::Bytes;
use loquic_wire::{
    Code, Decoder, Epoch, Frame, FrameError, Offset, Position, RoomName, RoomPattern, Slot, TenantName, UserName,
    coding::{DecodeError, put_varint, split_varint},
    ephemeral::Ephemeral,
};
use serde_json::{Value, json};

use render::{Field, fields, hex, unhex};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.json"))
}

fn file(name: &str) -> Value {
    serde_json::from_slice(&fs::read(path(name)).expect("the file is there")).expect("the file is JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value[name].as_array().expect("a list");
    assert!(!list.is_empty(), "{name} is empty");
    list
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

fn texts<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    value[name].as_array().expect("a list").iter().map(|entry| entry.as_str().expect("a text"))
}

/// Writes the files. Ignored, because a test that writes what it checks checks nothing.
#[test]
#[ignore = "writes the vectors"]
fn write_the_vectors() {
    let about = "frames as `length kind body`; ids, tags and payloads are hexadecimal; a vector's hex is the header and \
                 then the hex of its fields";
    for (name, frames) in samples::groups() {
        let vectors = frames.iter().map(|(comment, frame)| {
            let head = json!({"frame": frame.name(), "kind": frame.kind(), "comment": comment});
            vector(&head, &frame.to_bytes(), &fields(frame))
        });
        write_frames(name, about, &vectors.collect::<Vec<_>>());
    }
    let about = "ephemerals as datagrams: the body alone, without length and kind";
    let vectors = samples::datagrams().into_iter().map(|(comment, ephemeral)| {
        let datagram = ephemeral.to_datagram().expect("it fits");
        vector(&json!({"frame": "Ephemeral", "comment": comment}), &datagram, &fields(&ephemeral.into()))
    });
    write_frames("datagram", about, &vectors.collect::<Vec<_>>());
    for (name, table) in tables::tables() {
        fs::write(path(name), format!("{table:#}\n")).expect("the file is written");
    }
}

/// One vector with a line for each field, so that a difference reads like the table in the protocol's text.
fn vector(head: &Value, bytes: &[u8], fields: &[Field]) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let fields = fields.iter().map(|field| {
        let (name, comment) = (quoted(field.name), quoted(field.comment));
        format!(
            r#"        {{"name": {name}, "value": {}, "hex": "{}", "comment": {comment}}}"#,
            field.value,
            hex(&field.bytes)
        )
    });
    let kind = head["kind"].as_u64().map_or(String::new(), |kind| format!("\n      \"kind\": {kind},"));
    format!(
        "    {{\n      \"frame\": {},{kind}\n      \"comment\": {},\n      \"hex\": \"{}\",\n      \"fields\": [\n{}\n      ]\n    }}",
        head["frame"],
        head["comment"],
        hex(bytes),
        fields.collect::<Vec<_>>().join(",\n"),
    )
}

fn write_frames(name: &str, about: &str, vectors: &[String]) {
    let about = Value::from(about);
    let whole = format!("{{\n  \"about\": {about},\n  \"vectors\": [\n{}\n  ]\n}}\n", vectors.join(",\n"));
    fs::write(path(name), whole).expect("the file is written");
}

fn decode_one(bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new();
    decoder.push(bytes).expect("a sound header");
    let frame = decoder.next_frame().expect("a sound body").expect("a known kind");
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.is_empty());
    frame
}

/// The fields of the file are those of the frame, and their bytes are `body`.
fn check_fields(vector: &Value, frame: &Frame, body: &[u8]) {
    let stored = list(vector, "fields");
    let shown = fields(frame);
    assert_eq!(stored.len(), shown.len(), "{vector}");
    let mut bytes = Vec::new();
    for (stored, shown) in stored.iter().zip(shown) {
        assert_eq!(text(stored, "name"), shown.name, "{vector}");
        assert_eq!(stored["value"], shown.value, "{vector}");
        assert_eq!(text(stored, "hex"), hex(&shown.bytes), "{vector}");
        assert!(!text(stored, "comment").is_empty());
        bytes.extend(shown.bytes);
    }
    assert_eq!(hex(&bytes), hex(body), "the fields' bytes one after the other are the body");
}

#[test]
fn frames_have_the_bytes_that_the_files_say() {
    let mut seen = Vec::new();
    for (name, samples) in samples::groups() {
        let file = file(name);
        let vectors = list(&file, "vectors");
        assert_eq!(vectors.len(), samples.len(), "{name}.json has the samples");
        for (vector, (comment, sample)) in vectors.iter().zip(samples) {
            let bytes = unhex(text(vector, "hex"));
            let frame = decode_one(&bytes);
            assert_eq!(frame, sample, "{name}.json: {comment}");
            assert_eq!(hex(&sample.to_bytes()), text(vector, "hex"), "{name}.json: {comment}");
            assert_eq!((text(vector, "frame"), &vector["kind"]), (frame.name(), &json!(frame.kind())));
            assert_eq!(text(vector, "comment"), comment);
            let (header, _) = loquic_wire::frame::header(&bytes).expect("sound").expect("whole");
            check_fields(vector, &frame, &bytes[header..]);
            seen.push(frame.kind());
        }
    }
    for (kind, name, _) in Frame::ALL {
        assert!(seen.contains(kind), "{name} has no vector");
    }
}

#[test]
fn datagrams_have_the_bytes_that_the_file_says() {
    let file = file("datagram");
    let samples = samples::datagrams();
    assert_eq!(list(&file, "vectors").len(), samples.len());
    for (vector, (_, sample)) in list(&file, "vectors").iter().zip(samples) {
        let bytes = unhex(text(vector, "hex"));
        assert_eq!(Ephemeral::from_datagram(bytes.clone().into()), Ok(sample.clone()));
        assert_eq!(sample.to_datagram(), Some(Bytes::from(bytes.clone())));
        check_fields(vector, &sample.into(), &bytes);
    }
}

#[test]
fn tables_are_as_the_files_say() {
    for (name, table) in tables::tables() {
        assert_eq!(file(name), table, "{name}.json");
    }
}

#[test]
fn varints() {
    let file = file("varints");
    for valid in list(&file, "valid") {
        let bytes = unhex(text(valid, "hex"));
        let value = valid["value"].as_u64().expect("a number");
        assert_eq!(split_varint(&bytes), Ok(Some((value, bytes.len()))));
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out, bytes);
    }
    for invalid in list(&file, "invalid") {
        assert!(split_varint(&unhex(text(invalid, "hex"))).is_err(), "{invalid}");
    }
    for truncated in texts(&file, "truncated") {
        assert_eq!(split_varint(&unhex(truncated)), Ok(None), "{truncated}");
    }
}

#[test]
fn positions() {
    let file = file("positions");
    for valid in list(&file, "valid") {
        let position = Position {
            epoch: Epoch::new(valid["epoch"].as_u64().expect("a number")).expect("below 2^53"),
            offset: Offset::new(valid["offset"].as_u64().expect("a number")).expect("below 2^53"),
        };
        assert_eq!(text(valid, "text").parse(), Ok(position));
        assert_eq!(position.to_string(), text(valid, "text"));
    }
    for invalid in texts(&file, "invalid") {
        assert!(invalid.parse::<Position>().is_err(), "{invalid:?}");
    }
}

#[test]
fn names() {
    let file = file("names");
    for what in ["rooms", "users", "tenants"] {
        let is_valid = |name: &str| match what {
            "rooms" => RoomName::new(name).is_ok(),
            "users" => UserName::new(name).is_ok(),
            _ => TenantName::new(name).is_ok(),
        };
        for name in texts(&file[what], "valid") {
            assert!(is_valid(name), "{what}: {name:?}");
        }
        for invalid in list(&file[what], "invalid") {
            assert!(!is_valid(text(invalid, "name")), "{what}: {invalid}");
        }
    }
    for valid in list(&file["patterns"], "valid") {
        let pattern = RoomPattern::new(text(valid, "pattern")).expect("a pattern");
        let room = |name: &str| RoomName::new(name).expect("a name");
        assert!(texts(valid, "matches").all(|name| pattern.matches(&room(name))), "{valid}");
        assert!(texts(valid, "misses").all(|name| !pattern.matches(&room(name))), "{valid}");
    }
    for invalid in texts(&file["patterns"], "invalid") {
        assert!(RoomPattern::new(invalid).is_err(), "{invalid:?}");
    }
}

#[test]
fn slots() {
    for entry in list(&file("slots"), "slots") {
        let tenant = TenantName::new(text(entry, "tenant")).expect("a name");
        let slot = Slot::of(&tenant, &RoomName::new(text(entry, "room")).expect("a name"));
        assert_eq!(json!(slot.get()), entry["slot"], "{entry}");
        assert_eq!(json!(slot.partition().get()), entry["partition"], "{entry}");
    }
}

#[test]
fn codes() {
    let file = file("codes");
    assert_eq!(list(&file, "codes").len(), Code::ALL.len());
    assert!(Code::ALL.is_sorted_by(|(a, ..), (b, ..)| a < b), "in order, none twice");
    for entry in list(&file, "codes").iter().chain(list(&file, "unknown")) {
        let code = Code(entry["code"].as_u64().and_then(|code| code.try_into().ok()).expect("a u16"));
        assert_eq!(tables::action_name(code.action()), text(entry, "action"));
        assert_eq!(code.name(), entry["name"].as_str());
    }
}

/// What a stream gives: frames, then an error if there is one.
fn run(stream: &[u8]) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let pushed = decoder.push(stream);
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, pushed.err().or_else(|| decoder.finish().err())),
            Err(error) => return (frames, Some(error)),
        }
    }
}

#[test]
fn malformed_streams_are_rejected_with_the_code_that_the_file_says() {
    for entry in list(&file("malformed"), "streams") {
        let (frames, error) = run(&unhex(text(entry, "hex")));
        assert!(frames.iter().map(Frame::name).eq(texts(entry, "frames_before")), "{entry}: {frames:?}");
        let code = error.as_ref().expect("an error").code();
        assert_eq!(json!(code.0), entry["code"], "{entry}: {error:?}");
        assert_eq!(code.name(), entry["name"].as_str(), "{entry}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let message = |stream: &[u8]| run(stream).1.map(|error| error.to_string());
    assert_eq!(
        message(&[0xff]).as_deref(),
        Some("a frame's header is malformed: a varint is not in its shortest form")
    );
    assert_eq!(message(&[251, 1, 8, 7]).as_deref(), Some("a frame of kind 0x7 has 2049 bytes, its maximum is 2048"),);
    assert_eq!(
        message(&[0xfd, 0, 0, 0, 0, 1, 0, 0, 0]).as_deref(),
        Some("a frame has 4294967296 bytes, its maximum is 131584"),
    );
    assert_eq!(run(&[0, 7]).1, Some(FrameError::Body { name: "Ping", error: DecodeError::Truncated }),);
}
