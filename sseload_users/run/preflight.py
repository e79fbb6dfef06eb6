"""Before any load: is the server there, is it well, and does it know the users?"""

from __future__ import annotations

import time

import gevent

from sseload_users.core.formatting import clean, seconds
from sseload_users.options import Options
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity, who_connects
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.fetch import fetch
from sseload_users.transports.network import Network

#: Seconds from one health check to the next, while a server wakes up.
_KNOCK_S = 1.0
#: Most users of a users file that the server is asked about: enough to find a wrong file.
_ASKED_ABOUT = 20


class Unfit(Exception):  # noqa: N818 - not an error of the program
    """The run cannot be carried out; one sentence."""


def wake(target: Target, network: Network, options: Options) -> None:
    """Wait for the server to be there, and see that it knows who will connect.

    Args:
        target: which; a profile without a health check asks for no more than a connection.
        network: for TLS.
        options: how long to wait for a server that sleeps, and who will connect.

    Raises:
        Unfit: it cannot be reached, does not say in time that it is well, or does not know
            a user.
    """
    people = who_connects(options.users_file, options.username)
    _await_health(target, network, options, people[0], patient=False)
    for who in {each.username: each for each in people[:_ASKED_ABOUT]}.values():
        _verify(target, network, options, who)


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
                f"{request.safe_url} did not say within {seconds(options.warm_up)} that the server "
                f"is well ({said}); give it longer with --warm-up, or check it."
            )
        gevent.sleep(_KNOCK_S)


def _verify(target: Target, network: Network, options: Options, who: Identity) -> None:
    request = target.verify(who)
    if request is None:
        return
    try:
        answer = fetch(request, lambda: network.ssl_context, options.connect_timeout)
    except OSError as error:
        said = "no answer in time" if isinstance(error, TimeoutError) else cause_of(error)
        raise Unfit(
            f"{request.safe_url} did not say whether the server knows the user ({said}); check it, "
            "or leave [verify] out of a profile of your own."
        ) from error
    cause = target.verified(answer.status, answer.body)
    if cause is not None:
        raise Unfit(
            f"The server does not know the user {clean(who.username)!r} ({cause}); create it "
            "there, or name another with --username or --users-file."
        )


def _knock(target: Target, network: Network, options: Options) -> None:
    network.open(target.host, time.monotonic() + options.connect_timeout).close()


def _unreachable(target: Target, cause: str) -> Unfit:
    return Unfit(
        f"{target.host} cannot be reached: {cause}; check --host, and that the server runs."
    )
