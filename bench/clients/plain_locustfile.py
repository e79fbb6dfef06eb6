"""The usual Locust users for a server that pushes messages over WebSocket."""

from __future__ import annotations

import json
import time
from typing import Any

import websocket
from locust import User, task


class PlainUser(User):
    """A greenlet that waits in ``recv`` and fires an event for each message."""

    abstract = True

    def on_start(self) -> None:
        """Connect."""
        self.ws: Any = websocket.create_connection(str(self.host))

    def receive_one(self) -> None:
        """Read a message and fire Locust's request event."""
        text = self.ws.recv()
        now_ms = time.time() * 1000
        code = json.loads(text)["code"]
        sent_ms = int(code.rpartition("-")[2], 36) / 1e6
        self.environment.events.request.fire(
            request_type="WS",
            name="code",
            response_time=now_ms - sent_ms,
            response_length=len(text),
            exception=None,
            context={},
        )


class LoopUser(PlainUser):
    """One endless task: the cheapest variant."""

    @task
    def receive(self) -> None:
        """Read messages, one by one."""
        while True:
            self.receive_one()


class TaskUser(PlainUser):
    """One task per message: the variant of Locust's manual."""

    @task
    def receive(self) -> None:
        """Read one message."""
        self.receive_one()
