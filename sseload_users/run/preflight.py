"""Before any load: is the server there, is it well, and does it know the users?"""

from __future__ import annotations

import time
from collections.abc import Sequence

import gevent

from sseload_users.core.formatting import clean, count, seconds, shorten
from sseload_users.options import Options
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity, who_connects
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.fetch import fetch
from sseload_users.transports.network import Network
from sseload_users.transports.server_text import body_text

#: Seconds from one health check to the next, while a server wakes up.
_KNOCK_S = 1.0
#: Most users of a users file that the server is asked about: enough to find a wrong file.
_ASKED_ABOUT = 20


class Unfit(Exception):  # noqa: N818 - not an error of the program
    """The run cannot be carried out; one sentence."""


def wake(target: Target, network: Network, options: Options) -> list[str]:
    """Wait for the server to be there, and ask whether it knows who will connect.

    Args:
        target: which; a profile without a health check asks for no more than a connection.
        network: for TLS.
        options: how long to wait for a server that sleeps, and who will connect.

    Returns:
        Sentences of warning: of users about whom it did not say.

    Raises:
        Unfit: it cannot be reached, does not say in time that it is well, or says that it does
            not know a user.
    """
    people = who_connects(options.users_file, options.username)
    _await_health(target, network, options, people[0], patient=False)
    asked = {each.username: each for each in people[:_ASKED_ABOUT]}.values()
    return _verify(target, network, options, [*asked])


def await_return(target: Target, network: Network, options: Options) -> None:
    """Wait for a server to be there that has been there, and may be starting anew.

    Raises:
        Unfit: it does not come back in the time that it has to warm up.
    """
    people = who_connects(options.users_file, options.username)
    _await_health(target, network, options, people[0], patient=True)


def _await_health(
    target: Target, network: Network, options: Options, who: Identity, *, patient: bool
) -> None:
    """Ask until the server says that it is well.

    Args:
        target: which.
        network: for TLS.
        options: how long to wait.
        who: asks.
        patient: whether a server may yet appear that is not there at all.
    """
    request = target.health(who)
    deadline = time.monotonic() + options.warm_up
    while True:
        try:
            if request is None:
                _knock(target, network, options)
                return
            answer = fetch(request, lambda: network.ssl_context, options.connect_timeout)
        except TimeoutError:
            said = "no answer in time"
        except (OSError, ConnectFailed) as error:
            # Nothing sleeps behind a name that does not exist or a port that is closed.
            said = error.cause if isinstance(error, ConnectFailed) else cause_of(error)
            if not patient:
                raise _unreachable(target, said) from error
        else:
            if target.healthy(answer.status, answer.body):
                return
            said = f"HTTP {answer.status}"
        if time.monotonic() >= deadline:
            if patient:
                raise Unfit(
                    f"The server did not come back within {seconds(options.warm_up)}: {said}."
                )
            assert request is not None  # noqa: S101
            raise Unfit(
                f"{target.without_secrets(request.safe_url, who)} did not say within "
                f"{seconds(options.warm_up)} that the server is well ({said}); give it longer with "
                "--warm-up, or check it."
            )
        gevent.sleep(_KNOCK_S)


def _verify(
    target: Target, network: Network, options: Options, people: Sequence[Identity]
) -> list[str]:
    """Ask about users; only the profile's own no is one, all else says nothing of them.

    Returns:
        Sentences of warning.

    Raises:
        Unfit: the server does not know one of them.
    """
    unclear: list[str] = []
    why = advice = ""
    for number, who in enumerate(people):
        request = target.verify(who)
        if request is None:
            return []
        place = target.without_secrets(request.safe_url, who)
        try:
            answer = fetch(request, lambda: network.ssl_context, options.connect_timeout)
        except OSError as error:
            why = why or f"{place}: {cause_of(error)}"
            # Twenty times the timeout would be too long a wait for an answer that is not needed.
            unclear += [each.username for each in people[number:]]
            break
        known = target.knows(answer.status, answer.body)
        if known is False:
            raise Unfit(
                f"The server does not know the user {clean(who.username)!r}; create it there, or "
                "name another with --username or --users-file."
            )
        if known is None:
            unclear.append(who.username)
            cause = f"HTTP {answer.status}"
            said = target.without_secrets(body_text(answer.body), who)
            advice = advice or target.advice("verify", cause, said)
            why = why or f"{place}: {cause}: {shorten(clean(said), 80)}".rstrip(" .:")
    if not unclear:
        return []
    whom = f"the user {clean(unclear[0])!r}"
    if unclear[1:]:
        whom += f" and {count(len(unclear) - 1, 'other')}"
    return [f"Whether the server knows {whom} could not be found out ({why}). {advice}".rstrip()]


def _knock(target: Target, network: Network, options: Options) -> None:
    network.open(target.host, time.monotonic() + options.connect_timeout).close()


def _unreachable(target: Target, cause: str) -> Unfit:
    return Unfit(
        f"{target.host} cannot be reached: {cause}; check --host, and that the server runs."
    )
