"""A plain HTTP request and its response, as values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, ready to be sent.

    Attributes:
        method: "GET", "POST", ….
        url: absolute, with its scheme and host.
        headers: beyond those that every client adds (``Host``, ``Content-Length``).
        body: empty if there is none.
        unfollowed: the statuses of redirects that are not followed, as they are the answer.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    unfollowed: frozenset[int] = frozenset()

    @property
    def safe_url(self) -> str:
        """The URL without its query, which may contain secrets."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to an HTTP request.

    Attributes:
        status: of the last response, if there were redirects.
        body: at most its first 1 MiB.
        headers: its headers by name, in order.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def header(self, name: str) -> str | None:
        """Return the values of a header, one a line; None if there are none."""
        values = [value for each, value in self.headers if each.lower() == name.lower()]
        return "\n".join(values) if values else None
