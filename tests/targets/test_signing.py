"""Signed requests: the bytes that are sent are those that are signed."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.targets.signing import HmacSignSpec, PusherSignSpec
from sseload_users.transports.http_request import HttpRequest

S = 10**9


def test_pushers_own_example_is_signed_as_there() -> None:
    """Pusher Channels HTTP API reference, "Worked authentication example"."""
    spec = PusherSignSpec(scheme="pusher", key="{key}", secret="7ad3773142a6692b25b8")
    body = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
    request = HttpRequest("POST", "http://api.pusherapp.com/apps/3/events", (), body)
    signed = spec.sign(request, {"key": "278d425bdf160c739803"}, 1353088179 * S + 999_999_999)
    assert signed.url.partition("?")[2] == (
        "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&"
        "body_md5=ec365a775a4cd0599faeb73354201b6f&"
        "auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
    )


def test_a_query_is_signed_with_its_names_in_order() -> None:
    spec = PusherSignSpec(scheme="pusher", key="k", secret="s")
    signed = spec.sign(HttpRequest("POST", "http://h/e?b=2&A=1", (), b""), {}, 7 * S)
    text = "POST\n/e\nA=1&auth_key=k&auth_timestamp=7&auth_version=1.0&b=2"
    assert signed.url.endswith(hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest())


@pytest.mark.parametrize(
    ("encoding", "signature"),
    [
        ("hex", "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"),
        ("base64", "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="),
    ],
)
def test_a_published_hmac_is_made(encoding: str, signature: str) -> None:
    """HMAC-SHA256 of the pangram with the key "key", as Wikipedia's article on HMAC has it."""
    spec = HmacSignSpec.model_validate(
        {
            "scheme": "hmac",
            "secret": "key",
            "over": "{body}",
            "encoding": encoding,
            "headers": {"X-Signature": "v={signature} {time}"},
        }
    )
    body = b"The quick brown fox jumps over the lazy dog"
    request = HttpRequest("POST", "http://h/in", (("x-signature", "old"), ("A", "b")), body)
    signed = spec.sign(request, {}, 5 * S)
    assert signed.headers == (("A", "b"), ("X-Signature", f"v={signature} 5"))


PROFILE = """\
transport = "websocket"
[connect]
path = "/ws"
[code]
field = "code"
[ingest]
method = "POST"
path = "/in"
body = { "code" = "{code}" }
[ingest.sign]
"""


@pytest.mark.parametrize(
    ("sign", "said"),
    [
        ('scheme = "rsa"', "ingest.sign.scheme must be 'pusher' or 'hmac'."),
        ('scheme = "pusher"\nkey = "k"', "ingest.sign.secret is missing."),
        ('scheme = "hmac"\nsecret = "s"\nheaders = { "X" = "y" }', "headers lack {signature}"),
        (
            'scheme = "hmac"\nsecret = "{s}"\nheaders = { "X" = "{signature}" }',
            "ingest.sign.secret needs {s}",
        ),
        (
            'scheme = "hmac"\nsecret = "{time}"\nheaders = { "X" = "{signature}" }',
            "ingest.sign.secret needs {time}",
        ),
    ],
)
def test_a_signature_that_cannot_be_made_is_refused(tmp_path: Path, sign: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE + sign, "utf-8")
    with pytest.raises(ConfigError) as raised:
        Target(target.load(str(path)), "http://127.0.0.1:1").check([Identity("a")])
    assert said in str(raised.value)


def test_a_secret_in_the_profile_is_redacted(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    sign = 'scheme = "hmac"\nsecret = "hunter22"\nheaders = { "X" = "{signature}" }'
    path.write_text(PROFILE + sign, "utf-8")
    found = Target(target.load(str(path)), "http://127.0.0.1:1")
    found.check([Identity("a")])
    assert found.redact("it was hunter22.", Identity("a")) == "it was ***."
