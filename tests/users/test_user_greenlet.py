"""A user with one task runs as Locust would run it, and sleeps until then."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Group
from locust import User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from sseload_users.users.user_greenlet import SleepingGreenlet, UserGreenlet


class Listener(User):
    """Ends its task by one exception after the other."""

    wait_time = constant(0)
    sleeps = False

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


@pytest.mark.parametrize("kind", [SleepingGreenlet, UserGreenlet])
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


@pytest.mark.parametrize("kind", [SleepingGreenlet, UserGreenlet])
def test_an_error_ends_the_user_where_locust_does_not_catch_it(kind: type[UserGreenlet]) -> None:
    user = Listener(Environment(user_classes=[], catch_exceptions=False), ValueError("a defect"))
    greenlet = kind(user)
    greenlet.start()
    greenlet.join(timeout=5)
    assert isinstance(greenlet.exception, ValueError)
    assert user.said == ["listens"]


class Sleeper(Listener):
    """Sleeps until its greenlet is started, and then waits for its end."""

    sleeps = True

    @task
    def listen(self) -> None:
        """Do the task."""
        self.sleeps = False
        try:
            Event().wait()
        except gevent.GreenletExit:
            self.said.append("ends its session")
            raise


@pytest.mark.parametrize("awake", [False, True])
@pytest.mark.parametrize("by", ["user", "group", "greenlet"])
def test_a_user_that_sleeps_can_end_its_session_when_it_is_stopped(by: str, awake: bool) -> None:
    user, group = Sleeper(Environment(user_classes=[])), Group()
    greenlet = SleepingGreenlet(user)
    group.add(greenlet)
    user._greenlet, user._group = greenlet, group
    gevent.sleep(0.001)
    assert not greenlet.started
    assert not greenlet.dead
    if awake:
        greenlet.start()
        gevent.sleep(0.001)
    if by == "user":
        user.stop(force=True)
    elif by == "group":
        group.kill(timeout=5)
    else:
        greenlet.kill(timeout=5)
    assert greenlet.dead
    assert user.said == ["ends its session", "stops"]
    gevent.sleep(0)
    assert not len(group)


def test_a_user_that_is_stopped_as_it_is_started_ends_its_session() -> None:
    user = Sleeper(Environment(user_classes=[]))
    greenlet = SleepingGreenlet(user)
    greenlet.start()
    greenlet.kill(timeout=5)
    assert user.said == ["ends its session", "stops"]


def test_a_lack_of_memory_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    environment, heard = Environment(user_classes=[]), list[BaseException]()
    environment.events.user_error.add_listener(lambda exception, **_: heard.append(exception))
    user = Listener(environment, MemoryError())
    greenlet = SleepingGreenlet(user)
    greenlet.start()
    greenlet.join(timeout=5)
    assert [type(each) for each in heard] == [MemoryError]
    assert user.said == ["listens"]
    assert not caplog.records
