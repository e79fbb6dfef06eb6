"""How many connections and sessions each node has had."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

#: What became of a connect attempt, or of a session: "left" if sseload ended it.
NodeEvent: TypeAlias = Literal["connected", "failed", "dropped", "planned", "left"]
#: Numbers of connect attempts and of sessions that ended, by index of the node.
NodeCounts: TypeAlias = Counter[tuple[int, NodeEvent]]
