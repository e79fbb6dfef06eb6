"""Codes: what is broadcast, minted so that its text says which run and send it belongs to."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

#: The default shape: run, sequence and send time can be read back from the text alone.
DEFAULT_TEMPLATE = "LT-{run}-{seq}-{sent}"

_DIGITS = string.digits + string.ascii_lowercase
_FIELD = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<width>[^{}]*))?\}")
_READ_AS = {"run": "[0-9a-z]{6}", "sent": "[0-9a-z]+"}


def new_run_id() -> str:
    """Six random characters [0-9a-z] that set one run's codes apart from another's."""
    return "".join(secrets.choice(_DIGITS) for _ in range(6))


def to_base36(number: int) -> str:
    """A non-negative integer in base 36, lower case."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


@dataclass(frozen=True, slots=True)
class Reading:
    """What a code's text says.

    Attributes:
        sequence: which code of the run it is, from 1.
        sent_ns: when it was sent (wall clock, ns), or None where the shape has no room for it.
    """

    sequence: int
    sent_ns: int | None


class CodeShape:
    """How this run's codes are written and recognised.

    Args:
        run_id: six characters, see `new_run_id`.
        template: text with ``{seq}`` (``{seq:06}`` pads with zeros), and where there is room
            ``{run}`` and ``{sent}``. Without ``{run}``, codes of another run of the same
            shape cannot be told apart from this one's; without ``{sent}``, the send time
            travels beside the code instead of in it.

    Raises:
        ValueError: one sentence, when the template cannot name each code apart.
    """

    def __init__(self, run_id: str, template: str = DEFAULT_TEMPLATE) -> None:
        self.run_id = run_id
        self.template = template
        pattern, end, seen = "", 0, set()
        for field in _FIELD.finditer(template):
            name, width = field["name"], field["width"]
            if name not in {"run", "seq", "sent"} or name in seen:
                raise ValueError(
                    f"code template {template!r}: {field.group()} is not one of {{run}}, {{seq}}, "
                    "{sent}, each at most once"
                )
            if width is not None and not (name == "seq" and re.fullmatch(r"0[1-9]\d?", width)):
                raise ValueError(
                    f"code template {template!r}: only {{seq}} takes a width, as in {{seq:06}}"
                )
            seen.add(name)
            pattern += re.escape(template[end : field.start()])
            digits = f"[0-9]{{{int(width)},}}" if width else "[1-9][0-9]*"
            pattern += f"(?P<{name}>{_READ_AS.get(name, digits)})"
            end = field.end()
        if "seq" not in seen:
            raise ValueError(f"code template {template!r} has no {{seq}}: codes would be alike")
        if re.search(r"\}\{", template):
            raise ValueError(
                f"code template {template!r}: two fields stand side by side and cannot be read "
                "back; put a character between them"
            )
        self._pattern = re.compile(pattern + re.escape(template[end:]))

    def mint(self, sequence: int, sent_ns: int) -> str:
        """The text of one code.

        Args:
            sequence: from 1, one more for each code of the run.
            sent_ns: when it is sent (wall clock, ns).
        """
        return self.template.format(run=self.run_id, seq=sequence, sent=to_base36(sent_ns))

    def read(self, text: str) -> Reading | None:
        """What `text` says, or None if it is no code of this run."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        fields = match.groupdict()
        if fields.get("run", self.run_id) != self.run_id:
            return None
        sent = fields.get("sent")
        sent_ns = int(sent, 36) if sent else None
        return Reading(int(fields["seq"]), sent_ns)
