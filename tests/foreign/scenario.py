"""What a client does by docs/PROTOCOL.md, over any WebTransport: `connect` gives a session with `open`,
`send_datagram`, `datagram`, `closed` and `leave`."""

import asyncio
import os

import wire
from vectors import equal

BAD_NAME, CONFLICT, DONE, FENCED, ID_GAP = 3004, 3008, 1000, 3009, 1001
# A byte order mark at its start is part of a name.
NAME = "\ufeffZoë 🦊"
CREDIT = 196_608
RECORDS = [
    {"kind": 0, "format": "text", "flags": 0, "refers": None, "payload": "eins".encode().hex()},
    {"kind": 0, "format": "json", "flags": 0, "refers": None, "payload": b'{"two":2}'.hex()},
    {"kind": 32, "format": "bytes", "flags": 1, "refers": 1, "payload": "00ff"},
    {"kind": 255, "format": "bytes", "flags": 0, "refers": None, "payload": ""},
    {"kind": 0, "format": "text", "flags": 0, "refers": 4, "payload": ("Zoë 🦊 " * 6_000).encode().hex()},
]


class Frames:
    """A stream as frames. Reads at all times, as section 15 wants it."""

    def __init__(self, stream):
        self.stream, self.decoder, self.frames = stream, wire.Decoder(), asyncio.Queue()
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        try:
            while data := await self.stream.read():
                self.decoder.push(data)
                while (frame := self.decoder.next()) is not None:
                    self.frames.put_nowait(frame)
            self.decoder.end()
            self.frames.put_nowait(("FIN", {}, 0))
        except ConnectionResetError:
            self.frames.put_nowait(("RESET", {}, 0))
        except Exception as error:
            self.frames.put_nowait((repr(error), {}, 0))

    def send(self, frame, fin=False, **fields):
        self.stream.send(wire.encode(frame, **fields), fin)

    async def next(self):
        name, fields, self.size = await self.frames.get()
        return name, fields

    async def expect(self, frame, **expected):
        """The next frame, which must be this one; the fields of it that are named must be these."""
        name, fields = await self.next()
        equal(name, frame, f"instead of a frame with {fields}")
        for field, value in expected.items():
            equal(fields[field], value, f"{frame}.{field}")
        return fields


class Client:
    """A session after its greeting."""

    def __init__(self, session):
        self.session = session

    @classmethod
    async def greet(cls, connect, url):
        client = cls(await connect(url))
        client.control = await client.open()
        client.control.send(
            "Hello", versions=[1], auth={"type": "anonymous", "name": NAME}, client="foreign/1", previous=None
        )
        return client

    async def welcome(self):
        fields = await self.control.expect(
            "Welcome", version=1, principal={"tenant": "main", "user": NAME}, expires_at=None
        )
        self.id = fields["session"]

    async def open(self):
        return Frames(await self.session.open())

    async def join(self, room, start, credit=CREDIT):
        stream = await self.open()
        stream.send("Join", room=room, mode="all", credit=credit, presence="none", **{"from": start})
        return stream

    async def publish(self, room, producer):
        stream = await self.open()
        stream.send("Open", room=room, producer=producer)
        return stream

    async def ping(self, token):
        self.control.send("Ping", token=token)
        await self.control.expect("Pong", token=token)


def publish_all(stream):
    """Everything in one write: no answer is waited for."""
    stream.stream.send(b"".join(wire.encode("Publish", id=i, **record) for i, record in enumerate(RECORDS, 1)))


async def answers(stream, count, duplicate):
    """(position, time) of each publish from 1 to `count`."""
    acks = []
    while len(acks) < count:
        name, fields = await stream.next()
        if name == "AckRun":
            equal(duplicate, "no", "an AckRun")
            ids = range(fields["first_id"], fields["first_id"] + fields["count"])
            first, position = fields["first_offset"], {"epoch": fields["epoch"]}
            run = [({**position, "offset": first + i}, fields["time"]) for i in range(fields["count"])]
        else:
            equal(name, "Ack", f"answer to a publish, {fields}")
            equal(fields["duplicate"], duplicate, "Ack.duplicate")
            ids, run = [fields["id"]], [(fields["position"], fields["time"])]
        equal(list(ids), list(range(len(acks) + 1, len(acks) + 1 + len(ids))), "ids answered")
        acks += run
    return acks


async def run(connect, url, room, native):
    """`native(room, text)` publishes as `loquic pub` does."""
    # Two sessions of one principal: ids of publishes are per principal.
    first, second = await Client.greet(connect, url), await Client.greet(connect, url)
    producer = os.urandom(16).hex()
    # Behind Hello, without waiting for Welcome.
    joined, publishing = await first.join(room, {"type": "oldest"}), await first.publish(room, producer)
    await first.welcome()
    await second.welcome()

    handle, acks = await publishes(joined, publishing)
    await native(room, "from the native client")
    records, sizes = await reads_along(joined, acks, producer)
    again = await resumes(second, room, acks[2][0], handle, records, sizes)
    await retries(publishing, await second.publish(room, producer), acks)
    await ephemerals(first, second, handle)
    await reads_backward(first, room, records)
    await asks(first, room, acks[0][0]["epoch"], len(records))
    await is_refused(first)
    await skips_the_unknown(first)
    await ends(first, second, joined, again)
    return len(records)


async def publishes(joined, publishing):
    fields = await joined.expect("Joined", head=0, floor=1)
    await joined.expect("CaughtUp", head=0)
    opened = await publishing.expect("Opened", last_id=0)
    assert opened["in_flight_max"] >= len(RECORDS), opened
    publish_all(publishing)
    acks = await answers(publishing, len(RECORDS), "no")
    expected = [{"epoch": fields["epoch"], "offset": i} for i in range(1, len(RECORDS) + 1)]
    equal([position for position, _ in acks], expected, "positions")
    # The same ids again: nothing is appended, everything is answered as before.
    publish_all(publishing)
    equal(await answers(publishing, len(RECORDS), "yes"), acks, "retry")
    return fields["handle"], acks


async def reads_along(joined, acks, producer):
    records, sizes = [], []
    for id, (sent, (position, time)) in enumerate(zip(RECORDS, acks), 1):
        expected = {"offset": position["offset"], "time": time, "sender": NAME, "producer": producer[:8], "id": id}
        records.append(await joined.expect("Record", **expected, **sent))
        sizes.append(joined.size)
        joined.send("Credit", bytes=joined.size)
    payload = "from the native client".encode().hex()
    expected = {"offset": len(records) + 1, "sender": "native", "kind": 0, "format": "text", "payload": payload}
    records.append(await joined.expect("Record", **expected))
    sizes.append(joined.size)
    return records, sizes


async def resumes(client, room, position, handle, records, sizes):
    """Behind a position and with no credit: each record comes when the credit is its size, and not before."""
    again, offset = await client.join(room, {"type": "after", "position": position}, credit=0), position["offset"]
    await again.expect("Joined", handle=handle, epoch=position["epoch"], head=len(records), floor=1)
    for token, (record, size) in enumerate(zip(records[offset:], sizes[offset:])):
        again.send("Credit", bytes=size - 1)
        await client.ping(token)
        equal(again.frames.qsize(), 0, "frames beyond the credit")
        again.send("Credit", bytes=1)
        await again.expect("Record", **record)
    await again.expect("CaughtUp", head=len(records))
    again.send("Credit", bytes=CREDIT)
    return again


async def retries(old, new, acks):
    """On another session, under the same producer: the older stream is fenced, the publishes are known."""
    await new.expect("Opened", last_id=len(RECORDS))
    await old.expect("Refused", code=FENCED)
    await old.expect("FIN")
    publish_all(new)
    equal(await answers(new, len(RECORDS), "yes"), acks, "retry on another session")
    last = len(RECORDS)
    new.send("Publish", id=last, **{**RECORDS[-1], "payload": "ff"})
    await new.expect("Nack", id=last, code=CONFLICT, expected=last + 1)
    new.send("Publish", id=last + 2, **RECORDS[0])
    await new.expect("Nack", id=last + 2, code=ID_GAP, expected=last + 1)
    new.stream.send(b"", fin=True)
    await new.expect("FIN")


async def ephemerals(first, second, handle):
    """Both ways by datagram. Nothing says that one has arrived, so each is said until it has."""

    async def say(client, payload):
        stamp = 0
        while True:
            stamp += 1
            value = {"handle": handle, "sender": "00" * 16, "slot": 7, "stamp": stamp, "payload": payload}
            await client.session.send_datagram(wire.body("Ephemeral", **value))
            await asyncio.sleep(REPEAT)

    async def hear(client, sender, payload):
        value = wire.decode_body("Ephemeral", await client.session.datagram())
        stamp = value.pop("stamp")
        equal(value, {"handle": handle, "sender": sender.id, "slot": 7, "payload": payload}, "ephemeral")
        assert stamp >= 1, stamp

    for speaker, listener in ((first, second), (second, first)):
        saying = asyncio.create_task(say(speaker, "7e"))
        await hear(listener, speaker, "7e")
        saying.cancel()


async def reads_backward(client, room, records):
    """Pages of four, from the head to the first."""
    before, pages = len(records) + 1, []
    while True:
        stream = await client.open()
        stream.send("Read", fin=True, room=room, range={"type": "before", "offset": before}, limit=4)
        await stream.expect("ReadHead", floor=1, head=len(records))
        first = max(1, before - 4)
        pages = [await stream.expect("Record", offset=offset) for offset in range(first, before)] + pages
        end = await stream.expect("ReadEnd", first=first, last=before - 1, more=first > 1)
        await stream.expect("FIN")
        if not end["more"]:
            break
        before = end["first"]
    equal(pages, records, "history")


async def asks(client, room, epoch, head):
    client.control.send("Peek", rooms=[room, "foreign:nobody"])
    rooms = (await client.control.expect("Peeked"))["rooms"]
    equal(rooms[0], {"epoch": epoch, "head": head, "floor": 1, "mark": None}, "Peeked")
    equal((rooms[1]["head"], rooms[1]["floor"]), (0, 1), "Peeked of an empty room")
    stream = await client.open()
    stream.send("Watch", what={"type": "prefix", "prefix": room})
    await stream.expect("Head", room=room, epoch=epoch, head=head)
    stream.stream.send(b"", fin=True)
    await stream.expect("FIN")


async def is_refused(client):
    """A bad name costs the stream and not the session."""
    stream = await client.join("a::b", {"type": "live"})
    await stream.expect("Refused", code=BAD_NAME)
    await stream.expect("FIN")
    await client.ping(1)


async def skips_the_unknown(client):
    """Frames of unknown kinds, and what later versions may add behind a body, are passed over."""
    ping = wire.body("Ping", token=2) + b"later"
    unknown = wire.varint(300) + wire.varint(0x3F7) + bytes(300)
    client.control.stream.send(unknown + wire.varint(len(ping)) + wire.varint(0x07) + ping)
    await client.control.expect("Pong", token=2)


async def ends(first, second, joined, again):
    """One session says that it is done, the other ends its control stream."""
    for stream in (joined, again):
        stream.stream.send(b"", fin=True)
        await stream.expect("Left", code=DONE)
        await stream.expect("FIN")
    first.control.send("Closing", code=DONE, reason="")
    second.control.stream.send(b"", fin=True)
    for client in (first, second):
        # No frame says goodbye, and a session that ends takes its streams with it.
        end, fields = await client.control.next()
        assert end in ("FIN", "RESET"), f"{end} {fields}"
        # Nothing may rely on the code.
        code = await client.session.closed()
        assert code in (DONE, None), code
        await client.session.leave()


# Seconds between two sayings of an ephemeral that may have been lost.
REPEAT = 0.1
