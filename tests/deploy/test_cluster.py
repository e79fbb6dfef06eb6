"""Compose and Kubernetes: the files are valid, and their commands run in network namespaces."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.distributed import Hosts, check_rows, check_workers, no_namespaces
from tests.support.image import instructions
from tests.support.runs import BIN, ROOT, SSELOAD, Outcome, Run

COMPOSE = ROOT / "deploy" / "compose.yaml"
KUBERNETES = ROOT / "deploy" / "kubernetes"
CONNECTIONS, CODES, WORKERS = 12, 5, 2
#: What keeps a run short.
SHORT = {"SSELOAD_SETTLE": "0.1", "SSELOAD_DELIVERY_TIMEOUT": "2", "SSELOAD_WARM_UP": "3"}

needs_namespaces = pytest.mark.skipif(bool(no_namespaces()), reason=no_namespaces() or "-")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.mark.dear
def test_the_compose_file_fits_its_schema() -> None:
    checker = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*checker, str(COMPOSE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@needs("docker-compose")
def test_the_compose_file_needs_a_host() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        composed({})
    assert "the server to test, as a URL" in failed.value.stderr


@pytest.mark.dear
@needs("kubectl")
def test_the_kubernetes_objects_fit_their_schemas(tmp_path: Path) -> None:
    objects = kustomized(tmp_path, {})
    assert {each["kind"] for each in objects} == {
        "ConfigMap", "Deployment", "Job", "NetworkPolicy", "PersistentVolumeClaim", "Service",
    }  # fmt: skip
    file = tmp_path / "objects.yaml"
    with file.open("w") as out:
        YAML(typ="safe").dump_all(objects, out)
    validator = [str(BIN / "kubernetes-validate"), "--strict", "--kubernetes-version"]
    for version in ("1.30", "1.37"):
        done = subprocess.run(
            [*validator, version, str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@needs("kubectl")
def test_the_kubernetes_objects_refer_to_each_other(tmp_path: Path) -> None:
    found = {each["kind"]: each for each in kustomized(tmp_path, {})}
    job, deployment = found["Job"]["spec"], found["Deployment"]["spec"]
    master, worker = (each["template"]["spec"]["containers"][0] for each in (job, deployment))
    labels = job["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    peer = found["NetworkPolicy"]["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert peer == deployment["template"]["metadata"]["labels"]
    assert found["Service"]["metadata"]["name"] in worker["args"]
    assert int(found["ConfigMap"]["data"]["WORKERS"]) == deployment["replicas"]
    ports = {each["name"]: each["containerPort"] for each in master["ports"]}
    (exposed,) = (each.text for each in instructions(ROOT / "deploy/Dockerfile")
                  if each.name == "EXPOSE")  # fmt: skip
    assert set(map(str, ports.values())) < set(exposed.split())
    (user,) = (each.text for each in instructions(ROOT / "deploy/Dockerfile")
               if each.name == "USER")  # fmt: skip
    for each in (job, deployment):
        assert str(each["template"]["spec"]["securityContext"]["runAsUser"]) == user


@pytest.mark.e2e
@pytest.mark.dear
@needs_namespaces
@needs("docker-compose")
def test_the_commands_of_the_compose_file(tmp_path: Path) -> None:
    with cluster("master") as hosts, hosts.target(tmp_path / "record") as url:
        size = {"CONNECTIONS": CONNECTIONS, "CODES": CODES, "DURATION": 1, "WORKERS": WORKERS}
        services = composed({"HOST": url, "TARGET": "websocket", **size})["services"]
        command = shlex.split(services["master"]["command"])
        environment = {**services["master"]["environment"], **metrics_of_the_image()}
        assert services["worker"]["deploy"]["replicas"] == WORKERS
        for name in ("a", "b"):
            for key, value in services["worker"]["sysctls"].items():
                execute(hosts, name, "sysctl", "--write", f"{key}={value}")
        with contextlib.ExitStack() as stack:
            master = start(stack, hosts, tmp_path, "hub", command, environment)
            workers = [
                start(stack, hosts, tmp_path, name, shlex.split(services["worker"]["command"]), {})
                for name in ("a", "b")
            ]
            # As --exit-code-from does: what is left is ended with the first container that exits.
            master.wait_until(
                lambda: any(each.child.poll() is not None for each in workers), "a worker's end"
            )
            for each in (master, *workers):
                if each.child.poll() is None:
                    each.child.send_signal(signal.SIGTERM)
            outcome = master.finish()
    assert outcome.status == 0, outcome.stderr
    check(outcome)


@pytest.mark.e2e
@pytest.mark.dear
@needs_namespaces
@needs("kubectl")
def test_the_commands_of_the_kubernetes_objects(tmp_path: Path) -> None:
    with cluster("sseload-master") as hosts, hosts.target(tmp_path / "record") as url:
        settings = {
            "HOST": url, "CONNECTIONS": CONNECTIONS, "CODES": CODES, "DURATION": 2,
            "WORKERS": WORKERS, "SSELOAD_TARGET": "websocket",
        }  # fmt: skip
        found = {each["kind"]: each for each in kustomized(tmp_path, settings)}
        master_container, worker_container = (
            found[kind]["spec"]["template"]["spec"]["containers"][0]
            for kind in ("Job", "Deployment")
        )
        data = found["ConfigMap"]["data"]
        command = [expand(each, data) for each in master_container["args"]]
        with contextlib.ExitStack() as stack:
            # The master comes last, as it may in a cluster.
            workers = []
            for name, region in (("a", "eu-west"), ("b", "")):
                own = labelled(worker_container["env"], {"topology.kubernetes.io/region": region})
                words = [expand(each, own) for each in worker_container["args"]]
                workers.append(start(stack, hosts, tmp_path, name, words, own))
            master = start(
                stack, hosts, tmp_path, "hub", command, {**data, **metrics_of_the_image()}
            )
            probe = master_container["readinessProbe"]["httpGet"]
            (port,) = (each["containerPort"] for each in master_container["ports"]
                       if each["name"] == probe["port"])  # fmt: skip
            at = f"http://{Hosts.HUB}:{port}{probe['path']}"
            master.wait_for("broadcast   Broadcasting")
            assert "sseload_run_info" in execute(hosts, "a", "curl", "--silent", at)
            outcome = master.finish()
            for each in workers:
                assert each.finish().status == 0
    assert outcome.status == 0, outcome.stderr
    check(outcome)
    regions = {each["name"]: each["delivered"] for each in outcome.report["regions"]}
    assert regions == {"": 6 * CODES, "eu-west": 6 * CODES}


def check(outcome: Outcome) -> None:
    report = outcome.report
    assert report["deliveries"]["delivered"] == CONNECTIONS * CODES
    assert report["run"]["workers"] == WORKERS
    assert report["run"]["complete"] is True
    check_workers(report)
    check_rows(outcome)


def composed(variables: Mapping[str, object]) -> Any:
    """Return the compose file with its variables replaced, as docker-compose reads it."""
    done = subprocess.run(
        ["docker-compose", "--file", COMPOSE, "config"],
        env={"PATH": os.environ["PATH"], **{name: str(each) for name, each in variables.items()}},
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return YAML(typ="safe").load(done.stdout)


def kustomized(folder: Path, settings: Mapping[str, object]) -> list[Any]:
    """Return the objects of the Kustomize base with other settings."""
    base = folder / "kubernetes"
    shutil.copytree(KUBERNETES, base)
    text = (base / "settings.env").read_text("utf-8")
    for name, value in settings.items():
        text, times = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        assert times == 1, name
    (base / "settings.env").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["kubectl", "kustomize", base], check=True, capture_output=True, text=True, timeout=60
    )
    return list(YAML(typ="safe").load_all(done.stdout))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], text)


def labelled(variables: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container whose values are labels of its pod."""
    found = {}
    for each in variables:
        path = re.fullmatch(
            r"metadata\.labels\['(.*)'\]", each["valueFrom"]["fieldRef"]["fieldPath"]
        )
        assert path is not None
        found[each["name"]] = labels[path[1]]
    return found


def metrics_of_the_image() -> dict[str, str]:
    (text,) = (each.text for each in instructions(ROOT / "deploy/Dockerfile")
               if each.name == "ENV")  # fmt: skip
    words = (word.partition("=") for word in shlex.split(text))
    return {name: value for name, _, value in words if name.startswith("SSELOAD_METRICS")}


@contextlib.contextmanager
def cluster(master: str) -> Iterator[Hosts]:
    """Make two hosts for workers, which know the hub by the master's name."""
    with Hosts("a", "b") as hosts, contextlib.ExitStack() as stack:
        for name in ("hub", "a", "b"):
            # `ip netns exec` puts this over /etc/hosts.
            folder = Path("/etc/netns") / hosts.space(name)
            folder.mkdir(parents=True)
            stack.callback(shutil.rmtree, folder)
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{Hosts.HUB} {master}\n")
        yield hosts


def start(
    stack: contextlib.ExitStack,
    hosts: Hosts,
    folder: Path,
    name: str,
    words: Sequence[str],
    environment: Mapping[str, str],
) -> Run:
    """Start the image's entry point with arguments on a host; the report goes to the folder."""
    run = Run(
        folder / name,
        *(str(folder / name / "report") if each == "/report" else each for each in words),
        command=("ip", "netns", "exec", hosts.space(name), *SSELOAD),
        env={**environment, **SHORT},
        report=False,
    )
    stack.callback(run.kill)
    return run


def execute(hosts: Hosts, name: str, *words: str) -> str:
    return subprocess.run(
        ("ip", "netns", "exec", hosts.space(name), *words),
        check=True, capture_output=True, text=True, timeout=30,
    ).stdout  # fmt: skip
