"""The golden vectors against the coding of wire.py."""

import json
from pathlib import Path

import wire

VECTORS = Path(__file__).parents[2] / "crates/wire/vectors"


def load(name):
    return json.loads((VECTORS / name).read_text())


def equal(left, right, about):
    if left != right:
        raise AssertionError(f"{about}: {left!r}, expected {right!r}")


def code_of(stream):
    """The frames of a whole stream, and the code it is rejected with."""
    decoder, frames = wire.Decoder(), []
    decoder.push(stream)
    try:
        while (next := decoder.next()) is not None:
            frames.append(next[0])
        decoder.end()
    except wire.Malformed as malformed:
        return frames, malformed.code
    return frames, None


def check_frames(file):
    vectors = load(file)["vectors"]
    for vector in vectors:
        about, frame = f"{file}, {vector['frame']}, {vector['comment']}", vector["frame"]
        expected = {field["name"]: field["value"] for field in vector["fields"]}
        data = bytes.fromhex(vector["hex"])
        if "kind" in vector:
            decoder = wire.Decoder()
            decoder.push(data)
            equal(decoder.next(), (frame, expected, len(data)), about)
            decoder.end()
            equal(wire.encode(frame, **expected).hex(), vector["hex"], about)
        else:
            equal(wire.decode_body(frame, data), expected, about)
            equal(wire.body(frame, **expected).hex(), vector["hex"], about)
    return len(vectors)


def check_malformed():
    streams = load("malformed.json")["streams"]
    for stream in streams:
        expected = (stream["frames_before"], stream["code"])
        equal(code_of(bytes.fromhex(stream["hex"])), expected, f"malformed, {stream['comment']}")
    return len(streams)


def check_varints():
    vectors = load("varints.json")
    for vector in vectors["valid"]:
        equal(wire.Reader(bytes.fromhex(vector["hex"])).varint(), vector["value"], "varint")
        equal(wire.varint(vector["value"]).hex(), vector["hex"], "varint")
    invalid = [vector["hex"] for vector in vectors["invalid"]]
    for expected, group in ((wire.Malformed, invalid), (wire.Truncated, vectors["truncated"])):
        for hex in group:
            try:
                number = wire.Reader(bytes.fromhex(hex)).varint()
            except expected:
                continue
            raise AssertionError(f"varint {hex}: read as {number}")
    return sum(len(vectors[group]) for group in ("valid", "invalid", "truncated"))


def check_names():
    names, count = load("names.json"), 0
    for sort, is_name in (("rooms", wire.is_room), ("users", wire.is_user), ("tenants", wire.is_segment)):
        for verdict in ("valid", "invalid"):
            for name in names[sort][verdict]:
                name = name if isinstance(name, str) else name["name"]
                equal(is_name(name), verdict == "valid", f"{sort}, {name!r}")
                count += 1
    return count


def check_tables():
    limits, codes, positions = load("limits.json"), load("codes.json"), load("positions.json")
    frames = {(frame["frame"], frame["kind"], frame["body_bytes_max"]) for frame in limits["frames"]}
    equal({(name, kind, longest) for name, (kind, longest, _) in wire.FRAMES.items()}, frames, "limits")
    for code in codes["codes"] + codes["unknown"]:
        equal(wire.action(code["code"]), code["action"], f"code {code['code']}")
    for vector in positions["valid"]:
        equal(wire.position(vector["text"]), {"epoch": vector["epoch"], "offset": vector["offset"]}, "position")
    for text in positions["invalid"]:
        equal(wire.position(text), None, f"position {text!r}")
    return sum(map(len, (limits["frames"], codes["codes"], codes["unknown"], positions["valid"], positions["invalid"])))


def check():
    """How many vectors there were. Patterns and slots are left out: a client needs neither (section 4)."""
    files = ("control.json", "join.json", "watch.json", "publish.json", "read.json", "datagram.json")
    frames = sum(map(check_frames, files))
    return frames + check_malformed() + check_varints() + check_names() + check_tables()


if __name__ == "__main__":
    print(check(), "vectors")
