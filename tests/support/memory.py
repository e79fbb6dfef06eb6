"""The memory of the account's objects."""

from __future__ import annotations

import sys
from collections import deque


def bytes_of(*roots: object) -> int:
    """Return the bytes of all objects that some refer to, except code and classes."""
    seen: set[int] = set()
    todo: list[object] = [*roots]
    total = 0
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type) or callable(each):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            todo.extend(each)
            todo.extend(each.values())
        elif isinstance(each, list | tuple | set | deque):
            todo.extend(each)
        todo.extend(
            getattr(each, name)
            for kind in type(each).__mro__
            for name in getattr(kind, "__slots__", ())
            if hasattr(each, name)
        )
        todo.extend(getattr(each, "__dict__", {}).values())
    return total
