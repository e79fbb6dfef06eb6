"""Learn a server's protocol by watching it: connect, hand codes in, and draw conclusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent

from sseload_users.cli.check_output import StepFailed
from sseload_users.cli.check_publisher import SentCode
from sseload_users.cli.init.channel_search import ChannelSearch
from sseload_users.cli.init.conclude import conclude
from sseload_users.cli.init.connecting import Way, ways, with_token
from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.login import names_used
from sseload_users.cli.init.logins import Logins
from sseload_users.cli.init.message import Message
from sseload_users.cli.init.output import Output, WatchFailed
from sseload_users.cli.init.placements import Placement
from sseload_users.cli.init.probe import Probe
from sseload_users.core.formatting import clean, shorten
from sseload_users.options import Options
from sseload_users.targets.value_types import BUILT_IN_NAMES
from sseload_users.transports import ConnectFailed

#: Seconds for which new clients are watched before the first code.
_WATCH_S = 1.0
_CLIENTS = 3
#: Codes that are handed in together, to see whether they come in one message.
_TOGETHER = 3
#: Refusals after which a token is tried in another place.
_NOT_LOGGED_IN = ("HTTP 400", "HTTP 401", "HTTP 403")
#: Refusals of a code after which it is sent with a token.
_UNAUTHORIZED = ("HTTP 401", "HTTP 403")


class Watch:
    """Learns one server's protocol.

    Args:
        draft: the profile to begin with.
        given: how to reach the server.
        host: its URL.
        folder: for files that are needed meanwhile.
        places: the request that hands a code in, with the code in each likely place; none if
            the draft says how.
        login: requests before connecting.
        subscribe: messages to send once connected.
        channel: the channel's name, of which each run may have others; empty if that is not known.
    """

    def __init__(
        self,
        draft: Draft,
        given: Options,
        host: str,
        folder: Path,
        *,
        places: Sequence[Placement],
        login: Sequence[CopiedRequest] = (),
        subscribe: Sequence[str] = (),
        channel: str = "",
    ) -> None:
        self._draft = draft
        self._given = given
        self._host = host.rstrip("/")
        self._folder = folder
        self._places = places
        self._login = login
        self._subscribe = subscribe
        self._channel = channel
        # Whether codes are refused without a login's token.
        self._sends_token = False
        self._output = Output(draft.values)
        self._logins = Logins(draft, given, self._host, folder, self._output)
        self._known = (*BUILT_IN_NAMES, *dict(given.value))

    def learn(self, connect: Sequence[tuple[str, CopiedRequest]] = ()) -> Draft:
        """Return the finished profile.

        Args:
            connect: transports and handshakes by which clients may connect; if there are none,
                the usual ones are tried.

        Raises:
            WatchFailed: the server could not be understood.
            ConfigError: the host, a request or a file cannot be used.
        """
        draft = self._draft
        self._logins.make(self._login)
        if self._places:
            self._place(self._places[0])
        draft.comments["ingest"] = "How a code is handed in."
        probe = self._connect(
            [(transport, self._logins.renewed(request)) for transport, request in connect]
        )
        try:
            self._watch(probe)
        finally:
            probe.close()
        ChannelSearch(draft, self._given, self._host, self._folder, self._output).run(self._channel)
        return draft

    def _connect(self, places: Sequence[tuple[str, CopiedRequest]]) -> Probe:
        """Connect in the first way that the server accepts."""
        failures = []
        for way in ways(self._draft, self._host, places, self._subscribe):
            place = f"{way['transport']} at {way['connect']['path']}"
            causes: list[str] = []
            for variant in with_token(way, self._logins.token):
                probe = self._try(variant, causes)
                if probe is not None:
                    agreed = f", with {probe.compression}" if probe.compression else ""
                    self._output.step("connect", f"{place}: connected{agreed}")
                    return probe
                self._output.step("connect", f"{place}: {causes[-1]}")
                if not causes[-1].endswith(_NOT_LOGGED_IN):
                    break
            failures.append(f"{place}: {causes[0]}")
        raise WatchFailed(
            f"No client could connect ({'; '.join(failures)}). Say where clients connect: --ws "
            "PATH, --sse PATH or --socketio; and with --login how they log in."
        )

    def _try(self, way: Way, causes: list[str]) -> Probe | None:
        """Connect all clients in one way; add the cause of a failure."""
        if self._login:
            used = names_used(str(way["connect"]), (*self._known, *self._draft.values))
            self._logins.capture(used)
        self._draft.tables.update(way)
        self._draft.comments["connect"] = "Where clients connect."
        probe = Probe(self._draft, self._given, self._host, self._folder)
        try:
            probe.open(1)
        except ConnectFailed as error:
            causes.append(f"{error.operation}: {error.cause}")
            return None
        try:
            probe.open(_CLIENTS - 1)
        except ConnectFailed as error:
            probe.close()
            raise WatchFailed(
                f"One client connected, but not a second one: {error.cause}. If the server allows "
                "a user only one session, no profile can be learned."
            ) from error
        return probe

    def _watch(self, probe: Probe) -> None:
        gevent.sleep(_WATCH_S)
        early = probe.messages
        self._show(early)
        if probe.closed:
            raise WatchFailed(
                f"The server ended the connection before any code: {probe.closed[0].cause}. It may "
                "expect a message first: --subscribe TEXT."
            )
        self._hand_in(probe)
        probe.send(self._draft, _TOGETHER)
        carriers = [each for each in probe.messages if each.codes]
        sent = self._draft.tables["connect"].get("send", ())
        made = conclude(early, carriers, _CLIENTS, sent)
        for name in ("confirm", "reply"):
            # A profile to begin with knows better.
            if name in self._draft.tables:
                made.tables.pop(name, None)
        self._draft.tables.update(made.tables)
        self._draft.comments.update(made.comments)
        self._output.step("found", f"the code, by {_words(made.tables['code'])}")
        for note in made.notes:
            self._output.step("", f"→ {note}")

    def _hand_in(self, probe: Probe) -> None:
        """Hand a code in at each likely place of the request, until it comes."""
        tried = []
        places: Sequence[Placement | None] = self._places or [None]
        for each in places:
            place = "the message" if each is None else each.place
            sent = self._send(probe, each)
            came = probe.reached(sent.text)
            self._output.step("send", f"code in {place}: {sent.said}, came to {came} of {_CLIENTS}")
            if came:
                if each is None and came == _CLIENTS - 1:
                    # The one that sent it does not get it back.
                    self._draft.tables["ingest"]["echo"] = False
                if sent.redirected:
                    self._accept_redirect(sent.redirected)
                return
            tried.append(f"{place} ({sent.cause or 'accepted'})")
        raise WatchFailed(
            f"No code came to the clients; it was tried in {', '.join(tried)}. Write {{code}} in "
            "the copied request where it goes; or give the message with which clients subscribe "
            "(--subscribe TEXT), or another --ws, --sse or --socketio."
        )

    def _accept_redirect(self, status: int) -> None:
        """Note that a redirect is the answer to a code: only what follows it is not accepted."""
        self._draft.tables["ingest"]["expect"] = {"status": [status]}
        self._output.step(
            "", f"→ The code came, so the profile accepts HTTP {status} and does not follow it."
        )

    def _send(self, probe: Probe, placement: Placement | None) -> SentCode:
        """Hand a code in; with a login's token in the usual place, if it is refused without."""
        if placement is not None:
            self._place(placement)
        try:
            (sent,) = probe.send(self._draft)
        except StepFailed as error:
            raise WatchFailed(f"No code can be handed in: {error.said}.") from error
        token = self._logins.token
        if placement is None or self._sends_token or token is None:
            return sent
        names = {name.lower() for name, _ in placement.request.headers}
        if "authorization" in names or not (sent.cause or "").startswith(_UNAUTHORIZED):
            return sent
        self._output.step("send", f"{sent.said}: trying again with the login's token")
        self._sends_token = True
        return self._send(probe, placement)

    def _place(self, placement: Placement) -> None:
        """Note in the draft how a code is handed in."""
        request = self._logins.renewed(placement.request)
        if self._sends_token:
            bearer = ("Authorization", f"Bearer {{{self._logins.token}}}")
            request = replace(request, headers=(*request.headers, bearer))
        table = self._draft.request(request, self._host)
        self._draft.tables["ingest"] = table
        given = self._draft.tables.get("before", ())
        known = (*self._known, *self._draft.values, "code")
        captured = {name for step in given for name in step.get("capture", {})}
        self._logins.capture(names_used(str(table), (*known, *captured)))

    def _show(self, early: Sequence[Message]) -> None:
        first = [each.content for each in early if each.connection == 0]
        for content in first:
            event = f"{content.event} " if content.event else ""
            self._output.step("message", shorten(clean(f"{event}{content.data!s}"), 120))
        if not first:
            self._output.step("message", "none before the first code")


def _words(table: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in table.items())
