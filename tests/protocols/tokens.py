"""JSON Web Tokens with an HMAC by SHA-256 (RFC 7519, RFC 7518 §3.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time


def web_token(secret: str, lives: float = 3600, **claims: object) -> str:
    """Return a token.

    Args:
        secret: the key of its signature.
        lives: seconds for which it is valid.
        **claims: what it says.
    """
    claims["exp"] = round(time.time() + lives)
    parts = [_encoded(json.dumps(each).encode()) for each in ({"alg": "HS256"}, claims)]
    signature = hmac.digest(secret.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _encoded(signature)])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
