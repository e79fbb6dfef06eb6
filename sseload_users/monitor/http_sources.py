"""The server's figures over HTTP: its metrics page, and the duration of its health check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

from sseload_users.core.formatting import clean
from sseload_users.core.metric_selectors import MetricSelector
from sseload_users.core.vitals import HealthChecks, Series
from sseload_users.monitor.metrics_text import parse_samples
from sseload_users.monitor.source import SourceUnavailable

#: Accept header of a request for metrics.
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4"


class Response(Protocol):
    """A response, as far as it matters here."""

    @property
    def status(self) -> int:
        """Return the status code."""

    @property
    def body(self) -> bytes:
        """Return the body."""


class NoResponse(Exception):  # noqa: N818 - the server's state, not this program's error
    """A request got no response; the message is a short cause."""


#: Makes one request and returns the response; raises NoResponse.
Fetch: TypeAlias = Callable[[], Response]


class MetricsSource:
    """A Prometheus endpoint.

    Args:
        fetch: requests the metrics page.
        selectors: the series to read.
    """

    def __init__(self, fetch: Fetch, selectors: Sequence[MetricSelector]) -> None:
        self._fetch = fetch
        self._selectors = selectors

    def read(self) -> Iterator[tuple[Series, float]]:
        """Yield the figure of each series; raise at the end if some are missing."""
        try:
            response = self._fetch()
            if response.status != 200:
                raise SourceUnavailable(f"Cannot read the metrics: HTTP {response.status}.")
            samples = parse_samples(response.body.decode("utf-8"))
        except NoResponse as error:
            raise SourceUnavailable(f"Cannot read the metrics: {error}.") from error
        except UnicodeDecodeError as error:
            raise SourceUnavailable("Cannot read the metrics: they are not UTF-8.") from error
        except ValueError as error:
            raise SourceUnavailable(f"Cannot read the metrics: {error}.") from error
        missing = []
        for selector in self._selectors:
            value = selector.sum(samples)
            if value is None:
                missing.append(str(selector))
            else:
                yield Series("metrics", str(selector)), value
        if missing:
            raise SourceUnavailable(f"The metrics have no {clean(', '.join(missing))}.")


class HealthSource:
    """The target's health check.

    Args:
        fetch: makes the health check.
        is_healthy: whether a response is that of a healthy server.

    Attributes:
        checks: how many were made, and how many failed.
    """

    def __init__(self, fetch: Fetch, is_healthy: Callable[[Response], bool]) -> None:
        self.checks = HealthChecks()
        self._fetch = fetch
        self._is_healthy = is_healthy

    def read(self) -> Iterator[tuple[Series, float]]:
        """Yield the milliseconds until the response, whatever it says; raise if it is bad."""
        began = time.monotonic()
        try:
            response = self._fetch()
        except NoResponse as error:
            raise self._failed(str(error)) from error
        yield Series("health", "health", "ms"), (time.monotonic() - began) * 1000
        if not self._is_healthy(response):
            raise self._failed(f"HTTP {response.status}")
        self.checks.made += 1

    def _failed(self, cause: str) -> SourceUnavailable:
        self.checks.made += 1
        self.checks.failures[cause] += 1
        return SourceUnavailable(f"The health check failed at least once: {cause}.")
