"""A pseudo-terminal that keeps what is written to it."""

from __future__ import annotations

import codecs
import os
import pty
import re
import struct
import termios
from fcntl import ioctl
from typing import TextIO


class Terminal:
    """A terminal of `columns` columns."""

    def __init__(self, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.file: TextIO = os.fdopen(slave, "w", encoding="utf-8", buffering=1)
        self.seen = ""
        # A character may come in two parts.
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self) -> str:
        self.file.flush()
        os.set_blocking(self._master, False)
        while True:
            try:
                self.seen += self._decoder.decode(os.read(self._master, 65536))
            except BlockingIOError:
                return self.seen

    def lines(self) -> list[str]:
        """The lines on the terminal, by the few control sequences that sseload uses."""
        lines, column = [""], 0
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.read()):
            if part == "\n":
                lines.append("")
            elif part == "\r":
                column = 0
            elif part == "\x1b[K":
                lines[-1] = lines[-1][:column]
            elif part.startswith("\x1b"):
                assert part.endswith("m"), part
            else:
                lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
                column += len(part)
                continue
            column = 0 if part == "\n" else column
        return lines

    def close(self) -> None:
        self.file.close()
        os.close(self._master)
