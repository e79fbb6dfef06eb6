"""Requests before connecting that are made once for a user: how often, and for whom."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import gevent
import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.run import before_requests as before
from sseload_users.run.before_requests import Before
from sseload_users.targets import Request, Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, Event
from sseload_users.transports.fetch import Answer
from sseload_users.transports.network import Endpoint, Network
from sseload_users.users import session_requests as errands
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
    """A server, asked without a network, and the clock.

    Attributes:
        now: seconds, by the monotonic clock.
        asked: how often for what.
        good: the tokens that it takes; None for all that it gave.
        failing: what it answers to pages instead.
    """

    def __init__(self, path: Path, further: str = "") -> None:
        path.write_text(PROFILE.replace("{further}", further), "utf-8")
        self.target = Target(target.load(str(path)), "http://127.0.0.1:8000")
        self.before = Before(Network(), 5.0)
        self.now = 1000.0
        self.asked: Counter[str] = Counter()
        self.good: set[str] = set()
        self.failing: int | OSError | None = None
        self.takes_none = False

    def fetch(self, request: Request, _: object, __: float) -> Answer:
        parts = urlsplit(request.url)
        query = parse_qs(parts.query)
        self.asked[parts.path] += 1
        gevent.sleep(0.001)
        if parts.path != "/page":
            good = query["token"][0] in self.good
            return Answer(200, b'{"ticket":"t"}') if good else Answer(401, b"{}")
        if isinstance(self.failing, OSError):
            raise self.failing
        if self.failing is not None:
            return Answer(self.failing, b"<html>Too many requests</html>")
        token = f"{query['user'][0]}-{self.asked['/page']}"
        if not self.takes_none:
            self.good.add(token)
        return Answer(200, f'{{"token":"{token}"}}'.encode())

    def forget(self) -> None:
        """Take no token any more that was given so far."""
        self.good.clear()

    def connection(self, identity: Identity = ALICE) -> Connection:
        return Connection(self, identity)

    def connect(self, many: int, identity: Identity = ALICE) -> list[str]:
        """The causes with which so many connections fail, that connect at the same time."""
        connections = [self.connection(identity) for _ in range(many)]
        gevent.joinall([gevent.spawn(each.connect) for each in connections], raise_error=True)
        return [each.failed for each in connections if each.failed]


class Connection:
    """A connection, with a transport that has no network."""

    def __init__(self, world: World, identity: Identity) -> None:
        self.world = world
        self.failed = ""
        self.errands = SessionRequests(world.target, identity, world.before)

    def connect(self) -> None:
        try:
            self.errands.connect(lambda endpoint: Handshake(self.world, endpoint))
        except ConnectFailed as error:
            self.failed = str(error)
        finally:
            self.errands.end()

    def pong(self) -> str | None:
        """Ask what is asked every 30 s."""
        return self.errands._ask(0)[0]


class Handshake:
    """A transport, as far as a connection's errands know it."""

    kind: ClassVar[str] = "WS"
    started_ns = subscribed_ns = 0
    congested = False

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        self._world = world
        self._token = parse_qs(urlsplit(endpoint.url).query)["token"][0]
        self.listen: Any = None
        self.keep_alive: Any = None

    @staticmethod
    def event(payload: bytes) -> Event | None:
        raise AssertionError(payload)

    def connect(self) -> None:
        self._world.asked["/ws"] += 1
        gevent.sleep(0.001)
        if self._token not in self._world.good:
            raise ConnectFailed("handshake", "HTTP 401")

    def leave(self) -> None:
        self._world.asked["left"] += 1

    def send(self, text: str) -> bool:
        raise AssertionError(text)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return made(tmp_path, monkeypatch)


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, further: str = "") -> World:
    world = World(tmp_path / "mine.toml", further)
    for module in (before, errands):
        monkeypatch.setattr(module, "fetch", world.fetch)
    monkeypatch.setattr(before, "time", SimpleNamespace(monotonic=lambda: world.now))
    return world


def test_connections_of_a_user_share_one_request_and_what_it_gave(world: World) -> None:
    assert world.connect(40) == []
    assert world.connect(1) == []
    assert world.asked == {"/page": 1, "/ws": 41}


def test_each_user_has_a_request_and_so_has_each_ticket_of_a_user(world: World) -> None:
    people = [Identity(name, {"room": room}) for name in "ab" for room in "12"]
    for each in people * 2:
        assert world.connect(3, Identity(each.username, dict(each.fields))) == []
    assert world.asked["/page"] == 4


def test_what_has_expired_is_made_anew_once(world: World) -> None:
    assert world.connect(5) == []
    world.now += 599
    assert world.connect(5) == []
    assert world.asked["/page"] == 1
    world.now += 1
    assert world.connect(5) == []
    assert world.asked["/page"] == 2


@pytest.mark.parametrize(
    ("failing", "cause"),
    [(429, "before: HTTP 429"), (ConnectionRefusedError(111, "no"), "before: connection refused")],
)
def test_who_waited_for_a_request_fails_with_it_and_the_next_makes_it_anew(
    world: World, failing: int | OSError, cause: str
) -> None:
    world.failing = failing
    causes = world.connect(20)
    assert len(causes) == 20
    assert all(each.startswith(cause) for each in causes)
    assert world.asked == {"/page": 1}
    world.connect(1)
    assert world.asked == {"/page": 2}
    world.failing = None
    assert world.connect(20) == []
    assert world.asked == {"/page": 3, "/ws": 20}


def test_what_the_server_does_not_take_any_more_is_made_anew_once_for_all(world: World) -> None:
    assert world.connect(20) == []
    world.forget()
    assert world.connect(20) == []
    # Each was refused once, with the old one, and left; there was one request for all.
    assert world.asked == {"/page": 2, "/ws": 60, "left": 20}
    assert world.connect(1) == []
    assert world.asked["/page"] == 2


def test_a_fresh_value_that_is_refused_too_is_the_servers_refusal(world: World) -> None:
    assert world.connect(1) == []
    world.forget()
    world.takes_none = True
    assert world.connect(20) == ["handshake: HTTP 401"] * 20
    assert world.asked["/page"] == 2
    # And nobody asks again and again.
    for _ in range(5):
        assert world.connect(4) == ["handshake: HTTP 401"] * 4
    assert world.asked["/page"] == 2
    # But after a while: the server may have been starting anew.
    world.now += 30
    world.takes_none = False
    assert world.connect(20) == []
    assert world.asked["/page"] == 3


def test_a_first_value_that_is_refused_is_not_made_again(world: World) -> None:
    world.takes_none = True
    assert world.connect(20) == ["handshake: HTTP 401"] * 20
    assert world.asked == {"/page": 1, "/ws": 20, "left": 20}


def test_who_asked_first_may_be_taken_away(world: World) -> None:
    connections = [world.connection() for _ in range(3)]
    first, *others = [gevent.spawn(each.connect) for each in connections]
    gevent.sleep(0)
    assert world.asked == {}
    gevent.sleep(0)
    assert world.asked == {"/page": 1}
    first.kill()
    gevent.joinall(others, raise_error=True)
    assert [each.failed for each in connections] == ["", "", ""]
    assert world.asked == {"/page": 1, "/ws": 2}


def test_each_connection_makes_its_own_requests_with_what_its_user_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(tmp_path, monkeypatch, TICKET)
    assert world.connect(5) == []
    assert world.asked == {"/page": 1, "/ticket": 5, "/ws": 5}
    # A refusal of one of these is one of what was kept, as well.
    world.forget()
    assert world.connect(5) == []
    assert world.asked == {"/page": 2, "/ticket": 15, "/ws": 10}
    world.forget()
    world.takes_none = True
    assert world.connect(5) == ["before: HTTP 401 ({})"] * 5
    assert world.asked["/page"] == 3


def test_upkeep_goes_on_with_what_is_good_now(world: World) -> None:
    connections = [world.connection() for _ in range(5)]
    for each in connections:
        each.connect()

    def pongs() -> list[str | None]:
        return [each.pong() for each in connections]

    assert pongs() == [None] * 5
    assert world.asked == {"/page": 1, "/ws": 5, "/pong": 5}
    world.forget()
    assert pongs() == [None] * 5
    # The first one is refused, and all others go on with what it got.
    assert (world.asked["/page"], world.asked["/pong"]) == (2, 11)
    world.now += 600
    assert pongs() == [None] * 5
    assert (world.asked["/page"], world.asked["/pong"]) == (3, 16)
    world.forget()
    world.takes_none = True
    assert pongs() == ["HTTP 401"] * 5
    assert world.asked["/page"] == 4
    world.now += 600
    world.failing = 429
    assert pongs() == ["before: HTTP 429"] * 5


def test_all_that_the_server_gave_stays_secret(world: World) -> None:
    connection = world.connection()
    connection.connect()
    world.forget()
    assert connection.pong() is None
    assert connection.errands.without_secrets("alice-1, alice-2") == "***, ***"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('per = "user"\nvalid_for = 0', "before[0].valid_for: Input should be greater than 0"),
        ('per = "users"', "before[0].per: Input should be 'connection' or 'user', not 'users'."),
        (
            "valid_for = 5",
            'before[0]: valid_for is for what is kept for a user; give per = "user", too.',
        ),
        (
            'path = "/"\n[[before]]\nper = "user"',
            (
                "before[1] is made once for each user, and stands behind one that each connection "
                "makes; put it first."
            ),
        ),
    ],
)
def test_mistakes_are_told_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    rest = PROFILE.split("valid_for = 600\n")[1].replace("{further}", "")
    path.write_text(f'transport = "websocket"\n[[before]]\n{text}\n{rest}', "utf-8")
    with pytest.raises(ConfigError) as raised:
        target.load(str(path))
    assert str(raised.value).startswith(f"{path}: {said}")
