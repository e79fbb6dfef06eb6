"""A relay that loses and repeats whole messages with codes, cuts sessions, and records all that.

It understands WebSocket frames (RFC 6455 §5.2) and event streams (chunked or not), and passes
everything else on as it is. Nothing is owed to a publisher, so what passes on a connection that
hands codes in is not recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import cycle

from tests.support.relays import address_of

CODE = re.compile(rb"LT-[0-9a-z]{6}-\d+-[0-9a-z]+")


@dataclass(frozen=True)
class Harm:
    """What a relay does to the messages with codes that pass through it; 0: nothing.

    Attributes:
        lose: lose one message of so many.
        repeat: send one of so many twice.
        cut_after: cut a session after so many messages.
        cuts: the most sessions that are cut.
    """

    lose: int = 0
    repeat: int = 0
    cut_after: int = 0
    cuts: int = 0


@dataclass
class Record:
    """What became of codes.

    Attributes:
        lost: copies that did not pass.
        repeated: copies that passed once more.
        cut: sessions that were cut.
    """

    lost: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    _passed: list[_Session] = field(default_factory=list)

    @property
    def passed(self) -> Counter[str]:
        """Copies that were sent to listeners, by code."""
        total: Counter[str] = Counter()
        for each in self._passed:
            if not each.publishes:
                total.update(each.passed)
        return total

    def session(self) -> _Session:
        """Return a new session."""
        self._passed.append(_Session())
        return self._passed[-1]


@dataclass
class _Session:
    passed: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    publishes: bool = False


@contextlib.contextmanager
def relay(server: str, harm: Harm = Harm()) -> Iterator[tuple[str, Record]]:
    """Relay to a server; yield the relay's URL, and its record.

    Args:
        server: the server's URL.
        harm: what happens to messages with codes.
    """
    running = _Relay(address_of(server), harm)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(running.start(), loop).result(10)
        yield f"http://127.0.0.1:{port}", running.record
    finally:
        asyncio.run_coroutine_threadsafe(running.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Relay:
    def __init__(self, server: tuple[str, int], harm: Harm) -> None:
        self.record = Record()
        self._server, self._harm = server, harm
        self._messages = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        self._listener.close()
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            source, drain = await asyncio.open_connection(*self._server)
            try:
                await self._relay(client, drain, source, back)
            finally:
                drain.close()
        back.close()

    async def _relay(
        self,
        client: asyncio.StreamReader,
        drain: asyncio.StreamWriter,
        source: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        """Pass data on in both directions, until one ends."""
        head = await client.readuntil(b"\r\n\r\n")
        # Frames must not be compressed.
        head = re.sub(rb"(?i)\r\nSec-WebSocket-Extensions:[^\r]*", b"", head)
        drain.write(head)
        session = self.record.session()
        websocket = re.search(rb"(?i)\r\nupgrade: *websocket", head)
        if websocket:
            ways = self._frames_back(source, back, session), _frames_in(client, drain, session)
        elif b"text/event-stream" in head:
            ways = self._events_back(source, back, session), _pump(client, drain)
        else:
            session.publishes = CODE.search(head) is not None
            ways = _polled(source, back, session), _posted(client, drain, session)
        tasks = [asyncio.ensure_future(each) for each in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _frames_back(
        self, source: asyncio.StreamReader, back: asyncio.StreamWriter, session: _Session
    ) -> None:
        back.write(await source.readuntil(b"\r\n\r\n"))
        message, waiting = b"", b""
        async for head, data in _frames(source):
            waiting += head + data
            if head[0] & 0x0F < 8:
                message += data
            if head[0] & 0x80:
                # A control frame inside of a fragmented message goes with it.
                await self._pass(waiting, message, back, session)
                message, waiting = b"", b""

    async def _events_back(
        self, source: asyncio.StreamReader, back: asyncio.StreamWriter, session: _Session
    ) -> None:
        head = await source.readuntil(b"\r\n\r\n")
        back.write(head)
        if b"text/event-stream" not in head.lower():
            await _pump(source, back)
            return
        chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head) is not None
        waiting = b""
        async for data in _chunks(source) if chunked else _pieces(source):
            waiting += data
            *events, waiting = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)", waiting)
            for event in events:
                raw = b"%x\r\n%b\r\n" % (len(event), event) if chunked else event
                await self._pass(raw, event, back, session)
        if chunked:
            back.write(b"0\r\n\r\n")
        await back.drain()

    async def _pass(
        self, raw: bytes, message: bytes, back: asyncio.StreamWriter, session: _Session
    ) -> None:
        """Pass a message on as often as it is to come; count its codes.

        Raises:
            EOFError: the session is cut.
        """
        # A message may repeat its code, as STOMP does in a header.
        codes = [] if session.publishes else [each.decode() for each in {*CODE.findall(message)}]
        times = 1
        if codes:
            self._messages += 1
            session.messages += 1
            harm = self._harm
            if harm.lose and self._messages % harm.lose == 0:
                times = 0
                self.record.lost.update(codes)
            elif harm.repeat and self._messages % harm.repeat == 1:
                times = 2
                self.record.repeated.update(codes)
            session.passed.update(codes * times)
        back.write(raw * times)
        await back.drain()
        if codes and session.messages == self._harm.cut_after and self.record.cut < self._harm.cuts:
            self.record.cut += 1
            raise EOFError


async def _frames(source: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield frames as head and payload, as they are on the wire; a mask belongs to the head."""
    while True:
        head = await source.readexactly(2)
        size = head[1] & 0x7F
        if size >= 126:
            more = await source.readexactly(2 if size == 126 else 8)
            size, head = int.from_bytes(more, "big"), head + more
        if head[1] & 0x80:
            head += await source.readexactly(4)
        yield head, await source.readexactly(size)


async def _frames_in(
    client: asyncio.StreamReader, drain: asyncio.StreamWriter, session: _Session
) -> None:
    """Pass a client's frames on; note whether it hands codes in."""
    async for head, data in _frames(client):
        unmasked = bytes(byte ^ key for byte, key in zip(data, cycle(head[-4:]), strict=False))
        if CODE.search(unmasked):
            session.publishes = True
        drain.write(head + data)
        await drain.drain()


async def _chunks(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a body (RFC 9112 §7.1)."""
    while size := int((await source.readuntil(b"\r\n")).partition(b";")[0], 16):
        yield (await source.readexactly(size + 2))[:-2]


async def _pieces(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await source.read(65536):
        yield data


async def _posted(
    client: asyncio.StreamReader, drain: asyncio.StreamWriter, session: _Session
) -> None:
    """Pass requests on; note whether they hand codes in."""
    async for data in _pieces(client):
        if CODE.search(data):
            session.publishes = True
        drain.write(data)
        await drain.drain()


async def _polled(
    source: asyncio.StreamReader, back: asyncio.StreamWriter, session: _Session
) -> None:
    """Pass answers on, as they are; count the codes in them, such as those of long polling."""
    waiting = b""
    async for data in _pieces(source):
        back.write(data)
        await back.drain()
        waiting += data
        # The last code of a piece may be cut.
        complete = [each for each in CODE.finditer(waiting) if each.end() < len(waiting)]
        session.passed.update(each.group().decode() for each in complete)
        waiting = waiting[max([len(waiting) - 64, *(each.end() for each in complete)]) :]


async def _pump(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    async for data in _pieces(source):
        drain.write(data)
        await drain.drain()
