# SPDX-License-Identifier: GPL-3.0-or-later
"""How the scenarios' tests look at a cluster: from outside, through its API and the server's own protocols."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

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


@pytest.fixture(scope="module")
def deployed(host: Any) -> Deployed:
    """Give the namespace of the running scenario."""
    return Deployed(host, f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'deploy')}")


@pytest.fixture(scope="module")
def clients(deployed: Deployed) -> Iterator[Clients]:
    """Have clients at work for all tests of a file."""
    with deployed.clients() as clients:
        yield clients
