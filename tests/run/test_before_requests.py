"""Shared requests before connecting: how often they are made, and for whom."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import gevent
import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.run import before_requests
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, ParsedMessage, request_client
from sseload_users.transports.carrier import StreamDecoder
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.transport import Transport
from sseload_users.users.session_requests import SessionRequests

PROFILE = """\
transport = "websocket"

[[before]]
per = "user"
valid_for = 600
path = "/page"
query = { "user" = "{username}" }
capture = { "token" = { field = "token" } }
{further}

[connect]
path = "/ws"
query = { "token" = "{token}" }

[[upkeep]]
every = 30

[upkeep.request]
path = "/pong"
query = { "token" = "{token}" }

[code]
whole = true

[ingest]
path = "/in/{code}"
"""

TICKET = """
[[before]]
path = "/ticket"
query = { "token" = "{token}" }
capture = { "ticket" = { field = "ticket" } }
"""

ALICE = Identity("alice")


class World:
    """A server without a network, and the clock.

    Attributes:
        now: the time (monotonic clock, s).
        requested: number of requests by path, and of connections that were left.
        good: the tokens that it accepts.
        failing: status or error of its response to each page request.
        accepts_none: whether it accepts no token at all.
    """

    def __init__(self, path: Path, further: str = "") -> None:
        path.write_text(PROFILE.replace("{further}", further), "utf-8")
        self.target = Target(target.load(str(path)), "http://127.0.0.1:8000")
        self.before = BeforeRequests(Network(), 5.0)
        self.now = 1000.0
        self.requested: Counter[str] = Counter()
        self.good: set[str] = set()
        self.failing: int | OSError | None = None
        self.accepts_none = False

    def fetch(self, request: HttpRequest, *_: object, **__: object) -> HttpResponse:
        parts = urlsplit(request.url)
        query = parse_qs(parts.query)
        self.requested[parts.path] += 1
        gevent.sleep(0.001)
        if parts.path != "/page":
            good = query["token"][0] in self.good
            return HttpResponse(200, b'{"ticket":"t"}') if good else HttpResponse(401, b"{}")
        if isinstance(self.failing, OSError):
            raise self.failing
        if self.failing is not None:
            return HttpResponse(self.failing, b"<html>Too many requests</html>")
        token = f"{query['user'][0]}-{self.requested['/page']}"
        if not self.accepts_none:
            self.good.add(token)
        return HttpResponse(200, f'{{"token":"{token}"}}'.encode())

    def forget(self) -> None:
        """Accept none of the tokens that were given so far."""
        self.good.clear()

    def connection(self, identity: Identity = ALICE) -> Connection:
        return Connection(self, identity)

    def connect(self, many: int, identity: Identity = ALICE) -> list[str]:
        """Connect several connections at the same time; return the causes of those that fail."""
        connections = [self.connection(identity) for _ in range(many)]
        gevent.joinall([gevent.spawn(each.connect) for each in connections], raise_error=True)
        return [each.failed for each in connections if each.failed]


class Connection:
    """A connection whose transport has no network."""

    def __init__(self, world: World, identity: Identity) -> None:
        self.world = world
        self.failed = ""
        self.requests = SessionRequests(world.target, identity, world.before)

    def connect(self) -> None:
        try:
            self.requests.connect(lambda endpoint: Handshake(self.world, endpoint))
        except ConnectFailed as error:
            self.failed = str(error)
        finally:
            self.requests.end()

    def pong(self) -> str | None:
        """Make the upkeep request; return the cause of its failure."""
        return self.requests._request_upkeep(0)[0]


class Handshake(Transport):
    """A transport that only connects."""

    kind: ClassVar[str] = "WS"

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(endpoint, world.before.network, lambda *_: None, lambda _: None)
        self._world = world
        self._token = parse_qs(urlsplit(endpoint.url).query)["token"][0]

    @staticmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        raise AssertionError(payload)

    def _handshake(self, connection: StampedSocket) -> StreamDecoder:
        raise AssertionError(connection)

    def _say_goodbye(self) -> None:
        raise AssertionError

    def connect(self) -> None:
        self._world.requested["/ws"] += 1
        gevent.sleep(0.001)
        if self._token not in self._world.good:
            raise ConnectFailed("handshake", "HTTP 401")

    def leave(self) -> None:
        self._world.requested["left"] += 1

    def send(self, message: str | bytes) -> bool:
        raise AssertionError(message)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return made(tmp_path, monkeypatch)


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, further: str = "") -> World:
    world = World(tmp_path / "mine.toml", further)
    monkeypatch.setattr(request_client, "fetch", world.fetch)
    monkeypatch.setattr(before_requests, "time", SimpleNamespace(monotonic=lambda: world.now))
    return world


def test_connections_of_a_user_share_one_request_and_what_it_gave(world: World) -> None:
    assert world.connect(40) == []
    assert world.connect(1) == []
    assert world.requested == {"/page": 1, "/ws": 41}


def test_each_combination_of_a_users_fields_has_a_request_of_its_own(world: World) -> None:
    people = [Identity(name, {"room": room}) for name in "ab" for room in "12"]
    for each in people * 2:
        assert world.connect(3, Identity(each.username, dict(each.fields))) == []
    assert world.requested["/page"] == 4


def test_expired_values_are_renewed_once(world: World) -> None:
    assert world.connect(5) == []
    world.now += 599
    assert world.connect(5) == []
    assert world.requested["/page"] == 1
    world.now += 1
    assert world.connect(5) == []
    assert world.requested["/page"] == 2


@pytest.mark.parametrize(
    ("failing", "cause"),
    [(429, "before: HTTP 429"), (ConnectionRefusedError(111, "no"), "before: connection refused")],
)
def test_connections_that_wait_for_a_request_fail_with_it_and_the_next_repeats_it(
    world: World, failing: int | OSError, cause: str
) -> None:
    world.failing = failing
    causes = world.connect(20)
    assert len(causes) == 20
    assert all(each.startswith(cause) for each in causes)
    assert world.requested == {"/page": 1}
    world.connect(1)
    assert world.requested == {"/page": 2}
    world.failing = None
    assert world.connect(20) == []
    assert world.requested == {"/page": 3, "/ws": 20}


def test_values_that_the_server_no_longer_accepts_are_renewed_once_for_all(world: World) -> None:
    assert world.connect(20) == []
    world.forget()
    assert world.connect(20) == []
    # Each connection was refused once with the old value; one request renewed it for all.
    assert world.requested == {"/page": 2, "/ws": 60, "left": 20}
    assert world.connect(1) == []
    assert world.requested["/page"] == 2


def test_a_renewed_value_that_is_refused_as_well_fails_the_connection(world: World) -> None:
    assert world.connect(1) == []
    world.forget()
    world.accepts_none = True
    assert world.connect(20) == ["handshake: HTTP 401"] * 20
    assert world.requested["/page"] == 2
    # Nobody repeats the request again and again.
    for _ in range(5):
        assert world.connect(4) == ["handshake: HTTP 401"] * 4
    assert world.requested["/page"] == 2
    # After a pause they do: the server may have been restarting.
    world.now += 30
    world.accepts_none = False
    assert world.connect(20) == []
    assert world.requested["/page"] == 3


def test_a_first_value_that_is_refused_is_not_renewed(world: World) -> None:
    world.accepts_none = True
    assert world.connect(20) == ["handshake: HTTP 401"] * 20
    assert world.requested == {"/page": 1, "/ws": 20, "left": 20}


def test_the_connection_that_asked_first_may_be_killed(world: World) -> None:
    connections = [world.connection() for _ in range(3)]
    first, *others = [gevent.spawn(each.connect) for each in connections]
    gevent.sleep(0)
    assert world.requested == {}
    gevent.sleep(0)
    assert world.requested == {"/page": 1}
    first.kill()
    gevent.joinall(others, raise_error=True)
    assert [each.failed for each in connections] == ["", "", ""]
    assert world.requested == {"/page": 1, "/ws": 2}


def test_a_connections_own_requests_use_the_shared_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(tmp_path, monkeypatch, TICKET)
    assert world.connect(5) == []
    assert world.requested == {"/page": 1, "/ticket": 5, "/ws": 5}
    # A refusal of one of these refuses the shared values as well.
    world.forget()
    assert world.connect(5) == []
    assert world.requested == {"/page": 2, "/ticket": 15, "/ws": 10}
    world.forget()
    world.accepts_none = True
    assert world.connect(5) == ["before: HTTP 401 ({})"] * 5
    assert world.requested["/page"] == 3


def test_upkeep_uses_renewed_values(world: World) -> None:
    connections = [world.connection() for _ in range(5)]
    for each in connections:
        each.connect()

    def pongs() -> list[str | None]:
        return [each.pong() for each in connections]

    assert pongs() == [None] * 5
    assert world.requested == {"/page": 1, "/ws": 5, "/pong": 5}
    world.forget()
    assert pongs() == [None] * 5
    # The first one is refused; all others use what it renewed.
    assert (world.requested["/page"], world.requested["/pong"]) == (2, 11)
    world.now += 600
    assert pongs() == [None] * 5
    assert (world.requested["/page"], world.requested["/pong"]) == (3, 16)
    world.forget()
    world.accepts_none = True
    assert pongs() == ["HTTP 401"] * 5
    assert world.requested["/page"] == 4
    world.now += 600
    world.failing = 429
    assert pongs() == ["before: HTTP 429"] * 5


def test_upkeep_messages_use_renewed_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = '[[upkeep]]\nevery = 30\nsend = "token {token}"\n'
    world = made(tmp_path, monkeypatch, further)
    requests = world.connection().requests
    requests.connect(lambda endpoint: Handshake(world, endpoint))
    sent, failed = list[str](), list[str | None]()
    monkeypatch.setattr(Handshake, "send", lambda _, message: sent.append(message))
    monkeypatch.setattr(requests, "_on_upkeep", lambda cause, _: failed.append(cause))
    transport = Handshake(world, world.target.endpoint(ALICE, requests.captured))
    requests._send_upkeep(0, transport)
    requests._send_upkeep(0, transport)
    world.now += 600
    requests._send_upkeep(0, transport)
    assert sent == ["token alice-1", "token alice-1", "token alice-2"]
    world.now += 600
    world.failing = 429
    requests._send_upkeep(0, transport)
    requests.end()
    assert len(sent) == 3
    assert failed == ["before: HTTP 429"]


def test_replaced_values_stay_secret(world: World) -> None:
    connection = world.connection()
    connection.connect()
    world.forget()
    assert connection.pong() is None
    assert connection.requests.redact("alice-1, alice-2") == "***, ***"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('per = "user"\nvalid_for = 0', "before[0].valid_for: Input should be greater than 0"),
        ('per = "users"', "before[0].per: Input should be 'connection' or 'user', not 'users'."),
        (
            "valid_for = 5",
            'before[0]: valid_for requires per = "user".',
        ),
        (
            'path = "/"\n[[before]]\nper = "user"',
            ("before[1] is made per user and must precede requests made per connection."),
        ),
    ],
)
def test_a_mistake_in_the_profile_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    rest = PROFILE.split("valid_for = 600\n")[1].replace("{further}", "")
    path.write_text(f'transport = "websocket"\n[[before]]\n{text}\n{rest}', "utf-8")
    with pytest.raises(ConfigError) as raised:
        target.load(str(path))
    assert str(raised.value).startswith(f"{path}: {said}")
