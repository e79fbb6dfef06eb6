"""Engine.IO's long polling, as a connection that carries packets; see `engineio`.

One GET is held open at a time: its answer, the payload, has the server's packets. What the
client sends is posted, one request at a time. So a session has two TCP connections.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import h11

from sseload_users.core.clock import wall_ns
from sseload_users.transports import ConnectFailed, Revision
from sseload_users.transports.causes import cause_of
from sseload_users.transports.content_coding import accepted_codings
from sseload_users.transports.cookies import Cookies
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engineio import (
    Opening,
    engine_refusal,
    join_payload,
)
from sseload_users.transports.network import Network
from sseload_users.transports.reading import OnBytes, OnEnd
from sseload_users.transports.request_channel import Answer, InvalidAnswer, RequestChannel
from sseload_users.transports.request_head import request_headers, request_target
from sseload_users.transports.stamped_socket import StampedSocket

#: Most bytes of an answer: after a pause there are many packets in it.
_PAYLOAD_BYTES = 16 << 20
#: Most packets that wait to be posted before more are refused.
_OUTBOX_PACKETS = 10_000
#: Seconds that the last POST may take.
_FAREWELL_S = 1.0
_TEXT = "text/plain;charset=UTF-8"


class Polling:
    """A session by long polling, used like a connection whose reads are whole payloads.

    Args:
        endpoint: where to connect. Its URL has Engine.IO's parameters but the session's ID.
        network: opens the connections.
        revision: of the protocol.
        deadline: end of all blocking calls, on ``time.monotonic``'s clock.

    Attributes:
        arrived_ns: when the payload that ``recv`` has returned arrived (wall clock, ns).
        cookies: what the server's answers have set.
        late_ns: total time that this process took from each answer to the next request.
    """

    def __init__(
        self, endpoint: Endpoint, network: Network, revision: Revision, deadline: float
    ) -> None:
        self._endpoint = endpoint
        self._network = network
        self._revision = revision
        self._deadline = deadline
        self._sid = ""
        self._max_payload: int | None = None
        self.cookies = Cookies() if endpoint.jar is None else endpoint.jar
        self.arrived_ns = wall_ns()
        self.late_ns = 0
        self._answered_ns = 0
        self._newest_ns = self.arrived_ns
        # A browser's caches must not answer in the server's place.
        self._busters = itertools.count(wall_ns() // 1000)
        most = max(_PAYLOAD_BYTES, endpoint.max_message)
        self._gets = RequestChannel(
            lambda: self._open(slow=endpoint.slow),
            self._on_payload,
            self._fail,
            repeats=True,
            max_body=most,
            inflation=network.inflation,
        )
        self._posts = RequestChannel(
            lambda: self._open(slow=False),
            self._on_posted,
            self._fail,
            repeats=False,
            max_body=most,
            inflation=network.inflation,
        )
        self._outbox: list[str | bytes] = []
        # Payloads that wait for ``recv`` or ``watch``, and their arrivals.
        self._payloads: deque[tuple[bytes, int]] = deque()
        self._news = gevent.event.Event()
        self._on_bytes: OnBytes | None = None
        self._on_end: OnEnd | None = None
        self._failed: Exception | None = None
        self._on_paused: Callable[[], None] | None = None
        self._leaving: Any = None
        self._last = ""
        self._over = False

    # Connect

    def handshake(self) -> None:
        """Ask for a session; the answer is the first payload.

        Raises:
            ConnectFailed: at any step: there is no session.
        """
        try:
            self._get()
            self._wait()
            if not self._payloads:
                raise ConnectFailed("handshake", "connection closed")
        except InvalidAnswer as error:
            raise ConnectFailed("handshake", "bad handshake answer", str(error)) from error
        except OSError as error:
            raise ConnectFailed("handshake", cause_of(error), str(error)) from error
        self.arrived_ns = self._payloads[0][1]
        connection = self._gets.connection
        if connection is not None:
            self.late_ns += connection.late_ns
            self._network.keep_tls_session(self._endpoint.url, connection)

    def begin(self, opening: Opening) -> None:
        """Begin to poll for the session that the server has opened."""
        self._sid, self._max_payload = opening.sid, opening.max_payload
        self._get()

    # As a connection

    @property
    def network_ns(self) -> int:
        """The newest arrival less all delays of this process."""
        return self.arrived_ns - self.late_ns

    @property
    def emptied_ns(self) -> int:
        """Now: an answer's bytes do not come before its request."""
        return wall_ns()

    @property
    def backlog(self) -> bool:
        """Whether something waits to be posted, or for the answer to a POST."""
        return bool(self._outbox) or self._posts.busy

    def latest_arrival_ns(self, *, data: bool) -> int:
        """Return when the last answer had arrived (wall clock, ns)."""
        del data
        return self._newest_ns

    def recv(self, size: int) -> bytes:
        """Return the next whole payload, of any size.

        Raises:
            ConnectFailed: the server has refused a request.
            TimeoutError: the deadline has passed.
            OSError: a request failed.
        """
        del size
        self._wait()
        if not self._payloads:
            return b""
        payload, self.arrived_ns = self._payloads.popleft()
        return payload

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
        """Hand over all payloads, in the hub; see `StampedSocket.watch`."""
        self._on_bytes, self._on_end = on_bytes, on_end
        while self._payloads and self._on_bytes is not None:
            self._hand_over(*self._payloads.popleft())
        if self._failed is not None:
            self._end(self._failed)

    def unwatch(self) -> None:
        """Stop handing over."""
        self._on_bytes = self._on_end = None

    def send_now(self, data: bytes) -> bool:
        """Post a packet without waiting, from the hub or any greenlet.

        Returns:
            Whether it was accepted: not if the session is over or too much waits.
        """
        if self._over or self._leaving or len(self._outbox) >= _OUTBOX_PACKETS:
            return False
        # Text packets begin with a digit; a binary one is the message alone.
        self._outbox.append(data.decode() if data[:1].isdigit() else data)
        self._post()
        return True

    def shutdown(self) -> None:
        """End the session; wakes up whoever waits for it."""
        self._over = True
        self._news.set()
        self.close()

    def close(self) -> None:
        """Close both connections, or as soon as the last POST is answered."""
        self._over = True
        if not self._leaving:
            self._close_now()

    def reset(self) -> None:
        """Close both connections: between two polls there is nothing to reset."""
        self.shutdown()

    def fall_silent(self) -> None:
        """Poll no more: that is all that a server notices of a client that polls."""
        self.shutdown()

    def leave(self, packet: str) -> None:
        """Post what waits and then, alone, a last packet; afterwards the connections close."""
        if self._sid and not self._over:
            self._last = packet
            self._on_paused = None
            self._leaving = gevent.get_hub().loop.timer(_FAREWELL_S)
            self._leaving.start(self._close_now)
            self._post()

    # Going over to another carrier

    def pause(self, on_paused: Callable[[], None]) -> None:
        """Stop to poll and to post once the requests under way are answered.

        Args:
            on_paused: called then.
        """
        self._on_paused = on_paused
        self._check_paused()

    def take_unsent(self) -> list[str | bytes]:
        """Return what has not been posted: the next carrier has to send it."""
        unsent, self._outbox = self._outbox, []
        return unsent

    # Inside

    def _wait(self) -> None:
        while not self._payloads:
            if self._failed is not None:
                raise self._failed
            if self._over:
                return
            self._news.clear()
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._news.wait(left):
                raise TimeoutError("timed out")

    def _open(self, *, slow: bool) -> StampedSocket:
        if not self._sid:
            deadline = self._deadline
        else:
            seconds = _FAREWELL_S if self._leaving else self._network.connect_timeout
            deadline = time.monotonic() + seconds
        return self._network.open(self._endpoint.url, deadline, slow=slow)

    def _head(self, method: str, *more: tuple[str, str]) -> h11.Request:
        endpoint, url = self._endpoint, self._endpoint.url
        sid = f"&sid={self._sid}" if self._sid else ""
        codings = accepted_codings(url, compression=self._network.compression)
        own = {"Accept": "*/*", "Accept-Encoding": codings, **dict(more)}
        try:
            return h11.Request(
                method=method,
                target=request_target(f"{url}{sid}&t={next(self._busters):x}"),
                headers=request_headers(
                    url, own, self.cookies.add_to(endpoint.url, endpoint.headers)
                ),
            )
        except (h11.LocalProtocolError, UnicodeError):
            # h11's error quotes the header, which may be a secret.
            raise ConnectFailed(
                "handshake", "bad request", "a header or the URL is not allowed in HTTP"
            ) from None

    def _get(self) -> None:
        self._count_delay()
        self._gets.request(self._head("GET"))

    def _post(self) -> None:
        if self._posts.busy or self._on_paused is not None:
            return
        if not self._outbox and self._last:
            self._outbox, self._last = [self._last], ""
        if not self._outbox:
            return
        body = join_payload(self._next_packets(), self._revision)
        self._count_delay()
        length = str(len(body))
        head = self._head("POST", ("Content-Type", _TEXT), ("Content-Length", length))
        self._posts.request(head, body)

    def _next_packets(self) -> list[str | bytes]:
        """Take, like the official client, as many packets as the server accepts in one POST."""
        most, size = self._max_payload, 0
        for index, packet in enumerate(self._outbox):
            size += len(join_payload([packet], self._revision)) + 1
            if index and most is not None and size > most:
                taken, self._outbox = self._outbox[:index], self._outbox[index:]
                return taken
        return self.take_unsent()

    def _count_delay(self) -> None:
        if self._answered_ns:
            self.late_ns += max(wall_ns() - self._answered_ns, 0)
            self._answered_ns = 0

    # In the hub

    def _on_payload(self, answer: Answer) -> None:
        self._answered_ns = answer.arrived_ns
        if self._leaving or not self._is_accepted(answer):
            return
        self._hand_over(answer.body, answer.arrived_ns)
        if self._sid and not self._over and not self._check_paused():
            self._get()

    def _on_posted(self, answer: Answer) -> None:
        self._answered_ns = answer.arrived_ns
        if not self._is_accepted(answer):
            return
        if self._leaving and not self._outbox and not self._last:
            self._close_now()
        elif not self._check_paused():
            self._post()

    def _is_accepted(self, answer: Answer) -> bool:
        self._newest_ns = answer.arrived_ns
        self.cookies.take(self._endpoint.url, answer.headers)
        if answer.status == 200:
            return True
        step = "subscribe" if self._sid else "handshake"
        if 300 <= answer.status < 400:
            cause, text = f"redirected: HTTP {answer.status}", answer.header(b"location")
        else:
            cause, text = engine_refusal(answer.status, answer.body)
        self._fail(ConnectFailed(step, cause, server_text=text))
        return False

    def _hand_over(self, payload: bytes, arrived_ns: int) -> None:
        if self._on_bytes is not None:
            self._on_bytes(payload, arrived_ns, None)
        elif not self._over:
            self._payloads.append((payload, arrived_ns))
            self._news.set()

    def _check_paused(self) -> bool:
        """Whether to make no further request; tell when the last one is answered."""
        if self._on_paused is None:
            return False
        if not self._gets.busy and not self._posts.busy:
            self._on_paused()
        return True

    def _fail(self, error: Exception) -> None:
        if self._leaving:
            self._close_now()
        if self._failed is None and not self._over:
            self._failed = error
            self._news.set()
            self._end(error)

    def _end(self, error: Exception) -> None:
        on_end = self._on_end
        self.unwatch()
        if on_end is not None:
            on_end(error)

    def _close_now(self) -> None:
        self._over = True
        if self._leaving:
            self._leaving.stop()
            self._leaving.close()
            self._leaving = None
        self._gets.close()
        self._posts.close()
        self._payloads.clear()
