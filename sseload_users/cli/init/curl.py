"""Read the curl command that a browser copies for a request; pure."""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from sseload_users.cli.init import multipart
from sseload_users.cli.init.multipart import Form
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.targets.multipart import MULTIPART, is_multipart

#: Options that take a value and change nothing that a profile could say.
_IGNORED_WITH_VALUE = {
    "-A", "-e", "-c", "-m", "-o", "-w", "-x", "--cacert", "--cert", "--connect-timeout",
    "--cookie-jar", "--key", "--max-redirs", "--max-time", "--output", "--proxy", "--referer",
    "--resolve", "--retry", "--user-agent", "--write-out",
}  # fmt: skip
_DATA = {
    "-d", "--data", "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode", "--json",
}  # fmt: skip
#: Options of one letter whose value may follow without a space.
_SHORT = ("-X", "-H", "-d", "-b", "-u", "-F")
#: Headers that sseload or the transport sets itself, or that say something of the browser only.
_OWN_HEADERS = {
    "accept", "accept-encoding", "accept-language", "cache-control", "connection",
    "content-length", "dnt", "host", "pragma", "priority", "referer", "te", "transfer-encoding",
    "upgrade", "upgrade-insecure-requests", "user-agent",
}  # fmt: skip
#: The header in which a WebSocket's client offers subprotocols.
SUBPROTOCOLS = "sec-websocket-protocol"
#: bash's quoting with escapes, which browsers use for bodies with special characters.
_ANSI_C = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CopiedRequest:
    """A request as a browser sent it.

    Attributes:
        method: in upper case.
        url: complete, with its query.
        headers: names and values, without those that sseload sets itself.
        body: empty for none. That of a multipart form is kept like that of a URL-encoded one.
        has_file: whether the body is a form with a file, of which it lacks at least that.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""
    has_file: bool = False

    @property
    def content_type(self) -> str:
        """The media type of the body, with its parameters; empty if it is not given."""
        return next((text for name, text in self.headers if name.lower() == "content-type"), "")

    @property
    def is_form(self) -> bool:
        """Whether the body has the fields of a form."""
        return "urlencoded" in self.content_type or is_multipart(self.content_type)

    def with_form(self, form: Form) -> CopiedRequest:
        """Return the request with the fields of a multipart form as its body."""
        headers = [pair for pair in self.headers if pair[0].lower() != "content-type"]
        headers.append(("Content-Type", MULTIPART))
        return replace(self, headers=tuple(headers), body=form.body, has_file=form.has_file)


def own_header(name: str) -> bool:
    """Whether a header is set by sseload or says something of the browser only."""
    name = name.lower()
    return name in _OWN_HEADERS or (name.startswith("sec-") and name != SUBPROTOCOLS)


def parse(line: str) -> CopiedRequest:
    """Return the request of a curl command.

    Raises:
        ConfigError: it is no curl command, or has a part that a profile cannot say.
    """
    try:
        words = shlex.split(_ANSI_C.sub(_plain, line.replace("\\\n", " ")).strip())
    except ValueError as error:
        raise _invalid(line, f"its quotes do not match ({error})") from error
    if not words or words[0] != "curl":
        raise _invalid(line, "it must begin with curl")
    return _Reader(line, words[1:]).request()


class _Reader:
    """Reads one command's words.

    Args:
        line: the command, for messages.
        words: those behind "curl".
    """

    def __init__(self, line: str, words: list[str]) -> None:
        self._line = line
        self._words = words
        self._method = self._url = ""
        self._headers: list[tuple[str, str]] = []
        self._data: list[str] = []
        self._fields: list[tuple[str, str]] = []
        self._in_query = False

    def request(self) -> CopiedRequest:
        while self._words:
            self._take(self._words.pop(0))
        if not self._url:
            raise _invalid(self._line, "it has no URL")
        body, url = "&".join(self._data), self._url
        if self._in_query and body:
            url, body = f"{url}{'&' if '?' in url else '?'}{body}", ""
        method = self._method or ("POST" if body or self._fields else "GET")
        names = {name.lower() for name, _ in self._headers}
        if body and "content-type" not in names:
            self._headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        made = CopiedRequest(method.upper(), _with_scheme(url), tuple(self._headers), body)
        if self._fields:
            return made.with_form(Form(multipart.encoded(self._fields)))
        form = multipart.read(made.content_type, body)
        if form is None and body and is_multipart(made.content_type):
            raise _invalid(self._line, "its multipart form is not complete")
        if form is not None and form.has_file:
            raise self._sends_file()
        return made if form is None else made.with_form(form)

    def _take(self, word: str) -> None:
        name, value = self._split(word)
        if name in ("-X", "--request"):
            self._method = self._value(value)
        elif name in ("-H", "--header"):
            self._add_header(self._value(value))
        elif name in _DATA:
            self._add_data(name, self._value(value))
        elif name in ("-b", "--cookie"):
            self._headers.append(("Cookie", self._value(value)))
        elif name in ("-u", "--user"):
            login = base64.b64encode(self._value(value).encode()).decode()
            self._headers.append(("Authorization", f"Basic {login}"))
        elif name in _IGNORED_WITH_VALUE:
            self._value(value)
        elif name in ("-G", "--get"):
            self._in_query, self._method = True, self._method or "GET"
        elif name in ("-F", "--form"):
            self._add_field(self._value(value))
        elif name == "--form-string":
            field, _, text = self._value(value).partition("=")
            self._fields.append((field, text))
        elif name == "--url":
            self._url = self._value(value)
        elif not word.startswith("-"):
            self._url = word

    def _split(self, word: str) -> tuple[str, str | None]:
        """Return an option's name, and its value if that is in the same word."""
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            return name, value if equals else None
        if word.startswith("-") and len(word) > 2 and word[:2] in _SHORT:
            return word[:2], word[2:]
        return word, None

    def _value(self, value: str | None) -> str:
        if value is not None:
            return value
        if not self._words:
            raise _invalid(self._line, "its last option has no value")
        return self._words.pop(0)

    def _add_header(self, text: str) -> None:
        name, _, value = (part.strip() for part in text.partition(":"))
        if name and value and not own_header(name):
            self._headers.append((name, value))

    def _add_field(self, text: str) -> None:
        name, _, value = text.partition("=")
        if value.startswith(("@", "<")):
            raise self._sends_file()
        # The media type of a field says nothing that servers read.
        value = re.sub(r";\s*type=[^;]*$", "", value)
        quoted = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', value, re.DOTALL)
        self._fields.append((name, re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value))

    def _sends_file(self) -> ConfigError:
        return _invalid(
            self._line,
            "its form has a file, which a profile cannot send; leave it out if the server accepts "
            "that",
        )

    def _add_data(self, option: str, value: str) -> None:
        if value.startswith("@") and option != "--data-raw":
            raise _invalid(self._line, "paste the body itself, not the name of a file (@)")
        if option == "--data-urlencode":
            name, equals, text = value.partition("=")
            value = f"{name}{equals}{quote(text)}" if equals else quote(name)
        if option == "--json":
            self._headers.append(("Content-Type", "application/json"))
        self._data.append(value)


def _with_scheme(url: str) -> str:
    return url if urlsplit(url).scheme in ("http", "https", "ws", "wss") else f"http://{url}"


def _plain(quoted: re.Match[str]) -> str:
    """Return what bash makes of $'…', quoted in the way that shlex knows."""
    escapes = {"n": "\n", "t": "\t", "r": "\r", "'": "'", '"': '"', "\\": "\\", "0": "\0"}

    def decoded(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2]
        return chr(int(code, 16)) if code else escapes.get(escape[3], escape[3])

    text = re.sub(r"\\(?:u([0-9a-fA-F]{1,4})|x([0-9a-fA-F]{1,2})|(.))", decoded, quoted[1])
    return shlex.quote(text)


def _invalid(line: str, why: str) -> ConfigError:
    return ConfigError(
        f"Cannot read the curl command {shorten(clean(line), 60)!r}: {why}. Copy the request in "
        "the browser's network panel, as cURL (bash)."
    )
