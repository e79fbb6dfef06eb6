"""What the server monitor reads in a run, by the run's options."""

from __future__ import annotations

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.monitor.http_sources import (
    METRICS_CONTENT_TYPE,
    Fetch,
    HealthSource,
    MetricsSource,
    NoResponse,
    Response,
)
from sseload_users.monitor.process_source import ProcessSource
from sseload_users.monitor.source import Source
from sseload_users.run.resources import Resources
from sseload_users.transports.causes import cause_of
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from sseload_users.transports.request_client import RequestClient

#: Seconds that a source may take to respond.
_TIMEOUT_S = 10.0


def server_sources(resources: Resources, embedded_pid: int | None = None) -> list[Source]:
    """Return the sources that the options select.

    Args:
        resources: the run's resources.
        embedded_pid: PID of the embedded target; monitored unless the options name another
            process.

    Raises:
        ConfigError: a process or a health check does not exist.
    """
    options, network = resources.options, resources.network
    found: list[Source] = []
    if options.watch_process:
        found.append(ProcessSource(options.watch_process))
    elif embedded_pid is not None:
        found.append(ProcessSource(str(embedded_pid)))
    if options.watch_metrics:
        headers = (("Accept", METRICS_CONTENT_TYPE),)
        request = HttpRequest("GET", options.watch_metrics, headers, b"")
        found.append(MetricsSource(fetcher(request, network), options.watch_series))
    if options.watch_health:
        health = resources.target.health(resources.identities[0])
        if health is None:
            raise ConfigError(
                f"--watch-health: the profile {clean(options.target)} has no health check; add "
                "[health] to a profile of your own."
            )
        found.append(
            HealthSource(
                fetcher(health, resources.checked.network),
                lambda response: resources.target.answers.is_healthy(
                    response.status, response.body
                ),
            )
        )
    return found


def fetcher(request: HttpRequest, network: Network) -> Fetch:
    """Return a function that makes a request on a connection of its own."""

    def fetch_once() -> Response:
        try:
            return RequestClient(network, _TIMEOUT_S).answer(request)
        except OSError as error:
            raise NoResponse(cause_of(error)) from error

    return fetch_once
