"""The compiled way to read connections, where it can be compiled."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.transports.compiling import compile_receiving
from sseload_users.transports.receiving import ReceiveEach, load_compiled


@functools.cache
def _compiled() -> ReceiveEach | str:
    try:
        path = compile_receiving(Path(tempfile.mkdtemp(prefix="sseload-compiled-")))
    except ConfigError as error:
        return str(error)
    found = load_compiled(path)
    assert found is not None
    return found


def compiled() -> ReceiveEach:
    """Return the compiled way, compiled anew in each process; skip the test if it cannot be."""
    found = _compiled()
    if isinstance(found, str):
        assert os.environ.get("CI") != "true", found
        pytest.skip(found)
    return found
