"""The rolling restart, as in a deployment: one node after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sseload_users.demo.node import Node
from sseload_users.demo.options import Settings


async def restart_in_turn(nodes: Sequence[Node], used: asyncio.Event, settings: Settings) -> None:
    """Restart each node once, as ``--restart-after`` and its companions say; else do nothing.

    Args:
        nodes: the nodes; each is back before the next one stops.
        used: set with the first code.
        settings: when, for how long and how.
    """
    if not settings.restart_after:
        return
    await used.wait()
    for node in nodes:
        await asyncio.sleep(settings.restart_after)
        await node.restart(settings.restart_away, settings.restart_how)
