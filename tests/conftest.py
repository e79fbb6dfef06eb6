"""Settings for all tests."""

from __future__ import annotations

import os
from unittest import mock

from hypothesis import settings

# On its first import, Locust lets gevent patch the process. Here threads must stay real threads,
# so this import suppresses the patching. Runs are separate processes, which are patched as usual.
with mock.patch.dict(os.environ, LOCUST_SKIP_MONKEY_PATCH="1"):
    import locust  # noqa: F401

# Tests start hundreds of processes, and without bytecode each would compile the whole program.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The time of an example depends more on the machine than on the code. Each session draws other
# examples, so that tests which do not ask for more see many over time.
settings.register_profile("sseload", deadline=None, max_examples=40)
settings.load_profile("sseload")
