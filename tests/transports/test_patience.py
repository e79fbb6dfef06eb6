"""Timeouts of a process that was held up."""

from __future__ import annotations

import socket
import time

import gevent
import gevent.socket
import pytest

from sseload_users.transports.patience import PatientTimeout


def read_within(kind: type[gevent.Timeout]) -> bytes:
    """Read within a timeout, while the hub is busy until both its time and the bytes are there."""
    mine, peer = socket.socketpair()
    with mine, peer:
        mine.setblocking(False)

        def read() -> bytes:
            with kind(0.05, TimeoutError("timed out")):
                gevent.socket.wait_read(mine.fileno())
                return mine.recv(10)

        reader = gevent.spawn(read)
        gevent.sleep(0)
        # It runs between the poll that finds no bytes and the timeout's timer.
        sender = gevent.get_hub().loop.timer(0.04)
        sender.start(peer.sendall, b"x")
        time.sleep(0.2)
        try:
            return bytes(reader.get())
        finally:
            sender.close()


def test_what_arrived_before_a_timeout_was_noticed_is_read() -> None:
    assert read_within(PatientTimeout) == b"x"
    with pytest.raises(TimeoutError):
        read_within(gevent.Timeout)


def test_a_patient_timeout_is_raised_once_and_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError), PatientTimeout(0.01, TimeoutError("timed out")):
        gevent.sleep(1)
    with PatientTimeout(0.02, TimeoutError("timed out")):
        gevent.sleep(0.005)
    gevent.sleep(0.05)
