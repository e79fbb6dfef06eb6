"""A user with one task runs as Locust would run it."""

from __future__ import annotations

import gevent
import pytest
from locust import User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from sseload_users.users.user_greenlet import OneTaskGreenlet, UserGreenlet


class Listener(User):
    """Ends its task by one exception after the other."""

    wait_time = constant(0)

    def __init__(self, environment: Environment, *errors: BaseException) -> None:
        super().__init__(environment)
        self.errors = [*errors]
        self.said: list[str] = []

    @task
    def listen(self) -> None:
        """Do the task."""
        self.said.append("listens")
        raise self.errors.pop(0)

    def on_stop(self) -> None:
        """Note the end."""
        self.said.append("stops")


@pytest.mark.parametrize("kind", [OneTaskGreenlet, UserGreenlet])
@pytest.mark.parametrize("end", [gevent.GreenletExit, StopUser])
def test_errors_are_reported_and_the_end_is_noted(
    kind: type[UserGreenlet], end: type[BaseException]
) -> None:
    environment, heard = Environment(user_classes=[]), list[str]()
    environment.events.user_error.add_listener(lambda exception, **_: heard.append(str(exception)))
    user = Listener(environment, ValueError("a defect"), end())
    greenlet = kind(user)
    greenlet.start()
    greenlet.join(timeout=5)
    assert greenlet.successful()
    assert user.said == ["listens", "listens", "stops"]
    assert heard == ["a defect"]


@pytest.mark.parametrize("kind", [OneTaskGreenlet, UserGreenlet])
def test_an_error_ends_the_user_where_locust_does_not_catch_it(kind: type[UserGreenlet]) -> None:
    user = Listener(Environment(user_classes=[], catch_exceptions=False), ValueError("a defect"))
    greenlet = kind(user)
    greenlet.start()
    greenlet.join(timeout=5)
    assert isinstance(greenlet.exception, ValueError)
    assert user.said == ["listens"]
