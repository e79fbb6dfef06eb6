"""Checks before any load: whether the server is reachable, healthy, and knows the users."""

from __future__ import annotations

import time
from collections.abc import Sequence

import gevent

from sseload_users.core.formatting import clean, count, seconds, shorten
from sseload_users.run.resources import Resources
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.request_client import RequestClient
from sseload_users.transports.server_text import body_text

#: Seconds from one health check to the next while the server wakes up.
_RETRY_S = 1.0
#: Largest number of users to verify: enough to detect a wrong users file.
_MAX_VERIFIED = 20


class CannotRun(Exception):  # noqa: N818 - not an error of the program
    """The run cannot be carried out; the message is one sentence."""


def check_server(resources: Resources) -> list[str]:
    """Wait until the server is healthy, and check that it knows the users.

    A profile without a health check requires only that a connection can be opened.

    Args:
        resources: the run's resources.

    Returns:
        A warning in one sentence if the server gave no clear answer about a user.

    Raises:
        CannotRun: the server is unreachable, not healthy in time, or does not know a user.
    """
    resources = resources.checked
    identities = [*resources.senders, *resources.identities]
    distinct = list({each.username: each for each in identities}.values())
    _await_health(resources, identities[0], patient=False)
    return _verify(resources, distinct[:_MAX_VERIFIED])


def shared_users(resources: Resources, connections: int) -> list[str]:
    """Return a warning if the users file has too few users for the connections.

    Args:
        resources: the run's resources.
        connections: the most connections that the run may open.
    """
    users = len(resources.identities)
    if resources.options.users_file is None or connections <= users:
        return []
    return [
        (
            f"The users file has {count(users, 'user')} for up to "
            f"{count(connections, 'connection')}: some users connect more than once, and a server "
            "that allows one session per user ends the others."
        )
    ]


def await_recovery(resources: Resources) -> None:
    """Wait until a server that has been healthy before is healthy again.

    Raises:
        CannotRun: it is not, within the time that it has to warm up.
    """
    _await_health(resources.checked, resources.identities[0], patient=True)


def _await_health(resources: Resources, identity: Identity, *, patient: bool) -> None:
    """Repeat the health check until it succeeds.

    Args:
        resources: the run's resources.
        identity: the user that makes the request.
        patient: whether to wait for a server that is unreachable.
    """
    target, options = resources.target, resources.options
    request = target.health(identity)
    deadline = time.monotonic() + options.warm_up
    while True:
        try:
            if request is None:
                _try_to_connect(resources)
                return
            response = RequestClient(resources.network, options.connect_timeout).answer(request)
        except TimeoutError:
            failure = "no answer in time"
        except (OSError, ConnectFailed) as error:
            # A name that does not exist or a closed port is no server that is waking up.
            failure = error.cause if isinstance(error, ConnectFailed) else cause_of(error)
            if not patient:
                raise _unreachable(target, failure) from error
        else:
            if target.answers.is_healthy(response.status, response.body):
                return
            failure = f"HTTP {response.status}"
        if time.monotonic() >= deadline:
            if patient:
                raise CannotRun(
                    f"The server did not come back within {seconds(options.warm_up)}: {failure}."
                )
            assert request is not None  # noqa: S101
            raise CannotRun(
                f"{target.redact(request.safe_url, identity)} did not report a healthy "
                f"server within {seconds(options.warm_up)} ({failure}); check the server, or wait "
                "longer with --warm-up."
            )
        gevent.sleep(_RETRY_S)


def _verify(resources: Resources, identities: Sequence[Identity]) -> list[str]:
    """Ask the server about users; only the profile's explicit "no" counts as one.

    Returns:
        Warnings, one sentence each.

    Raises:
        CannotRun: the server does not know one of them.
    """
    target, options = resources.target, resources.options
    unclear: list[str] = []
    reason = advice = ""
    for index, identity in enumerate(identities):
        request = target.verify(identity)
        if request is None:
            return []
        url = target.redact(request.safe_url, identity)
        try:
            response = RequestClient(resources.network, options.connect_timeout).answer(request)
        except OSError as error:
            reason = reason or f"{url}: {cause_of(error)}"
            # Further timeouts would take too long for an optional check.
            unclear += [each.username for each in identities[index:]]
            break
        known = target.answers.knows_user(response.status, response.body)
        if known is False:
            raise CannotRun(
                f"The server does not know the user {clean(identity.username)!r}; create it "
                "there, or give another with --username or --users-file."
            )
        if known is None:
            unclear.append(identity.username)
            cause = f"HTTP {response.status}"
            text = target.redact(body_text(response.body), identity)
            advice = advice or target.profile.advice("verify", cause, text)
            reason = reason or f"{url}: {cause}: {shorten(clean(text), 80)}".rstrip(" .:")
    if not unclear:
        return []
    users = f"the user {clean(unclear[0])!r}"
    if unclear[1:]:
        users += f" and {count(len(unclear) - 1, 'other')}"
    return [f"Could not verify {users} at the server ({reason}). {advice}".rstrip()]


def _try_to_connect(resources: Resources) -> None:
    deadline = time.monotonic() + resources.options.connect_timeout
    resources.network.dialer.dial(parse_origin(resources.target.host), deadline)[0].close()


def _unreachable(target: Target, cause: str) -> CannotRun:
    check = "check --host, and that the server is running"
    if cause.startswith("proxy "):
        check = "check --proxy, or HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment"
    return CannotRun(f"{target.host} cannot be reached: {cause}; {check}.")
