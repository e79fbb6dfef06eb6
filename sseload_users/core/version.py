"""The version of sseload: the one place that says it."""

from __future__ import annotations

VERSION = "0.2.0"
