"""The command `init`: its arguments, and the steps that it takes."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from locust.argument_parser import LocustArgumentParser

from sseload_users import options, targets
from sseload_users.cli import check
from sseload_users.cli.init import curl, har, questions
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.interruption import interruptible
from sseload_users.cli.init.login import with_plain_names
from sseload_users.cli.init.output import WatchFailed
from sseload_users.cli.init.placements import Placement, placements, recorded_placements
from sseload_users.cli.init.recording import understand
from sseload_users.cli.init.watch import Watch
from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.options import Options
from sseload_users.run.program import typed

#: The comment at the top of a profile.
_HEAD = """\
The server at {}, as `sseload init` found it.
`sseload docs profile-reference` explains each key."""

#: What to do about a recording that lacks what a login gave.
_SANITIZED = (
    "The recording has neither cookies nor Authorization headers, which Chromium leaves out by "
    "default. If clients log in, switch on “Allow to generate HAR with sensitive data” in the "
    "settings of its developer tools and save the recording anew, or give --login, or --header."
)

#: A run's options whose values may be secrets.
_SECRET = ("--value", "--header", "--ingest-header", "--client-key-password", "--proxy")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said.

    Attributes:
        host: the server's URL; empty for that of the recording.
        connect: how clients connect: transport and handshake; several if that is not known.
        send: the request that hands a code in; None if the recording has it.
        har: a browser's recording; None without one.
        login: requests before connecting, in order.
        subscribe: messages to send once connected.
        channel: the channel's name in these; empty if that is not known.
        like: the built-in profile to begin with; empty for none.
        out: where the profile is written.
    """

    host: str
    connect: Sequence[tuple[str, curl.CopiedRequest]]
    send: curl.CopiedRequest | None
    har: Path | None
    login: Sequence[curl.CopiedRequest]
    subscribe: Sequence[str]
    channel: str
    like: str
    out: Path


def main(arguments: Sequence[str]) -> int:
    """Write a profile for a server, and check it.

    Returns:
        The exit status of the check; 1 if the server could not be understood, 2 for invalid
        arguments.
    """
    # While it asks, Ctrl-C interrupts the question.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made = parser()
    parsed = made.parse_args(list(arguments))
    try:
        return _write(_asked(parsed), Options.read(parsed), _of_run(arguments))
    except ConfigError as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 2
    except WatchFailed as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\nsseload: Stopped; no profile was written.", file=sys.stderr)
        return 2


def parser() -> LocustArgumentParser:
    """Return the command's parser."""
    made = LocustArgumentParser(
        prog="sseload init",
        description="Writes a target profile by watching a server: connects three clients, makes "
        "the request that you copied from the browser, finds where it turns up, and runs check "
        "with the result. On a terminal it asks for what is missing.",
        epilog="All options of a run that say how to reach a server are known, too: --header, "
        "--insecure, --proxy and more.",
    )
    _add_own(made)
    options.add_to(made)
    return made


def _add_own(made: argparse.ArgumentParser) -> None:
    """Add the options that are not those of a run."""
    add = made.add_argument
    add("-H", "--host", help="the server's URL; that of the copied request if not given")
    add("--ws", metavar="PATH", action="append", help="clients connect there by WebSocket: a path, "
        "or the handshake as a browser copies it (cURL)")  # fmt: skip
    add("--sse", metavar="PATH", action="append", help="clients connect there for an event stream: "
        "a path, or the request as a browser copies it (cURL), which may be a POST")  # fmt: skip
    add("--socketio", metavar="PATH", nargs="?", const="/socket.io/", action="append",
        help="clients connect there by Socket.IO (default: /socket.io/)")  # fmt: skip
    add("--send", metavar="CURL", help="the request that hands a code in, as a browser copies it "
        "(cURL); {code} may stand where the code goes")  # fmt: skip
    add("--login", metavar="CURL", action="append", default=[],
        help="a request that clients make before they connect, likewise; --ws and others can use "
        "what it gives: /ws?token={token}")  # fmt: skip
    add("--har", metavar="FILE", type=Path, help="a browser's recording (HAR) of a page that "
        "receives a message, in place of the other arguments")  # fmt: skip
    add("--subscribe", metavar="TEXT", action="append", default=[],
        help="a message that clients send once connected; may be repeated")  # fmt: skip
    add("--channel", metavar="NAME", default="", help="the word in --ws, --subscribe and others, "
        "and in --send, that names one channel of several (default: likely words)")  # fmt: skip
    add("--like", metavar="NAME", default="", help="begin with this built-in profile")
    add("--out", metavar="FILE", type=Path, default=Path("target.toml"),
        help="where to write the profile (default: target.toml)")  # fmt: skip


def _of_run(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are options of a run, for the check and the test."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_own(own)
    return own.parse_known_args(list(arguments))[1]


def _shown(arguments: Sequence[str]) -> list[str]:
    """Return a run's options as they can be printed: without what may be a secret."""
    shown: list[str] = []
    for each in arguments:
        option, equals, _ = each.partition("=")
        if shown and shown[-1] in _SECRET:
            shown.append("…")
        else:
            shown.append(f"{option}=…" if equals and option in _SECRET else each)
    return shown


def _asked(parsed: argparse.Namespace) -> Asked:
    """Return what the arguments say; ask for the rest on a terminal.

    Raises:
        ConfigError: something is missing or invalid.
    """
    out: Path = parsed.out
    if out.suffix != ".toml":
        raise ConfigError(f"Invalid --out {clean(out)!r}: a profile's name ends in .toml.")
    if out.exists():
        raise ConfigError(f"{clean(out)} exists already: name another file with --out.")
    if parsed.like and parsed.like not in targets.names():
        raise ConfigError(
            f"Unknown --like {clean(parsed.like)!r}: use one of {', '.join(targets.names())}."
        )
    send = parsed.send
    # A built-in profile says itself how a code is handed in.
    if send is None and parsed.har is None and not (parsed.like and parsed.host):
        send = questions.ask_send()
    request = None if send is None else curl.parse(with_plain_names(send))
    split = urlsplit("" if request is None else request.url)
    connect = [
        (transport, questions.handshake(path))
        for transport, paths in (
            ("websocket", parsed.ws),
            ("sse", parsed.sse),
            ("socketio", parsed.socketio),
        )
        for path in paths or ()
    ]
    subscribe = [*map(with_plain_names, parsed.subscribe)]
    if not connect and not parsed.har and not parsed.like and questions.can_ask():
        connect = questions.ask_connect()
        if not subscribe and any(transport != "sse" for transport, _ in connect):
            subscribe = questions.ask_subscribe()
    return Asked(
        host=parsed.host or (f"{split.scheme}://{split.netloc}" if request else ""),
        connect=connect,
        send=request,
        har=parsed.har,
        login=[curl.parse(with_plain_names(each)) for each in parsed.login],
        subscribe=subscribe,
        channel=parsed.channel,
        like=parsed.like,
        out=out,
    )


def _write(asked: Asked, given: Options, of_run: Sequence[str]) -> int:
    draft, host, places = Draft(_base(asked)), asked.host, _places(asked.send)
    login, advice = asked.login, ""
    if asked.har is not None:
        recording = understand(har.read(asked.har))
        draft, host = recording.draft, asked.host or recording.host
        print(f"The recording has a client at {recording.place}.", flush=True)
        if recording.sanitized:
            login, advice = login or recording.logins, f" {_SANITIZED}"
            if login:
                print("It has neither cookies nor tokens: clients log in anew.", flush=True)
        if not places:
            places = recorded_placements(recording.sends)
        if recording.emits is not None:
            draft.tables["ingest"] = {"over": "listener", "send": recording.emits, "echo": True}
            draft.comments["ingest"] = "Clients send the codes, as in a chat."
    with interruptible(), tempfile.TemporaryDirectory(prefix="sseload-init-") as folder:
        watch = Watch(
            draft, given, host, Path(folder),
            places=places, login=login, subscribe=asked.subscribe, channel=asked.channel,
        )  # fmt: skip
        try:
            draft = watch.learn(asked.connect)
        except (ConfigError, WatchFailed) as error:
            # What the user gets has another name than what is tried meanwhile.
            said = re.sub(rf"{re.escape(folder)}/\w+\.toml", lambda _: str(asked.out), str(error))
            raise type(error)(said + advice * isinstance(error, WatchFailed)) from error
    try:
        asked.out.write_text(draft.toml(_HEAD.format(host)), encoding="utf-8")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{clean(asked.out)}: cannot write the profile ({why}).") from error
    return _conclude(asked.out, host, draft, of_run)


def _base(asked: Asked) -> dict[str, Any]:
    if not asked.like:
        return {}
    return tomllib.loads(config_path(f"targets/{asked.like}.toml").read_text("utf-8"))


def _places(send: curl.CopiedRequest | None) -> list[Placement]:
    if send is None:
        return []
    found = placements(send)
    if not found:
        raise ConfigError(
            "The copied request has no text that a code could replace: write {code} where it goes."
        )
    return found


def _settings(names: Iterable[str]) -> str:
    """Return what the environment variable for values holds: one value, or a list of them."""
    pairs = [f"{each}=…" for each in names]
    return pairs[0] if len(pairs) == 1 else f"[{', '.join(pairs)}]"


def _conclude(out: Path, host: str, draft: Draft, of_run: Sequence[str]) -> int:
    """Check a profile that was written, and print how to use it.

    Args:
        out: the profile.
        host: the server's URL.
        draft: has the secrets that are not in the profile.
        of_run: options of a run that say how to reach the server.

    Returns:
        The exit status of the check.
    """
    line = ["--host", host, "--target", str(out)]
    secrets = [f"{name}={value}" for name, value in draft.values.items()]
    print(f"\nWrote {out}. Checking it:\n", flush=True)
    status = check.main([*line, *of_run, *(word for each in secrets for word in ("--value", each))])
    line += _shown(of_run)
    print()
    if secrets:
        print(
            "Secrets are not in the profile. Set them in the environment:\n  export "
            f"SSELOAD_VALUE={shlex.quote(_settings(draft.values))}\n"
        )
    if status:
        print(f"The profile does not fit yet: edit {out}, and run\n  {typed()} check "
              f"{shlex.join(line)}")  # fmt: skip
    else:
        print(f"A test of 50 connections:\n  {typed()} 50 10 60 {shlex.join(line)}")
    return status
