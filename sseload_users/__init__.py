"""sseload: whether every connected client got every code, and how fast.

Importing the two users in a locustfile is all that it takes: their options appear on
Locust's command line and in its web form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sseload_users.users.broadcaster import CodeBroadcaster
    from sseload_users.users.delivery import Delivery
    from sseload_users.users.listener import CodeListener

__all__ = ["CodeBroadcaster", "CodeListener", "Delivery"]


def __getattr__(name: str) -> Any:
    # Locust patches the standard library as it is imported. The embedded target and the pure
    # core, which need no Locust, are imported from this package as well.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sseload_users.core.garbage import kept

    with kept():
        from sseload_users import plugin

    return getattr(plugin, name)
