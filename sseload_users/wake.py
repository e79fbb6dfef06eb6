"""Before any load: is the server there, and is it well?"""

from __future__ import annotations

import time

import gevent

from sseload_users.fetch import fetch
from sseload_users.options import Options
from sseload_users.report.words import seconds
from sseload_users.target import Target
from sseload_users.transports import ConnectFailed
from sseload_users.transports.network import Network, cause_of

#: Seconds from one health check to the next, while a server wakes up.
_KNOCK_S = 1.0


class Unfit(Exception):  # noqa: N818 - not an error of the program
    """The run cannot be carried out; one sentence."""


def wake(target: Target, network: Network, options: Options) -> None:
    """Wait for the server to answer its health check, or at least a connection.

    Args:
        target: which; a profile without a health check asks for no more than a connection.
        network: for TLS.
        options: how long to wait for a server that sleeps.

    Raises:
        Unfit: it cannot be reached, or does not say in time that it is well.
    """
    request = target.health()
    if request is None:
        _knock(target, network, options)
        return
    deadline = time.monotonic() + options.warm_up
    while True:
        try:
            answer = fetch(request, lambda: network.ssl_context, options.connect_timeout)
        except TimeoutError:
            said = "no answer in time"
        except OSError as error:
            # Nothing sleeps behind a name that does not exist or a port that is closed.
            raise _unreachable(target, cause_of(error)) from error
        else:
            if target.healthy(answer.status, answer.body):
                return
            said = f"HTTP {answer.status}"
        if time.monotonic() >= deadline:
            raise Unfit(
                f"{request.url} did not say within {seconds(options.warm_up)} that the server is "
                f"well ({said}); give it longer with --warm-up, or check it."
            )
        gevent.sleep(_KNOCK_S)


def _knock(target: Target, network: Network, options: Options) -> None:
    try:
        arrival = network.open(target.host, time.monotonic() + options.connect_timeout)
    except ConnectFailed as failed:
        raise _unreachable(target, failed.cause) from failed
    arrival.close()


def _unreachable(target: Target, cause: str) -> Unfit:
    return Unfit(
        f"{target.host} cannot be reached: {cause}; check --host, and that the server runs."
    )
