"""Objects by number, of which the old ones are kept as rows of numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

_T = TypeVar("_T")

#: The numbers of a row.
Row = tuple[Any, ...]


class Archive(MutableMapping[int, _T], ABC):
    """Objects by number. An archived one is a row of columns, which takes a fifth of its memory.

    What is looked up of an archived object is a copy; `revive` returns one that can be changed.

    Args:
        columns: the type code of each column (see `array`), by its name.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._live: dict[int, _T] = {}
        # In ascending order.
        self._keys = array("q")
        self._columns = {name: array(code) for name, code in columns.items()}
        # The rows of objects that have been revived.
        self._revived: dict[int, Row] = {}

    @abstractmethod
    def _pack(self, each: _T, before: Row | None) -> Row:
        """Return the row of an object.

        Args:
            each: the object.
            before: its earlier row, if it has been revived.
        """

    @abstractmethod
    def _unpack(self, row: Row) -> _T:
        """Return the object of a row."""

    def archive(self, key: int) -> None:
        """Archive an object, which must not be changed from now on."""
        row = self._pack(self._live.pop(key), self._revived.pop(key, None))
        # Nearly always the last one.
        at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.insert(at, value)

    def revive(self, key: int) -> _T | None:
        """Return an object to be changed; None if there is none."""
        found = self._live.get(key)
        if found is not None or (at := self._index(key)) is None:
            return found
        row = self._row(at)
        del self._keys[at]
        for column in self._columns.values():
            del column[at]
        self._revived[key] = row
        self._live[key] = found = self._unpack(row)
        return found

    def archived_row(self, key: int) -> Row | None:
        """Return the row of an object that is or was archived; None of any other."""
        at = self._index(key)
        return self._revived.get(key) if at is None else self._row(at)

    def _index(self, key: int) -> int | None:
        at = bisect_left(self._keys, key)
        return at if at < len(self._keys) and self._keys[at] == key else None

    def _row(self, at: int) -> Row:
        return tuple([column[at] for column in self._columns.values()])

    def __getitem__(self, key: int) -> _T:
        found = self._live.get(key)
        if found is not None:
            return found
        at = self._index(key)
        if at is None:
            raise KeyError(key)
        return self._unpack(self._row(at))

    def __setitem__(self, key: int, value: _T) -> None:
        if self.revive(key) is not None:
            self._revived.pop(key, None)
        self._live[key] = value

    def __delitem__(self, key: int) -> None:
        if self.revive(key) is None:
            raise KeyError(key)
        self._revived.pop(key, None)
        del self._live[key]

    def __contains__(self, key: object) -> bool:
        return key in self._live or (isinstance(key, int) and self._index(key) is not None)

    def __iter__(self) -> Iterator[int]:
        yield from self._keys
        yield from self._live

    def __len__(self) -> int:
        return len(self._keys) + len(self._live)
