"""The generator's lag, and how exact the arrival times are that messages share."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Callable
from itertools import repeat
from typing import TypeAlias

from sseload_users.core.timestamps import IMPRECISE_NS, SharedStamp

#: Makes the stamp of messages that lie before the last bytes of a read; see
#: `LagRecorder.share`.
ShareStamp: TypeAlias = Callable[[int, int | None], int]


class LagRecorder:
    """Records the time from the kernel's timestamp to the read, one sample per read.

    Attributes:
        add: record one sample, in nanoseconds.
        imprecise: whether any message had an imprecise stamp so far.
    """

    __slots__ = ("_errors", "_samples", "add", "imprecise")

    def __init__(self) -> None:
        self._samples = array("q")
        self._errors = array("q")
        self.imprecise = False
        self.add: Callable[[int], None] = self._samples.append

    def share(self, arrived_ns: int, empty_ns: int | None) -> int:
        """Return the stamp of messages that lie before the last bytes of the same read.

        Call it once per read: it records how far that stamp may be off.

        Args:
            arrived_ns: when the last bytes of the read arrived (wall clock, ns).
            empty_ns: when the socket's buffer was last known to be empty (wall clock, ns);
                None if that is not known.
        """
        if empty_ns is None or empty_ns >= arrived_ns or isinstance(arrived_ns, SharedStamp):
            return arrived_ns
        error_ns = arrived_ns - empty_ns
        self._errors.append(error_ns)
        self.imprecise = self.imprecise or error_ns >= IMPRECISE_NS
        return SharedStamp.of(arrived_ns, empty_ns)

    def drain(self) -> Counter[int]:
        """Return the number of samples since the last drain, by whole microseconds.

        A sample from a clock that was stepped back is negative.
        """
        samples, self._samples = self._samples, array("q")
        self.add = self._samples.append
        return _in_microseconds(samples)

    def drain_errors(self) -> Counter[int]:
        """Return the largest possible errors of shared stamps, by whole microseconds.

        There is one value for each read since the last drain whose messages share a stamp.
        """
        errors, self._errors = self._errors, array("q")
        return _in_microseconds(errors)


def _in_microseconds(values_ns: array[int]) -> Counter[int]:
    return Counter(map(operator.floordiv, values_ns, repeat(1000)))
