"""Figures and foreign texts as people read them: never rounded into a lie, never an escape."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fractions import Fraction

#: Control and format characters (terminal escapes, bidirectional overrides, zero widths),
#: lone surrogates and code points that no text should carry.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


#: From so many percent of the time on, it is said that the generator waited for a core.
NOTABLE_WAIT = 10


def clean(text: object) -> str:
    """A text of the server's or the user's that is safe on a terminal and in a file.

    Line breaks and tabs become spaces; whatever else cannot be seen, terminal escapes
    first of all, becomes U+FFFD.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words
    return "".join(
        " " if char in "\n\r\t" else "\ufffd" if unicodedata.category(char) in _UNSEEN else char
        for char in words
    )


def shorten(text: str, width: int = 60) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def number(value: int) -> str:
    """12345 as "12,345"."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts: "1 code", "1,000 codes"."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def share(part: int, whole: int, marks: Iterable[Fraction] = ()) -> str:
    """`part` of `whole` in per cent, with as many decimals as the truth takes.

    One decimal at most, unless that would show 100 % for less than all, 0 % for more than
    nothing, or a figure on the wrong side of a mark.

    Args:
        part: how many.
        whole: out of how many; "no share" is said where it is 0, and "over 100 %" where
            there are more failures than operations.
        marks: the shares (0 to 1) that the figure is going to be compared with.
    """
    if whole <= 0:
        return "no share"
    if part > whole:
        return "over 100 %"
    exact = Fraction(part, whole) * 100
    limits = [Fraction(0), Fraction(100), *(mark * 100 for mark in marks)]
    decimals = 1
    while True:
        shown = Fraction(round(exact * 10**decimals), 10**decimals)
        if all(_side(shown, limit) == _side(exact, limit) for limit in limits):
            return f"{_decimal(shown, decimals)} %"
        decimals += 1


def of(part: int, whole: int, marks: Iterable[Fraction] = ()) -> str:
    """Counts with their share: "4,999 of 5,000 (99.98 %)"."""
    if whole <= 0:
        return f"{part:,} of {whole:,}"
    return f"{part:,} of {whole:,} ({share(part, whole, marks)})"


def percent(value: Fraction) -> str:
    """A threshold as it was written: 0.95 as "95 %", 0.999 as "99.9 %"."""
    scaled = value * 100
    decimals = 0
    while scaled * 10**decimals % 1 and decimals < 9:
        decimals += 1
    return f"{_decimal(scaled, decimals)} %"


def ms(value: float | None) -> str:
    """Milliseconds to three significant digits, without the unit; "-" for none."""
    if value is None:
        return "-"
    size = abs(value)
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:,.{decimals}f}"


def seconds(value: float) -> str:
    """A stretch of time: "0.4 s", "62 s", "3 min 5 s"."""
    if value < 9.95:
        return f"{max(0.0, value):.1f} s"
    if value < 119.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _side(value: Fraction, limit: Fraction) -> int:
    return (value > limit) - (value < limit)


def _decimal(value: Fraction, decimals: int) -> str:
    # By integers, since a float would round once more.
    scaled = round(value * 10**decimals)
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(decimals + 1, "0")
    if not decimals:
        return sign + digits
    fraction = digits[-decimals:].rstrip("0")
    return sign + digits[:-decimals] + (f".{fraction}" if fraction else "")
