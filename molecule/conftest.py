# SPDX-License-Identifier: GPL-3.0-or-later
"""How the scenarios' tests look at a cluster: from outside, through its API and the server's own protocols."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from ansible_collections.orbit.rs.plugins.plugin_utils import sets
from ansible_collections.orbit.rs.plugins.plugin_utils.restic import Restic
from ansible_collections.orbit.rs.plugins.plugin_utils.tarstream import Parser

from testbed import extras

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "testbed" / "clients.py"
KUBECONFIG = os.environ.get("ORBIT_RS_KUBECONFIG") or os.environ.get("KUBECONFIG", "")
# Of the cluster's objects, those that a release may bring along.
CLUSTER_KINDS = ("storageclasses", "clusterroles", "clusterrolebindings", "customresourcedefinitions")
# These change by themselves, whether somebody touches the release or not.
RESTLESS = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "pods.metrics.k8s.io"}
# The status of these is written all the time: of them, only what somebody asked for counts.
RESTLESS_STATUS = {"HorizontalPodAutoscaler"}
# Of the scenarios about backup sets, which run with two ordinals.
COUNT = 2
SCALE = ("-e", "@molecule/scale/vars/scale.yml")
PASSWORD = f"password-{secrets.token_hex(8)}"
KEY = f"key-{secrets.token_hex(8)}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what is marked as soak, unless somebody asks for it."""
    if item.get_closest_marker("soak") and not os.environ.get("ORBIT_RS_SOAK"):
        pytest.skip("a long case: make soak runs it")


def pytest_configure(config: pytest.Config) -> None:
    """Report into the folder where `make test` counts, one file for each call of the verifier."""
    config.addinivalue_line("markers", "soak: runs with ORBIT_RS_SOAK=1 alone")
    folder = os.environ.get("ORBIT_RS_JUNIT")
    if folder and not config.option.xmlpath:
        scenario = os.environ.get("MOLECULE_SCENARIO_NAME", "molecule")
        config.option.xmlpath = str(Path(folder, f"molecule-{scenario}-{os.getpid()}.xml"))


@dataclasses.dataclass(frozen=True)
class Deployed:
    """One namespace of the cluster, and what the tests ask of it."""

    host: Any  # testinfra's
    namespace: str
    release: str = "orbit-rs"
    name: str = "orbit-server"
    inventory: str = "inventories/kind"
    kubeconfig: str = KUBECONFIG

    def kubectl(self, arguments: str) -> str:
        """Run kubectl in the namespace; fail the test when it fails."""
        return str(
            self.host.check_output(f"kubectl --kubeconfig '{self.kubeconfig}' --namespace {self.namespace} {arguments}")
        )

    def get(self, what: str) -> Any:
        """Get an object or a list as the API serves it."""
        return json.loads(self.kubectl(f"get {what} --output json"))

    def pods(self) -> list[Any]:
        """Get the pods of the release, lowest ordinal first."""
        pods = self.get(f"pods --selector app.kubernetes.io/instance={self.release}")["items"]
        return sorted(pods, key=lambda pod: int(pod["metadata"]["name"].rpartition("-")[2]))

    def fingerprint(self) -> dict[str, str]:
        """Take down the version of every object in the namespace, and of the cluster's objects that we may change.

        A write of any kind, even one that changes nothing but managedFields, gives an object another version.
        """
        kinds = set(self.kubectl("api-resources --namespaced --verbs=list --output name").split()) - RESTLESS
        found = self.get(",".join(sorted(kinds)))["items"]
        for kind in (*CLUSTER_KINDS, f"namespaces --field-selector metadata.name={self.namespace}"):
            found += self.get(kind)["items"]
        return {
            f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}": version(item)
            for item in found
        }

    def playbook(self, *arguments: str, playbook: str = "deploy", inventory: str = "") -> str:
        """Run a playbook as a person in the checkout would; return its output, fail the test when it fails."""
        ended = self.try_playbook(*arguments, playbook=playbook, inventory=inventory)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def try_playbook(
        self, *arguments: str, playbook: str = "deploy", inventory: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook, whatever comes of it."""
        with self.start_playbook(*arguments, playbook=playbook, inventory=inventory) as process:
            output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start_playbook(
        self,
        *arguments: str,
        playbook: str = "deploy",
        inventory: str = "",
    ) -> subprocess.Popen[str]:
        """Start a playbook."""
        command = ["ansible-playbook", "--inventory", inventory or self.inventory, f"playbooks/{playbook}.yml"]
        if os.environ.get("ORBIT_RS_HELM") == "3":
            command += ["--extra-vars", f"orbit_rs_bin_dir={extras.helm3().parent}"]
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        return subprocess.Popen(
            (*command, "--extra-vars", f"orbit_rs_namespace={self.namespace}", *arguments),
            cwd=ROOT,
            env=ours
            | {"ANSIBLE_NOCOLOR": "1", "XDG_STATE_HOME": str(ROOT / "build" / "state")}
            | {"KUBECONFIG": self.kubeconfig, "ORBIT_RS_KUBECONFIG": self.kubeconfig},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> str:
        """Kill a playbook with all that it has started, and return what else it has said."""
        for number in family(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        assert process.stdout is not None
        return process.stdout.read()

    def versions(self) -> list[str]:
        """The tag of the server's image on each ordinal, lowest first."""
        return [pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in self.pods()]

    @contextlib.contextmanager
    def port(self, ordinal: int, port: int) -> Iterator[int]:
        """Forward a port of one ordinal's pod through the API server; yield the local port."""
        target = ("--namespace", self.namespace, f"pod/{self.name}-{ordinal}", f":{port}")
        command = ("kubectl", "--kubeconfig", self.kubeconfig, "port-forward", *target)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                said = child.stdout.readline()
                local = re.search(r"127\.0\.0\.1:(\d+)", said)
                assert local, f"port-forward to ordinal {ordinal} said {said!r}"
                yield int(local[1])
            finally:
                child.terminate()

    @contextlib.contextmanager
    def redis(self, ordinal: int) -> Iterator[redis.Redis]:
        """Connect a stock Redis client to one ordinal."""
        with self.port(ordinal, 6379) as local, redis.Redis(port=local, decode_responses=True) as client:
            yield client

    def write_marks(self, key: str) -> None:
        """Write a value of its own on each of the three ordinals."""
        for ordinal in range(3):
            with self.redis(ordinal) as client:
                client.set(key, f"{key} of ordinal {ordinal}")

    def read_marks(self, key: str) -> list[Any]:
        """Read back what write_marks wrote, lowest ordinal first."""
        values = []
        for ordinal in range(3):
            with self.redis(ordinal) as client:
                values.append(client.get(key))
        return values

    @contextlib.contextmanager
    def clients(self, count: int = 3) -> Iterator[Clients]:
        """Run clients in the cluster that write to every ordinal and knock at the Service, until the end of `with`."""
        restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "clients"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "clients",
                        "image": "orbit-rs/orbit-server:v0.1.0",
                        "imagePullPolicy": "Never",
                        "command": [
                            *("python3", "-c", CLIENTS.read_text()),
                            *("write", "orbit-server-headless", str(count)),
                        ],
                        "securityContext": restricted,
                    }
                ],
            },
        }
        self.apply(pod)
        try:
            self.kubectl("wait pod/clients --for condition=Ready --timeout 60s")
            yield Clients(self, count)
        finally:
            self.kubectl("delete pod clients --wait --ignore-not-found")

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects, as kubectl does."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"apiVersion": "v1", "kind": "List", "items": list(objects)}, file)
            file.flush()
            self.kubectl(f"apply --filename {file.name}")

    def wait_ready(self, seconds: int = 120) -> None:
        """Wait until the StatefulSet is rolled out and all three pods are Ready."""
        self.kubectl(f"rollout status statefulset/orbit-server --timeout {seconds}s")

    def at_rest(self) -> dict[str, str]:
        """Take a fingerprint when controllers have nothing left to write: two in a row are the same."""
        earlier = self.fingerprint()
        for _ in range(20):
            time.sleep(1)
            later = self.fingerprint()
            if later == earlier:
                return later
            earlier = later
        raise AssertionError("the namespace does not come to rest, so nothing can be said about who touches it")


@dataclasses.dataclass(frozen=True)
class Clients:
    """Clients that are at work in the cluster."""

    deployed: Deployed
    count: int

    def acknowledged(self, ordinal: int) -> list[int]:
        """List the numbers of the writes to an ordinal that are acknowledged by now."""
        return [
            int(number) for number in self.deployed.kubectl(f"exec clients -- cat /tmp/acknowledged-{ordinal}").split()
        ]

    def verify(self) -> Any:
        """Read all acknowledged writes back: {"0": {"acknowledged": 3, "lost": []}, ..., "service": {"good": ...}}."""
        said = self.deployed.kubectl(
            f"exec clients -- python3 -c {shlex.quote(CLIENTS.read_text())} verify orbit-server-headless {self.count}"
        )
        return json.loads(said)

    def nothing_is_lost(self) -> Any:
        """Fail the test when an acknowledged write is not there any more, or when nothing was written."""
        found = self.verify()
        for ordinal in map(str, range(self.count)):
            assert found[ordinal]["acknowledged"] > 0
            assert found[ordinal]["lost"] == [], f"ordinal {ordinal} has lost acknowledged writes"
        return found


@dataclasses.dataclass
class Backups:
    """A repository, and the playbooks on it."""

    deployed: Deployed
    folder: Path
    variables: dict[str, Any]

    def run(self, playbook: str, *more: str, good: bool = True, **variables: Any) -> str:
        """Run a playbook; its output with single blanks. `good`: whether it has to succeed."""
        ended = self.deployed.try_playbook(*self.arguments(*more, **variables), playbook=playbook)
        assert (ended.returncode == 0) is good, ended.stdout
        assert PASSWORD not in ended.stdout and KEY not in ended.stdout
        return " ".join(ended.stdout.split())

    def arguments(self, *more: str, **variables: Any) -> Sequence[str]:
        """The arguments of a playbook. What is secret goes by a file."""
        file = self.folder / "variables.json"
        file.touch(0o600)
        file.write_text(json.dumps({**self.variables, **variables}))
        return (*SCALE, "-e", f"@{file}", *more)

    def take(self, **variables: Any) -> str:
        """Take a set; its id."""
        found = re.search(r"Set (\d{8}T\d{6}Z): ", self.run("backup", **variables))
        assert found
        return found[1]

    def sets(self) -> list[str]:
        """The ids of all sets, the newest first."""
        return re.findall(r"\b\d{8}T\d{6}Z\b", self.run("sets"))

    def restic(self, *arguments: str) -> Any:
        """What restic itself says, as JSON."""
        env = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(self.folder / "repository")}
        command = (str(extras.restic()), *arguments, "--json", "--no-lock")
        return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)

    def forge(self, data: bytes | None = None, text: str = "", **changes: Any) -> str:
        """Write a set like the oldest one, with other data, other facts, or what is no manifest; its id."""
        restic = Restic(str(extras.restic()), str(self.folder / "repository"), str(self.folder / "password"))
        name = f"{self.deployed.namespace}.orbit-rs"
        known, _ = sets.listed(restic.snapshots(f"cl={name}"))
        model = sets.manifest(restic, [item for item in known if item.kind == "backup"][-1], name)
        forged = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(time.time(), known[0].time.timestamp() + 1)))
        parts = {}
        for ordinal, part in model.parts.items():
            content = data or restic.read(part.snapshot, sets.DATA)
            parser = Parser()
            parser.feed(content)
            tags = sets.tags(name, forged, part="data", ordinal=ordinal)
            snapshot = restic.store(sets.DATA, content, name, tags)
            parts[ordinal] = dataclasses.replace(part, snapshot=snapshot, bytes=parser.bytes, files=parser.files)
        made = dataclasses.replace(model, **{"set": forged, "parts": parts, **changes})
        restic.store(
            sets.MANIFEST, (text or made.text()).encode(), name, sets.tags(name, forged, kind="backup", complete="")
        )
        return forged

    def locks(self) -> list[str]:
        """Locks that are left in the repository."""
        return [path.name for path in (self.folder / "repository" / "locks").iterdir()]


def family(number: int) -> list[int]:
    """A process and all that it has started, directly or not; Ansible's workers lead sessions of their own."""
    found = [number]
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [member for child in path.read_text().split() for member in family(int(child))]
    return found


def version(item: Any) -> str:
    """Return what another write to the object changes."""
    metadata = item["metadata"]
    if item["kind"] in RESTLESS_STATUS:
        asked = [metadata.get("labels"), metadata.get("annotations"), item["spec"]]
        return f"{metadata['uid']}:{json.dumps(asked, sort_keys=True)}"
    return f"{metadata['uid']}:{metadata['resourceVersion']}"


@contextlib.contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """Collect the command lines of this machine, as everybody on it can."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def server(*command: str | Path, port: int, **env: str) -> Iterator[None]:
    """Run a server of this machine until the end of `with`."""
    with subprocess.Popen(tuple(map(str, command)), env={**os.environ, **env}, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def secret(name: str, key: str, value: str, **more: str) -> dict[str, Any]:
    """Make a Secret."""
    data = {name: base64.b64encode(text.encode()).decode() for name, text in {key: value, **more}.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def present(deployed: Deployed, ordinal: int, numbers: Sequence[int]) -> list[int]:
    """Which writes of the clients an ordinal has, with their values."""
    with deployed.redis(ordinal) as client, client.pipeline(transaction=False) as asked:
        for number in numbers:
            asked.get(f"clients:{ordinal}:{number}")
        answers = asked.execute()
    return [number for number, value in zip(numbers, answers, strict=True) if value == f"value {number}"]


def expire(deployed: Deployed, namespace: str = "") -> None:
    """Have the lock of a killed run expire now, instead of in half a minute."""
    past = {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}
    where = f"--namespace {namespace}" if namespace else ""
    deployed.kubectl(f"patch lease {deployed.release}.orbit.rs {where} --type merge --patch '{json.dumps(past)}'")


def kill(process: subprocess.Popen[str], until: str, seconds: float = 0) -> str:
    """Kill a playbook, with all its children, some seconds after it has said something; what it said."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if until in line:
            break
    time.sleep(seconds)
    return "".join((*said, Deployed.kill(process)))


def database(content: bytes) -> bytes:
    """The data of an ordinal as a set has it, with this for its database."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("./orbit.db")
        info.size, info.mode = len(content), 0o600
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(scope="module")
def deployed(host: Any) -> Deployed:
    """Give the namespace of the running scenario."""
    return Deployed(host, f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'deploy')}")


@pytest.fixture(scope="module")
def clients(deployed: Deployed) -> Iterator[Clients]:
    """Have clients at work for all tests of a file."""
    with deployed.clients() as clients:
        yield clients


@pytest.fixture(scope="module")
def writers(deployed: Deployed) -> Iterator[Clients]:
    """Have clients at work for all tests of a file, on two ordinals that have none of their keys."""
    for ordinal in range(COUNT):
        with deployed.redis(ordinal) as client:
            client.flushall()
    with deployed.clients(COUNT) as clients:
        files = " ".join(f"/tmp/acknowledged-{ordinal}" for ordinal in range(COUNT))
        deployed.kubectl(f"exec clients -- sh -c 'until cat {files} > /dev/null 2>&1; do sleep 0.2; done; sleep 2'")
        yield clients


@pytest.fixture(scope="module")
def backups(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """A repository in a folder, with its password in a file, and the restic of the test bed on the PATH."""
    os.environ["PATH"] = f"{extras.restic().parent}{os.pathsep}{os.environ['PATH']}"
    folder = tmp_path_factory.mktemp("backups")
    (folder / "password").touch(0o600)
    (folder / "password").write_text(PASSWORD)
    where = {
        "orbit_rs_repository": str(folder / "repository"),
        "orbit_rs_repository_password_file": str(folder / "password"),
    }
    return Backups(deployed, folder, where)
