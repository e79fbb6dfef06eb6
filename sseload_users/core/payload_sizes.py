"""The sizes of the payloads that carry codes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeAlias

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean

#: Largest size, in bytes: WebSocket servers and clients usually take messages of up to 1 MiB.
MAX_BYTES = 1_000_000

_FORM = re.compile(
    r"(?P<low>\d{1,9})-(?P<high>\d{1,9})|(?P<mean>\d{1,9}):exponential|\d{1,9}(,\d{1,9})*",
    re.ASCII,
)

#: How sizes are drawn: one of a list, evenly from a range, or exponentially around a mean.
_Distribution: TypeAlias = Literal["list", "range", "exponential"]


@dataclass(frozen=True, slots=True)
class PayloadSizes:
    """Sizes of payloads, in bytes, which depend on nothing but the code's sequence number.

    So all processes of a run, and the report, agree on them.

    Attributes:
        distribution: how they are drawn.
        numbers: the sizes of a list; the smallest and the largest of a range; the mean.
    """

    distribution: _Distribution
    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> PayloadSizes | None:
        """Return the sizes that a text describes; None if it is empty.

        Args:
            text: a size ("2000"), a list of sizes ("200,2000"), a range ("200-2000") or an
                exponential distribution ("1000:exponential").

        Raises:
            ConfigError: the text is invalid.
        """
        if not (text := text.strip()):
            return None
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"Invalid --payload-bytes {clean(text)!r}: use a size (2000), a list (200,2000), "
                "a range (200-2000) or a mean (1000:exponential)."
            )
        numbers = tuple(map(int, re.findall("[0-9]+", text)))
        if not all(1 <= each <= MAX_BYTES for each in numbers):
            raise ConfigError(
                f"Invalid --payload-bytes {text}: use sizes from 1 to {MAX_BYTES:,} bytes."
            )
        if match["mean"] is not None:
            return cls("exponential", numbers)
        if match["low"] is None:
            return cls("list", numbers)
        if numbers[0] > numbers[1]:
            raise ConfigError(f"Invalid --payload-bytes {text}: write the smaller size first.")
        return cls("range", numbers)

    def size_of(self, sequence: int) -> int:
        """Return the size of the payload that carries a code.

        Args:
            sequence: the code's sequence number, from 1.
        """
        # Drawn, not taken in turn: channels and nodes take turns, too.
        digest = blake2b(f"payload {sequence}".encode(), digest_size=8).digest()
        drawn = int.from_bytes(digest, "big")
        if self.distribution == "list":
            return self.numbers[drawn % len(self.numbers)]
        if self.distribution == "range":
            low, high = self.numbers
            return low + drawn % (high - low + 1)
        size = -self.numbers[0] * math.log((drawn + 1) / (1 << 64))
        return min(max(round(size), 1), MAX_BYTES)
