"""The embedded target in a child process, and clients that record what they receive from it.

The clients share no code with the server: they use websockets and requests, and parse messages
by themselves.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sseload_users.demo import process, record

TRANSPORTS = ("websocket", "socketio", "sse")
#: Seconds after which a wait fails its test.
PATIENCE = 10.0
#: Where Socket.IO is spoken.
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"


@dataclass(slots=True)
class Target:
    """A running server, or one of its nodes, and the path of its record."""

    process: process.DemoProcess
    path: Path
    number: int = 1

    @property
    def url(self) -> str:
        return self.process.urls[self.number - 1]

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def nodes(self) -> list[Target]:
        count = len(self.process.urls)
        return [Target(self.process, self.path, number) for number in range(1, count + 1)]

    def post(self, code: str, username: str = "loadtest", **more: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/ingest",
            json={"username": username, "code": code, **more},
            timeout=PATIENCE,
        )

    def stop(self) -> record.Record:
        self.process.stop()
        return record.read(self.path)


@contextlib.contextmanager
def target(folder: Path, *options: str) -> Iterator[Target]:
    """Start a server that writes its record to a file in the folder."""
    path = folder / "record.jsonl"
    with process.start("--record", str(path), *options) as child:
        yield Target(child, path)


def open_websocket(url: str, *, timeout: float = PATIENCE) -> ClientConnection:
    """Open a WebSocket; the caller closes it."""
    # Tests send large messages, and some servers intentionally do not answer pings.
    connection = connect(
        url,
        compression=None,
        proxy=None,
        open_timeout=timeout,
        ping_interval=None,
        close_timeout=2,
        max_size=None,
        legacy=True,
    )
    assert isinstance(connection, ClientConnection)
    return connection


def receive(connection: ClientConnection) -> str:
    """The next message, which is text."""
    text = connection.recv(timeout=PATIENCE)
    assert isinstance(text, str)
    return text


class Stream:
    """An event stream read block by block."""

    def __init__(self, url: str, **headers: str) -> None:
        self.response = requests.get(url, headers=headers, stream=True, timeout=PATIENCE)
        self._pieces = self.response.iter_content(None)
        self._text = ""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()

    def block(self) -> str:
        """The next block, comments included."""
        while "\n\n" not in self._text:
            self._text += next(self._pieces).decode()
        block, _, self._text = self._text.partition("\n\n")
        return block

    def data(self) -> dict[str, Any]:
        """The next message, comments left out."""
        while (block := self.block()).startswith(":"):
            pass
        *numbers, data = block.split("\n")
        assert all(each.startswith("id: ") for each in numbers)
        found: dict[str, Any] = json.loads(data.removeprefix("data: "))
        return found


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.005)


@dataclass(slots=True)
class Seen:
    """What one client received.

    Attributes:
        ordinal: the server's number of the connection; 0 if it was refused.
        status: the HTTP status of a refusal.
        subscribed: set when the server has confirmed the subscription.
        codes: in the order of arrival, with duplicates.
        foreign: the number of codes of other runs.
        malformed: the number of messages that violate the protocol.
        ended: how the connection ended: "reset", "broken", "end", or a WebSocket close code.
    """

    transport: str
    ordinal: int = 0
    status: int | None = None
    subscribed: threading.Event = field(default_factory=threading.Event)
    codes: list[str] = field(default_factory=list)
    foreign: int = 0
    malformed: int = 0
    ended: str | int = ""

    def take(self, text: str) -> None:
        """Record one message, given as JSON without the framing of the transport."""
        try:
            value = json.loads(text)
        except ValueError:
            self.malformed += 1
            return
        if isinstance(value, list):
            value = {**value[1], "type": value[0]}
        if value["type"] == "new_code":
            if value["code"].startswith("LT-others"):
                self.foreign += 1
            else:
                self.codes.append(value["code"])

    def out_of_order(self) -> int:
        """Count the first copies that arrived after a higher one; codes are ``C-<number>``."""
        highest, count = 0, 0
        for code in dict.fromkeys(self.codes):
            number = int(code.removeprefix("C-"))
            count += number < highest
            highest = max(highest, number)
        return count


class Client:
    """A client that reads in a thread until it or the server ends the connection.

    Args:
        server: the server.
        transport: one of `TRANSPORTS`.
        timeout: seconds for the handshake.
        channel: the channels to subscribe to, separated by commas; empty for that of everybody.
    """

    def __init__(
        self, server: Target, transport: str, timeout: float = PATIENCE, channel: str = ""
    ) -> None:
        self.seen = Seen(transport)
        self._query = f"username=loadtest&channel={channel}" if channel else "username=loadtest"
        self._timeout = timeout
        self._target = server
        self._leave: Callable[[], object] = bool
        run = self._read_stream if transport == "sse" else self._read_socket
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Close the connection, which must be a WebSocket, from this side."""
        assert self.seen.transport != "sse"
        self._leave()
        self.join()

    def join(self) -> Seen:
        """Wait for the end of the connection."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self.seen} is still open"
        return self.seen

    def _read_socket(self) -> None:
        seen = self.seen
        socketio = seen.transport == "socketio"
        path = "socket.io/?EIO=4&transport=websocket&" if socketio else "ws?"
        url = f"{self._target.websocket_url}/{path}{self._query}"
        try:
            with open_websocket(url, timeout=self._timeout) as websocket:
                self._leave = websocket.close
                assert websocket.response is not None
                seen.ordinal = int(websocket.response.headers["X-Demo-Connection"])
                if socketio:
                    websocket.send("40/events,")
                for message in websocket:
                    assert isinstance(message, str)
                    self._take_packet(message) if socketio else self._take_plain(message)
                seen.ended = websocket.close_code or 0
        except ConnectionClosed as error:
            if error.rcvd is not None:
                seen.ended = error.rcvd.code
            else:
                # websockets sends a close frame first if it receives an invalid frame.
                seen.ended = "broken" if error.sent is not None else "reset"
        except InvalidStatus as error:
            seen.status, seen.ended = error.response.status_code, "refused"
        except TimeoutError:
            seen.ended = "hang"
        except (InvalidHandshake, OSError, EOFError):
            seen.ended = "reset"
        seen.subscribed.set()

    def _take_plain(self, text: str) -> None:
        if not self.seen.subscribed.is_set():
            assert json.loads(text)["type"] == "connected"
            self.seen.subscribed.set()
        else:
            self.seen.take(text)

    def _take_packet(self, text: str) -> None:
        if text.startswith("40/events,"):
            self.seen.subscribed.set()
        elif text.startswith("42/events,"):
            self.seen.take(text.removeprefix("42/events,"))

    def _read_stream(self) -> None:
        seen, text = self.seen, ""
        try:
            with requests.get(
                f"{self._target.url}/stream?{self._query}",
                stream=True,
                timeout=self._timeout,
            ) as answer:
                if answer.status_code != 200:
                    seen.status, seen.ended = answer.status_code, "refused"
                    return
                seen.ordinal = int(answer.headers["X-Demo-Connection"])
                for piece in answer.iter_content(None):
                    text += piece.decode()
                    while "\n\n" in text:
                        block, _, text = text.partition("\n\n")
                        self._take_block(block)
                seen.ended = "end"
        except requests.Timeout:
            seen.ended = "hang"
        except requests.exceptions.ChunkedEncodingError as error:
            seen.ended = "reset" if "reset" in str(error) else "broken"
        except requests.ConnectionError as error:
            # requests reports a timeout within a body as a plain connection error.
            seen.ended = "hang" if "timed out" in str(error) else "reset"
        finally:
            seen.subscribed.set()

    def _take_block(self, block: str) -> None:
        data = [line.removeprefix("data: ") for line in block.split("\n") if line[:5] == "data:"]
        if data and not self.seen.subscribed.is_set():
            assert json.loads(data[0])["type"] == "connected"
            self.seen.subscribed.set()
        elif data:
            self.seen.take("\n".join(data))


def clients(server: Target, each: int, timeout: float = PATIENCE) -> list[Client]:
    """Start `each` clients of each transport; wait until they are subscribed or refused."""
    made = [Client(server, transport, timeout) for _ in range(each) for transport in TRANSPORTS]
    for client in made:
        assert client.seen.subscribed.wait(PATIENCE), client.seen
    return made


def compare(seen: list[Seen], truth: record.Record) -> None:
    """Check that each client received what the record says was sent to it."""
    for each in seen:
        if not each.ordinal:
            continue
        kept = truth.connections[each.ordinal]
        assert kept.transport == each.transport
        owed: Counter[str] = Counter()
        for code in truth.codes.values():
            owed[code.code] += code.sent.count(each.ordinal)
            owed[code.code] += code.duplicated.count(each.ordinal)
            owed[code.code] += code.leaked.count(each.ordinal)
        assert Counter(each.codes) == +owed
        for outcome in ("garbage", "foreign", "out_of_order"):
            recorded = truth.connection_total(outcome, each.ordinal)
            found = {
                "garbage": each.malformed,
                "foreign": each.foreign,
                "out_of_order": each.out_of_order(),
            }
            assert (outcome, found[outcome]) == (outcome, recorded)
    for code in truth.codes.values():
        parts = sorted(code.sent + code.lost + code.silenced + code.failed + code.misrouted)
        assert len(parts) == len(set(parts)) == code.subscribers
