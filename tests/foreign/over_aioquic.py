"""A WebTransport session over aioquic: its QUIC and its HTTP/3, and PROTOCOL section 2.1 by hand."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect as quic_connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DatagramReceived, DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset

WT_CLOSE_SESSION = 0x2843


class Stream:
    def __init__(self, session, id):
        self.session, self.id, self.received = session, id, asyncio.Queue()

    def send(self, data, fin=False):
        self.session._quic.send_stream_data(self.id, data, fin)
        self.session.transmit()

    async def read(self):
        """The next bytes; none at the end. ConnectionResetError if the server has reset the stream."""
        received = await self.received.get()
        if isinstance(received, Exception):
            raise received
        return received


class Session(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.streams, self.datagrams, self.ended, self.capsules = {}, asyncio.Queue(), asyncio.Event(), b""
        self.status = asyncio.get_running_loop().create_future()
        self.exit = AsyncExitStack()

    async def request(self, authority, path):
        self.id = self._quic.get_next_available_stream_id()
        self.http.send_headers(self.id, [
            (b":method", b"CONNECT"), (b":protocol", b"webtransport"), (b":scheme", b"https"),
            (b":authority", authority.encode()), (b":path", path.encode()),
        ])
        self.transmit()
        status = await self.status
        if status != 200:
            raise ConnectionError(f"the server answers {status}")

    def quic_event_received(self, event):
        match event:
            case ConnectionTerminated():
                self.end()
            case StreamReset(stream_id=id) if id in self.streams:
                self.streams[id].received.put_nowait(ConnectionResetError())
            # aioquic would look for HTTP/3 frames in the server's half of a stream that the client has opened.
            case StreamDataReceived(stream_id=id, data=data, end_stream=is_end) if id in self.streams:
                for part in [data] * bool(data) + [b""] * is_end:
                    self.streams[id].received.put_nowait(part)
            case _:
                for event in self.http.handle_event(event):
                    self.http_event_received(event)

    def http_event_received(self, event):
        match event:
            case HeadersReceived(headers=headers) if not self.status.done():
                self.status.set_result(int(dict(headers)[b":status"]))
            case DatagramReceived(stream_id=self.id, data=data):
                self.datagrams.put_nowait(data)
            # Behind the answer come capsules: type, length, and for WT_CLOSE_SESSION the code and a reason.
            case DataReceived(stream_id=self.id, data=data, stream_ended=is_end):
                self.capsules += data
                if is_end:
                    self.end()

    def end(self):
        self.ended.set()
        for stream in self.streams.values():
            stream.received.put_nowait(ConnectionResetError())
        if not self.status.done():
            self.status.set_exception(ConnectionError("the connection ended before its answer"))

    async def open(self):
        id = self.http.create_webtransport_stream(self.id)
        self.streams[id] = Stream(self, id)
        return self.streams[id]

    async def send_datagram(self, data):
        self.http.send_datagram(self.id, data)
        self.transmit()

    async def datagram(self):
        return await self.datagrams.get()

    async def closed(self):
        """Waits until the session has ended; the code, where one was said."""
        await self.ended.wait()
        capsule = Buffer(data=self.capsules)
        if not self.capsules or capsule.pull_uint_var() != WT_CLOSE_SESSION:
            return None
        capsule.pull_uint_var()
        return capsule.pull_uint32()

    async def leave(self):
        await self.exit.aclose()


async def connect(url):
    parts = urlsplit(url)
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, max_datagram_frame_size=65_536, verify_mode=ssl.CERT_NONE
    )
    exit = AsyncExitStack()
    session = await exit.enter_async_context(
        quic_connect(parts.hostname, parts.port, configuration=configuration, create_protocol=Session)
    )
    session.exit = exit
    await session.request(parts.netloc, parts.path)
    return session
