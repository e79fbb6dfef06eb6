"""The page that embeds an event stream, its access token, and the stream itself."""

from __future__ import annotations

import hashlib
import hmac
import html
import math
import secrets
import time
from urllib.parse import quote, urlsplit

from sseload_users.core.clock import wall_ns
from sseload_users.demo import error_page
from sseload_users.demo.admission import Admission
from sseload_users.demo.http import Exchange
from sseload_users.demo.push import Context
from sseload_users.demo.stream import StreamConnection

_NONCE_LENGTH = 8
#: An unknown user name may be requested once in this many seconds.
_WRONG_NAME_SECONDS = 10.0

_HTML = "text/html; charset=utf-8"
_INVALID = {"error": "Invalid or expired token"}

_PAGE = """<!doctype html><title>Codes for {title}</title>
<script>new EventSource("{url}")</script>
"""
#: The page of today's server: the URLs are in template literals.
_PAGE_TODAY = """<!DOCTYPE html>
<html>
<head>
<title>Codes for {title}</title>
</head>
<body>
<script>
const sseUrl = `{url}`;
const source = new EventSource(sseUrl);
source.onmessage = (message) => {{
  const data = JSON.parse(message.data);
  if (data.type === "ping") {{
    fetch(`/sse-pong?connection_id=${{data.connection_id}}&token={token}`, {{
      method: "POST",
    }});
  }}
}};
</script>
</body>
</html>
"""


class EmbeddedStreams:
    """Serve the embedding page, its streams and their pongs.

    Args:
        context: the server's shared state.
        admission: accepts or refuses streams.
    """

    def __init__(self, context: Context, admission: Admission) -> None:
        self._context = context
        self._admission = admission
        settings = context.settings
        self._tokens = Tokens(settings.token_lifetime)
        self._pages = RateLimit(*settings.page_limit) if settings.page_limit is not None else None
        self._wrong_names = RateLimit(1, _WRONG_NAME_SECONDS)

    def page(self, exchange: Exchange) -> None:
        """Answer with the page for a user, or with an error."""
        user = exchange.query.get("user", "")
        status = self._answer_page(exchange, user)
        self._context.recorder.write("page", username=user, status=status, ns=wall_ns())

    def stream(self, exchange: Exchange) -> None:
        """Open a stream to a client with a valid token."""
        user, token = exchange.query.get("user", ""), exchange.query.get("token", "")
        ordinal = self._admission.admit(exchange, "sse", user, known=True)
        if ordinal is None:
            return
        if self._tokens.check(token, user):
            self._admission.open_stream(exchange, ordinal, user, needs_pong=True)
        else:
            exchange.answer(401, _INVALID)
            self._admission.record_refusal(ordinal, "sse", user, "bad token")

    def pong(self, exchange: Exchange) -> None:
        """Handle a client's keep-alive."""
        identity = exchange.query.get("connection_id", "")
        for connection in self._context.open:
            if isinstance(connection, StreamConnection) and connection.connection_id == identity:
                if self._tokens.check(exchange.query.get("token", ""), connection.username):
                    connection.pong()
                    exchange.answer(200, {"status": "ok"})
                else:
                    exchange.answer(401, _INVALID)
                return
        exchange.answer(404, {"error": "Unknown connection"})

    def _answer_page(self, exchange: Exchange, user: str) -> int:
        """Answer the request and return the status."""
        now = time.monotonic()
        if not self._is_allowed(exchange):
            exchange.answer(403, {"error": "Unauthorized origin - iframe access only"})
            return 403
        if len(exchange.query.get("nonce", "")) < _NONCE_LENGTH:
            exchange.answer(400, {"error": "nonce of 8 or more characters is required"})
            return 400
        if self._context.user_id(user) is None:
            if self._pages is not None and not self._wrong_names.allows(user, now):
                error_page.answer(exchange, 429, self._wrong_names.description)
                return 429
            exchange.answer(403, {"error": "Unknown username"})
            return 403
        if self._pages is not None and not self._pages.allows(user, now):
            error_page.answer(exchange, 429, self._pages.description)
            return 429
        exchange.send(200, _HTML, self._write_page(user))
        return 200

    def _is_allowed(self, exchange: Exchange) -> bool:
        """Whether the origin is allowed: one of ``--origins``, or else the server's own."""
        origin, listed = exchange.headers.get("origin", ""), self._context.settings.origins
        if listed is not None:
            return origin in listed
        own = urlsplit(origin).netloc
        return bool(own) and own == exchange.headers.get("host")

    def _write_page(self, user: str) -> str:
        page = _PAGE if self._context.settings.version == "guide" else _PAGE_TODAY
        token = quote(self._tokens.make(user), safe=":")
        url = f"/events?user={quote(user, safe='')}&token={token}"
        return page.format(title=html.escape(user), url=url, token=token)


class RateLimit:
    """A fixed-window rate limit per name; a window starts with its first request.

    Args:
        count: requests per window; 0 means no limit.
        seconds: length of a window.

    Attributes:
        description: the limit in words.
    """

    def __init__(self, count: int, seconds: float) -> None:
        # Flask-Limiter's wording, which has no plural.
        minutes, rest = divmod(seconds, 60)
        self.description = (
            f"{count} per {f'{minutes:g} minute' if not rest else f'{seconds:g} second'}"
        )
        self._count = count
        self._seconds = seconds
        self._windows: dict[str, tuple[float, int]] = {}

    def allows(self, name: str, now: float) -> bool:
        """Whether one more request is allowed; count it if so.

        Args:
            name: whose limit applies.
            now: monotonic time in seconds.
        """
        began, used = self._windows.get(name, (now, 0))
        if now - began >= self._seconds:
            began, used = now, 0
        if self._count and used >= self._count:
            return False
        self._windows[name] = began, used + 1
        return True


class Tokens:
    """Issue and verify tokens ``user:expiry:signature``; the expiry is a Unix time.

    Args:
        lifetime: minimum validity in seconds.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._secret = secrets.token_bytes(32)

    def make(self, username: str) -> str:
        """Return a new token."""
        claim = f"{username}:{math.ceil(time.time() + self._lifetime)}"
        return f"{claim}:{self._sign(claim)}"

    def check(self, token: str, username: str) -> bool:
        """Whether a token is genuine, issued to this user, and not expired."""
        claim, _, signature = token.rpartition(":")
        user, _, expiry = claim.rpartition(":")
        genuine = hmac.compare_digest(self._sign(claim).encode(), signature.encode())
        return genuine and user == username and int(expiry) >= time.time()

    def _sign(self, claim: str) -> str:
        return hmac.new(self._secret, claim.encode(), hashlib.sha256).hexdigest()
