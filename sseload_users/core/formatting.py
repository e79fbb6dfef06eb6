"""Formatting of figures and of foreign texts: no misleading rounding, no terminal escapes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fractions import Fraction

#: Categories of control and format characters (terminal escapes, bidirectional overrides, zero
#: widths), lone surrogates, and private and unassigned code points.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

#: The percentage of time from which the generator's waiting for a core is mentioned.
NOTABLE_WAIT = 10


def clean(text: object) -> str:
    """Return a foreign text that is safe on a terminal and in a file.

    Line breaks and tabs become spaces; other invisible characters, such as those of terminal
    escapes, become U+FFFD.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words
    return "".join(
        " " if char in "\n\r\t" else "\ufffd" if unicodedata.category(char) in _INVISIBLE else char
        for char in words
    )


def shorten(text: str, width: int = 60) -> str:
    """Return the text, truncated to `width` with an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def number(value: int) -> str:
    """Return a number with thousands separators: "12,345"."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """Return a number and what it counts: "1 code", "1,000 codes"."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def share(part: int, whole: int, marks: Iterable[Fraction] = ()) -> str:
    """Return a share in percent, with as many decimals as needed.

    It has at most one decimal, unless that would show 100 % for less than all, 0 % for more
    than none, or a figure on the wrong side of a mark.

    Args:
        part: numerator; "over 100 %" is returned if it exceeds `whole`.
        whole: denominator; "no share" is returned if it is 0.
        marks: shares (0 to 1) that the figure is compared with.
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
    """Return counts with their share: "4,999 of 5,000 (99.98 %)"."""
    if whole <= 0:
        return f"{part:,} of {whole:,}"
    return f"{part:,} of {whole:,} ({share(part, whole, marks)})"


def failures(failed: int, operations: int) -> str:
    """Return failures beside operations: "6 failures in 150 operations (4 %)".

    One operation can fail in more than one way, so a rate above 100 % is left out.
    """
    rate = f" ({share(failed, operations)})" if operations and failed <= operations else ""
    return f"{count(failed, 'failure')} in {count(operations, 'operation')}{rate}"


def percent(value: Fraction) -> str:
    """Return a threshold as it was written: 0.95 as "95 %", 0.999 as "99.9 %"."""
    scaled = value * 100
    decimals = 0
    while scaled * 10**decimals % 1 and decimals < 9:
        decimals += 1
    return f"{_decimal(scaled, decimals)} %"


def ms(value: float | None) -> str:
    """Return milliseconds to three significant digits, without the unit; "-" for None."""
    if value is None:
        return "-"
    size = abs(value)
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:,.{decimals}f}"


def seconds(value: float) -> str:
    """Return a duration: "0.4 s", "62 s", "3 min 5 s"."""
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
    # With integers: a float would round a second time.
    scaled = round(value * 10**decimals)
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(decimals + 1, "0")
    if not decimals:
        return sign + digits
    fraction = digits[-decimals:].rstrip("0")
    return sign + digits[:-decimals] + (f".{fraction}" if fraction else "")
