"""The base of all transports: one connection of one listener, from connect to close."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import gevent

from sseload_users.core.clock import wall_ns
from sseload_users.core.loss_kind import LossKind
from sseload_users.transports import (
    Closed,
    ConnectFailed,
    Malformed,
    OnMalformed,
    OnMessage,
    ParsedMessage,
)
from sseload_users.transports.carrier import Carrier, StreamDecoder
from sseload_users.transports.causes import cause_of
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.server_text import message_text
from sseload_users.transports.stamped_socket import StampedSocket

#: What ends a session.
EndedBy: TypeAlias = Literal["client", "data", "end of stream"]

_LEFT = Closed("client", "left")


class Transport(ABC):
    """One connection of one listener, used from the listener's own greenlet.

    Call ``connect``, then ``listen``. ``leave`` may be called from any greenlet at any time. A
    session needs no greenlet while it is open: ``begin_to_listen`` before ``listen`` spares it.

    Args:
        endpoint: where and how to connect.
        network: shared by all connections.
        on_message: gets each message after the subscription, in the hub. Messages that
            require a reply are answered before.
        on_malformed: gets a cause for everything that cannot be decoded, in the hub.

    Attributes:
        kind: Locust's request type: "WS", "SIO" or "SSE".
        started_ns: when ``connect`` would have begun without delays of this process (wall clock,
            ns), so that ``subscribed_ns - started_ns`` is the time that network and server took.
        times: what ``connect`` took; None before, and once the session listens.
        http_version: the version of HTTP that carries an event stream; empty for none.
        source: the local address of its connection; empty before, and for long polling.
        compression: the compression that was negotiated, such as "permessage-deflate" or "gzip";
            empty for none.
        subscribed_ns: when the last response that ``connect`` needed arrived (wall clock, ns).
        ended_ns: when the session ended (wall clock, ns), however late that was read; 0 before.
    """

    __slots__ = (
        "_closed",
        "_connecting",
        "_connection",
        "_decoder",
        "_held",
        "_on_malformed",
        "_on_message",
        "_wake",
        "compression",
        "ended_ns",
        "endpoint",
        "http_version",
        "network",
        "source",
        "started_ns",
        "subscribed_ns",
        "times",
    )

    kind: ClassVar[str]

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        self.endpoint = endpoint
        self.network = network
        self.started_ns = 0
        self.times: ConnectTimes | None = None
        self.subscribed_ns = 0
        self.ended_ns = 0
        self.compression = ""
        self.http_version = ""
        self.source = ""
        self._on_message = self._answering(on_message)
        self._on_malformed = on_malformed
        self._connecting = False
        self._connection: Carrier | None = None
        self._decoder: StreamDecoder | None = None
        # Messages that arrived before they could be handed over.
        self._held: deque[tuple[bytes, int]] | None = None
        # Has who listens go on, once the session has ended; None if nobody does.
        self._wake: Callable[[], object] | None = None
        self._closed: Closed | None = None

    # What the protocols differ in

    @staticmethod
    @abstractmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        """Parse a payload that ``on_message`` got; return None if it is no message.

        Pure; called once for all copies of a broadcast.

        Raises:
            Malformed: the payload is invalid.
        """

    @abstractmethod
    def _handshake(self, connection: StampedSocket) -> StreamDecoder:
        """Make the handshake; return what decodes the bytes that follow.

        The decoder hands messages to ``_hold``, which takes them from now on.

        Raises:
            ConnectFailed: at "handshake".
        """

    @abstractmethod
    def _say_goodbye(self) -> None:
        """Send whatever ends the session in an orderly way, without waiting."""

    def send(self, message: str | bytes) -> bool:  # noqa: ARG002 - not every protocol can send
        """Send a text or binary message without waiting, from the hub or any greenlet.

        Returns:
            Whether it was accepted: not if the connection is broken, if its backlog is full,
            or if the protocol has no messages to the server.
        """
        return False

    def ping(self) -> bool:
        """Send a ping, without waiting; return whether it was accepted; see `send`."""
        return False

    @property
    def _offers_http2(self) -> bool:
        """Whether to offer HTTP/2 with TLS."""
        return False

    @property
    def congested(self) -> bool:
        """Whether a message that is sent now would wait in a backlog."""
        return False

    @property
    def last_event_id(self) -> str:
        """ID of the last event, for the endpoint of the session that resumes from there."""
        return self.endpoint.last_event_id

    @property
    def retry_ms(self) -> int | None:
        """How long the server wants a client to wait before it reconnects, if it said so."""
        return None

    # Connect

    def connect(self) -> None:
        """Connect and subscribe; return when the server owes this session codes.

        Raises:
            ConnectFailed: a step failed, or the connect timeout has passed.
        """
        asked_ns = wall_ns()
        times = self.times = ConnectTimes()
        self._connecting = True
        try:
            connection = self._open(times)
            opened_ns, before_ns = self.subscribed_ns, connection.network_ns
            self._subscribe()
            self._check_left()
            if self.subscribed_ns != opened_ns:
                # More may have arrived since.
                since_ns = connection.arrived_ns - self.subscribed_ns
                times.subscription_ns = max(connection.network_ns - since_ns - before_ns, 0)
            connect_ns = times.connect_ns
            self.started_ns = self.subscribed_ns - connect_ns
            passed_ns = wall_ns() - asked_ns
            times.own_ns = max(passed_ns - connect_ns - times.resolve_ns, 0)
        except BaseException as error:
            if self._connection is not None:
                if self._decoder is not None and self._closed is None:
                    # Otherwise, a server would keep a session of long polling until it times out.
                    self._say_goodbye()
                self._connection.close()
            self._held = None
            if isinstance(error, ConnectFailed):
                self._check_left()
            raise
        finally:
            self._connecting = False

    def _open(self, times: ConnectTimes) -> Carrier:
        return self._reach(time.monotonic() + self.network.connect_timeout, times)

    def _reach(self, deadline: float, times: ConnectTimes) -> Carrier:
        """Connect to the endpoint, and make the handshake.

        Args:
            deadline: when to give up, on ``time.monotonic``'s clock.
            times: what the steps took is added to it.
        """
        return self._begin(self._dial(deadline, times), times)

    def _dial(self, deadline: float, times: ConnectTimes) -> StampedSocket:
        """Connect to the endpoint by TCP, and by TLS if the scheme requires it."""
        endpoint = self.endpoint
        connection = self.network.open(
            endpoint.url,
            deadline,
            slow=endpoint.slow,
            turn=endpoint.turn,
            http2=self._offers_http2,
            times=times,
        )
        self.source = sys.intern(connection.sock.getsockname()[0])  # the same for most
        return connection

    def _begin(self, connection: StampedSocket, times: ConnectTimes) -> Carrier:
        """Make the handshake on a new connection; return what carries the session."""
        self._connection = connection
        self._check_left()
        self._held = deque()
        began_ns = connection.network_ns
        try:
            self._decoder = self._handshake(connection)
        finally:
            times.handshake_ns += max(connection.network_ns - began_ns, 0)
        carrier = self._connection  # a protocol may put its own on the connection
        self.subscribed_ns = carrier.arrived_ns
        self.network.keep_tls_session(self.endpoint.url, connection)
        return carrier

    def _subscribe(self) -> None:
        """Send the endpoint's hello and wait for the confirmation.

        ``subscribed_ns`` is already the stamp of the handshake's response. A protocol with a
        confirmation sets it to the stamp of the message that confirms.

        Raises:
            ConnectFailed: at "subscribe": refused, closed, or timed out.
        """
        endpoint = self.endpoint
        for text in endpoint.hello:
            self.send(text)
        if endpoint.confirm is None:
            return
        while True:
            payload, arrived_ns = self._receive()
            if endpoint.refuse is not None and (cause := endpoint.refuse(payload)) is not None:
                raise ConnectFailed("subscribe", cause, server_text=self._text_of(payload))
            # The confirmation may want an answer, too.
            self._answer(payload)
            confirmed_ns = endpoint.confirm(payload, arrived_ns, self.send)
            if confirmed_ns is not None:
                self.subscribed_ns = confirmed_ns
                return

    def _receive(self) -> tuple[bytes, int]:
        """Return the next message and its arrival (wall clock, ns) while subscribing.

        Messages that are not received here go to ``on_message`` when ``listen`` begins.

        Raises:
            ConnectFailed: at "subscribe": the session has ended, or the time is up.
        """
        connection, decoder, held = self._connection, self._decoder, self._held
        if connection is None or decoder is None or held is None:
            raise ConnectFailed("subscribe", "not connected")
        while not held:
            if self._closed is not None:
                raise ConnectFailed(
                    "subscribe", self._closed.cause, server_text=self._closed.reason
                )
            try:
                data = connection.recv(READ_BYTES)
            except OSError as error:
                raise ConnectFailed("subscribe", cause_of(error), str(error)) from error
            if not data:
                raise ConnectFailed("subscribe", "connection closed")
            decoder.feed(data, connection.arrived_ns, connection.emptied_ns)
        return held.popleft()

    def _text_of(self, payload: bytes) -> str:
        """Return a message's data as text for people."""
        try:
            message = self.parse(payload)
        except Malformed:
            return ""
        return "" if message is None else message_text(message)

    def _check_left(self) -> None:
        if self._closed is _LEFT:
            raise ConnectFailed("connect", "left")

    # Listen

    def begin_to_listen(self, wake: Callable[[], object]) -> None:
        """Hand every message to ``on_message`` from now on; return at once.

        Args:
            wake: called once the session has ended, in the hub or right here, and possibly more
                than once; then, or before, ``listen`` has to be called.
        """
        self._begin_to_listen(wake)
        if self._closed is not None:
            wake()

    def listen(self) -> Closed:
        """Hand every message to ``on_message`` until the session ends; return how it ended."""
        own: Any = gevent.getcurrent()
        if self._wake is None:
            self._begin_to_listen(own.switch)
        else:
            self._wake = own.switch
        try:
            # As many may wait here as there are connections: an event would double what each
            # keeps of its stack.
            hub: Any = gevent.get_hub()
            while self._closed is None:
                hub.switch()
        finally:
            # A greenlet that is killed while it waits still says goodbye.
            self._stop_listening()
        return self._closed or _LEFT

    def _begin_to_listen(self, wake: Callable[[], object]) -> None:
        connection, decoder, held = self._connection, self._decoder, self._held
        self.times = None
        if connection is None or decoder is None or held is None:
            self._closed = self._closed or _LEFT
            return
        self._wake = wake
        decoder.on_message = self._on_message
        self._held = None
        try:
            self._hand_over(held)
        except Exception as error:  # noqa: BLE001 - it ends this session, as in the hub
            self._on_end(error)
        if self._closed is None:
            connection.watch(decoder.feed, self._on_end)

    def _stop_listening(self) -> None:
        self.leave()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._decoder = self._wake = None

    def _answer(self, payload: bytes) -> None:
        """Answer a message, if the endpoint has an answer to it."""
        if self.endpoint.reply is not None:
            self.endpoint.reply(payload, self.send)

    def _answering(self, on_message: OnMessage) -> OnMessage:
        """Return a function that answers a message, hands it on, and ends the session if it must.

        What ends the session may contain codes.
        """
        reply, ends = self.endpoint.reply, self.endpoint.end
        if reply is None and ends is None:
            return on_message  # at no cost

        ended = False

        def answer_and_hand_on(payload: bytes, arrived_ns: int) -> None:
            nonlocal ended
            if ended:
                return
            if reply is not None:
                reply(payload, self.send)
            on_message(payload, arrived_ns)
            if ends is not None and (closed := ends(payload)) is not None:
                ended = True
                if self._closed is None:
                    self._say_goodbye()
                elif self._closed.by != "client":
                    # The server closed right after this message, before `listen` began.
                    self._closed = closed
                self.end(closed, by="data")

        return answer_and_hand_on

    def _hand_over(self, held: deque[tuple[bytes, int]]) -> None:
        """Hand over the messages that arrived before ``listen``."""
        while held:
            self._on_message(*held.popleft())

    def _hold(self, payload: bytes, arrived_ns: int) -> None:
        if self._held is not None:
            self._held.append((payload, arrived_ns))

    def _on_end(self, error: Exception | None) -> None:
        if error is None:
            assert self._decoder is not None  # noqa: S101
            self.end(self._decoder.at_end, by="end of stream")
        elif isinstance(error, OSError):
            self.end(Closed("network", cause_of(error)))
        else:
            self.network.log_once(error)
            self.end(Closed("client", f"listener error: {type(error).__name__}"))

    # End

    def leave(self) -> None:
        """Close from this side: a best-effort goodbye, without waiting for an answer."""
        if self._closed is None:
            self._say_goodbye()
        self.end(_LEFT)

    def lose(self, how: LossKind) -> None:
        """Lose the connection: end the session without a goodbye.

        Args:
            how: what the server notices of it. If nothing, the connection stays open, unread,
                as long as the network is there.
        """
        connection = self._connection
        if self._closed is None and connection is not None:
            self._closed, self.ended_ns = _LEFT, wall_ns()
            if how == "rst":
                connection.reset()
            elif how == "silent":
                connection.fall_silent()
                self.network.silent.append(connection)
                self._connection = None
        self.end(_LEFT)

    def end(self, closed: Closed, *, by: EndedBy = "client") -> None:
        """End the session; ``listen`` returns how.

        From the hub or any greenlet. A session that has ended already keeps its first end.

        Args:
            closed: how it ends.
            by: what ends it. The kernel knows when data or the end of the stream arrived.
                "client" stands for this side, the passing of time, and a reset.
        """
        if self._closed is None:
            self._closed = closed
            connection = self._connection
            if connection is None or by == "client":
                self.ended_ns = wall_ns()
            else:
                self.ended_ns = connection.latest_arrival_ns(data=by == "data")
        if self._decoder is not None:
            self._decoder.ended = True
        if self._connection is not None:
            self._connection.unwatch()
            self._connection.shutdown()
            if self._wake is None and not self._connecting:
                self._connection.close()
        if self._wake is not None:
            loop: Any = gevent.get_hub().loop
            loop.run_callback(self._on_ended)

    def _on_ended(self) -> None:
        if self._wake is not None:
            self._wake()
