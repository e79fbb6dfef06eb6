"""A test of a chat server: users and senders of its own, a load shape, and visitors."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from locust import HttpUser, LoadTestShape, constant, events, task
from locust.env import Environment

from sseload_users import CodeBroadcaster, CodeListener, Delivery


class Subscriber(CodeListener):
    """A client that joins a second channel, and notes its slowest code."""

    target = "rooms"
    username = "alice"
    connect_timeout = 5
    delivery_timeout = 2.5
    weight = 3

    slowest_ms: float

    def on_start(self) -> None:
        super().on_start()
        self.slowest_ms = 0.0

    def before_connect(self) -> dict[str, str]:
        seconds = str(int(time.time()))
        return {"time": seconds, "proof": hashlib.sha256(seconds.encode()).hexdigest()}

    def find_codes(self, message: bytes) -> list[str]:
        value = json.loads(message)
        return [value["code"]] if value["type"] == "new_code" else []

    def on_connected(self) -> None:
        joined: bool = self.join_channel("c2")
        if joined:
            self.leave_channel("c1")

    def on_code(self, delivery: Delivery) -> None:
        text: str = delivery.text
        sequence: int = delivery.sequence
        sent_ns: int | None = delivery.sent_ns
        arrived_ns: int = delivery.arrived_ns
        session: int = delivery.session
        if not delivery.duplicate and delivery.latency_ms is not None:
            self.slowest_ms = max(self.slowest_ms, delivery.latency_ms)
        print(text, sequence, sent_ns, arrived_ns, session)

    def on_closed(self, cause: str) -> None:
        print(f"closed ({cause}), slowest code after {self.slowest_ms:.1f} ms")


class Sender(CodeBroadcaster):
    """Writes each code into a file that the server watches."""

    target = "rooms"
    codes = 20
    duration = 5
    ingest_timeout = 3

    def on_start(self) -> None:
        super().on_start()
        self.inbox = Path(os.environ["INBOX"])

    def publish(self, code: str) -> None:
        self.inbox.write_text(json.dumps({"code": code}))


class Visitor(HttpUser):
    wait_time = constant(0.5)

    @task
    def open_page(self) -> None:
        self.client.get("/health")


class Steps(LoadTestShape):
    stages = ((2, 11), (4, 51))

    def tick(self) -> tuple[int, float] | None:
        now = self.get_run_time()
        return next(((users, 50) for end, users in self.stages if now < end), None)


def say_status(environment: Environment, **_: object) -> None:
    print(environment.process_exit_code)


events.quitting.add_listener(say_status)
