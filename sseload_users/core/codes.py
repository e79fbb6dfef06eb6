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
#: Most digits of a sequence number, and of a send time in base 36: both fit into 64 bits,
#: and a hostile text of a million digits is not turned into a number.
_SEQUENCE_DIGITS, _SENT_DIGITS = 18, 12
_SENT = f"0|[1-9a-z][0-9a-z]{{0,{_SENT_DIGITS - 1}}}"


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
class ParsedCode:
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
        run_id: see `new_run_id`.
        template: text with ``{seq}`` (``{seq:06}`` pads with zeros), and where there is room
            ``{run}`` and ``{sent}``. Without ``{run}``, codes of another run of the same
            shape cannot be told apart from this one's; without ``{sent}``, the send time
            travels beside the code instead of in it.

    Attributes:
        dated: a code's text has the time at which it was sent.

    Raises:
        ValueError: one sentence, when the template cannot name each code apart.
    """

    def __init__(self, run_id: str, template: str = DEFAULT_TEMPLATE) -> None:
        self.run_id = run_id
        self.template = template
        pattern, end, seen = "", 0, set()
        between: str | None = None  # what stands after a number, up to the next one
        for field in _FIELD.finditer(template):
            name, width = field["name"], field["width"]
            if name not in {"run", "seq", "sent"} or name in seen:
                raise ValueError(
                    f"code template {template!r}: {field.group()} is not one of {{run}}, {{seq}}, "
                    "{sent}, each at most once"
                )
            if width is not None and not (name == "seq" and _is_width(width)):
                raise ValueError(
                    f"code template {template!r}: only {{seq}} takes a width, from {{seq:01}} to "
                    f"{{seq:0{_SEQUENCE_DIGITS}}}"
                )
            text = _plain(template, template[end : field.start()])
            if not text and end and template[end - 1] == "}":
                raise ValueError(
                    f"code template {template!r}: two fields stand side by side and cannot be "
                    "read back; put a character between them"
                )
            if between is not None:
                between += text
                if name != "run" and not re.search("[^0-9]", between):
                    raise ValueError(
                        f"code template {template!r}: only digits stand between {{seq}} and "
                        "{sent}, which cannot be read back; put another character between them"
                    )
            if name != "run":
                between = ""
            seen.add(name)
            pattern += re.escape(text) + self._pattern_of(name, int(width or 1))
            end = field.end()
        if "seq" not in seen:
            raise ValueError(f"code template {template!r} has no {{seq}}: codes would be alike")
        self.dated = "sent" in seen
        self._pattern = re.compile(pattern + re.escape(_plain(template, template[end:])))

    def _pattern_of(self, name: str, width: int) -> str:
        """What a field is read by: nothing but what `mint` can have written."""
        if name == "run":
            return re.escape(self.run_id)
        if name == "sent":
            return f"(?P<sent>{_SENT})"
        longer = (
            f"|[1-9][0-9]{{{width},{_SEQUENCE_DIGITS - 1}}}" if width < _SEQUENCE_DIGITS else ""
        )
        return f"(?P<seq>[0-9]{{{width}}}{longer})"

    def mint(self, sequence: int, sent_ns: int) -> str:
        """The text of one code.

        Args:
            sequence: from 1, one more for each code of the run.
            sent_ns: when it is sent (wall clock, ns).
        """
        return self.template.format(run=self.run_id, seq=sequence, sent=to_base36(sent_ns))

    def read(self, text: str) -> ParsedCode | None:
        """What `text` says, or None if it is no code of this run."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        fields = match.groupdict()
        sequence, sent = int(fields["seq"]), fields.get("sent")
        if not sequence:
            return None
        return ParsedCode(sequence, int(sent, 36) if sent else None)


def _is_width(width: str) -> bool:
    return re.fullmatch("0[1-9][0-9]?", width) is not None and int(width) <= _SEQUENCE_DIGITS


def _plain(template: str, text: str) -> str:
    """Text between the fields of a template, as it stands there.

    Raises:
        ValueError: there is a brace in it.
    """
    if "{" in text or "}" in text:
        raise ValueError(
            f"code template {template!r}: a brace that belongs to none of {{run}}, {{seq}}, "
            "{sent}; leave it out"
        )
    return text
