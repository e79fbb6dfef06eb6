"""What holds for all tests."""

from __future__ import annotations

import os
from unittest import mock

from hypothesis import settings

# Imported for the first time, Locust has gevent patch the process, and that is this one:
# threads would not be threads any more. Runs are in processes of their own, patched as usual.
with mock.patch.dict(os.environ, LOCUST_SKIP_MONKEY_PATCH="1"):
    import locust  # noqa: F401

# How long an example takes says more about the machine than about the code.
settings.register_profile("sseload", deadline=None)
settings.load_profile("sseload")
