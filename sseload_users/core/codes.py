"""Codes: texts that identify the run, and the sending, that they belong to."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

#: The default template: run, sequence number and send time can be parsed from the text alone.
DEFAULT_TEMPLATE = "LT-{run}-{seq}-{sent}"

_DIGITS = string.digits + string.ascii_lowercase
_FIELD = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<width>[^{}]*))?\}")
#: Maximum digits of a sequence number, and of a send time in base 36: both fit into 64 bits,
#: and a hostile text of a million digits is not converted to a number.
_SEQUENCE_DIGITS, _SENT_DIGITS = 18, 12
_SENT = f"0|[1-9a-z][0-9a-z]{{0,{_SENT_DIGITS - 1}}}"


def new_run_id() -> str:
    """Return six random characters [0-9a-z], which distinguish the codes of runs."""
    return "".join(secrets.choice(_DIGITS) for _ in range(6))


def to_base36(number: int) -> str:
    """Return a non-negative integer in base 36, in lower case."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


@dataclass(frozen=True, slots=True)
class ParsedCode:
    """The contents of a code's text.

    Attributes:
        sequence: its sequence number in the run, from 1.
        sent_ns: when it was sent (wall clock, ns); None if the template has no {sent}.
    """

    sequence: int
    sent_ns: int | None


class CodeShape:
    """Formats and parses the codes of a run.

    Args:
        run_id: from `new_run_id`.
        template: text with ``{seq}`` (``{seq:06}`` pads with zeros) and, if possible, ``{run}``
            and ``{sent}``. Without ``{run}``, codes of other runs with the same template are
            mistaken for this run's; without ``{sent}``, the announcement carries the send time.

    Attributes:
        has_send_time: whether a code's text contains its send time.
        pattern: regular expression of its codes.

    Raises:
        ValueError: invalid template; one sentence.
    """

    def __init__(self, run_id: str, template: str = DEFAULT_TEMPLATE) -> None:
        self.run_id = run_id
        self.template = template
        pattern, end, seen = "", 0, set()
        between: str | None = None  # text after a number, up to the next one
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
                    f"code template {template!r}: adjacent fields cannot be parsed; put a "
                    "character between them"
                )
            if between is not None:
                between += text
                if name != "run" and not re.search("[^0-9]", between):
                    raise ValueError(
                        f"code template {template!r}: only digits separate {{seq}} and {{sent}}, "
                        "which cannot be parsed; put another character between them"
                    )
            if name != "run":
                between = ""
            seen.add(name)
            pattern += re.escape(text) + self._pattern_of(name, int(width or 1))
            end = field.end()
        if "seq" not in seen:
            raise ValueError(
                f"code template {template!r} has no {{seq}}, so all codes would be the same"
            )
        self.has_send_time = "sent" in seen
        pattern += re.escape(_plain(template, template[end:]))
        self.pattern = pattern
        self._whole = re.compile(pattern)
        # Within a longer text, a field at either end of the code must be whole.
        before = "(?<![0-9a-z])" if template.startswith("{") else ""
        after = "(?![0-9a-z])" if template.endswith("}") else ""
        self._anywhere = re.compile(f"{before}{pattern}{after}")
        self._run_mark = run_id.encode() if "run" in seen else None

    def _pattern_of(self, name: str, width: int) -> str:
        """Return the pattern of a field, which matches only what `mint` can produce."""
        if name == "run":
            return re.escape(self.run_id)
        if name == "sent":
            return f"(?P<sent>{_SENT})"
        longer = (
            f"|[1-9][0-9]{{{width},{_SEQUENCE_DIGITS - 1}}}" if width < _SEQUENCE_DIGITS else ""
        )
        return f"(?P<seq>[0-9]{{{width}}}{longer})"

    def mint(self, sequence: int, sent_ns: int) -> str:
        """Return the text of a code.

        Args:
            sequence: its sequence number, from 1.
            sent_ns: when it is sent (wall clock, ns).
        """
        return self.template.format(run=self.run_id, seq=sequence, sent=to_base36(sent_ns))

    def count_in(self, data: bytes) -> int:
        """Return at least how many codes of this run are in some bytes; costs little.

        Without ``{run}`` in the template, any number could be one: the result is 0.
        """
        return 0 if self._run_mark is None else data.count(self._run_mark)

    def find_all(self, data: bytes) -> list[ParsedCode]:
        """Return the codes of this run anywhere in some bytes, in their order; see `count_in`."""
        if self._run_mark is None:
            return []
        found = self._anywhere.finditer(data.decode(errors="replace"))
        return [code for match in found if (code := self._read(match)) is not None]

    def parse(self, text: str) -> ParsedCode | None:
        """Return the contents of a text; None if it is not a code of this run."""
        match = self._whole.fullmatch(text)
        return None if match is None else self._read(match)

    @staticmethod
    def _read(match: re.Match[str]) -> ParsedCode | None:
        fields = match.groupdict()
        sequence, sent = int(fields["seq"]), fields.get("sent")
        if not sequence:
            return None
        return ParsedCode(sequence, int(sent, 36) if sent else None)


def _is_width(width: str) -> bool:
    return re.fullmatch("0[1-9][0-9]?", width) is not None and int(width) <= _SEQUENCE_DIGITS


def _plain(template: str, text: str) -> str:
    """Return text between the fields of a template.

    Raises:
        ValueError: it contains a brace.
    """
    if "{" in text or "}" in text:
        raise ValueError(
            f"code template {template!r}: a brace does not belong to {{run}}, {{seq}} or "
            "{sent}; remove it"
        )
    return text
