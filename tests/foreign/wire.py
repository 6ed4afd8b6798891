"""The coding of docs/PROTOCOL.md sections 3 to 5, written from that text alone.

Values are those of the vectors in crates/wire/vectors: ids, tags and payloads are hexadecimal, a variant is an object
with its `type`, or only its name where no variant of the field has fields.
"""

import re

BAD_FRAME, FRAME_TOO_LARGE, BAD_NAME = 3001, 3002, 3004

NUMBER_MAX = 2**53 - 1
UNKNOWN_BODY_MAX = 131_584


class Malformed(Exception):
    """The bytes are not what section 3 says. Nothing behind them can be trusted."""

    def __init__(self, code, why):
        super().__init__(f"{why} ({code})")
        self.code = code


class Truncated(Exception):
    """More bytes may make it whole."""


class Reader:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Truncated
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        first = self.take(1)[0]
        if first <= 250:
            return first
        if first > 253:
            raise Malformed(BAD_FRAME, "a reserved first byte")
        size, least = {251: (2, 251), 252: (4, 2**16), 253: (8, 2**32)}[first]
        number = int.from_bytes(self.take(size), "little")
        if number < least or number > NUMBER_MAX:
            raise Malformed(BAD_FRAME, "a varint too long or too large")
        return number


def varint(number):
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(f"{number} is not a number of the protocol")
    if number <= 250:
        return bytes([number])
    for first, size in ((251, 2), (252, 4), (253, 8)):
        if number < 2 ** (8 * size):
            return bytes([first]) + number.to_bytes(size, "little")
    raise AssertionError


# ---- Types: each knows how to read and to write itself.


class Number:
    def __init__(self, bits):
        self.max = 2**bits - 1

    def read(self, reader):
        number = reader.varint()
        if number > self.max:
            raise Malformed(BAD_FRAME, "a number too large for its type")
        return number

    def write(self, value):
        return varint(value)


class Byte:
    def read(self, reader):
        return reader.take(1)[0]

    def write(self, value):
        return bytes([value])


class Bool:
    def read(self, reader):
        byte = reader.take(1)[0]
        if byte > 1:
            raise Malformed(BAD_FRAME, "neither 0 nor 1")
        return byte == 1

    def write(self, value):
        return bytes([int(value)])


class Raw:
    def __init__(self, size):
        self.size = size

    def read(self, reader):
        return reader.take(self.size).hex()

    def write(self, value):
        return bytes.fromhex(value)


class Bytes:
    def __init__(self, limit=NUMBER_MAX):
        self.limit = limit

    def read(self, reader):
        length = reader.varint()
        if length > self.limit:
            raise Malformed(BAD_FRAME, "a payload too long")
        return reader.take(length).hex()

    def write(self, value):
        data = bytes.fromhex(value)
        return varint(len(data)) + data


class Text:
    def __init__(self, limit=1024, is_name=None):
        self.limit, self.is_name = limit, is_name

    def read(self, reader):
        length = reader.varint()
        # A name that is too long is a bad name; a text that is too long is a malformed frame.
        if length > self.limit and self.is_name is None:
            raise Malformed(BAD_FRAME, "a text too long")
        try:
            text = reader.take(length).decode()
        except UnicodeDecodeError:
            raise Malformed(BAD_FRAME, "not UTF-8") from None
        if self.is_name and not self.is_name(text):
            reader.bad_name = text
        return text

    def write(self, value):
        data = value.encode()
        return varint(len(data)) + data


class Option:
    def __init__(self, inner):
        self.inner = inner

    def read(self, reader):
        return self.inner.read(reader) if Bool().read(reader) else None

    def write(self, value):
        return b"\0" if value is None else b"\1" + self.inner.write(value)


class List:
    def __init__(self, inner, limit=1024):
        self.inner, self.limit = inner, limit

    def read(self, reader):
        count = reader.varint()
        if count > self.limit or count > len(reader.data) - reader.at:
            raise Malformed(BAD_FRAME, "a count too large")
        return [self.inner.read(reader) for _ in range(count)]

    def write(self, value):
        return varint(len(value)) + b"".join(map(self.inner.write, value))


class Struct:
    def __init__(self, **fields):
        self.fields = fields

    def read(self, reader):
        return {name: type.read(reader) for name, type in self.fields.items()}

    def write(self, value):
        return b"".join(type.write(value[name]) for name, type in self.fields.items())


class Variants:
    """Fields of each variant by its name; the number is its place."""

    def __init__(self, *names, **variants):
        self.is_plain = bool(names)
        self.variants = [(name, Struct()) for name in names] or [(k, Struct(**v)) for k, v in variants.items()]

    def read(self, reader):
        number = reader.varint()
        if number >= len(self.variants):
            raise Malformed(BAD_FRAME, "a variant that is not listed")
        name, fields = self.variants[number]
        return name if self.is_plain else {"type": name, **fields.read(reader)}

    def write(self, value):
        type = value if self.is_plain else value["type"]
        number = [name for name, _ in self.variants].index(type)
        return varint(number) + self.variants[number][1].write(value)


# ---- Names, section 4.

SEGMENT = re.compile(r"[A-Za-z0-9_~@.-]{1,64}")


def is_segment(text):
    return SEGMENT.fullmatch(text) is not None and text not in (".", "..")


def is_room(text):
    segments = text.split(":")
    return len(segments) <= 8 and len(text.encode()) <= 200 and all(map(is_segment, segments))


def is_user(text):
    is_control = re.search("[\0-\x1f\x7f-\x9f]", text) is not None
    return 1 <= len(text.encode()) <= 128 and not is_control


POSITION = re.compile(r"(0|[1-9][0-9]*)-(0|[1-9][0-9]*)")


def position(text):
    """`EPOCH-OFFSET`, or None."""
    match = POSITION.fullmatch(text)
    epoch, offset = map(int, match.groups()) if match else (0, NUMBER_MAX + 1)
    return {"epoch": epoch, "offset": offset} if max(epoch, offset) <= NUMBER_MAX else None


# ---- Frames, sections 5 and 7 to 11.

U8, U16, U32, U64, BOOL = Byte(), Number(16), Number(32), Number(53), Bool()
ID, TAG, BYTES, PAYLOAD, TEXT = Raw(16), Raw(4), Bytes(), Bytes(131_072), Text()
TOKEN = Text(8192)
ROOM, USER, TENANT = Text(200, is_room), Text(128, is_user), Text(64, is_segment)
POSITION_FIELDS = Struct(epoch=U64, offset=U64)
FORMAT = Variants("bytes", "text", "json")
LIMITS = Struct(rooms_max=U32, reads_max=U32, publish_max=U32, payload_bytes_max=U32)
FROM = Variants(
    live={}, oldest={}, at_offset={"offset": U64}, after={"position": POSITION_FIELDS}, last={"count": U64},
    at_time={"time": U64},
)
RANGE = Variants(
    after={"offset": U64}, before={"offset": U64}, between={"after": U64, "before": U64}, newest={}, since={"time": U64}
)
SHORT, LONG, RECORD = 2_048, 32_768, 131_584

FRAMES = {
    "Hello": (0x01, LONG, Struct(
        versions=List(U16), auth=Variants(anonymous={"name": USER}, bearer={"token": TOKEN}), client=TEXT,
        previous=Option(ID))),
    "Welcome": (0x02, LONG, Struct(
        version=U16, session=ID, node=TEXT, principal=Struct(tenant=TENANT, user=USER), limits=LIMITS,
        ping_interval=U32, expires_at=Option(U64), server_time=U64, nodes=List(TEXT))),
    "Refused": (0x03, SHORT, Struct(code=U16, message=TEXT, retry_after=U32)),
    "Refresh": (0x04, LONG, Struct(token=TOKEN)),
    "Refreshed": (0x05, SHORT, Struct(expires_at=Option(U64))),
    "Expiring": (0x06, SHORT, Struct(at=U64)),
    "Ping": (0x07, SHORT, Struct(token=U64)),
    "Pong": (0x08, SHORT, Struct(token=U64, server_time=U64)),
    "Peek": (0x09, LONG, Struct(rooms=List(ROOM, 100))),
    "Peeked": (0x0A, LONG, Struct(rooms=List(Option(Struct(epoch=U64, head=U64, floor=U64, mark=Option(U64)))))),
    "Marked": (0x0B, SHORT, Struct(room=ROOM, offset=U64)),
    "Goaway": (0x0C, LONG, Struct(
        reason=Variants("shutdown", "rebalance"), deadline=U32, delay=U32, nodes=List(TEXT))),
    "Closing": (0x0D, SHORT, Struct(code=U16, reason=TEXT)),
    "Join": (0x10, SHORT, Struct(
        room=ROOM, **{"from": FROM}, mode=Variants("all", "latest"), credit=U64,
        presence=Variants("none", "count", "changes"))),
    "Joined": (0x11, SHORT, Struct(handle=U32, epoch=U64, head=U64, floor=U64)),
    "Record": (0x12, RECORD, Struct(
        offset=U64, time=U64, kind=U8, format=FORMAT, flags=U8, sender=USER, producer=TAG, id=U64,
        refers=Option(U64), payload=PAYLOAD)),
    "Gap": (0x13, SHORT, Struct(**{"from": U64}, to=U64, reason=Variants("retention", "skipped", "lost"))),
    "Reset": (0x14, SHORT, Struct(epoch=U64, valid_to=U64, head=U64)),
    "CaughtUp": (0x15, SHORT, Struct(head=U64)),
    "Ephemeral": (0x16, SHORT, Struct(handle=U32, sender=ID, slot=U8, stamp=U64, payload=BYTES)),
    "Presence": (0x17, LONG, Struct(
        count=U64, snapshot=BOOL, members=List(Struct(user=USER, sessions=U32)))),
    "Left": (0x18, SHORT, Struct(code=U16)),
    "Credit": (0x19, SHORT, Struct(bytes=U64)),
    "Mark": (0x1A, SHORT, Struct(offset=U64)),
    "Watch": (0x20, LONG, Struct(what=Variants(rooms={"rooms": List(ROOM)}, prefix={"prefix": TEXT}))),
    "Head": (0x21, SHORT, Struct(room=ROOM, epoch=U64, head=U64)),
    "Open": (0x30, SHORT, Struct(room=ROOM, producer=ID)),
    "Opened": (0x31, SHORT, Struct(last_id=U64, in_flight_max=U32)),
    "Publish": (0x32, RECORD, Struct(
        id=U64, kind=U8, format=FORMAT, flags=U8, refers=Option(U64), payload=PAYLOAD)),
    "Ack": (0x33, SHORT, Struct(id=U64, position=POSITION_FIELDS, time=U64,
                                duplicate=Variants("no", "yes", "trimmed"))),
    "AckRun": (0x34, SHORT, Struct(epoch=U64, first_id=U64, count=U32, first_offset=U64, time=U64)),
    "Nack": (0x35, SHORT, Struct(id=U64, code=U16, expected=U64, retry_after=U32)),
    "Read": (0x40, SHORT, Struct(room=ROOM, range=RANGE, limit=U32)),
    "ReadHead": (0x41, SHORT, Struct(epoch=U64, floor=U64, head=U64)),
    "ReadEnd": (0x42, SHORT, Struct(first=U64, last=U64, more=BOOL)),
    "Who": (0x50, SHORT, Struct(room=ROOM, after=Option(USER), limit=U32)),
    "Members": (0x51, LONG, Struct(count=U64, members=List(Struct(user=USER, sessions=U32)), more=BOOL)),
}
KINDS = {kind: (name, longest, fields) for name, (kind, longest, fields) in FRAMES.items()}
LONGEST = max(longest for _, longest, _ in FRAMES.values())


def body(frame, **fields):
    return FRAMES[frame][2].write(fields)


def encode(frame, **fields):
    data = body(frame, **fields)
    return varint(len(data)) + varint(FRAMES[frame][0]) + data


def decode_body(frame, data):
    """The fields of a body. What a later version has added behind them is not looked at."""
    reader = Reader(data)
    reader.bad_name = None
    try:
        fields = FRAMES[frame][2].read(reader)
    except Truncated:
        raise Malformed(BAD_FRAME, f"{frame} ends before its last field does") from None
    if reader.bad_name is not None:
        raise Malformed(BAD_NAME, f"{frame} has the name {reader.bad_name!r}")
    return fields


class Decoder:
    """Frames out of a stream's bytes as they come."""

    def __init__(self):
        self.buffer = b""

    def push(self, data):
        self.buffer += data

    def next(self):
        """The next (frame, fields, size on the stream); None if it is not whole yet."""
        while True:
            reader = Reader(self.buffer)
            try:
                length = reader.varint()
                if length > LONGEST:
                    raise Malformed(FRAME_TOO_LARGE, f"{length} bytes are longer than any frame")
                kind = reader.varint()
                name, longest, _ = KINDS.get(kind, (None, UNKNOWN_BODY_MAX, None))
                if length > longest:
                    raise Malformed(FRAME_TOO_LARGE, f"{length} bytes are too long for kind {kind}")
                data = reader.take(length)
            except Truncated:
                return None
            self.buffer = self.buffer[reader.at :]
            if name is not None:
                return name, decode_body(name, data), reader.at

    def end(self):
        """The stream has ended: nothing may be left."""
        if self.buffer:
            raise Malformed(BAD_FRAME, "the stream ends inside a frame")


def action(code):
    """What a client does about a code, section 14: the range alone says it."""
    actions = {1: "retry_now", 2: "retry_later", 3: "fix_request", 4: "reauthenticate"}
    return actions.get(code // 1000, "retry_elsewhere")
