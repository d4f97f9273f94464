# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces of one test each, and charts where people have them: a repository and a registry, both on loopback."""

import contextlib
import dataclasses
import functools
import http.server
import json
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from molecule.conftest import KUBECONFIG, ROOT, Deployed
from testbed import extras

CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
INVENTORY = ROOT / "inventories/kind/group_vars/orbit_rs.yml"

TINY = {
    "Chart.yaml": {"apiVersion": "v2", "name": "tiny", "version": "1.2.3"},
    "values.yaml": {"replicas": 1, "image": "registry.k8s.io/pause:3.10"},
    "templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels: {app.kubernetes.io/name: tiny}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: tiny, image: {{ .Values.image | quote }}, imagePullPolicy: IfNotPresent}
""",
}


@dataclasses.dataclass(frozen=True)
class Edge(Deployed):
    """A namespace, and Helm in it without us."""

    folder: Path = Path()

    def variables(self, **variables):
        """Write variables for a run, over the values of the inventory: one ordinal unless said otherwise."""
        values = self.folder / "values.yml"
        given = variables.pop("values", {})
        values.write_text(yaml.safe_dump({"orbitServer": {"replicaCount": 1}, **given}))
        path = self.folder / "variables.yml"
        files = [str(values), *variables.pop("orbit_rs_values_files", ())]
        path.write_text(yaml.safe_dump({"orbit_rs_values_files": files, **variables}))
        return "--extra-vars", f"@{path}"

    def deploy(self, *arguments, **variables):
        """Deploy with these variables; fail the test when it fails."""
        return self.playbook(*self.variables(**variables), *arguments)

    def refused(self, *arguments, **variables):
        """Deploy with these variables; it must fail, and say why without touching anything."""
        before = self.written()
        ended = self.try_playbook(*self.variables(**variables), *arguments)
        assert ended.returncode != 0 and "Traceback" not in ended.stdout, ended.stdout
        assert self.written().items() <= before.items(), "something was written"
        return " ".join(ended.stdout.split())

    def fingerprint(self):
        """Look at what is in this namespace or named after it: other scenarios may be at work in the cluster."""
        return {name: version for name, version in super().fingerprint().items() if self.namespace in name}

    def written(self):
        """Take down what a run could write, without what controllers write: some of these edges do not rest."""
        kinds = "configmaps,secrets,services,serviceaccounts,statefulsets,poddisruptionbudgets,leases"
        found = [
            *self.get(kinds)["items"],
            *self.get(f"namespaces --field-selector metadata.name={self.namespace}")["items"],
        ]
        return {
            (item["kind"], item["metadata"]["name"]): json.dumps(
                [item["metadata"].get("labels"), item.get("spec"), item.get("data"), item["metadata"]["uid"]]
            )
            for item in found
        }

    def helm(self, *arguments, helm="helm"):
        """Run helm as a person would."""
        command = (str(helm), "--kubeconfig", KUBECONFIG, "--namespace", self.namespace, *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def typed(self, command):
        """Type a command that a message has named."""
        words = shlex.split(command)
        assert words[0] in ("helm", "kubectl")
        subprocess.run((words[0], "--kubeconfig", KUBECONFIG, *words[1:]), check=True, capture_output=True, text=True)

    def status(self):
        """Give the status of every revision, oldest first."""
        history = yaml.safe_load(self.helm("history", "orbit-rs", "--output=json"))
        return [revision["status"] for revision in history]

    def helm_values(self, **server):
        """Write the values of the inventory for one ordinal, for helm without us; give the path."""
        values = yaml.safe_load(INVENTORY.read_text())["orbit_rs_values"]
        values["orbitServer"] |= {"replicaCount": 1, **server}
        path = self.folder / "helm-values.yml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    def kill_helm(self, *arguments):
        """Start helm and kill it outright as soon as its revision is pending."""
        command = ("helm", "--kubeconfig", KUBECONFIG, "--namespace", self.namespace, *arguments)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            for _ in range(200):
                revisions = [item["metadata"]["labels"] for item in self.get("secrets --selector owner=helm")["items"]]
                newest = max(revisions, key=lambda labels: int(labels["version"]), default={"status": ""})
                if newest["status"].startswith("pending"):
                    break
                assert child.poll() is None, "helm has ended before it could be killed"
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
        assert "pending" in self.status()[-1]


@pytest.fixture
def edge(host, request, tmp_path):
    """Give the test a namespace of its own, and remove it afterwards."""
    name = f"molecule-helm-edges-{abs(hash(request.node.name)) % 10**6}"
    yield Edge(host, name, folder=tmp_path)
    subprocess.run(
        ("kubectl", "--kubeconfig", KUBECONFIG, "delete", "namespace", name, "--ignore-not-found", "--wait=false"),
        check=True,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Write the smallest chart that has something to wait for; give its folder."""
    folder = tmp_path_factory.mktemp("charts") / "tiny"
    for name, content in TINY.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="session")
def archives(tiny, tmp_path_factory):
    """Package the charts; give the folder with the archives and their index."""
    folder = tmp_path_factory.mktemp("archives")
    for chart in (CHART, tiny):
        subprocess.run(("helm", "package", chart, "--destination", folder), check=True, capture_output=True)
    subprocess.run(("helm", "repo", "index", folder), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def repository(archives):
    """Serve the archives as a chart repository; give its URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archives))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def registry(archives, tmp_path_factory):
    """Serve the charts from a registry with TLS; give the OCI reference that they are below."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        (
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ),
        check=True,
        capture_output=True,
    )
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "tls": {"certificate": str(certificate), "key": str(key)}},
        "log": {"level": "error", "accesslog": {"disabled": True}},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("SSL_CERT_FILE", str(certificate))  # what helm trusts
        patch.setenv("OTEL_TRACES_EXPORTER", "none")
        command = (extras.registry(), "serve", folder / "config.yml")
        child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(child.terminate)
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        base = f"oci://localhost:{port}/charts"
        for archive in archives.glob("*.tgz"):
            subprocess.run(("helm", "push", archive, base), check=True, capture_output=True)
        yield base


@pytest.fixture(scope="session")
def helm3(tmp_path_factory):
    """Give a folder that holds helm 3 alone."""
    folder = tmp_path_factory.mktemp("helm3")
    shutil.copy(extras.helm3(), folder / "helm")
    return folder
