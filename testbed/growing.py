# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that grow, on a cluster without a driver that can: `python -m testbed.growing install|remove`.

The provisioner of the test bed runs a second time, under a name of its own: its volumes are folders. Driver plays the
part that the API sees of a CSI driver's resizer and of the kubelet: it follows what claims ask for, step by step, in
the conditions and sizes of claims and volumes. A folder has no size, so nothing of that limits what can be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from types import TracebackType
from typing import Any, Self

NAME = "growing"  # of the StorageClass and the second provisioner
PROVISIONER = "growing.orbit-rs.test"
LARGEST = 100 << 30  # bytes; more the driver says it can never do
_NAMESPACE = "local-path-storage"
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def storage_class(name: str = NAME, *, expands: bool = True) -> dict[str, Any]:
    """The class whose volumes grow."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": expands,
    }


def install() -> None:
    """Run the provisioner once more, and make the class."""
    found = json.loads(_kubectl("get", "deployment", "local-path-provisioner", "--output=json"))
    spec, labels = found["spec"], {"app": NAME}
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
    container = spec["template"]["spec"]["containers"][0]
    environment = [item for item in container.get("env") or () if item["name"] != "PROVISIONER_NAME"]
    container["env"] = [*environment, {"name": "PROVISIONER_NAME", "value": PROVISIONER}]
    metadata = {"name": NAME, "namespace": _NAMESPACE}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    _kubectl("apply", "--filename=-", text=json.dumps(deployment))
    _kubectl("apply", "--filename=-", text=json.dumps(storage_class()))
    _kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=60s")


def remove() -> None:
    """Take both away again. The volumes go with their claims, as long as the provisioner is there."""
    _kubectl("delete", "storageclass", NAME, "--ignore-not-found")
    _kubectl("delete", "deployment", NAME, "--ignore-not-found")


class Driver:
    """At work until the end of `with`, in a thread."""

    def __init__(self, seconds: float = 0.5) -> None:
        self._seconds = seconds  # for each step
        self._done = threading.Event()
        self._base = ""
        self._stack = contextlib.ExitStack()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        proxy = self._stack.enter_context(
            subprocess.Popen([*_COMMAND, "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        )
        self._stack.callback(proxy.terminate)
        assert proxy.stdout is not None
        said = proxy.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert port, said
        self._base = f"http://127.0.0.1:{port[1]}"
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._stack.close()

    def _run(self) -> None:
        while not self._done.wait(0.2):
            with contextlib.suppress(OSError):  # the API server may restart
                for claim in self._request("GET", "/api/v1/persistentvolumeclaims")["items"]:
                    metadata = claim["metadata"]
                    if metadata.get("annotations", {}).get(_MADE_BY) == PROVISIONER and _behind(claim):
                        self._grow(f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims", claim)

    def _grow(self, claims: str, claim: dict[str, Any]) -> None:
        path = f"{claims}/{claim['metadata']['name']}/status"
        size = claim["spec"]["resources"]["requests"]["storage"]

        def step(*conditions: tuple[str, str], **status: Any) -> None:
            told = [{"type": kind, "status": "True", "message": message} for kind, message in conditions]
            self._request("PATCH", path, {"status": {"conditions": told or None, **status}})
            self._done.wait(self._seconds)

        wish = {"allocatedResources": {"storage": size}}
        if _bytes(size) > LARGEST:
            refused = {"allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}}
            step(("ControllerResizeError", f"the pool has no room for {size}"), **wish, **refused)
            return
        step(("Resizing", ""), **wish, allocatedResourceStatuses={"storage": "ControllerResizeInProgress"})
        self._request(
            "PATCH",
            f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}",
            {"spec": {"capacity": {"storage": size}}},
        )
        step(("FileSystemResizePending", ""), allocatedResourceStatuses={"storage": "NodeResizePending"})
        step(capacity={"storage": size}, allocatedResourceStatuses=None)

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/merge-patch+json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


_MADE_BY = "volume.kubernetes.io/storage-provisioner"
_COMMAND = ("kubectl", "--kubeconfig", os.environ.get("ORBIT_RS_KUBECONFIG") or os.environ.get("KUBECONFIG", ""))


def _kubectl(*arguments: str, text: str = "") -> str:
    command = [*_COMMAND, f"--namespace={_NAMESPACE}", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _behind(claim: dict[str, Any]) -> bool:
    found = claim["status"].get("capacity", {}).get("storage")
    return bool(found) and _bytes(claim["spec"]["resources"]["requests"]["storage"]) > _bytes(found)


def _bytes(size: str) -> int:
    number = re.match(r"\d+", size)
    assert number, size
    return int(number[0]) * _UNITS[size[number.end() :]]


if __name__ == "__main__":
    {"install": install, "remove": remove}[sys.argv[1]]()
