"""nginx in front of the embedded target's event streams, with its buffering on and off.

nginx passes chunks on as they come, so it speaks HTTP/1.0 to the target, as it does by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.servers.nginx_balancer import balancer
from tests.support.runs import QUICK, Outcome, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 5, 60
IGNORE = "proxy_ignore_headers X-Accel-Buffering;"
#: nginx's directives; with small buffers, it sends the head of a response at once.
DIRECTIVES = {
    "on": f"{IGNORE} proxy_buffering on;",
    "small": f"{IGNORE} proxy_buffering on; postpone_output 0; proxy_buffer_size 1k; "
    "proxy_buffers 8 1k; proxy_busy_buffers_size 2k;",
    "off": f"{IGNORE} proxy_buffering off;",
    # The target sends X-Accel-Buffering: no.
    "as the server asks": "proxy_buffering on;",
}
#: A profile without [confirm]: codes are owed from the response's head on.
PROFILE = """
transport = "sse"
connect = { path = "/stream", query = { username = "{username}" } }
code = { field = "code" }
[ingest]
method = "POST"
path = "/api/ingest"
body = { username = "{username}", code = "{code}" }
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """A run for each of nginx's settings; two at a time."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "unconfirmed.toml").write_text(PROFILE)

    def play(buffering: str) -> Outcome:
        profile = str(folder / "unconfirmed.toml") if buffering == "small" else "sse"
        with (
            target(folder / buffering) as (server, _),
            balancer(
                [urlsplit(server.url).port or 80], http="1.0", directives=DIRECTIVES[buffering]
            ) as url,
        ):
            return run(
                folder / buffering, str(CONNECTIONS), str(CODES), "3", "--target", profile,
                "--host", url, "--connect-timeout", "2", *QUICK,
            )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        yield {buffering: pool.submit(play, buffering) for buffering in DIRECTIVES}


def test_a_stream_that_is_held_back_whole_does_not_connect(
    outcomes: dict[str, Future[Outcome]],
) -> None:
    outcome = outcomes["on"].result()
    assert outcome.causes == {("handshake", "timed out"): CONNECTIONS}
    assert outcome.grade == "issues"
    hints = {each["rule"]: each["hint"] for each in outcome.report["verdict"]["reasons"]}
    assert "switch the proxy's buffering off" in hints["connection_success"]


def test_a_stream_that_comes_in_batches_is_diagnosed(
    outcomes: dict[str, Future[Outcome]],
) -> None:
    outcome = outcomes["small"].result()
    deliveries = outcome.report["deliveries"]
    # What the last buffers hold never comes.
    assert deliveries["owed"] == CONNECTIONS * CODES
    assert deliveries["delivered"] + deliveries["missing"] == CONNECTIONS * CODES
    assert deliveries["missing"] > 0
    assert outcome.grade == "issues"
    patterns = [each["pattern"] for each in outcome.report["diagnosis"]]
    assert patterns == ["held_back", "buffered"]


@pytest.mark.parametrize("buffering", ["off", "as the server asks"])
def test_a_stream_that_is_not_buffered_is_good(
    outcomes: dict[str, Future[Outcome]], buffering: str
) -> None:
    outcome = outcomes[buffering].result()
    assert outcome.reasons == {}
    assert outcome.report["diagnosis"] == []
    assert outcome.report["deliveries"]["delivered"] == CONNECTIONS * CODES
