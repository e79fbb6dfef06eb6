"""The greenlet in which a user runs, in little memory: there are as many as connections."""

from __future__ import annotations

import logging
from typing import Any

import gevent
from locust import User
from locust.exception import StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING

_logger = logging.getLogger(__name__)


def _run(user: User) -> None:
    user.run()


def _run_one_task(user: User) -> None:
    """Do what `User.run` does, for a user whose one task, `listen`, never returns.

    Locust's choice of the next task costs as much as a handshake.
    """
    user._state = LOCUST_STATE_RUNNING  # noqa: SLF001 - as its own method does
    listener: Any = user
    try:
        listener.listen()
    except (gevent.GreenletExit, StopUser, StopTest):
        user.on_stop()
    except Exception as error:
        # A defect in sseload, which Locust hears of. It would begin the task anew, too.
        events = user.environment.events
        events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
        if isinstance(error, MemoryError):
            return  # the run ends, and says why
        if not user.environment.catch_exceptions:
            raise
        _logger.exception("A listener ended")
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


class SleepingGreenlet(UserGreenlet):
    """The greenlet of a user with one task, `listen`, that overrides nothing else of Locust's.

    It need not be started as long as the user sleeps.
    """

    _run = staticmethod(_run_one_task)

    def kill(
        self,
        exception: Any = gevent.GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Raise an exception in the greenlet; see `gevent.Greenlet.kill`.

        gevent never runs a greenlet that is killed before it has begun, but this one may have a
        session to end: so it begins, and is killed where it waits.
        """
        if not (self.args and self.args[0].sleeps):
            super().kill(exception, block, timeout)
            return
        self.start()
        loop: Any = gevent.get_hub().loop
        loop.run_callback(super().kill, exception, False)
        if block:
            self.join(timeout)
