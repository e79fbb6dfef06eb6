"""Build an image from its Dockerfile without a container engine, and run containers of it.

Each stage is a layer over this machine's own files, which stand in for the base image. Commands
run with that as their root, as the image's user, and in a process namespace of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

#: Seconds that an instruction may take.
PATIENCE = 300.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Mounts the layer and runs what follows with it as the root. The process becomes the first one
#: of its namespace, as in a container.
_ENTER = """
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" &&
mount -t proc proc "$1/root/proc" && mount --rbind /dev "$1/root/dev" &&
mount --bind /etc/resolv.conf "$1/root/etc/resolv.conf" &&
if [ -n "$4" ]; then
    mount -t tmpfs tmpfs "$1/root/tmp" && mount --bind "$1/upper$4" "$1/root$4" &&
    mount -o remount,ro "$1/root"
fi &&
exec chroot --userspec="$2" "$1/root" /bin/sh -c 'cd "$0" && exec "$@"' "$3" "${@:5}"
"""


class Instruction(NamedTuple):
    """One instruction of a Dockerfile: its name, and what follows it."""

    name: str
    text: str


@dataclass
class Container:
    """What the image's instructions have set so far, and its files.

    Attributes:
        folder: of the layer: `upper` has the files that differ from this machine's.
        environment: of its processes.
        directory: the working directory.
        user: who runs its processes.
        entrypoint: the command's beginning.
        healthcheck: the command of the health check.
        ports: that it exposes.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    directory: str = "/"
    user: str = "0"
    entrypoint: Sequence[str] = ()
    healthcheck: Sequence[str] = ()
    ports: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        # The base image's Python is here.
        local = self.path("/usr/local/bin")
        local.mkdir(parents=True)
        (local / "python").symlink_to("/usr/bin/python3")

    def path(self, name: str) -> Path:
        """Return where a file of the image is, if it differs from this machine's."""
        return self.folder / "upper" / name.lstrip("/")

    def start(self, *words: str, env: Mapping[str, str], volume: str = "") -> subprocess.Popen[str]:
        """Start the image's entry point with arguments; see `execute`."""
        return self.execute(*self.entrypoint, *words, env=env, volume=volume)

    def execute(
        self, *words: str, env: Mapping[str, str], volume: str = ""
    ) -> subprocess.Popen[str]:
        """Start a command as the first process of a container.

        Args:
            *words: of the command.
            env: variables beside the image's.
            volume: the only folder besides /tmp that can be written to; all of them without it.
        """
        user = f"{self.user}:{self.user}"
        enter = ["bash", "-c", _ENTER, "enter", str(self.folder), user, self.directory]
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", *enter, volume, *words],
            env={**self.environment, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def check(self, running: subprocess.Popen[str], env: Mapping[str, str]) -> int:
        """Run the health check in a running container; return its exit status."""
        (first,) = _children(running.pid)
        words = ["nsenter", "--target", first, "--mount", "--pid", "chroot"]
        return subprocess.run(
            [*words, f"--userspec={self.user}", str(self.folder / "root"), *self.healthcheck],
            env={**self.environment, **env}, capture_output=True, timeout=30, check=False,
        ).returncode  # fmt: skip


def first_process(running: subprocess.Popen[str]) -> int:
    """Return the id, outside of the container, of its first process."""
    (first,) = _children(running.pid)
    return int(first)


def instructions(dockerfile: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", "", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def build(dockerfile: Path, context: Path, folder: Path) -> Container:
    """Build an image.

    Args:
        dockerfile: the file with its instructions.
        context: where COPY takes files from, as far as the file beside the Dockerfile lets it.
        folder: for the layers.
    """
    stages: dict[str, Container] = {}
    allowed = _context(dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context, folder)
    container: Container | None = None
    for name, text in instructions(dockerfile):
        if name == "FROM":
            stage = text.partition(" AS ")[2] or str(len(stages))
            container = stages[stage] = Container(folder / stage)
            continue
        assert container is not None
        if name == "COPY":
            _copy(container, text, stages, allowed)
        else:
            _apply(container, name, text)
    assert container is not None
    return container


def _apply(container: Container, name: str, text: str) -> None:
    if name == "RUN":
        # What pip asks on this machine.
        pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        running = container.execute("/bin/sh", "-c", text, env={"HOME": "/root", **pip})
        output, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, f"RUN {text}: {output}"
    elif name == "ENV":
        for word in shlex.split(text):
            key, _, value = word.partition("=")
            container.environment[key] = re.sub(
                r"\$(\w+)", lambda found: container.environment[found[1]], value
            )
    elif name == "WORKDIR":
        container.directory = text
        container.path(text).mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        container.user = text
    elif name == "EXPOSE":
        container.ports.update(map(int, text.split()))
    elif name == "HEALTHCHECK":
        container.healthcheck = json.loads(text.partition("CMD ")[2])
    elif name == "ENTRYPOINT":
        container.entrypoint = json.loads(text)
    else:
        raise AssertionError(f"unknown instruction {name}")


def _copy(container: Container, text: str, stages: Mapping[str, Container], context: Path) -> None:
    words = text.split()
    origin = ""
    if words[0].startswith("--from="):
        origin = words.pop(0).partition("=")[2]
    *sources, place = words
    target = container.path(os.path.join(container.directory, place))  # noqa: PTH118 - in the image
    for name in sources:
        source = stages[origin].path(name) if origin else context / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        elif place.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _context(ignore: Path, context: Path, folder: Path) -> Path:
    """Return a folder with the files of the context that are not ignored."""
    made = folder / "context"
    lines = [each for each in ignore.read_text("utf-8").splitlines() if each[:1] not in ("#", "")]
    assert lines[0] == "*"
    allowed = [each for each in lines[1:] if each.startswith("!")]
    names = [each.removeprefix("**/") for each in lines[1:] if each not in allowed]
    assert not any("/" in each for each in names), names
    for line in allowed:
        for source in context.glob(line[1:]):
            target = made / source.relative_to(context)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(*names))
            else:
                shutil.copy(source, target)
    return made


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()


def kill(running: subprocess.Popen[str]) -> None:
    """End a container with all its processes, if it has not ended."""
    if running.poll() is None:
        for child in _children(running.pid):
            os.kill(int(child), signal.SIGKILL)
    running.communicate(timeout=30)


@cache
def no_containers() -> str:
    """Return why containers cannot be run here; empty if they can."""
    if not Path("/usr/bin/python3").exists():
        return "there is no /usr/bin/python3"
    try:
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "bash", "-c", (
                "d=$(mktemp -d) && mkdir $d/upper $d/work $d/root && mount -t overlay overlay "
                "-o lowerdir=/,upperdir=$d/upper,workdir=$d/work $d/root; status=$?; "
                "umount $d/root; rm -rf $d; exit $status"
            )],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        subprocess.run(
            ["/usr/bin/python3", "-c", "import ensurepip, sys; assert sys.version_info >= (3, 11)"],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"containers cannot be run here ({type(error).__name__})"
    return ""
