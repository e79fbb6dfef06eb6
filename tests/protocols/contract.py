"""The tests that every protocol passes, each against a server of its own.

A protocol is a subclass of `ProtocolContract`, in a file of its own. Each test that passes is
recorded, and `make test-protocols` writes them to the table in docs/targets.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sseload_users.core.config_path import config_path
from tests.protocols.relay import Harm, relay
from tests.protocols.shown import Shown, record
from tests.support.runs import QUICK, ROOT, Outcome, run

#: Texts of a profile, and what replaces them.
Changes = tuple[tuple[str, str], ...]

#: Connections and codes of the runs.
ALL = (200, 5)
LOSSES = (20, 20)
RETURNS = (20, 20)
BURST = (20, 200)
ROOMS = (24, 12, 4)
CLIENTS = (10, 5)


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        url: where clients connect to.
        options: options that depend on it.
        sent: copies of codes that it has written to listeners, by code; None if it cannot tell, so
            that a relay counts them.
    """

    url: str
    options: tuple[str, ...] = ()
    sent: Callable[[], Mapping[str, int]] | None = None


@dataclass(frozen=True)
class Wrong:
    """A wrong setting.

    Attributes:
        words: must appear in what `check` prints: the cause, in the server's words.
        changes: of the profile.
        options: additional ones; of an option that is given twice, the last counts.
        path: what to add to the server's URL.
    """

    words: str
    changes: Changes = ()
    options: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True)
class Recovery:
    """How clients that return get what they missed, by the protocol's own means.

    Attributes:
        changes: of the profile.
    """

    changes: Changes = field(default=())


class ProtocolContract:
    """What every protocol must pass.

    Attributes:
        profile: name of a built-in profile, or path of another below the project's folder.
        server: the server, as the table names it, with its version.
        client: the official client library that completes the same scenario against a server that
            is ours; empty for others.
        changes: of the profile, for this server.
        users: the users file; empty for the default user.
        wrong: wrong settings, by what is wrong.
        channels: how the profile's connections subscribe to ``{channel}``; None if it has none.
        recovery: the protocol's own recovery; None if it has none.
        sample: whether `make test` runs its first tests, too.
    """

    profile: ClassVar[str]
    server: ClassVar[str]
    client: ClassVar[str] = ""
    changes: ClassVar[Changes] = ()
    users: ClassVar[str] = ""
    wrong: ClassVar[Mapping[str, Wrong]] = {}
    channels: ClassVar[Changes | None] = None
    recovery: ClassVar[Recovery | None] = None
    sample: ClassVar[bool] = False

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run the server; skip the test if it is not installed."""
        raise NotImplementedError

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by the official client library; return copies received, by code."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        """The running server, for all tests of the protocol."""
        with cls.serve(tmp_path_factory.mktemp("server")) as served:
            yield served

    @pytest.fixture(autouse=True)
    def _recorded(self, request: pytest.FixtureRequest) -> None:
        name = request.node.originalname.removeprefix("test_")
        if name not in Shown.COLUMNS:
            return
        applies = {
            "check": f"right, {len(self.wrong)} wrong",
            "losses": "equal",
            "return": "resumed" if self.recovery is not None else "live",
        }
        if name == "client":
            applies["client"] = self.client or "–"
        value = applies.get(name, "✓")
        if name == "channels" and self.channels is None:
            value = "–"
        record(request.node, self.profile, self.server, name, value)

    def test_check(self, served: Served, tmp_path: Path) -> None:
        """A right setting passes; a wrong one fails for a reason in the server's words."""
        right = self._check(served, tmp_path / "right", ())
        assert right.status == 0, right.stdout + right.stderr
        with ThreadPoolExecutor(2) as pool:
            found = {
                name: pool.submit(
                    self._check, served, tmp_path / name, wrong.changes, *wrong.options,
                    path=wrong.path,
                )
                for name, wrong in self.wrong.items()
            }  # fmt: skip
        for name, wrong in self.wrong.items():
            outcome = found[name].result()
            said = " ".join((outcome.stdout + outcome.stderr).split())
            assert outcome.status in (1, 2), f"{name}: {said}"
            assert wrong.words in said, f"{name}: {said}"

    def test_all(self, served: Served, tmp_path: Path) -> None:
        """Every connection gets every code, by sseload's count and by the server's."""
        outcome, sent = self._count(served, tmp_path, *ALL)
        assert_all_delivered(outcome, *ALL)
        assert_equal(outcome, sent)

    def test_losses(self, served: Served, tmp_path: Path) -> None:
        """Losses and duplicates are those of a relay in between."""
        with relay(served.url, Harm(lose=7, repeat=11)) as (url, truth):
            outcome = self._run(served, tmp_path, *LOSSES, "--delivery-timeout", "2", url=url)
        deliveries = outcome.report["deliveries"]
        assert deliveries["owed"] == LOSSES[0] * LOSSES[1]
        assert deliveries["missing"] == truth.lost.total() > 0
        assert deliveries["duplicate"] == truth.repeated.total() > 0
        assert_equal(outcome, truth.passed)

    def test_return(self, served: Served, tmp_path: Path) -> None:
        """A dropped connection returns, and gets what it missed if the protocol has a recovery."""
        connections, codes = RETURNS
        changes = () if self.recovery is None else self.recovery.changes
        harm = Harm(cut_after=codes // 4, cuts=connections)
        with relay(served.url, harm) as (url, truth):
            outcome = self._run(
                served, tmp_path, connections, codes, "--reconnect", "--connect-attempts", "5",
                seconds=3, url=url, changes=changes,
            )  # fmt: skip
        report = outcome.report
        assert report["connections"]["dropped"] == truth.cut == connections
        assert report["connections"]["reconnected"] == connections
        assert report["deliveries"]["missing"] == report["deliveries"]["duplicate"] == 0
        if self.recovery is not None:
            assert report["deliveries"]["owed"] == connections * codes
            assert report["deliveries"]["interrupted"] == 0
            assert report["deliveries"]["recovered"] > 0
        assert_equal(outcome, truth.passed, returning=self.recovery is None)

    def test_burst(self, served: Served, tmp_path: Path) -> None:
        """Codes that come back to back all arrive, in their order."""
        outcome, sent = self._count(served, tmp_path, *BURST, "--delivery-timeout", "20", seconds=0)
        assert_all_delivered(outcome, *BURST)
        assert_equal(outcome, sent)

    def test_channels(self, served: Served, tmp_path: Path) -> None:
        """Codes reach their channel and no other."""
        if self.channels is None:
            return
        connections, codes, channels = ROOMS
        outcome, sent = self._count(
            served, tmp_path, connections, codes, "--channels", str(channels),
            changes=self.channels,
        )  # fmt: skip
        assert_all_delivered(outcome, connections // channels, codes)
        assert outcome.report["deliveries"]["leaked"] == 0
        assert_equal(outcome, sent)

    def test_client(self, served: Served) -> None:
        """The protocol's official client completes the same scenario against the same server."""
        if not self.client:
            return
        assert served.sent is not None
        before = served.sent()
        received = self.complete(served, *CLIENTS)
        assert len(received) == CLIENTS[1]
        assert set(received.values()) == {CLIENTS[0]}
        assert Counter(served.sent()) - Counter(before) == received

    # How they run

    def _check(
        self, served: Served, folder: Path, changes: Changes, *options: str, path: str = ""
    ) -> Outcome:
        words = self.words(served, folder, served.url + path, changes)
        return run(
            folder, "check", "--connections", "3", "--settle", "0.1", "--delivery-timeout", "2",
            "--connect-timeout", "5", *words, *options, report=False,
        )  # fmt: skip

    def _run(
        self,
        served: Served,
        folder: Path,
        connections: int,
        codes: int,
        *options: str,
        seconds: int = 1,
        url: str = "",
        changes: Changes = (),
    ) -> Outcome:
        return run(
            folder / "run", str(connections), str(codes), str(seconds), "-r", "200", *QUICK,
            "--delivery-timeout", "5", *self.words(served, folder, url or served.url, changes),
            *options,
        )  # fmt: skip

    def _count(
        self, served: Served, folder: Path, connections: int, codes: int, *options: str, **more: Any
    ) -> tuple[Outcome, Mapping[str, int]]:
        """Run; return the outcome, and copies sent by code, by the server's count or a relay's."""
        if served.sent is None:
            with relay(served.url) as (url, truth):
                outcome = self._run(served, folder, connections, codes, *options, url=url, **more)
            return outcome, truth.passed
        before = served.sent()
        outcome = self._run(served, folder, connections, codes, *options, **more)
        return outcome, Counter(served.sent()) - Counter(before)

    @classmethod
    def words(cls, served: Served, folder: Path, url: str, changes: Changes = ()) -> list[str]:
        """Return the options of a run at a URL of the server; files go to the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        target = cls.profile
        if target.endswith(".toml"):
            source = ROOT / target
        else:
            source = config_path(f"targets/{target}.toml")
        if cls.changes or changes or target.endswith(".toml"):
            text = source.read_text("utf-8")
            for old, new in (*cls.changes, *changes):
                assert text.count(old) == 1, f"{source} has {old!r} {text.count(old)} times"
                text = text.replace(old, new)
            target = str(folder / "profile.toml")
            Path(target).write_text(text, "utf-8")
        words = ["--target", target, "--host", url, *served.options]
        if cls.users:
            (folder / "users.csv").write_text(cls.users, "utf-8")
            words += ["--users-file", str(folder / "users.csv")]
        return words


def assert_all_delivered(outcome: Outcome, receivers: int, codes: int) -> None:
    """Assert that each code reached so many receivers, and that nothing else is to be said."""
    assert outcome.status == 0, outcome.stdout + outcome.stderr
    # How fast a server is depends on this machine.
    assert outcome.reasons.keys() <= {"latency"}, outcome.reasons
    report = outcome.report
    assert report["errors"]["failed"] == 0, report["errors"]["causes"]
    assert report["codes"]["accepted"] == codes
    deliveries = report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == receivers * codes
    for none in ("duplicate", "replayed", "unexpected", "malformed", "out_of_order"):
        assert deliveries[none] == 0, none
    assert report["run"]["complete"] is True


def assert_equal(outcome: Outcome, sent: Mapping[str, int], *, returning: bool = False) -> None:
    """Assert that what sseload counted of each code is what was sent.

    Args:
        outcome: the run's.
        sent: copies by code.
        returning: whether sessions began while codes were sent: a code that comes before its
            session is subscribed is owed to nobody, and not counted.
    """
    by_number: Counter[int] = Counter()
    for code, copies in sent.items():
        by_number[int(code.split("-")[2])] += copies
    received = ("delivered", "late", "recovered", "duplicate", "leaked")
    counted = Counter(
        {
            int(row["seq"]): sum(int(row[name]) for name in received)
            for row in outcome.table("codes")
        }
    )
    # The table of codes does not have these.
    beside = sum(
        outcome.report["deliveries"][name] for name in ("replayed", "unexpected", "history")
    )
    if returning:
        rows = {int(row["seq"]): int(row["owed"]) for row in outcome.table("codes")}
        most = max(rows.values())
        assert all(counted[each] <= by_number[each] for each in rows)
        assert counted.total() + beside <= by_number.total()
        # What a stream sends of the gap, though nothing is promised, is unexpected.
        beside = 0
        counted = Counter({each: counted[each] for each in rows if rows[each] == most})
        by_number = Counter({each: by_number[each] for each in counted})
    assert sum(counted.values()) + beside == by_number.total()
    if not beside:
        assert +counted == by_number
