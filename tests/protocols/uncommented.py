"""The parts of profiles that are comments until a user needs them."""

from __future__ import annotations

import re


def uncommented(profile: str, begin: str, end: str) -> tuple[str, str]:
    """Return a part of a profile, and the same without the signs of comments.

    Args:
        profile: its text.
        begin: with what the part begins.
        end: what follows it.
    """
    start = profile.index(begin)
    part = profile[start : profile.index(end, start)]
    return part, re.sub("^# ?", "", part, flags=re.MULTILINE)
