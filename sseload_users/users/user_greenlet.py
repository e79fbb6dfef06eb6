"""The greenlet in which a user runs, in little memory: there are as many as connections."""

from __future__ import annotations

import gevent
from locust import User


def _run(user: User) -> None:
    user.run()


# At run time, gevent's class has no parameters.
class UserGreenlet(gevent.Greenlet):  # type: ignore[type-arg]
    """The greenlet of a user.

    Locust's own `User.start` makes a function for each greenlet, gevent a dictionary for that
    function, and it keeps the call stack that started the greenlet: together more memory than
    the accounts of four sessions.

    Args:
        user: the user; Locust finds it in the greenlet's arguments.
    """

    spawning_stack_limit = 0

    # A method would take more of the greenlet's own stack.
    _run = staticmethod(_run)

    def __init__(self, user: User) -> None:
        super().__init__(None, user)  # type: ignore[call-overload]
