"""How `check` tries each node of a server, and names those that fail."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.formatting import clean, count
from sseload_users.run.resources import Resources


def check_nodes(resources: Resources, check: Callable[[Resources], int]) -> int:
    """Check one node after the other, whatever became of those before.

    Args:
        resources: have the nodes; a name with several addresses is one node for each.
        check: checks a node by its resources; returns the exit status.

    Returns:
        0 if no check failed, 1 otherwise.

    Raises:
        ConfigError: a node is there twice.
    """
    nodes = resources.expanded_nodes()
    failed = []
    for number, node in enumerate(nodes, 1):
        print(f"node {number} of {len(nodes)}: {clean(node)}", flush=True)
        if check(resources.at(node)):
            failed.append(clean(node))
    if failed:
        print(f"FAILED: {len(failed)} of {count(len(nodes), 'node')}: {', '.join(failed)}")
    else:
        print(
            f"ok: {count(len(nodes), 'node')}. Only a run shows whether they pass codes on to each "
            "other."
        )
    return int(bool(failed))
