"""Find the names that a profile needs, and check that each has a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import ConnectionIngestSpec, HttpIngestSpec
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import Headers
from sseload_users.targets.session_spec import AfterSpec, ExchangeSpec, ReplySpec
from sseload_users.targets.signing import SIGNING_NAMES
from sseload_users.targets.spec import ProfileSpec, captured_after
from sseload_users.targets.template import names_in
from sseload_users.targets.value_types import (
    BUILT_IN_NAMES,
    CHANNEL_NAMES,
    CODE_NAMES,
    PAYLOAD_NAMES,
)


@dataclass(frozen=True, slots=True)
class Need:
    """A name that a text contains.

    Attributes:
        key: where the text is: "connect.query", "--header".
        name: the name between the braces.
        captured: names that the server has given when the text is needed.
    """

    key: str
    name: str
    captured: Collection[str] = ()


#: Keys whose texts contain parts of the signed request.
_SIGNED = ("ingest.sign.over", "ingest.sign.headers")


def needs(spec: ProfileSpec, headers: Headers, ingest_headers: Headers) -> Iterator[Need]:
    """Yield every name that a profile and the headers of the command line contain.

    Args:
        spec: the profile's file.
        headers: headers of --header, for every request.
        ingest_headers: headers of --ingest-header.
    """
    for each in spec.texts():
        captured = _captured_by(each.key, spec)
        yield from (Need(each.key, name, captured) for name in names_in(each.value))
    # A publisher's connection sends these headers with its requests before connecting, too.
    logged_in = (
        set[str]()
        if isinstance(spec.ingest, ConnectionIngestSpec)
        else spec.captured_before(len(spec.before))
    )
    for flag, given, captured in (
        ("--header", headers, set[str]()),
        ("--ingest-header", ingest_headers, logged_in),
    ):
        for _, text in given:
            yield from (Need(flag, name, captured) for name in names_in(text))


def check(
    profile: Profile,
    wanted: Sequence[Need],
    values: Mapping[str, str],
    identities: Sequence[Identity],
    *,
    has_channels: bool,
) -> None:
    """Check that every name has a value when it is needed, and that every value is used.

    Args:
        profile: the profile.
        wanted: its needs.
        values: values of --value.
        identities: all users that connect or send.
        has_channels: whether the run has channels.

    Raises:
        ConfigError: one sentence that names the key and the name.
    """
    spec = profile.spec
    constant = spec.values.keys() | values.keys()

    def of_everybody(name: str) -> bool:
        return all(name in each.fields for each in identities)

    for need in wanted:
        if need.name in BUILT_IN_NAMES or need.name in need.captured:
            given = not need.key.startswith("code.")
        elif has_channels and need.name in CHANNEL_NAMES:
            given = not need.key.startswith(("code.", "health", "verify"))
            if need.name not in constant and _concerns_publisher(need.key, spec):
                raise _channel_of_publisher(profile, need)
        elif need.name == "code":
            given = need.key.startswith(("ingest.", "--ingest"))
        elif need.name == "padding":
            given = need.key.startswith("ingest.")
        elif need.name in PAYLOAD_NAMES and spec.ingest.over in ("connection", "listener"):
            given = need.key.startswith("ingest.send")
        elif need.key.startswith("code."):
            given = need.name in constant and not any(
                need.name in each.fields for each in identities
            )
        else:
            given = need.name in constant or of_everybody(need.name)
        if not given:
            raise missing_value(profile, need.key, need.name)
    for name in values:
        _check_used(profile, name, wanted)


def missing_value(profile: Profile, key: str, name: str) -> ConfigError:
    """Return the error for a name without a value.

    Args:
        profile: the profile.
        key: key of the text with the name.
        name: the name.
    """
    begin = f"target {clean(profile.name)}: {key} needs {{{name}}}"
    if key.startswith("code."):
        return ConfigError(
            f"{begin}, but [code] is the same for all connections: set it with --value {name}=TEXT "
            "or in the profile's [values], not per user."
        )
    if name in CHANNEL_NAMES:
        return ConfigError(
            f"{begin}, which only runs with channels have: give --channels N, or name the channels "
            "in the profile's [audience]."
        )
    if name == "code":
        return ConfigError(f"{begin}, which is only available where a code is sent; remove it.")
    if name == "padding":
        return ConfigError(
            f"{begin}, which is only available in [ingest] body, send and payload; remove it."
        )
    if name in profile.spec.captured() | profile.spec.captured_per_code():
        return ConfigError(
            f"{begin}, which the server has not given yet at that point: remove it, or set "
            f"it with --value {name}=TEXT."
        )
    return ConfigError(
        f"{begin}; set it with --value {name}=TEXT, in a column {name} of a users file, or in "
        "the profile's [values]."
    )


def _concerns_publisher(key: str, spec: ProfileSpec) -> bool:
    """Whether a publisher's connection, which is in no channel, needs a text to connect."""
    ingest = spec.ingest
    if not isinstance(ingest, ConnectionIngestSpec):
        return False
    own, of_ingest, rest = key.partition("ingest.")
    table = re.match(r"\w+", rest if of_ingest and not own else key)
    assert table is not None  # noqa: S101
    if table[0] not in ("connect", "after", "confirm", "reply", "upkeep"):
        return False
    return bool(of_ingest) or (ingest.connect is None and not getattr(ingest, table[0]))


def _channel_of_publisher(profile: Profile, need: Need) -> ConfigError:
    """Return the error for a channel in what a publisher needs to connect."""
    begin = f"target {clean(profile.name)}: {need.key} needs {{{need.name}}}"
    if need.key.startswith("ingest."):
        return ConfigError(f"{begin}, but the publisher's connection is in no channel; remove it.")
    return ConfigError(
        f"{begin}, but the publisher, which connects in the same way, is in no channel: describe "
        f"its connection in [ingest.connect], or set {need.name} in the profile's [values]."
    )


def _captured_by(key: str, spec: ProfileSpec) -> set[str]:
    """Return the names that the server has given when a text is needed."""
    table = re.match(r"(\w+)(?:\[(\d+)\])?", key)
    assert table is not None  # noqa: S101
    match table[1]:
        case "before":
            return spec.captured_before(int(table[2]))
        case "connect" | "confirm" | "refuse" | "end" | "resume" as key_of:
            position = spec.resume.names if key_of == "resume" and spec.resume else set()
            return spec.captured_before(len(spec.before)) | position
        case "after":
            steps, index = spec.after, int(table[2])
            own = _given_by(key, steps[index])
            return spec.captured_before(len(spec.before)) | captured_after(steps[:index]) | own
        case "reply":
            return spec.captured_before(len(spec.before)) | _for_reply(
                key, spec.reply[int(table[2])], spec.after
            )
        case "ingest" if isinstance(spec.ingest, ConnectionIngestSpec):
            return _captured_by_publisher(key, spec, spec.ingest)
        case "upkeep" | "audience" if not key.startswith("audience.channel"):
            return spec.captured()
        case "ingest":
            own = {*SIGNING_NAMES} if key.startswith(_SIGNED) else set[str]()
            before = spec.captured_before(len(spec.before)) | _for_code(key, spec) | own
            return spec.captured() if spec.ingest.over == "listener" else before
    # The health check and the like come before any connection.
    return set()


def _for_code(key: str, spec: ProfileSpec) -> set[str]:
    """Return the names that answers to the requests for a code have given when a text is needed."""
    ingest = spec.ingest
    if not isinstance(ingest, HttpIngestSpec):
        return set()
    # What is signed is the same text for all requests of a code.
    first = re.match(r"ingest\.(?:before\[(\d+)\]|sign)", key)
    return ingest.captured_before(int(first[1] or 0) if first else None)


def _given_by(key: str, exchange: ExchangeSpec) -> set[str]:
    """Return the names that an exchange itself has given when one of its texts is needed."""
    rest = key.partition("].")[2]
    if rest.startswith("request"):
        return {*exchange.capture}
    return exchange.given if rest.startswith("send") else set()


def _for_reply(key: str, reply: ReplySpec, after: Sequence[AfterSpec]) -> set[str]:
    """Return the names that a reply has beside those from before connecting."""
    # Conditions are filled when the connection is opened.
    conditions = not key.partition("].")[2].startswith(("request", "send"))
    return set() if conditions else captured_after(after) | _given_by(key, reply)


def _captured_by_publisher(key: str, spec: ProfileSpec, ingest: ConnectionIngestSpec) -> set[str]:
    """Return the names that the server has given the publisher when a text is needed."""
    captured = spec.captured_before(len(spec.before))
    inherits = ingest.connect is None
    after = ingest.after or (spec.after if inherits else ())
    table = re.match(r"ingest\.(\w+)(?:\[(\d+)\])?", key)
    assert table is not None  # noqa: S101
    match table[1]:
        case "after":
            index = int(table[2])
            return captured | captured_after(after[:index]) | _given_by(key, after[index])
        case "reply":
            return captured | _for_reply(key, ingest.reply[int(table[2])], after)
        case "send" | "send_hex" | "send_base64" | "payload" | "expect" | "upkeep":
            confirmed = ingest.confirms or (spec.confirms if inherits else ())
            given = {name for each in confirmed for name in each.capture}
            return captured | captured_after(after) | given
    return captured


def _check_used(profile: Profile, name: str, wanted: Sequence[Need]) -> None:
    """Check that the profile uses a name of --value.

    Raises:
        ConfigError: it is not.
    """
    spec = profile.spec
    if name in (*BUILT_IN_NAMES, *CODE_NAMES):
        raise ConfigError(f"--value {name}: this name is built in; remove it.")
    names = {each.name for each in wanted if each.name not in each.captured} | spec.values.keys()
    names -= {*BUILT_IN_NAMES, *CODE_NAMES}
    if name in names:
        return
    if name in spec.captured() | spec.captured_per_code():
        raise ConfigError(
            f"--value {name}: target {clean(profile.name)} captures {name} from the server's "
            "answers; remove it."
        )
    known = f"it has: {', '.join(sorted(names))}" if names else "it has no values"
    raise ConfigError(f"--value {name}: target {clean(profile.name)} has no {{{name}}}; {known}.")
