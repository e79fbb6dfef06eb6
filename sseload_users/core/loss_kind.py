"""How a connection is lost."""

from __future__ import annotations

from typing import Literal, TypeAlias

#: The client's system closes it in order (FIN) or resets it (RST), or nobody tells the server.
LossKind: TypeAlias = Literal["fin", "rst", "silent"]
