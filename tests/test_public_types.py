"""The types of the public names, as mypy finds them in the installed wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.runs import ROOT, clean_environment
from tests.support.wheel import build_wheel, install

pytestmark = pytest.mark.dear

PROJECT = ROOT / "tests" / "typed_project"
PAGE = (ROOT / "docs" / "locustfile.md").read_text("utf-8")
#: The page says once where the names come from.
IMPORT = "from sseload_users import CodeBroadcaster, CodeListener, Delivery\n\n"

WRONG = """
from sseload_users import CodeBroadcaster, CodeListener, Delivery


class Subscriber(CodeListener):
    delivery_timeout = "soon"

    def on_connected(self) -> None:
        self.join_channel(2)

    def on_code(self, delivery: str) -> None:
        pass

    def find_codes(self, message: str) -> list[str]:
        return [message]

    def on_closed(self) -> None:
        pass


class Sender(CodeBroadcaster):
    codes = 2.5

    def publish(self, code: bytes) -> None:
        pass


def late(delivery: Delivery) -> bool:
    return delivery.latency_ms > 100 or delivery.arrived > 0
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own; return its Python."""
    folder = tmp_path_factory.mktemp("types")
    venv.create(folder / "env", symlinks=True)
    site = install(build_wheel(folder), folder / "site")
    (packages,) = (folder / "env" / "lib").glob("*/site-packages")
    # The packages that sseload needs are those of the tests.
    (packages / "here.pth").write_text(f"{site}\n{sysconfig.get_path('purelib')}\n")
    return folder / "env" / "bin" / "python"


def mypy(python: Path, folder: Path) -> list[str]:
    """Check a folder as a project of its own; return the errors."""
    shutil.copy(PROJECT / "mypy.ini", folder)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", str(python), *folder.glob("*.py")],
        check=False, cwd=folder, env=clean_environment(), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_a_project_that_uses_all_public_names_passes(python: Path, tmp_path: Path) -> None:
    shutil.copy(PROJECT / "locustfile.py", tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 5
    for number, block in enumerate(blocks):
        text = block if "import CodeBroadcaster" in block else IMPORT + block
        (tmp_path / f"example_{number}.py").write_text(text)
    assert mypy(python, tmp_path) == []


def test_what_does_not_fit_is_an_error(python: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    errors = mypy(python, tmp_path)
    lines = [int(each.split(":")[1]) for each in errors]
    wrong = [number for number, line in enumerate(WRONG.splitlines(), 1) if re.search(
        r'"soon"|join_channel|delivery: str|message: str|on_closed|= 2\.5|code: bytes|return del',
        line,
    )]  # fmt: skip
    assert sorted({*lines}) == wrong, errors
