"""How many connections each address of each name has had."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

#: Numbers of connections by name ("host:port"), address, and what became of them: "connected" or
#: "failed"; "proxied" if the address is a proxy's, through which they were made.
AddressCounts: TypeAlias = Counter[tuple[str, str, str]]
