"""Which verdicts make a run fail."""

from __future__ import annotations

from typing import Literal, TypeAlias

#: From which grade on the exit status says that a run failed.
FailOn: TypeAlias = Literal["issues", "warning", "never"]
