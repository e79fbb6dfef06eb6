"""What a release consists of: an sdist and a wheel, the same bytes wherever they are built."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from sseload_users.core.version import VERSION
from tests.support.runs import ROOT
from tests.support.wheel import checkout, make_dist

pytestmark = pytest.mark.dear

#: Folders of the repository that the wheel has in the package.
PACKAGED = {"config/": "sseload_users/config/", "locustfile.py": "sseload_users/locustfile.py"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the last commit; return the sdist and the wheel."""
    return make_dist(checkout(tmp_path_factory.mktemp("built") / "here"))


def tracked() -> set[str]:
    """Return the names of the files in the last commit."""
    command = ["git", "ls-tree", "-r", "-z", "--name-only", "HEAD"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {*listed.rstrip("\0").split("\0")}


def test_a_build_elsewhere_and_later_has_the_same_bytes(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    elsewhere = checkout(tmp_path / "a folder" / "with another name")
    for each in tracked():
        os.utime(elsewhere / each, (2e9, 2e9))
        (elsewhere / each).chmod(0o600)
    (elsewhere / "sseload_users" / "junk.py").write_text("not committed")
    again = make_dist(elsewhere, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"})
    for first, second in zip(built, again, strict=True):
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes(), first.name


def test_the_sdist_has_what_the_repository_has(built: tuple[Path, Path]) -> None:
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    root = f"sseload-{VERSION}"
    assert sdist.name == f"{root}.tar.gz"
    assert {each.name.partition("/")[0] for each in members} == {root}
    names = {each.name.partition("/")[2] for each in members if each.isfile()}
    assert names == tracked() | {"PKG-INFO"}
    assert {each.uid or each.gid or each.uname or each.gname for each in members} == {""}


def test_the_wheel_has_the_package_and_its_defaults(built: tuple[Path, Path]) -> None:
    _, wheel = built
    names = {*zipfile.ZipFile(wheel).namelist()}
    packaged = {each for each in tracked() if each.startswith("sseload_users/")}
    for at, inside in PACKAGED.items():
        packaged |= {each.replace(at, inside, 1) for each in tracked() if each.startswith(at)}
    packaged |= {
        f"sseload_users/{each}"
        for each in tracked()
        if PurePosixPath(each).match("docs/*.md") and each.count("/") == 1
    }
    about = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info/"
    assert {each for each in names if not each.startswith(about)} == packaged
    assert {each.removeprefix(about) for each in names if each.startswith(about)} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    # What would be missed last: data that the code reads.
    assert {
        "sseload_users/py.typed",
        "sseload_users/report/schema.json",
        "sseload_users/report/templates/report.html",
        "sseload_users/config/stress.conf",
        "sseload_users/config/targets/profile.schema.json",
    } <= names
